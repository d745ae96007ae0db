"""What is made of many measurements: medians, spreads, ratios, percentiles."""

import dataclasses
import math
import statistics
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True, slots=True)
class Spread:
    """A quantity that was measured several times."""

    median: float
    "Its median."
    low: float
    "Its lower quartile; with less than four values, the least."
    high: float
    "Its upper quartile; with less than four values, the most."

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.low:.2f}-{self.high:.2f})"


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles; `values` must not be empty."""
    if len(values) < 4:
        return Spread(statistics.median(values), min(values), max(values))
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Ours over theirs, round by round: what disturbs a round disturbs both."""
    return [one / other for one, other in zip(ours, theirs, strict=True)]


def percentile(values: Sequence[float], share: float) -> float:
    """The least value that is not below this share of all (nearest rank)."""
    ordered = sorted(values)
    rank = math.ceil(share * len(ordered))
    return ordered[max(rank, 1) - 1]


def aim(what: str, value: float, limit: float, unit: str) -> None:
    """Say whether an aim is met."""
    verdict = "met" if value <= limit else "MISSED"
    print(f"  aim: {what} {value:.4g}, at most {limit:.4g} {unit}: {verdict}".rstrip())
