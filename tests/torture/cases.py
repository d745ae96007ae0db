"""Messages that try parsers, each with what must become of it."""

import dataclasses
import enum


class Fate(enum.Enum):
    """What becomes of a message that is not answered by a refusal."""

    PASSED = enum.auto()
    "It is sound: a request is routed, a response matched."
    DROPPED = enum.auto()
    "It is no message, and nothing is answered; a stream is closed."
    AWAITED = enum.auto()
    "On a stream, its end does not come."


Verdict = Fate | int
"A fate, or the status that a request is answered with."


@dataclasses.dataclass(frozen=True, slots=True)
class Case:
    """One message, and the verdict on it."""

    name: str
    "Name in its RFC."
    section: str
    "Section of that RFC."
    data: bytes
    "The message as it is sent."
    verdict: Verdict
    "What becomes of it in a datagram."
    streamed: Verdict
    "What becomes of it on a stream."
    by_proxy: bool
    """Whether the status is a proxy's own affair.

    The message itself is sound: it is refused for what it asks of this proxy.
    """
    messages: int
    "Messages that it is on a stream."


def case(
    name: str,
    section: str,
    data: bytes,
    verdict: Verdict = Fate.PASSED,
    *,
    streamed: Verdict | None = None,
    by_proxy: bool = False,
    messages: int = 1,
) -> Case:
    """A case; on a stream it fares as in a datagram if nothing else is said."""
    if streamed is None:
        streamed = verdict
    return Case(name, section, data, verdict, streamed, by_proxy, messages)


def sip(head: str, body: str | bytes = b"") -> bytes:
    """A message from its text: `\\n` ends a line, `{length}` is that of the body."""
    if isinstance(body, str):
        body = wire(body)
    return wire(head.replace("{length}", str(len(body)))) + b"\r\n" + body


def wire(text: str) -> bytes:
    """Text as it is sent; its first line break is layout."""
    return text.removeprefix("\n").replace("\n", "\r\n").encode()
