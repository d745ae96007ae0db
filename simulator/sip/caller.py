"""Calls that an agent makes (RFC 3261 section 13.2)."""

import secrets
from collections.abc import Sequence

from simulator.sip.call import Call, settle
from simulator.sip.message import Fields, Received, compose
from simulator.sip.party import Party
from simulator.sip.transaction import Client, Path


class Caller(Party):
    """A party that calls others."""

    def challenged(self, call: Call, message: Received) -> bool:
        """Whether a failure of a call of ours was answered by a new INVITE."""
        return False

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
            [
                *(("Record-Route", one) for one in call.record_routes),
                ("Contact", f"<{call.contact}>"),
                *fields,
            ],
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
            self._end(call, "no answer")

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
            call.moved = message.contact if message.code < 400 else ""
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
        if self._known(call, message):
            return
        wanted = not (call.outcome.done() or call.cancelled)
        if call.outcome.done():
            # RFC 3261 section 13.2.2.4: another 2xx is another dialog, which we end.
            late = not 200 <= call.outcome.result() < 300
            self.note("answered-late" if late else "answered-twice", call.path, message)
            original, call = call, self._twin(call)
            call.acks = original.acks
        call.remote = message.recipient
        call.target = message.contact or call.target
        call.routes = self.route_set(call, message.record_routes[::-1], message)
        call.statuses.append(message.code)
        settle(call.heard, message.code)
        settle(call.ringing, message.code)  # a lost 180 does not come again
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
