"""TLS connections that pass through unopened: what both ways in have in common.

`passthrough` routes by ClientHello, `connect` by CONNECT.

The ClientHello can be offered to a second target when the first refuses, resets or is
silent: it holds no application data, and the handshake binds to whoever answers first.
From the first byte of an answer on, the flow is pinned. A ClientHello with early data
is offered only once.
"""

import asyncio
import dataclasses
import time
from collections.abc import Iterator
from typing import cast

from protocols.http.hello import Hello, HelloError, HelloReader
from protocols.net.dial import DialError, Dialled, dial
from protocols.net.hedge import Dialling, NoTarget, Won, hedge
from protocols.net.sockets import peer_address
from protocols.net.splice import HIGH_WATER, End, Splice, Spliced
from protocols.net.tasks import Tasks
from protocols.record import Attempt, FlowRecord, Record, UnderWay
from protocols.target import NOBODY, Choose, Report, Result, Target, Transport

_HANDSHAKE_RECORD = b"\x16"
_CUTTING = (
    1.0  # seconds for connections that were cut to be gone; a turn or two, really
)


@dataclasses.dataclass(frozen=True, slots=True)
class Deadlines:
    """How long things may take, in seconds."""

    hello: float = 10.0
    "From the start, or the answer to CONNECT, to the end of the ClientHello."
    connect: float = 3.0
    "For TCP, per target."
    answer: float = 3.0
    "From the ClientHello to the first byte of its answer, per target."
    idle: float = 600.0
    "Without a byte either way."


