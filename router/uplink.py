"""Is it the provider that fails, or our own uplink?

Most edges failing at once speak for the uplink. While that is in doubt no address is
condemned and home stays. Two edges failing together raise the question; probes of all
edges answer it.
"""

import math
from collections.abc import Collection

TOGETHER = 5.0
"Seconds within which edges fail together."

SURVEY = 1.5
"Seconds that probes of all edges may take to answer the question."

PATIENCE = 10.0
"Seconds after which an edge that answers all the while shows that the uplink works."


class Uplink:
    """Whether our own uplink is suspected; times in monotonic seconds."""

    def __init__(self) -> None:
        self.since = math.inf
        self._survey_until = -math.inf

    @property
    def suspect(self) -> bool:
        """Whether verdicts are suspended and home stays."""
        return self.since < math.inf

    def verdicts(self, now: float) -> bool:
        """Whether failures may condemn an address."""
        return not self.suspect and now >= self._survey_until

    def failed(self, failing: int, worked: int, now: float) -> bool:
        """Note how many of the edges that worked fail together; True on suspicion."""
        if self.suspect or failing < 2 or 2 * failing <= worked:
            return False
        self.since = now
        return True

    def survey(self, failing: int, now: float) -> bool:
        """Whether to probe every edge now, to learn if it is the uplink."""
        if self.suspect or failing < 2 or now < self._survey_until + TOGETHER:
            return False
        self._survey_until = now + SURVEY
        return True

    def acquitted(self, answering: Collection[str], worked: int, now: float) -> str:
        """Why the uplink is suspected no more; empty while it is.

        `answering` are the edges that are UP.
        """
        if not self.suspect:
            return ""
        if answering and 2 * len(answering) >= worked:
            return f"{len(answering)} of {worked} edges answer"
        if answering and now - self.since >= PATIENCE:
            return f"{min(answering)} answers all the while"
        return ""

    def clear(self) -> None:
        """Suspect the uplink no more."""
        self.since = math.inf
