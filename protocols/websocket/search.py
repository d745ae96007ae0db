"""The search for a far side that answers an opening handshake, by yes or no."""

import dataclasses
import math
from collections.abc import Collection

from protocols.http.fields import authority, forwarded_lines
from protocols.http.head import RequestHead
from protocols.net.dial import DialError, Dialled
from protocols.net.hedge import Won, hedge
from protocols.net.race import LAST_RESORT
from protocols.target import Result, Target
from protocols.websocket import handshake
from protocols.websocket.far import ask
from protocols.websocket.handshake import Opening
from protocols.websocket.shared import Shared

RECEIVER_PATIENCE = 2.0
"""Seconds that a receiver of the site has for its answer before the next one is asked
as well: what it starts upon a handshake is better not started twice."""


DECLINED = 2.0
"""Seconds in which others are asked after a target that answered with a failure of its
own: where all of them do, the client had better hear of it than wait."""


@dataclasses.dataclass(frozen=True, slots=True)
class Asked:
    """A client's opening handshake."""

    request: RequestHead
    "Its head."
    offer: Opening
    "What of it the answer must fit."
    client: str
    "Address of the client."
    secure: bool
    "Whether it came by TLS."


async def find(shared: Shared, asked: Asked) -> Won:
    """Ask one target after the other; each attempt is reported. Raises NoTarget."""
    search = _Search(shared, asked)
    return await hedge(
        search.choose, search.ask, report=shared.report, tasks=shared.tasks
    )


class _Search:
    """One search, and when the first target declined."""

    def __init__(self, shared: Shared, asked: Asked) -> None:
        self._shared = shared
        self._asked = asked
        self._declined = math.inf

    def choose(self, tried: Collection[Target]) -> Target | None:
        """Whom to ask next; None to ask nobody any more."""
        shared = self._shared
        if shared.loop.time() >= self._declined + DECLINED:
            return None
        target = shared.choose(tried)
        if target is None or shared.to_provider:
            return target
        if target.patience < LAST_RESORT:
            return target
        patience = max(target.patience, RECEIVER_PATIENCE)
        return dataclasses.replace(target, patience=patience)

    async def ask(self, target: Target) -> Dialled:
        """Send the handshake under the name that this target wants, and wait for the
        answer. Raises DialError."""
        shared, asked = self._shared, self._asked
        if shared.to_provider:
            data = handshake.to_provider(asked.request, authority(target))
        else:
            scheme = "https" if asked.secure else "http"
            lines = forwarded_lines(asked.client, scheme)
            data = handshake.to_site(asked.request, lines)
        limit = shared.deadlines.answer
        try:
            return await ask(shared.dial, target, data, asked.offer, limit)
        except DialError as error:
            if error.phase == "answer" and not shared.to_provider:
                # Anybody may send to the site, and a receiver that hangs up on one
                # handshake may do well with all others: no stranger shall take it out
                # of service.
                error = DialError(Result.SERVER_ERROR, error.detail, error.phase)
            if error.result is Result.SERVER_ERROR:
                self._declined = min(self._declined, shared.loop.time())
            raise error from None