@dataclasses.dataclass(slots=True)
class Tunnels:
    """What all tunnels of one listener share, and which of them are open."""

    listener: str
    "Name of the listener, for records."
    direction: str
    "to_provider or from_provider."
    report: Report
    "Whom to tell what became of a target."
    record: Record
    "Whom to give the access record."
    tasks: Tasks
    "Owner of the tasks that open tunnels."
    deadlines: Deadlines = Deadlines()
    "How long things may take."
    nobody: str = NOBODY
    "What to tell a client that can be taken nowhere."
    open: "set[Tunnel]" = dataclasses.field(default_factory=set)
    "Those between their start and their record."
    empty: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    "Set when the last of them ends."

    def under_way(self) -> Iterator[UnderWay]:
        """The tunnels that are open or being opened."""
        return (tunnel.under_way() for tunnel in self.open)

    def why(self, error: NoTarget) -> str:
        """Why there is no tunnel: what was tried, or why nothing was."""
        return str(error) if error.attempts else self.nobody

    async def drain(self, seconds: float) -> int:
        """Let tunnels end by themselves, then cut the rest; returns how many were cut.

        All have given their record when it returns.
        """
        if await self._ended_within(seconds):
            return 0
        cut = len(self.open)
        self.close()
        await self._ended_within(_CUTTING)
        return cut

    async def retire(self) -> None:
        """Return when the last of those that are open has ended by itself."""
        while self.open:
            self.empty.clear()
            await self.empty.wait()

    async def _ended_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await self.retire()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Cut all tunnels; each still gives its record."""
        for tunnel in list(self.open):
            tunnel.cut("the router stops")


class Tunnel(asyncio.Protocol):
    """The client's end, until it is joined with a far one."""

    protocol = ""

    def __init__(self, tunnels: Tunnels) -> None:
        self._tunnels = tunnels
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._reader = HelloReader()
        self._first = b""
        self._more = bytearray()
        self._hello: asyncio.Future[Hello | HelloError] = self._loop.create_future()
        self._standing: dict[Target, Dialled] = {}
        self._phase = "H"
        self._earlier: tuple[Attempt, ...] = ()
        self._splice: Splice | None = None
        self._client: asyncio.Transport
        self._task: asyncio.Task[None]
        self._record = FlowRecord(
            tunnels.listener, self.protocol, tunnels.direction, client=""
        )

    async def opening(self) -> tuple[Choose, Hello]:
        """Learn where to go, and the ClientHello. Raises Refused or NoTarget."""
        raise NotImplementedError

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called once by the loop."""
        self._client = cast("asyncio.Transport", transport)
        self._record.client = peer_address(transport)
        self._tunnels.open.add(self)
        self._task = self._tunnels.tasks.start(self._open(), name="open tunnel")
        self._task.add_done_callback(self._opened)

    def data_received(self, data: bytes) -> None:
        """Called by the loop until the far side is joined."""
        if self._hello.done():
            # Reading goes on so that a client that leaves is noticed, within bounds.
            self._more += data
            if len(self._more) > HIGH_WATER:
                self._client.pause_reading()
            return
        try:
            hello = self._reader.feed(data)
        except HelloError as error:
            self._client.pause_reading()
            self._hello.set_result(error)
            return
        if hello is not None:
            self._first = bytes(self._reader.received[: self._reader.end])
            self._more = self._reader.received[self._reader.end :]
            self._hello.set_result(hello)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called once by the loop, unless the far side was joined before."""
        if self._record.ended == "--":
            self._fail(f"C{self._phase}", "the client left")
        self._task.cancel()
        for dialled in self._standing.values():
            dialled.transport.abort()
        self._record.received = len(self._first) + len(self._more)
        self._over()

    def under_way(self) -> UnderWay:
        """What there is to tell before it ends."""
        record = self._record
        return UnderWay(
            record.listener,
            record.protocol,
            record.client,
            record.edge,
            self._began,
            *(self._splice.passed if self._splice is not None else (0, 0)),
        )

    def cut(self, reason: str) -> None:
        """End it now."""
        if self._splice is not None:
            self._splice.abort("RD", reason)
            return
        self._fail(f"R{self._phase}", reason)
        self._client.abort()

    async def hello(self) -> Hello:
        """The ClientHello. Raises Refused if there is none in time."""
        limit = self._tunnels.deadlines.hello
        self._phase = "H"
        try:
            async with asyncio.timeout(limit):
                hello = await self._hello
        except TimeoutError:
            raise Refused("RH", f"no ClientHello within {limit:g} s") from None
        if isinstance(hello, HelloError):
            raise Refused("RH", str(hello))
        self._phase = "C"
        return hello

    async def race(self, choose: Choose, connect: Dialling) -> Won:
        """The first of the targets with which `connect` succeeds. Raises NoTarget."""
        report, tasks = self._tunnels.report, self._tunnels.tasks
        return await hedge(choose, connect, report=report, tasks=tasks)

    async def reach(self, target: Target) -> Dialled:
        """One TCP connection. Raises DialError."""
        limit = self._tunnels.deadlines.connect
        plain = dataclasses.replace(target, transport=Transport.TCP)
        return await dial(
            plain, _Far, contexts=None, connect_timeout=limit, tls_timeout=limit
        )

    def stand(self, won: Won) -> None:
        """Keep a connection for the ClientHello to come."""
        self._standing[won.target] = won.dialled
        self._earlier = tuple(one for one in won.attempts if one.target != won.target)

    def _refuse(self, code: str, reason: str, answer: bytes) -> None:
        self._fail(code, reason)
        self._client.write(answer)
        self._client.close()

    def _fail(self, code: str, reason: str) -> None:
        self._record.ended, self._record.reason = code, reason

    async def _open(self) -> None:
        try:
            choose, hello = await self.opening()
            won = await self._offer(choose, hello)
        except Refused as refused:
            self._refuse(refused.code, refused.reason, refused.answer)
        except NoTarget as error:
            self._record.attempts = self._earlier + error.attempts
            self._refuse("RC", self._tunnels.why(error), b"")
        else:
            self._join(won, hello)

    def _opened(self, task: asyncio.Task[None]) -> None:
        # Neither joined nor refused: the task was cancelled, by the client's leaving or
        # from above, or it failed.
        if self._splice is None and self._record.ended == "--":
            self.cut("opening it was broken off")

    async def _offer(self, choose: Choose, hello: Hello) -> Won:
        if not hello.early_data:
            return await self.race(choose, self._ask)
        won = await self.race(choose, self._stand)
        self._send_hello(won.dialled)
        return won

    async def _stand(self, target: Target) -> Dialled:
        """A TCP connection, the one that stands already if there is one."""
        standing = self._standing.pop(target, None)
        if standing is None or cast(_Far, standing.protocol).lost:
            return await self.reach(target)
        return standing

    async def _ask(self, target: Target) -> Dialled:
        """A connection on which the ClientHello was answered. Raises DialError."""
        dialled = await self._stand(target)
        far = cast(_Far, dialled.protocol)
        limit = self._tunnels.deadlines.answer
        began = time.perf_counter()
        try:
            self._send_hello(dialled)
            async with asyncio.timeout(limit):
                answered = await far.answered
        except TimeoutError:
            dialled.transport.abort()
            detail = f"no answer to the ClientHello within {limit:g} s"
            raise DialError(Result.TIMEOUT, detail, "tls") from None
        except BaseException:
            dialled.transport.abort()
            raise
        if not answered:
            detail = "closed after the ClientHello"
            raise DialError(Result.RESET, detail, "tls")
        # An alert may be the client's own fault: passed on, and no sign of anything.
        shakes = far.first.startswith(_HANDSHAKE_RECORD)
        seconds = time.perf_counter() - began
        return dataclasses.replace(
            dialled, round_trip=seconds, tls_seconds=seconds if shakes else None
        )

    def _send_hello(self, dialled: Dialled) -> None:
        if not cast(_Far, dialled.protocol).lost:
            dialled.transport.write(self._first)

    def _join(self, won: Won, hello: Hello) -> None:
        far = cast(_Far, won.dialled.protocol)
        record = self._record
        record.edge, record.address = won.target.label, won.target.address
        attempts = self._earlier + won.attempts
        record.attempts = attempts if len(attempts) > 1 else ()
        record.connect = won.dialled.connect_seconds
        if not hello.early_data:
            record.first_byte = self._loop.time() - self._began
        self._splice = Splice(
            End(self._client),
            End(won.dialled.transport),
            idle=self._tunnels.deadlines.idle,
            ended=self._spliced,
        )
        self._splice.count_sent(len(self._first) + len(self._more))
        self._splice.give(far.first)
        if far.lost:
            self._splice.far_lost()
        else:
            won.dialled.transport.write(bytes(self._more))

    def _spliced(self, spliced: Spliced) -> None:
        self._record.received, self._record.sent = spliced.received, spliced.sent
        self._fail(spliced.ended, spliced.reason)
        self._over()

    def _over(self) -> None:
        self._tunnels.open.discard(self)
        if not self._tunnels.open:
            self._tunnels.empty.set()
        self._record.total = self._loop.time() - self._began
        self._tunnels.record(self._record)


class _Far(asyncio.Protocol):
    """The far end, until it is joined with the client."""

    def __init__(self) -> None:
        self.first = b""
        "What came before the joining."
        self.answered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        "True once bytes came, false if it ended before."
        self.lost = False
        "Whether the connection is gone."

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.first += data
        self._transport.pause_reading()
        if not self.answered.done():
            self.answered.set_result(True)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        if not self.answered.done():
            self.answered.set_result(False)


class Refused(Exception):
    """The client gets no tunnel."""

    def __init__(self, code: str, reason: str, answer: bytes = b"") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.answer = answer
