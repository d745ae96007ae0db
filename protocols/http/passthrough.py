"""TLS that passes through unopened to where its ClientHello says."""

from collections.abc import Callable

from protocols.http.hello import Hello
from protocols.http.tunnel import Refused, Tunnel, Tunnels
from protocols.target import Choose

Route = Callable[[str], Choose | None]
"The chooser for the host that a client asks for; None refuses it."


class Passthrough(Tunnel):
    """A tunnel that goes where the server name in the ClientHello says."""

    protocol = "passthrough"

    def __init__(self, tunnels: Tunnels, route: Route) -> None:
        super().__init__(tunnels)
        self._route = route

    async def opening(self) -> tuple[Choose, Hello]:
        """Nothing is dialled before the name is known."""
        hello = await self.hello()
        if hello.server_name is None:
            raise Refused("RH", "a ClientHello without server name")
        self._record.host = hello.server_name
        choose = self._route(hello.server_name)
        if choose is None:
            raise Refused("RH", "no route to this host")
        return choose, hello
