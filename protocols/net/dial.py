import asyncio, dataclasses, ssl
from collections.abc import Callable
from protocols.target import Result, Target


@dataclasses.dataclass
class Dialled:
    transport: asyncio.Transport
    protocol: asyncio.Protocol
    connect_seconds: float
    tls_seconds: float | None
    resumed: bool


class DialError(Exception):
    def __init__(self, result: Result, detail: str, phase: str) -> None:
        super().__init__(detail)
        self.result, self.detail, self.phase = result, detail, phase


CTX: ssl.SSLContext | None = None


async def dial(target: Target, factory: Callable[[], asyncio.Protocol]) -> Dialled:
    loop = asyncio.get_running_loop()
    t = loop.time()
    try:
        async with asyncio.timeout(1):
            tr, p = await loop.create_connection(
                factory,
                target.address,
                target.port,
                ssl=CTX,
                server_hostname=target.server_name if CTX else None,
            )
    except TimeoutError as e:
        raise DialError(Result.TIMEOUT, "timeout", "connect") from None
    except OSError as e:
        raise DialError(Result.REFUSED, str(e), "connect") from None
    return Dialled(tr, p, loop.time() - t, None, False)
