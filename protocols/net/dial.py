"""One connection to one target, with what it took; all failures in one type."""

import asyncio
import dataclasses
import errno
import socket
import ssl
import time
from collections.abc import Callable
from typing import Literal

from protocols.net.devices import confine
from protocols.net.handshake import Contexts, Handshake
from protocols.net.sockets import family, harden, words
from protocols.target import Outcome, Result, Target, Transport

SHUTDOWN_TIMEOUT = 2.0
"Seconds that the far side has to answer our close_notify."

Phase = Literal["connect", "tls", "answer"]
"How far a dial had come."


@dataclasses.dataclass(frozen=True, slots=True)
class Dialled:
    """A connection that stands, TLS included where the target wants it."""

    transport: asyncio.Transport
    "Where to write."
    protocol: asyncio.BaseProtocol
    "What the factory made; it has seen `connection_made`."
    connect_seconds: float
    "Seconds until TCP was connected; a middlebox can fake it."
    tls_seconds: float | None
    "Seconds for the TLS handshake; None without TLS."
    round_trip: float | None
    "Seconds from ClientHello to the first answer; the TCP handshake's without TLS."
    resumed: bool
    "Whether a TLS session was resumed, so that no certificate was sent."


class DialError(Exception):
    """No connection came about."""

    def __init__(self, result: Result, detail: str, phase: Phase) -> None:
        super().__init__(f"{phase}: {result}: {detail}")
        self.result = result
        "The finding, for the policy."
        self.detail = detail
        "The cause in words."
        self.phase = phase
        "How far it had come."


def alive(dialled: Dialled) -> Outcome:
    """What a connection tells about its target."""
    return Outcome(
        Result.ALIVE,
        round_trip=dialled.round_trip,
        connect=dialled.connect_seconds,
    )


async def dial(
    target: Target,
    factory: Callable[[], asyncio.BaseProtocol],
    *,
    contexts: Contexts | None,
    connect_timeout: float,
    tls_timeout: float,
    resume: bool = True,
) -> Dialled:
    """Connect to `target`, by TCP and then, if it asks for it, TLS.

    Each step has its own deadline in seconds; `contexts` is for TLS. Raises DialError
    and nothing else.
    """
    handshake = None
    if target.transport is Transport.TLS:
        if contexts is None:
            raise AssertionError(f"{target} wants TLS, and there is no context")
        handshake = contexts.handshake(target, resume=resume)
    began = time.perf_counter()
    sock = await _connect(target, connect_timeout)
    connect_seconds = time.perf_counter() - began
    transport, protocol = await _open(target, factory, sock, handshake, tls_timeout)
    if handshake is None:
        return Dialled(
            transport, protocol, connect_seconds, None, connect_seconds, False
        )
    return Dialled(
        transport,
        protocol,
        connect_seconds,
        time.perf_counter() - began - connect_seconds,
        handshake.round_trip,
        bool(transport.get_extra_info("ssl_object").session_reused),
    )


async def _connect(target: Target, timeout: float) -> socket.socket:
    try:
        sock = socket.socket(family(target.address), socket.SOCK_STREAM)
    except OSError as error:
        raise _connect_error(error) from None
    try:
        sock.setblocking(False)
        harden(sock)
        if target.device is not None:
            # Before anything else, so that not one packet takes another way.
            confine(sock, target.device)
        if target.source is not None:
            sock.bind((target.source, 0))
        async with asyncio.timeout(timeout):
            await asyncio.get_running_loop().sock_connect(
                sock, (target.address, target.port)
            )
    except TimeoutError as error:
        sock.close()
        if error.errno is not None:  # the kernel's own limit, below ours
            raise _connect_error(error) from None
        detail = f"no connection within {timeout:g} s"
        raise DialError(Result.TIMEOUT, detail, "connect") from None
    except OSError as error:
        sock.close()
        raise _connect_error(error) from None
    except BaseException:
        sock.close()
        raise
    return sock


async def _open(
    target: Target,
    factory: Callable[[], asyncio.BaseProtocol],
    sock: socket.socket,
    handshake: Handshake | None,
    timeout: float,
) -> tuple[asyncio.Transport, asyncio.BaseProtocol]:
    """Give the descriptor to the event loop, which owns and closes it from here on."""
    loop = asyncio.get_running_loop()
    try:
        if handshake is None:
            return await loop.create_connection(factory, sock=sock)
        return await loop.create_connection(
            factory,
            sock=sock,
            ssl=handshake.as_context(),
            server_hostname=target.server_name,
            ssl_handshake_timeout=timeout,
            ssl_shutdown_timeout=SHUTDOWN_TIMEOUT,
        )
    except ConnectionAbortedError:
        # So do event loops say that the handshake took longer than it may.
        detail = f"no TLS handshake within {timeout:g} s"
        raise DialError(Result.TIMEOUT, detail, "tls") from None
    except OSError as error:
        raise _tls_error(error) from None
    except asyncio.CancelledError:
        if handshake is not None:
            handshake.give_up()
        raise
    finally:
        # uvloop takes note of the socket only one turn after it took the descriptor.
        # If the connection breaks within that turn, the descriptor is closed and the
        # socket does not know, and would close it once more when it is collected: by
        # then the number may be another connection's.
        sock.detach()


_CONNECT_RESULTS = {
    errno.ECONNRESET: Result.RESET,
    errno.ETIMEDOUT: Result.TIMEOUT,
    # Shortage on our side says nothing about the target; of all results this one
    # condemns it the least.
    errno.EMFILE: Result.TIMEOUT,
    errno.ENFILE: Result.TIMEOUT,
    errno.ENOBUFS: Result.TIMEOUT,
    errno.ENOMEM: Result.TIMEOUT,
}


def _connect_error(error: OSError) -> DialError:
    # What is not listed is an immediate no: refused, unreachable, no such source.
    result = _CONNECT_RESULTS.get(error.errno or 0, Result.REFUSED)
    return DialError(result, words(error), "connect")


def _tls_error(error: OSError) -> DialError:
    if isinstance(error, ssl.SSLCertVerificationError):
        # Raised by OpenSSL it has a message for people; raised by us, only a text.
        detail = getattr(error, "verify_message", None) or error.strerror
        return DialError(Result.CERTIFICATE, detail or "unverified", "tls")
    if isinstance(error, ssl.SSLError):
        return DialError(Result.TLS, words(error), "tls")
    return DialError(Result.RESET, words(error) or "connection closed", "tls")
