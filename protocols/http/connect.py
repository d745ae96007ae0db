"""TLS that passes through unopened to where a CONNECT request says.

CONNECT is answered 200 when a TCP connection stands. Not before: so a client hears of
dead edges by a proper 503. Not after: the client sends its ClientHello only then, and
only the ClientHello shows that an edge accepts connections and then says nothing; in
that case it goes to the next target, unseen by the client.
"""

import asyncio
from collections.abc import Collection

from protocols.http.hello import Hello
from protocols.http.tunnel import Refused, Tunnel, Tunnels
from protocols.net.hedge import NoTarget
from protocols.target import Choose, Target


class Connect(Tunnel):
    """A tunnel that goes where a CONNECT request says."""

    protocol = "connect"

    def __init__(
        self,
        tunnels: Tunnels,
        choose: Choose,
        *,
        host: str,
        unavailable: bytes,
        established: bytes = b"HTTP/1.1 200 Connection established\r\n\r\n",
    ) -> None:
        """`unavailable` is the whole answer to give when nothing can be reached."""
        super().__init__(tunnels)
        self._choose = choose
        self._unavailable = unavailable
        self._established = established
        self._record.method, self._record.host = "CONNECT", host

    def take_over(self, transport: asyncio.Transport, data: bytes) -> None:
        """Serve the client that sent the request, and `data` after it."""
        transport.set_protocol(self)
        self.connection_made(transport)
        transport.resume_reading()
        if data:
            self.data_received(data)

    async def opening(self) -> tuple[Choose, Hello]:
        """Answer the request once there is a connection, then wait for the client."""
        self._phase = "C"
        try:
            won = await self.race(self._choose, self.reach)
        except NoTarget as error:
            self._record.attempts, self._record.status = error.attempts, 503
            raise Refused("RC", self._tunnels.why(error), self._unavailable) from None
        self.stand(won)
        self._record.status = 200
        self._client.write(self._established)
        hello = await self.hello()
        failed = [one.target for one in won.attempts if one.result is not None]

        def choose(tried: Collection[Target]) -> Target | None:
            return self._choose([*failed, *tried]) if tried else won.target

        return choose, hello
