"""A forward proxy's side of the client: reads one CONNECT, and hands it to a tunnel.

An unmodified program that honours HTTPS_PROXY comes this way. Only CONNECT is served,
and only to the hosts that `Route` knows: nothing here can be used to reach others.
"""

import asyncio
import re
from collections.abc import Callable
from typing import cast

from protocols.http.answers import answer
from protocols.http.connect import Connect
from protocols.http.head import HEAD, HeadBuffer, HeadError, RequestHead, parse_request
from protocols.http.shared import Refused
from protocols.http.tunnel import Tunnels
from protocols.net.sockets import peer_address
from protocols.record import FlowRecord
from protocols.target import Choose

Route = Callable[[str, int], Choose | str]
"The chooser for a host and port, or the reason why there is none."

_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^:]+):([0-9]{1,5})")


class Forward(asyncio.Protocol):
    """One client connection, until its CONNECT is read."""

    def __init__(
        self,
        tunnels: Tunnels,
        route: Route,
        refused: Refused,
        *,
        head: int = HEAD,
        deadline: float = 10.0,
        linger: float = 2.0,
    ) -> None:
        """`head` is in bytes, `deadline` for it in seconds.

        For `linger` seconds a refused client can read why, before it is cut.
        """
        self._tunnels = tunnels
        self._route = route
        self._refused = refused
        self._heads = HeadBuffer(head)
        self._deadline = deadline
        self._began = 0.0
        self._request: RequestHead | None = None
        self._linger = linger
        self._over = False
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called once by the loop."""
        self._transport = cast("asyncio.Transport", transport)
        loop = asyncio.get_running_loop()
        self._began = loop.time()
        self._timer = loop.call_later(self._deadline, self._late)

    def data_received(self, data: bytes) -> None:
        """Called by the loop until a tunnel takes over."""
        if self._over:
            return
        try:
            head = self._heads.feed(data)
            if head is not None:
                self._serve(parse_request(head), self._heads.rest)
        except HeadError as error:
            self._refuse(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the loop if the client leaves before a tunnel takes over."""
        self._timer.cancel()

    def _serve(self, request: RequestHead, rest: bytes) -> None:
        self._request = request
        if request.method != b"CONNECT":
            raise HeadError(405, "this listener serves CONNECT only")
        # RFC 9110 section 9.3.6: a CONNECT request has no content of defined meaning;
        # one that announces some would be tunnelled as something else.
        if {b"content-length", b"transfer-encoding"} & request.values.keys():
            raise HeadError(400, "CONNECT with a body")
        found = _AUTHORITY.fullmatch(request.host)
        if found is None:
            raise HeadError(400, "CONNECT needs host:port")
        host, port = found[1].strip("[]"), int(found[2])
        choose = self._route(host, port)
        if isinstance(choose, str):
            raise HeadError(403, choose)
        self._timer.cancel()
        unavailable = answer(503, self._tunnels.nobody, close=True)
        tunnel = Connect(self._tunnels, choose, host=host, unavailable=unavailable)
        tunnel.take_over(self._transport, rest)

    def _late(self) -> None:
        self._refuse(HeadError(408, "the request's head took too long"))

    def _refuse(self, error: HeadError) -> None:
        self._over = True
        self._timer.cancel()
        client = peer_address(self._transport)
        self._refused(client, error.status, error.reason)
        self._tunnels.record(self._record(client, error))
        self._transport.write(answer(error.status, error.reason, close=True))
        # RFC 9112 section 9.6: closing with data unread resets the connection, and the
        # client may lose the response. So only our half is closed, and what still comes
        # is read and dropped.
        self._transport.write_eof()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._linger, self._transport.abort)

    def _record(self, client: str, error: HeadError) -> FlowRecord:
        request = self._request
        return FlowRecord(
            self._tunnels.listener,
            Connect.protocol,
            self._tunnels.direction,
            client,
            method=request.verb if request is not None else "",
            host=request.host if request is not None else "",
            status=error.status,
            total=asyncio.get_running_loop().time() - self._began,
            ended="RH",
            reason=error.reason,
        )
