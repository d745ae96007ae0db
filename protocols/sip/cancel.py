"""The CANCEL of one branch: a transaction of its own, on the same way."""

from protocols.sip.machines import CLIENT, Do, Event, State, event_of
from protocols.sip.message import Message
from protocols.sip.peers import Send, Side
from protocols.sip.shared import Shared
from protocols.sip.transaction import Transaction
from protocols.target import Result, Target, Transport


class Cancel(Transaction):
    """Sent again until it is answered. What counts is the answer to its request."""

    __slots__ = ("_id", "_shared", "_side", "_target")

    method = b"CANCEL"

    def __init__(
        self,
        shared: Shared,
        side: Side,
        target: Target,
        branch: bytes,
        data: bytes,
        now: float,
    ) -> None:
        """`branch` is the id that it shares with its request."""
        reliable = target.transport is not Transport.UDP
        super().__init__(CLIENT[reliable], State.TRYING, shared.timers, now)
        self._shared = shared
        self._side = side
        self._target = target
        self._id = branch
        self.last = data
        shared.cancels[branch] = self
        self._send()

    def received(self, response: Message, now: float) -> None:
        """Take an answer to it."""
        self.on(event_of(response.status), now)
        self._drop_if_over()

    def failed(self, result: Result, detail: str, now: float) -> None:
        """Take that the transport failed: the request will be given up in time."""

    def expired(self, kind: int, now: float) -> None:
        """A timer ran out."""
        if self.on(Event(kind), now) is Do.RESEND:
            self._send()
        self._drop_if_over()

    def _send(self) -> None:
        self._shared.actions.append(Send(self._side, self._target, self.last))

    def _drop_if_over(self) -> None:
        if self.state is State.TERMINATED:
            del self._shared.cancels[self._id]
