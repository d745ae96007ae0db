"""One call: its dialog, and what became of it."""

import asyncio
import dataclasses
from collections.abc import Callable

from simulator.sip.message import Fields, Received, parse_uri
from simulator.sip.transaction import Client, Path, Server


def _future() -> "asyncio.Future[int]":
    return asyncio.get_running_loop().create_future()


@dataclasses.dataclass(slots=True, eq=False)
class Call:
    """A call of ours or to us, from its INVITE on."""

    path: Path
    "Where its INVITE went, or came from."
    call_id: str
    "Call-ID."
    uri: str
    "Request-URI of its INVITE."
    local: str
    "From of our requests."
    remote: str
    "To of our requests."
    tag: str
    "Our tag."
    outgoing: bool
    "Whether the INVITE is ours."
    sequence: int = 1
    "Number of our latest request."
    routes: list[str] = dataclasses.field(default_factory=list)
    "Route set, as text."
    target: str = ""
    "URI to which requests of the dialog go."
    contact: str = ""
    "URI that we gave for requests to us."
    fields: Fields = ()
    "Further header fields of its INVITE."
    record_routes: list[str] = dataclasses.field(default_factory=list)
    "Record-Route values that our side added, the newest first."
    invite: Client | None = None
    "The INVITE, if it is ours."
    invited: Server | None = None
    "The INVITE, if it is not."
    answering: Server | None = None
    "The INVITE or re-INVITE whose 2xx waits for its ACK."
    request: Received | None = None
    "The INVITE as received, if it is not ours."
    statuses: list[int] = dataclasses.field(default_factory=list)
    "Statuses received for the INVITE, in order."
    phrase: str = ""
    "Reason phrase of the final one."
    moved: str = ""
    "URI of the first Contact of a 3xx."
    acks: dict[tuple[int, str], Callable[[], None]] = dataclasses.field(
        default_factory=dict
    )
    "Sends an ACK again, by the number of its INVITE and the tag of its 2xx."
    cancelled: bool = False
    "Whether we want it no more."
    heard: "asyncio.Future[int]" = dataclasses.field(default_factory=_future)
    "Status of the first response to our INVITE, whatever it is."
    ringing: "asyncio.Future[int]" = dataclasses.field(default_factory=_future)
    "Status of the first response above 100, ours or the other side's."
    outcome: "asyncio.Future[int]" = dataclasses.field(default_factory=_future)
    "Final status of the INVITE; 0 if there was none."
    confirmed: "asyncio.Future[int]" = dataclasses.field(default_factory=_future)
    "Done when the ACK for our 2xx came, with the CSeq number."
    reinvited: "asyncio.Future[int]" = dataclasses.field(default_factory=_future)
    "Done when the other side sent a re-INVITE, with its CSeq number."
    ended: "asyncio.Future[str]" = dataclasses.field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    "How it ended: `refused`, `no answer`, `cancelled`, or by whom: `local`, `remote`."

    @property
    def number(self) -> str:
        """The number dialled."""
        return parse_uri(self.uri).user

    @property
    def established(self) -> bool:
        """Whether there was a 2xx, and no end yet."""
        return (
            self.outcome.done()
            and 200 <= self.outcome.result() < 300
            and not self.ended.done()
        )

    def end(self, how: str) -> bool:
        """Note the end; False if it had ended before."""
        if self.ended.done():
            return False
        self.ended.set_result(how)
        settle(self.outcome, 0)
        return True


def settle(future: "asyncio.Future[int]", value: int) -> None:
    """Give a future its value, unless it has one."""
    if not future.done():
        future.set_result(value)
