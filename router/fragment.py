"""The fragment of a webhook's URL: from where and how often the provider is to try.

Limits and defaults are those of Twilio's "Webhooks: Connection Overrides"; a value that
is out of them would be ignored there without a word.
"""

import dataclasses
import math
from collections.abc import Sequence

RETRIES = (0, 5)
"Attempts after the first, `rc`."
CONNECT_TIMEOUT = (0.1, 10.0)
"Seconds to connect, `ct`."
POLICIES = ("4xx", "5xx", "ct", "rt", "all")
"After what to try again, `rp`: answers of a class, failed connects, missing answers."
TOTAL = 15.0
"Seconds that all attempts have together, whatever is asked for."
ANSWER = 5.0
"Seconds of these that are kept for the receiver's answer."
LONGEST = 5.0
"Seconds that a connect has where nothing is asked for."


@dataclasses.dataclass(frozen=True, slots=True)
class Wishes:
    """What an operator asks for; None leaves it to the edges that there are."""

    retries: int | None = None
    "Attempts after the first."
    policies: tuple[str, ...] = ("ct",)
    """After what to try again. What failed to connect was not done; whatever else is
    tried again may be done twice."""
    connect_timeout: float | None = None
    "Seconds to connect."


def fragment(edges: Sequence[str], wishes: Wishes = Wishes()) -> str:
    """The fragment for these edges, the best one first, without the `#`.

    Each attempt goes from the next edge: more edges than attempts are left out. Raises
    ValueError for wishes that the provider would not fulfil, in words.
    """
    retries = min(max(len(edges) - 1, 1), RETRIES[1])
    if wishes.retries is not None:
        retries = wishes.retries
    _within("retries", retries, RETRIES)
    attempts = retries + 1
    timeout = min(LONGEST, (TOTAL - ANSWER) / attempts)
    if wishes.connect_timeout is not None:
        timeout = wishes.connect_timeout
        _within("a connect timeout in seconds", timeout, CONNECT_TIMEOUT)
    if attempts * timeout > TOTAL:
        raise ValueError(
            f"{attempts} attempts of {timeout:g} s to connect: expected {TOTAL:g} s in "
            "all, since the provider ends them then"
        )
    unknown = [one for one in wishes.policies if one not in POLICIES]
    if unknown or not wishes.policies:
        found = ",".join(unknown) or "nothing"
        raise ValueError(f"retry on {found}: expected {', '.join(POLICIES)}")
    parts = [f"e={','.join(edges[:attempts])}"] if edges else []
    policies = ",".join(dict.fromkeys(wishes.policies))
    milliseconds = math.floor(round(1000 * timeout, 3))
    return "&".join([*parts, f"rc={retries}", f"rp={policies}", f"ct={milliseconds}"])


def _within(what: str, value: float, bounds: tuple[float, float]) -> None:
    low, high = bounds
    if not low <= value <= high:
        raise ValueError(f"{what}: found {value:g}, expected {low:g} to {high:g}")
