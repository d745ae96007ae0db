"""A user agent: makes calls, takes calls, ends them (RFC 3261 sections 8 to 15)."""

import secrets
from collections.abc import Callable

from simulator.sip.call import Call, settle
from simulator.sip.caller import Caller
from simulator.sip.message import G711, Fields, Received, back, read
from simulator.sip.party import ALLOW
from simulator.sip.transaction import END, Path, Server


class Agent(Caller):
    """One user agent, which keeps its calls."""

    def __init__(self, *, t1: float = 0.5) -> None:
        """Repeat after `t1` seconds what goes unanswered; all timers follow it."""
        super().__init__(t1=t1)
        self.formats = G711
        "What it offers and agrees to, as the m= line of a description and below."
        self.overhear: Callable[[bytes], None] = lambda _: None
        "Is told every message as it came, before anybody judges it."
        self._origins: dict[tuple[str, str, int], tuple[str, str, str]] = {}

    def admit(self, server: Server) -> bool:
        """Judge a request outside a dialog; False if it was answered, or never will."""
        return True

    def objection(self, request: Received, call: Call, path: Path) -> str:
        """Why a request within a dialog is dropped; empty if it is not."""
        return ""

    def verdict(self, request: Received) -> int:
        """Status for any other request within a dialog."""
        return 200 if request.method in ALLOW[1].split(", ") else 405

    def registered(self, request: Received) -> Fields | None:
        """Fields of the answer to a REGISTER; None where nobody may register."""
        return None

    def invited(self, call: Call) -> None:
        """There is a new call to us."""

    # ---- Calls to us -------------------------------------------------------------

    def ring(self, call: Call, code: int = 180) -> None:
        """Say that it rings, or another provisional status."""
        if call.outcome.done() or call.invited is None:
            return
        settle(call.ringing, code)
        self.transactions.respond(
            call.invited, code, tag=call.tag, fields=self._answer_fields(call)
        )

    def answer(self, call: Call) -> None:
        """Take the call."""
        if call.outcome.done() or call.invited is None:
            return
        call.outcome.set_result(200)
        self._accept(call, call.invited)

    def refuse(self, call: Call, code: int, phrase: str = "") -> None:
        """End the call with a failure."""
        if call.outcome.done() or call.invited is None:
            return
        call.outcome.set_result(code)
        self.transactions.respond(
            call.invited, code, phrase, tag=call.tag, fields=self._answer_fields(call)
        )
        self._end(call, "refused")

    def _accept(self, call: Call, server: Server) -> None:
        """Answer 200 and send it until it is acknowledged; hang up if it never is."""
        call.answering = server
        self.transactions.respond(
            server,
            200,
            tag=call.tag,
            fields=self._answer_fields(call),
            body=self.body(),
        )

        def late() -> None:
            if call.answering is server and not call.ended.done():
                self.note("unacknowledged", call.path, server.request)
                self.hang_up(call)

        self.timers.after((END - 1) * self.transactions.t1, late)

    def _answer_fields(self, call: Call) -> Fields:
        assert call.request is not None
        routes = [*call.record_routes, *call.request.record_routes]
        return [
            *(("Record-Route", one) for one in routes),
            ("Contact", f"<{call.contact}>"),
            ALLOW,
        ]

    # ---- What comes in -----------------------------------------------------------

    def take(self, data: bytes, path: Path) -> Received | None:
        """Take one message of a stream, and return it; what is none is noted."""
        self.overhear(data)
        try:
            message = read(data, path.far)
        except ValueError as error:
            self.note("unparsed", path, detail=str(error))
            return None
        self.receive(message, path)
        return message

    def take_datagram(
        self,
        data: bytes,
        source: tuple[str, int],
        way: Callable[[tuple[str, int]], Path],
    ) -> None:
        """Take one datagram, whose response goes where its Via says."""
        if not data.strip(b"\r\n"):
            return
        self.overhear(data)
        try:
            message = read(data, source)
        except ValueError as error:
            self.note("unparsed", way(source), detail=str(error))
        else:
            self.receive(
                message, way(source if message.code else back(message, source))
            )

    def receive(self, message: Received, path: Path) -> None:
        """Take one message."""
        if message.code:
            if not self.transactions.response(message):
                self.note("stray", path, message, status=message.code)
        elif message.method == "ACK":
            self._ack(message, path)
        elif server := self.transactions.find(message):
            self.note("repeated", path, message)
            self.transactions.again(server)
        elif message.method == "CANCEL":
            self._cancel(message, path)
        elif message.to_tag:
            self._within(message, path)
        else:
            self._outside(message, path)

    def _ack(self, message: Received, path: Path) -> None:
        server = self.transactions.find(message)
        if server is not None and server.code >= 300:
            self.transactions.acknowledged(server)
            return
        call = self.calls.get((message.call_id, message.to_tag))
        if call is None or self._objects(message, call, path):
            return
        self.note("ack", path, message)
        if call.answering is not None:
            self.transactions.acknowledged(call.answering)
            call.answering = None
        settle(call.confirmed, message.sequence)

    def _cancel(self, message: Received, path: Path) -> None:
        self.note("cancel", path, message)
        invited = self.transactions.find_invite(message)
        server = self.transactions.open(message, path)
        self.transactions.respond(server, 481 if invited is None else 200)
        for call in tuple(self.calls.values()):
            if call.invited is invited is not None and not call.outcome.done():
                call.outcome.set_result(487)
                self.transactions.respond(invited, 487, tag=call.tag)
                self._end(call, "cancelled")

    def _within(self, message: Received, path: Path) -> None:
        call = self.calls.get((message.call_id, message.to_tag))
        if call is not None and self._objects(message, call, path):
            return
        event = "reinvite" if message.method == "INVITE" else message.method.lower()
        self.note(event, path, message)
        server = self.transactions.open(message, path)
        if call is None:
            self.transactions.respond(server, 481)
        elif message.method == "BYE":
            self.transactions.respond(server, 200)
            self._end(call, "remote")
        elif message.method == "INVITE":
            call.target = message.contact or call.target
            call.request = call.request or message
            settle(call.reinvited, message.sequence)
            self._reaccept(call, server)
        else:
            code = self.verdict(message)
            self.transactions.respond(server, code, fields=[ALLOW])

    def _reaccept(self, call: Call, server: Server) -> None:
        call.answering = server
        self.transactions.respond(
            server,
            200,
            fields=[("Contact", f"<{call.contact}>"), ALLOW],
            body=self.body(),
        )

    def _objects(self, message: Received, call: Call, path: Path) -> bool:
        why = self.objection(message, call, path)
        if why:
            self.note("dropped", path, message, detail=why)
        return bool(why)

    def _outside(self, message: Received, path: Path) -> None:
        origin = message.call_id, message.from_tag, message.sequence
        if message.method == "INVITE" and origin in self._origins:
            # RFC 3261 section 8.2.2.2: the same request by another way.
            self.note("merged", path, message)
            server = self.transactions.open(message, path)
            self.transactions.respond(server, 482, tag=secrets.token_hex(6))
            return
        self.note(message.method.lower(), path, message)
        server = self.transactions.open(message, path)
        if not self.admit(server):
            return
        if message.method == "INVITE":
            self._origins[origin] = message.transaction
            self._new_call(server)
        else:
            known: Fields | None = [] if message.method == "OPTIONS" else None
            if message.method == "REGISTER":
                known = self.registered(message)
            self.transactions.respond(
                server,
                405 if known is None else 200,
                tag=secrets.token_hex(6),
                fields=[*(known or ()), ALLOW],
            )

    def _new_call(self, server: Server) -> None:
        message, path = server.request, server.path
        tag = secrets.token_hex(6)
        call = Call(
            path,
            message.call_id,
            message.uri,
            f"{message.recipient};tag={tag}",
            message.sender,
            tag,
            outgoing=False,
            routes=message.record_routes,
            target=message.contact,
            invited=server,
            request=message,
        )
        call.contact = self.contact(path, call)
        call.record_routes = self.record_routes(path, call, message.from_tag)
        self.calls[call.call_id, tag] = call
        self.invited(call)

    def _end(self, call: Call, how: str) -> None:
        """End a call; its INVITE may come again as a new one."""
        super()._end(call, how)
        if call.request is not None:
            request = call.request
            origin = request.call_id, request.from_tag, request.sequence
            self._origins.pop(origin, None)
