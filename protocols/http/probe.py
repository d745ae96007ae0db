"""The probe of an HTTPS target: is it there, is it who it should be, how far away?

TCP connect and a full TLS handshake, and no request: that would cost the edge a log
line and prove little, since it needs no credentials. The sample is the time from
ClientHello to the server's first flight, one network round trip in TLS 1.2 and 1.3
alike. Sessions are not resumed, so each probe sees the certificate.
"""

import asyncio
from collections.abc import Mapping

from protocols.net.dial import DialError, alive, dial
from protocols.net.handshake import Contexts
from protocols.target import Outcome, Probe, Result, Target


def https_probe(contexts: Contexts, special: Mapping[str, Contexts]) -> Probe:
    """A probe that trusts as `contexts` do; of a plain TCP target it connects only.

    Targets with a label that is in `special` are trusted as it says there.
    """

    async def probe(target: Target, timeout: float) -> Outcome:
        try:
            async with asyncio.timeout(timeout):
                dialled = await dial(
                    target,
                    asyncio.Protocol,
                    contexts=special.get(target.label, contexts),
                    connect_timeout=timeout,
                    tls_timeout=timeout,
                    resume=False,
                )
        except DialError as error:
            return Outcome(error.result, detail=error.detail)
        except TimeoutError:
            return Outcome(Result.TIMEOUT, detail=f"no handshake within {timeout:g} s")
        dialled.transport.close()
        return alive(dialled)

    return probe
