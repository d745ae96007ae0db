"""Memory per idle connection of a client that has had one request relayed."""

import contextlib

from benchmarks.contenders import HOME, Contender
from benchmarks.processes import connected, get, unverified

FIRST = 100
"Connections that are opened before the first look at memory."


def growth(contender: Contender, count: int) -> float:
    """Bytes by which each of `count` further connections makes the process larger.

    The first connections make the process load and allocate what it needs once; they
    stay open, so nothing that they hold is used again. Raises OSError.
    """
    context = unverified()
    with contextlib.ExitStack() as stack:

        def open_and_ask() -> None:
            connection = connected(HOME, contender.port, context)
            stack.enter_context(connection)
            if not get(connection).startswith(b"HTTP/1.1 200"):
                raise ConnectionError(f"{contender.name} refused a connection")

        for _ in range(FIRST):
            open_and_ask()
        before = contender.process.resident()
        for _ in range(count):
            open_and_ask()
        return (contender.process.resident() - before) / count
