"""Calls of the provider to a site: which URIs, in which order, and when to stop."""

import asyncio
import collections
import dataclasses
import random
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence

from simulator.sip.call import Call
from simulator.sip.core import Core
from simulator.sip.message import parse_uri
from simulator.sip.party import ALLOW
from simulator.sip.transaction import Path

FINAL = frozenset({400, 404, 405, 410, 416, 482, 484, 486})
"Failures after which no other URI is tried; 2xx and 6xx are of the same kind."


Disaster = Callable[[Mapping[str, str]], Awaitable[object]]
"Delivers the webhook of last resort, with this form."


@dataclasses.dataclass(frozen=True, slots=True)
class Uri:
    """One origination URI of a trunk."""

    text: str
    "`sip:127.30.0.1:5060;transport=tcp;edge=dublin`; the host is an address."
    priority: int = 10
    "Lower ones come first, 0 to 65535."
    weight: int = 10
    "Share among those of the same priority, 1 to 65535."


@dataclasses.dataclass(frozen=True, slots=True)
class Attempt:
    """One URI tried."""

    uri: Uri
    "The URI."
    call: Call
    "The call there."
    status: int
    "Its final status; 0 if nobody answered."


@dataclasses.dataclass(frozen=True, slots=True)
class Placed:
    """What became of a call to a site."""

    attempts: tuple[Attempt, ...]
    "The URIs tried, in order."

    @property
    def call(self) -> Call:
        """The call of the last attempt."""
        return self.attempts[-1].call

    @property
    def status(self) -> int:
        """Status of the last attempt."""
        return self.attempts[-1].status


def in_order(uris: Sequence[Uri], chance: random.Random) -> list[Uri]:
    """By priority, and at random by weight among equals (as RFC 2782 has it)."""
    return sorted(
        uris, key=lambda one: (one.priority, -(chance.random() ** (1 / one.weight)))
    )


def moves_on(status: int) -> bool:
    """Whether the next URI is tried after this final status; 0 is no response."""
    return not (200 <= status < 300 or status >= 600 or status in FINAL)


def follows(status: int, contact: str) -> bool:
    """Whether a redirection is obeyed: a 302 that does not lead to the provider."""
    if status != 302 or not contact:
        return False
    host = parse_uri(contact).host
    return host != "twilio.com" and not host.endswith(".twilio.com")


def edge_of(uri: Uri) -> str:
    """The edge that a URI asks for; empty without one."""
    match = re.search(r";edge=([^;?]+)", uri.text, re.IGNORECASE)
    return match[1].lower() if match else ""


def request_uri(uri: Uri, number: str) -> str:
    """The Request-URI: the number at the host, without what is for the provider."""
    scheme, _, rest = uri.text.partition(":")
    rest = rest.rpartition("@")[2]
    return f"{scheme}:{number}@{re.sub(r';edge=[^;?]+', '', rest, flags=re.I)}"


async def place(
    core: Core,
    uris: Sequence[Uri],
    number: str,
    way: Callable[[str, tuple[str, str, int]], Path],
    chance: random.Random,
    *,
    caller: str = "+15559990000",
    disaster: Disaster | None = None,
) -> Placed:
    """Call a number at a site, trying its URIs until one decides.

    `way` gives the path from an edge to a transport, host and port; `disaster` is told
    when no URI is left. Raises ValueError without URIs, or for one that is none.
    """
    if not uris:
        raise ValueError("a call needs an origination URI")
    attempts: list[Attempt] = []
    waiting = collections.deque(in_order(uris, chance))
    redirected = ""
    while waiting:
        uri = waiting.popleft()
        target = redirected if uri.text == redirected else request_uri(uri, number)
        path = way(edge_of(uri), parse_uri(target).hop)
        call = core.invite(
            path,
            target,
            f"<sip:{caller}@{path.near[0]}>",
            fields=[
                ("User-Agent", "Twilio Gateway"),
                ("Diversion", f"<sip:{number}@twilio.com>;reason=unconditional"),
                ("X-Twilio-CallSid", f"CA{chance.getrandbits(128):032x}"),
                ALLOW,
            ],
        )
        core.note("placed", path, call=call.call_id, detail=target)
        status = await _result(core, call)
        attempts.append(Attempt(uri, call, status))
        core.note("result", path, call=call.call_id, status=status, detail=target)
        if not redirected and follows(status, call.moved):
            redirected = call.moved  # once, and the first Contact alone
            waiting.appendleft(Uri(redirected))
        elif not moves_on(status):
            break
    placed = Placed(tuple(attempts))
    if moves_on(placed.status):
        core.note("disaster", placed.call.path, call=placed.call.call_id)
        if disaster is not None:
            await disaster({"To": number, "From": caller, "DialCallStatus": "failed"})
    return placed


async def _result(core: Core, call: Call) -> int:
    """The final status of a call; 0 if none came in time, and then it is cancelled."""
    plan = core.plan
    try:
        async with asyncio.timeout(plan.no_answer):
            # Only silence moves on: any response, 100 included, ends this wait.
            await asyncio.wait(
                [call.heard, call.outcome], return_when=asyncio.FIRST_COMPLETED
            )
        async with asyncio.timeout(plan.patience):
            return await asyncio.shield(call.outcome)
    except TimeoutError:
        core.cancel(call)
        return 0
