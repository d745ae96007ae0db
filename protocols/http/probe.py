"""temporary"""

import asyncio

from protocols.net.dial import DialError, dial
from protocols.net.handshake import Contexts
from protocols.net.hedge import alive
from protocols.target import Outcome, Target


class HttpsProbe:
    def __init__(self, contexts: Contexts) -> None:
        self.contexts = contexts

    async def __call__(self, target: Target, timeout: float) -> Outcome:
        try:
            d = await dial(
                target,
                asyncio.Protocol,
                contexts=self.contexts,
                connect_timeout=timeout,
                tls_timeout=timeout,
                resume=False,
            )
        except DialError as e:
            return Outcome(e.result, detail=e.detail)
        d.transport.close()
        return alive(d)
