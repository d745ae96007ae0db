"""A user agent: makes calls, takes calls, ends them (RFC 3261 sections 8 to 15).

The provider's core and the PBX of tests are agents; they differ in what they override.
"""

import secrets
from collections.abc import Callable, Sequence

from simulator.sip.call import Call, settle
from simulator.sip.message import Fields, Received, back, compose, parse_uri, read
from simulator.sip.transaction import END, Client, Path, Server, Timers, Transactions

ALLOW = ("Allow", "INVITE, ACK, CANCEL, BYE, OPTIONS")
"Methods that an agent knows."


class Agent:
    """One user agent, which keeps its calls."""

    def __init__(self, *, t1: float = 0.5) -> None:
        """Repeat after `t1` seconds what goes unanswered; all timers follow it."""
        self.timers = Timers()
        self.transactions = Transactions(self.timers, t1)
        self.calls: dict[tuple[str, str], Call] = {}
        "Calls that have not ended, by Call-ID and our tag."
        self._origins: dict[tuple[str, str, int], tuple[str, str, str]] = {}

    # ---- What the two kinds of agents do differently ------------------------------

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

    def admit(self, server: Server) -> bool:
        """Judge a request outside a dialog; False if it was answered, or never will."""
        return True

    def objection(self, request: Received, call: Call, path: Path) -> str:
        """Why a request within a dialog is dropped; empty if it is not."""
        return ""

    def invited(self, call: Call) -> None:
        """There is a new call to us."""

    def challenged(self, call: Call, message: Received) -> bool:
        """Whether a failure of a call of ours was answered by a new INVITE."""
        return False

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

    # ---- Calls of ours -----------------------------------------------------------

    def invite(
        self,
        path: Path,
        uri: str,
        sender: str,
        *,
        routes: Sequence[str] = (),
        call_id: str = "",
        tag: str = "",
        sequence: int = 1,
        fields: Fields = (),
    ) -> Call:
        """Call someone: `path` leads to the first hop, `sender` is From without tag."""
        tag = tag or secrets.token_hex(6)
        call = Call(
            path,
            call_id or f"{secrets.token_hex(12)}@0.0.0.0",
            uri,
            f"{sender};tag={tag}",
            f"<{uri}>",
            tag,
            outgoing=True,
            sequence=sequence,
            routes=list(routes),
            target=uri,
            fields=fields,
        )
        call.contact = self.contact(path, call)
        call.record_routes = self.record_routes(path, call, tag)
        self.calls[call.call_id, tag] = call
        self._send_invite(call, fields)
        return call

    def invite_again(self, call: Call, fields: Fields) -> None:
        """Call anew after a failure, within the same call, with fields in addition."""
        call.sequence += 1
        self._send_invite(call, [*call.fields, *fields])

    def _send_invite(self, call: Call, fields: Fields) -> None:
        call.invite = self._ask(
            call,
            call.path,
            "INVITE",
            call.sequence,
            lambda message: self._invite_heard(call, message),
            fields,
            self.body(),
        )

    def cancel(self, call: Call) -> None:
        """Want a call no more that was not answered yet (RFC 3261 section 9.1)."""
        client = call.invite
        if client is None or call.outcome.done() or call.cancelled:
            return
        call.cancelled = True
        if call.heard.done():
            self._send_cancel(call, client)
        else:
            # RFC 3261 section 9.1: "If no provisional response has been received,
            # the CANCEL request MUST NOT be sent".
            self.transactions.still(client)

    def _send_cancel(self, call: Call, client: Client) -> None:
        head = [*client.head, ("To", call.remote)]
        numbered = [("CSeq", f"{call.sequence} CANCEL"), ("Max-Forwards", "70")]
        data = compose(f"CANCEL {client.uri} SIP/2.0", [*head, *numbered])
        cancel = Client(
            "CANCEL", client.branch, client.uri, head, client.path, lambda _: None
        )
        self.transactions.ask(cancel, data)

    def _invite_heard(self, call: Call, message: Received | None) -> None:
        if message is None:
            self._end(call, "no answer")
            return
        if message.code < 200:
            self._progress(call, message)
        elif message.code < 300:
            self._answered(call, message)
        elif not call.outcome.done():
            call.statuses.append(message.code)
            call.phrase = message.phrase
            settle(call.heard, message.code)
            if not call.cancelled and self.challenged(call, message):
                return
            call.outcome.set_result(message.code)
            self._end(call, "cancelled" if call.cancelled else "refused")

    def _progress(self, call: Call, message: Received) -> None:
        first = not call.heard.done()
        settle(call.heard, message.code)
        call.statuses.append(message.code)
        if message.code > 100:
            settle(call.ringing, message.code)
        if first and call.cancelled and call.invite is not None:
            self._send_cancel(call, call.invite)

    def _answered(self, call: Call, message: Received) -> None:
        if call.outcome.done() and message.recipient == call.remote:
            call.acks.get(message.sequence, lambda: None)()
            return
        wanted = not (call.outcome.done() or call.cancelled)
        if call.outcome.done():
            # RFC 3261 section 13.2.2.4: another 2xx is another dialog, which we end.
            self.note("answered-twice", call.path, message)
            call = self._twin(call)
        call.remote = message.recipient
        call.target = message.contact or call.target
        call.routes = self.route_set(call, message.record_routes[::-1], message)
        call.statuses.append(message.code)
        settle(call.heard, message.code)
        settle(call.outcome, message.code)
        self._acknowledge(call, message.sequence)
        if not wanted:
            self.hang_up(call)

    def _twin(self, call: Call) -> Call:
        """A second dialog of the same INVITE; it is not among the calls."""
        return Call(
            call.path,
            call.call_id,
            call.uri,
            call.local,
            call.remote,
            call.tag,
            outgoing=True,
            sequence=call.sequence,
            target=call.uri,
            contact=call.contact,
            record_routes=call.record_routes,
        )

    def route_set(self, call: Call, routes: list[str], message: Received) -> list[str]:
        """The routes beyond our own proxies."""
        return routes

    def _acknowledge(self, call: Call, sequence: int) -> None:
        """ACK a 2xx, now and whenever it comes again."""
        path = self._next_path(call)
        branch = _branch()
        data = compose(
            f"ACK {call.target} SIP/2.0",
            [
                *self._head(call, path, branch),
                ("To", call.remote),
                ("CSeq", f"{sequence} ACK"),
                ("Max-Forwards", "70"),
            ],
        )
        call.acks[sequence] = lambda: path.send(data)
        path.send(data)

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

    # ---- Calls that were answered -------------------------------------------------

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
            elif message.code >= 200:
                if message.sequence in call.acks:
                    call.acks[message.sequence]()
                    return
                call.target = message.contact or call.target
                self._acknowledge(call, message.sequence)
                heard(message.code)

        call.sequence += 1
        path = self._next_path(call)
        self._ask(call, path, "INVITE", call.sequence, final, [ALLOW], self.body())

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
        branch = _branch()
        head = self._head(call, path, branch)
        if method == "INVITE":
            fields = [
                *(("Record-Route", one) for one in call.record_routes if call.outgoing),
                ("Contact", f"<{call.contact}>"),
                *fields,
            ]
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

    # ---- What comes in -----------------------------------------------------------

    def take(self, data: bytes, path: Path) -> None:
        """Take one message of a stream; what is none is noted."""
        try:
            message = read(data, path.far)
        except ValueError as error:
            self.note("unparsed", path, detail=str(error))
        else:
            self.receive(message, path)

    def take_datagram(
        self,
        data: bytes,
        source: tuple[str, int],
        way: Callable[[tuple[str, int]], Path],
    ) -> None:
        """Take one datagram, whose response goes where its Via says."""
        if not data.strip(b"\r\n"):
            return
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
            self.transactions.respond(server, 200, fields=[ALLOW])

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
            known = message.method == "OPTIONS"
            self.transactions.respond(
                server, 200 if known else 405, tag=secrets.token_hex(6), fields=[ALLOW]
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
        if not call.end(how):
            return
        self.calls.pop((call.call_id, call.tag), None)
        if call.request is not None:
            request = call.request
            self._origins.pop(
                (request.call_id, request.from_tag, request.sequence), None
            )
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


def _branch() -> str:
    return f"z9hG4bK{secrets.token_hex(8)}"
