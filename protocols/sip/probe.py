"""Probes of SIP targets: one OPTIONS transaction each, over the way that calls take.

They leave from the listener's own sockets and connections, so that the far side sees
the source that it knows, and a path that is dead for calls is dead for probes.
"""

import asyncio
import dataclasses
import time
from collections.abc import Callable

from protocols.sip.branch import COOKIE
from protocols.sip.connection import Connection
from protocols.sip.failover import finding
from protocols.sip.headers import branch_in
from protocols.sip.machines import T1, T2
from protocols.sip.message import Message
from protocols.sip.peers import Side
from protocols.sip.places import Places
from protocols.sip.replies import reason_of
from protocols.target import Outcome, Result, Target, Transport, hostport

Sends = Callable[[Side, Target, bytes, int], None]
"Send a request; `Probes.failed` is told if it cannot be."

Finds = Callable[[Side, Target], Connection | None]
"The stream connection that requests to a target take, if there is one."


@dataclasses.dataclass(slots=True)
class _Asked:
    """A probe under way."""

    side: Side
    "The side that it was sent on."
    target: Target
    "Whom it asks."
    number: int
    "By which it is told of failures; negative, unlike those of calls."
    sent: float
    "When it was sent first, by `time.perf_counter`."
    outcome: "asyncio.Future[Outcome]"
    "What it found."


class Probes:
    """The probes under way."""

    def __init__(
        self, places: Places, send: Sends, find: Finds, token: Callable[[], bytes]
    ) -> None:
        """`token` gives letters or digits that nobody can guess, new ones each time."""
        self._places = places
        self._send = send
        self._find = find
        self._token = token
        self._number = 0
        self._asked: dict[bytes, _Asked] = {}
        self._numbered: dict[int, _Asked] = {}

    def change(self, places: Places) -> None:
        """Name the router like this from now on."""
        self._places = places

    async def ask(self, side: Side, target: Target, timeout: float) -> Outcome:
        """Send OPTIONS, again where it may be lost, until the first final answer.

        A round trip counts from the first sending, so that a lost packet makes it
        longer, never shorter; from connecting where a connection had to be made.
        """
        self._number -= 1
        branch = COOKIE + self._token()
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        asked = _Asked(side, target, self._number, time.perf_counter(), outcome)
        self._asked[branch] = self._numbered[asked.number] = asked
        try:
            async with asyncio.timeout(timeout):
                await self._transact(asked, self._options(asked, branch))
            return outcome.result()
        except TimeoutError:
            detail = f"no answer to OPTIONS within {timeout:g} s"
            return Outcome(Result.TIMEOUT, detail=detail)
        finally:
            del self._asked[branch], self._numbered[asked.number]

    def answered(self, response: Message) -> bool:
        """Take a response if it is to a probe; False if it is not."""
        if not self._asked:
            return False
        asked = self._asked.get(branch_in(response.line(b"via")))
        if asked is None:
            return False
        if response.status >= 200 and not asked.outcome.done():
            asked.outcome.set_result(self._outcome(asked, response))
        return True

    def failed(self, number: int, result: Result, detail: str) -> None:
        """Take that a probe could not be sent."""
        asked = self._numbered.get(number)
        if asked is not None and not asked.outcome.done():
            asked.outcome.set_result(Outcome(result, detail=detail))

    async def _transact(self, asked: _Asked, data: bytes) -> None:
        """RFC 3261 section 17.1.2.2: Timer E doubles, up to T2; none on a stream."""
        wait = T1 if asked.target.transport is Transport.UDP else None
        while not asked.outcome.done():
            self._send(asked.side, asked.target, data, asked.number)
            await asyncio.wait((asked.outcome,), timeout=wait)
            wait = min(2 * wait, T2) if wait else None

    def _outcome(self, asked: _Asked, response: Message) -> Outcome:
        now = time.perf_counter()
        result = finding(response.status, reason_of(response))
        detail = "" if result is Result.ALIVE else f"answered {response.status}"
        since, connect = asked.sent, None
        if asked.target.transport is not Transport.UDP:
            connection = self._find(asked.side, asked.target)
            if connection is not None and (connection.opened or since) > since:
                since = connection.opened or since
                connect = connection.connect_seconds
        return Outcome(result, round_trip=now - since, connect=connect, detail=detail)

    def _options(self, asked: _Asked, branch: bytes) -> bytes:
        target = asked.target
        face = self._places.face(
            asked.side, target.transport, target.address, target.source
        )
        own = face.uri.partition(b";")[0]
        uri = b"sip:" + _host(asked).encode()
        return b"\r\n".join(
            (
                b"OPTIONS " + uri + b" SIP/2.0",
                face.via + branch,
                b"Max-Forwards: 70",
                b"From: <" + own + b">;tag=" + self._token(),
                b"To: <" + uri + b">",
                b"Call-ID: " + self._token(),
                b"CSeq: 1 OPTIONS",
                b"Content-Length: 0",
                b"",
                b"",
            )
        )


def _host(asked: _Asked) -> str:
    """Whom to name. A provider knows its customer by a name; a PBX, its own address."""
    target = asked.target
    if asked.side is Side.EDGE:
        return target.host
    return hostport(target.address, target.port)
