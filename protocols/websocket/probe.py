"""The probe of a WebSocket target: an opening handshake where a path for it is known.

A TLS handshake proves that an edge is there. Whether its WebSocket service is, only an
opening handshake shows, and only where it needs no credentials: so the catalogue says
which path may be asked. What comes about is closed at once.
"""

import asyncio
import functools
import secrets
from collections.abc import Mapping
from typing import cast

from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from protocols.http.fields import authority
from protocols.http.head import parse_request
from protocols.net.dial import DialError, alive, dial
from protocols.net.handshake import Contexts
from protocols.target import Outcome, Probe, Result, Target
from protocols.websocket.far import Answer, Far, ask
from protocols.websocket.frames import close
from protocols.websocket.handshake import opening

_NORMAL = 1000  # RFC 6455 section 7.4.1: the purpose is fulfilled


def websocket_probe(
    greet: Probe, contexts: Contexts, paths: Mapping[str, str]
) -> Probe:
    """A probe that asks targets for a WebSocket at the path of their host.

    `greet` probes those whose host is not in `paths`. An answer that declines shows
    life as well as one that agrees.
    """

    async def probe(target: Target, timeout: float) -> Outcome:
        path = paths.get(target.host)
        if path is None:
            return await greet(target, timeout)
        client = ClientProtocol(parse_uri(f"wss://{authority(target).decode()}{path}"))
        request = client.connect().serialize()
        offer = opening(request, parse_request(request))
        connect = functools.partial(
            dial,
            contexts=contexts,
            connect_timeout=timeout,
            tls_timeout=timeout,
            resume=False,
        )
        try:
            async with asyncio.timeout(timeout):
                dialled = await ask(connect, target, request, offer, timeout)
        except DialError as error:
            return Outcome(error.result, detail=error.detail)
        except TimeoutError:
            return Outcome(Result.TIMEOUT, detail=f"no answer within {timeout:g} s")
        far = cast("Far", dialled.protocol)
        if cast("Answer", far.answered.result()).accepted and not far.lost:
            far.transport.write(close(_NORMAL, "", mask=secrets.token_bytes(4)))
        far.transport.close()
        return alive(dialled)

    return probe
