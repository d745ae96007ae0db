"""Clients that hide nothing: one connection, no retries, and h11 as the parser."""

import asyncio
import contextlib
import dataclasses
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import Any

import h11

from tests.stage import HERE, NAME

DEADLINE = 20.0
"Seconds after which an answer is not to be expected any more."


class BrokenError(Exception):
    """The connection ended before the answer was whole."""


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """One final response."""

    status: int
    "Its status."
    headers: Mapping[str, str]
    "Its fields by name in lower case."
    body: bytes
    "Its body, without framing."
    interim: tuple[int, ...]
    "Status of each 1xx before it."
    trailers: Mapping[str, str]
    "Its trailer fields by name in lower case."


class Caller:
    """A client with one connection, which is opened anew when it has to be."""

    def __init__(
        self, port: int, trust: ssl.SSLContext | None, *, source: str | None = None
    ) -> None:
        self._port = port
        self._trust = trust
        self._source = source
        self._state: h11.Connection | None = None
        self.reader: asyncio.StreamReader
        self.writer: asyncio.StreamWriter

    async def connect(self) -> None:
        """Open the connection."""
        self.reader, self.writer = await connect(
            self._port, self._trust, source=self._source
        )
        self._state = h11.Connection(h11.CLIENT)

    @property
    def is_open(self) -> bool:
        """Whether the next request takes the connection of the one before."""
        return self._state is not None

    async def __aenter__(self) -> "Caller":
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connection."""
        if self._state is not None:
            self.writer.transport.abort()
            self._state = None

    async def ask(
        self,
        method: str,
        target: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request and its answer. Raises BrokenError, or OSError."""
        if self._state is None:
            await self.connect()
        state = self._state
        assert state is not None
        fields = {"Host": NAME, **(headers or {})}
        if body or method == "POST":
            fields["Content-Length"] = str(len(body))
        wire = state.send(
            h11.Request(method=method, target=target, headers=list(fields.items()))
        )
        if body:
            wire = (wire or b"") + (state.send(h11.Data(data=body)) or b"")
        state.send(h11.EndOfMessage())
        try:
            self.writer.write(wire or b"")
            answer = await read_answer(self.reader, state)
        except (BrokenError, OSError):
            self.close()
            raise
        if state.our_state is h11.DONE and state.their_state is h11.DONE:
            state.start_next_cycle()
        else:
            self.close()
        return answer


async def read_answer(reader: asyncio.StreamReader, state: h11.Connection) -> Answer:
    """Read until the answer is whole."""
    interim: list[int] = []
    head = h11.Response(status_code=500, headers=[])
    body = b""
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                event: Any = state.next_event()
            except h11.RemoteProtocolError as error:
                raise BrokenError(str(error)) from None
            if event is h11.NEED_DATA:
                try:
                    data = await reader.read(65_536)
                except ConnectionError as error:
                    raise BrokenError(str(error)) from None
                state.receive_data(data)
            elif isinstance(event, h11.InformationalResponse):
                interim.append(event.status_code)
            elif isinstance(event, h11.Response):
                head = event
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                return Answer(
                    head.status_code,
                    _fields(head.headers),
                    body,
                    tuple(interim),
                    _fields(event.headers),
                )
            else:
                raise BrokenError("the connection ended without an answer")


def _fields(headers: Any) -> dict[str, str]:
    return {name.decode(): value.decode("latin-1") for name, value in headers}


async def connect(
    port: int,
    trust: ssl.SSLContext | None,
    *,
    name: str = NAME,
    source: str | None = None,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the daemon, with TLS if there is something to trust."""
    async with asyncio.timeout(DEADLINE):
        return await asyncio.open_connection(
            HERE,
            port,
            ssl=trust,
            server_hostname=name if trust is not None else None,
            local_addr=(source, 0) if source is not None else None,
        )


@contextlib.asynccontextmanager
async def connected(
    port: int, trust: ssl.SSLContext | None, *, source: str | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """The same, cut off at the end."""
    reader, writer = await connect(port, trust, source=source)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def tell(port: int, trust: ssl.SSLContext | None, data: bytes) -> bytes:
    """All that comes back for these bytes until the connection is closed."""
    async with connected(port, trust) as (reader, writer):
        writer.write(data)
        async with asyncio.timeout(DEADLINE):
            try:
                return await reader.read()
            except ConnectionResetError:
                return b""
