"""One request at the provider: where it came in, and what it asks for."""

import dataclasses
import hashlib

from aiohttp import web

from simulator.front import Arrival
from simulator.zone import Entry


@dataclasses.dataclass(slots=True)
class Visit:
    """What the service knows about a request besides its bytes."""

    request_id: str
    "Identifier in the ledger and in the Twilio-Request-Id header."
    arrival: Arrival
    "The connection on which it came."
    entry: Entry
    "What its host name means."
    server_name: str
    "Name indicated in the TLS handshake."
    size: int = 0
    "Bytes of its body, once read."
    digest: str = ""
    "SHA-256 of its body, once read."


VISIT = web.RequestKey("visit", Visit)


async def read(request: web.Request, *, keep: int = 0) -> bytes:
    """Read the body to its end, note length and digest, return the first `keep` bytes.

    A body of any length takes no more memory than that.
    """
    visit = request[VISIT]
    kept = bytearray()
    digest = hashlib.sha256()
    async for chunk in request.content.iter_any():
        digest.update(chunk)
        visit.size += len(chunk)
        kept += chunk[: keep - len(kept)]
    visit.digest = digest.hexdigest()
    return bytes(kept)
