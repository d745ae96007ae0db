"""One side of calls: how it looks to others, and requests within its dialogs.

What the provider's core and the PBX of tests do differently, they override.
"""

import secrets
from collections.abc import Callable

from simulator.sip.call import Call
from simulator.sip.message import Fields, Received, compose, parse_uri
from simulator.sip.transaction import Client, Path, Timers, Transactions

ALLOW = ("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO")
"Methods that an agent knows."


class Party:
    """What calling and being called have in common (RFC 3261 section 12)."""

    def __init__(self, *, t1: float = 0.5) -> None:
        """Repeat after `t1` seconds what goes unanswered; all timers follow it."""
        self.timers = Timers()
        self.transactions = Transactions(self.timers, t1)
        self.calls: dict[tuple[str, str], Call] = {}
        "Calls that have not ended, by Call-ID and our tag."

    def note(
        self,
        event: str,
        path: Path,
        message: Received | None = None,
        *,
        call: str = "",
        status: int = 0,
        detail: str = "",
    ) -> None:
        """Something happened."""

    def contact(self, path: Path, call: Call) -> str:
        """URI at which this agent takes requests of a dialog."""
        raise NotImplementedError

    def record_routes(self, path: Path, call: Call, from_tag: str) -> list[str]:
        """What proxies on our side add, the newest first."""
        return []

    def vias(self, path: Path, branch: str) -> list[str]:
        """Via values of a request that leaves our side."""
        host, port = path.near
        way = path.transport.upper()
        return [f"SIP/2.0/{way} {host}:{port};rport;branch={branch}"]

    def outward(self, hop: tuple[str, str, int], call: Call) -> Path:
        """The way to a transport, host and port, for requests of a call."""
        raise NotImplementedError

    def body(self) -> bytes:
        """A session description for offers and answers."""
        return b""

    def route_set(self, call: Call, routes: list[str], message: Received) -> list[str]:
        """The routes beyond our own proxies."""
        return routes

    # ---- Requests within a dialog -----------------------------------------------

    def hang_up(
        self, call: Call, heard: Callable[[int], None] = lambda _: None
    ) -> None:
        """Send a BYE; `heard` takes its final status, 0 if there is none."""
        if not call.ended.done():
            self._end(call, "local")
            self.ask(call, "BYE", heard)

    def reinvite(
        self, call: Call, heard: Callable[[int], None] = lambda _: None
    ) -> None:
        """Offer anew; `heard` takes the final status, 0 if there is none."""

        def final(message: Received | None) -> None:
            if message is None or message.code >= 300:
                heard(0 if message is None else message.code)
            elif message.code >= 200 and not self._known(call, message):
                call.target = message.contact or call.target
                self._acknowledge(call, message.sequence)
                heard(message.code)

        call.sequence += 1
        path, fields = self._next_path(call), [("Contact", f"<{call.contact}>"), ALLOW]
        self._ask(call, path, "INVITE", call.sequence, final, fields, self.body())

    def ask(
        self, call: Call, method: str, heard: Callable[[int], None] = lambda _: None
    ) -> None:
        """Send any other request in the dialog; `heard` takes its final status or 0."""

        def final(message: Received | None) -> None:
            if message is None or message.code >= 200:
                heard(0 if message is None else message.code)

        call.sequence += 1
        self._ask(call, self._next_path(call), method, call.sequence, final)

    def _ask(
        self,
        call: Call,
        path: Path,
        method: str,
        sequence: int,
        heard: Callable[[Received | None], None],
        fields: Fields = (),
        body: bytes = b"",
    ) -> Client:
        branch = new_branch()
        head = self._head(call, path, branch)
        data = compose(
            f"{method} {call.target} SIP/2.0",
            [
                *head,
                ("To", call.remote),
                ("CSeq", f"{sequence} {method}"),
                ("Max-Forwards", "70"),
                *fields,
            ],
            body,
        )
        client = Client(method, branch, call.target, head, path, heard)
        self.transactions.ask(client, data)
        return client

    def _head(self, call: Call, path: Path, branch: str) -> Fields:
        return [
            *(("Via", via) for via in self.vias(path, branch)),
            *(("Route", route) for route in call.routes),
            ("From", call.local),
            ("Call-ID", call.call_id),
        ]

    def _next_path(self, call: Call) -> Path:
        """RFC 3261 section 12.2.1.1, of loose routers alone."""
        first = call.routes[0] if call.routes else call.target
        return self.outward(parse_uri(first).hop, call)

    def _known(self, call: Call, message: Received) -> bool:
        """Whether a 2xx came before; then so does its ACK."""
        again = call.acks.get((message.sequence, message.to_tag))
        if again is not None:
            again()
        return again is not None

    def _acknowledge(self, call: Call, sequence: int) -> None:
        """ACK a 2xx, now and whenever it comes again."""
        path = self._next_path(call)
        branch = new_branch()
        data = compose(
            f"ACK {call.target} SIP/2.0",
            [
                *self._head(call, path, branch),
                ("To", call.remote),
                ("CSeq", f"{sequence} ACK"),
                ("Max-Forwards", "70"),
            ],
        )
        key = sequence, call.remote.rpartition(";tag=")[2].partition(";")[0]
        call.acks[key] = lambda: path.send(data)
        path.send(data)

    def _end(self, call: Call, how: str) -> None:
        if not call.end(how):
            return
        if self.calls.get((call.call_id, call.tag)) is call:
            del self.calls[call.call_id, call.tag]
        if call.answering is not None:
            self.transactions.acknowledged(call.answering)
        status = call.outcome.result()
        self.note("ended", call.path, call=call.call_id, status=status, detail=how)

    def stop(self) -> None:
        """Forget every call, and send nothing any more."""
        self.timers.stop()
        for call in tuple(self.calls.values()):
            call.end("stopped")
        self.calls.clear()


def new_branch() -> str:
    """A branch parameter (RFC 3261 section 8.1.1.7)."""
    return f"z9hG4bK{secrets.token_hex(8)}"
