"""The control socket: how commands reach the running daemon (unix(7)).

A client sends requests of one line, each a JSON object with a `command`; each gets an
answer of one line, or several where it asked for a stream. Everything is bounded:
lines, clients, and the time that a client may take. Who may connect is a matter of the
socket's permissions; who did is known by the credentials that the kernel gives.
"""

import asyncio
import dataclasses
import json
import os
import socket
import stat
import struct
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Any

from protocols.net.tasks import Tasks

REQUEST = 4_096
"Bytes of a request."

CLIENTS = 16
"Clients at a time; the next ones are told to come back."

PATIENCE = 30.0
"Seconds that a client has to send a request, and to take an answer."

MODE = 0o660
"Whoever owns the socket, and its group."

_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid (unix(7), SO_PEERCRED)

Answers = AsyncGenerator[Mapping[str, Any], None]
"The answers to one request, as data that JSON can hold."


@dataclasses.dataclass(frozen=True, slots=True)
class Caller:
    """Who sent a request, by the kernel's word."""

    pid: int
    "The process that connected."
    uid: int
    "Its user."
    gid: int
    "Its group."


Serve = Callable[[Mapping[str, Any], Caller], Answers]
"Carry out a request. Raises CommandError for one that is wrong."

Refused = Callable[[Caller, str], None]
"Tell of what is no request."


class CommandError(Exception):
    """A request that cannot be carried out; the text says why, and what to do."""

    def __init__(self, text: str, exit_code: int = 2, **details: Any) -> None:
        """`details` become members of the answer."""
        super().__init__(text)
        self.exit_code = exit_code
        "With what a command that sent it ends."
        self.details = details
        "What else there is to say, as data that JSON can hold."


class ControlError(Exception):
    """The socket cannot be opened; the text says why."""


def failure(error: CommandError) -> dict[str, Any]:
    """The answer to a request that was not carried out."""
    return {"ok": False, "exit": error.exit_code, "error": str(error), **error.details}


class Control:
    """Listens at a path until `close`."""

    def __init__(
        self,
        path: Path,
        serve: Serve,
        *,
        refused: Refused,
        tasks: Tasks,
        patience: float = PATIENCE,
    ) -> None:
        self._path = path
        self._serve_request = serve
        self._refused = refused
        self._tasks = tasks
        self._patience = patience
        self._clients: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._inode = 0

    async def start(self) -> None:
        """Listen. Raises ControlError."""
        sock = bind(self._path)
        self._inode = os.stat(self._path).st_ino
        self._server = await asyncio.start_unix_server(
            self._connected, sock=sock, limit=REQUEST
        )

    def close(self) -> None:
        """Listen no more, and leave nothing behind."""
        if self._server is None:
            return
        self._server.close()
        for writer in list(self._clients):
            writer.transport.abort()
        try:
            # Another daemon may have taken the path over meanwhile.
            if os.stat(self._path).st_ino == self._inode:
                self._path.unlink()
        except OSError:
            pass

    def _connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        caller = _caller(writer)
        if len(self._clients) >= CLIENTS:
            self._refused(caller, f"more than {CLIENTS} clients at a time")
            busy = CommandError("the daemon is busy with other commands; try again", 1)
            writer.write(_line(failure(busy)))
            writer.close()
            return
        self._clients.add(writer)
        serving = self._converse(reader, writer, caller)
        self._tasks.start(serving, name="serve a command")

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, caller: Caller
    ) -> None:
        """Answer one request after the other until the client leaves."""
        try:
            while line := await self._read(reader):
                await self._answer(line, writer, caller)
        except CommandError as error:
            self._refused(caller, str(error))
            writer.write(_line(failure(error)))
        except (OSError, TimeoutError):
            pass  # it left, or takes nothing: it gets nothing
        finally:
            self._clients.discard(writer)
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        """A line; empty once the client has no more to ask."""
        try:
            async with asyncio.timeout(self._patience):
                return await reader.readline()
        except ValueError:
            raise CommandError(f"a request has {REQUEST} bytes at most") from None

    async def _answer(
        self, line: bytes, writer: asyncio.StreamWriter, caller: Caller
    ) -> None:
        request = parse(line)
        try:
            async with aclosing(self._serve_request(request, caller)) as answers:
                async for answer in answers:
                    await self._say(writer, {"ok": True, **answer})
        except CommandError as error:
            await self._say(writer, failure(error))

    async def _say(
        self, writer: asyncio.StreamWriter, answer: Mapping[str, Any]
    ) -> None:
        writer.write(_line(answer))
        async with asyncio.timeout(self._patience):
            await writer.drain()


def parse(line: bytes) -> dict[str, Any]:
    """The request in a line. Raises CommandError if there is none."""
    try:
        request = json.loads(line)
    except (ValueError, RecursionError):
        raise CommandError("a request is one JSON object on one line") from None
    if not isinstance(request, dict) or not isinstance(request.get("command"), str):
        raise CommandError('a request is an object such as {"command": "status"}')
    return request


def _line(answer: Mapping[str, Any]) -> bytes:
    return json.dumps(answer, separators=(",", ":")).encode() + b"\n"


def _caller(writer: asyncio.StreamWriter) -> Caller:
    sock = writer.get_extra_info("socket")
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return Caller(*_CREDENTIALS.unpack(data))


def bind(path: Path) -> socket.socket:
    """A socket that listens at a path, in place of one that a dead daemon left.

    Raises ControlError, and leaves everything as it is, if that is not to be had.
    """
    _make_room(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        # What the socket has before it is bound is what its file is made with, so that
        # at no time more people can connect than shall; what umask took away comes back
        # with chmod.
        os.fchmod(sock.fileno(), MODE)
        sock.bind(os.fspath(path))
        os.chmod(path, MODE)
        sock.listen(CLIENTS)
    except OSError as error:
        sock.close()
        raise ControlError(error.strerror or str(error)) from None
    return sock


def _make_room(path: Path) -> None:
    """Remove the socket of a daemon that is gone; nothing else."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise ControlError(error.strerror or str(error)) from None
    if not stat.S_ISSOCK(found.st_mode):
        raise ControlError("something is there that is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except OSError as error:
            raise ControlError(error.strerror or str(error)) from None
    raise ControlError("another daemon answers there")
