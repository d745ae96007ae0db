"""A synthetic provider: seeded days of round trips, losses and outages of eight edges.

Truth is constant within a minute, outages apart; what a probe sees is the truth plus
jitter. Seconds throughout.
"""

import dataclasses
import math
import random
from collections.abc import Callable

EDGES = 8
"Edges of the provider."

MINUTE = 60.0
"Step of the truth in seconds."

RETRANSMISSION = 0.2
"Seconds after which TCP sends data again."

EXCHANGES = 2
"Round trips of a probe: the connection, and the ClientHello."


@dataclasses.dataclass
class Series:
    """One day, or a part of one, as it truly is."""

    family: str
    "What kind of day."
    minutes: int
    "Its length."
    round_trips: list[list[float]]
    "By edge and minute, in seconds."
    losses: list[list[float]]
    "Share of packets lost in a bad phase, by edge and minute."
    jitter: list[list[float]]
    "Mean of what a sample adds to the truth, by edge and minute, in seconds."
    outages: list[tuple[int, float, float]]
    "Edge, start and end: no packet comes back, and no RST."

    @property
    def length(self) -> float:
        """Seconds."""
        return self.minutes * MINUTE

    def dead(self, edge: int, now: float) -> bool:
        """Whether an edge is out."""
        return any(
            which == edge and start <= now < end for which, start, end in self.outages
        )

    def round_trip(self, edge: int, now: float) -> float:
        """The true round trip."""
        return self.round_trips[edge][self._minute(now)]

    def loss(self, edge: int, now: float) -> float:
        """The true share of packets lost, each way, on average."""
        return self.losses[edge][self._minute(now)]

    def sample(self, edge: int, now: float, chance: random.Random) -> float | None:
        """The round trip that a probe sees; None if it times out.

        A lost SYN is sent again after a second, too late; a lost ClientHello after
        200 ms (RFC 6298, and Linux for the latter), which looks like a slow answer.
        """
        minute = self._minute(now)
        if self.dead(edge, now):
            return None
        answered = (1 - self.losses[edge][minute]) ** 2
        if chance.random() > answered:
            return None
        again = 0.0 if chance.random() < answered else RETRANSMISSION
        spike = chance.uniform(0.02, 0.2) if chance.random() < 0.02 else 0.0
        noise = chance.expovariate(1 / self.jitter[edge][minute])
        return self.round_trips[edge][minute] + noise + spike + again

    def _minute(self, now: float) -> int:
        return min(int(now / MINUTE), self.minutes - 1)


def build(family: str, seed: int, *, hours: float = 24.0) -> Series:
    """The day of a family and a seed; the same every time."""
    chance = random.Random(f"{family} {seed}")
    minutes = int(hours * 60)
    bases = [chance.uniform(0.008, 0.040)]
    while len(bases) < EDGES:
        bases.append(bases[-1] * chance.uniform(1.06, 1.5))
    series = Series(
        family=family,
        minutes=minutes,
        round_trips=[[base] * minutes for base in bases],
        losses=[[0.0] * minutes for _ in bases],
        jitter=[[0.0005 + 0.04 * base] * minutes for base in bases],
        outages=[],
    )
    FAMILIES[family](series, chance)
    places = list(range(EDGES))
    chance.shuffle(places)
    series.round_trips = [series.round_trips[place] for place in places]
    series.losses = [series.losses[place] for place in places]
    series.jitter = [series.jitter[place] for place in places]
    series.outages = [
        (places.index(edge), start, end) for edge, start, end in series.outages
    ]
    return series


def _calm(series: Series, chance: random.Random) -> None:
    """Nothing but jitter."""


def _near(series: Series, chance: random.Random) -> None:
    """Two best edges up to 5 ms apart, with 5 ms of jitter."""
    apart = chance.uniform(0.0, 0.005)
    series.round_trips[1] = [value + apart for value in series.round_trips[0]]
    series.jitter[0] = series.jitter[1] = [0.005] * series.minutes


def _step(series: Series, chance: random.Random) -> None:
    """Four changes of the path to one of the three nearest, for one to six hours."""
    for _ in range(max(1, round(4 * series.minutes / 1440))):
        edge = chance.randrange(3)
        start = chance.randrange(series.minutes)
        detour = chance.uniform(0.010, 0.080)
        for minute in range(start, min(start + _hours(chance, 1, 6), series.minutes)):
            series.round_trips[edge][minute] += detour


def _evening(series: Series, chance: random.Random) -> None:
    """Two of the three nearest are congested from 18 to 23 h, in a restless way."""
    from_, to = int(series.minutes * 18 / 24), int(series.minutes * 23 / 24)
    for edge in chance.sample(range(3), 2):
        worst, restless = chance.uniform(0.3, 1.5), 0.0
        base = series.round_trips[edge][0]
        for minute in range(from_, to):
            load = math.sin(math.pi * (minute - from_) / (to - from_))
            restless = 0.8 * restless + chance.gauss(0.0, 0.06)
            queue = max(0.0, load * (worst + restless)) * base
            series.round_trips[edge][minute] += queue
            series.jitter[edge][minute] += queue / 4


def _outages(series: Series, chance: random.Random) -> None:
    """Six blackholes of 1 to 30 minutes: mostly the nearest edge, or the second."""
    count = max(1, round(6 * series.minutes / 1440))
    slot = series.length / count
    for number in range(count):
        start = number * slot + chance.uniform(0.1, 0.5) * slot
        edge = 0 if chance.random() < 0.75 else 1
        length = min(chance.uniform(60, 1800), 0.45 * slot)
        series.outages.append((edge, start, start + length))


def _flapping(series: Series, chance: random.Random) -> None:
    """The nearest edge comes and goes for two hours of the day."""
    for start in (0.2, 0.6):
        now = start * series.length
        end = now + series.length / 24
        while now < end:
            down = now + chance.uniform(5, 120)
            now = down + chance.uniform(3, 30)
            series.outages.append((0, down, now))


def _lossy(series: Series, chance: random.Random) -> None:
    """Three spells of 2 to 15 % loss near the site, in bursts; a little everywhere."""
    for edge in range(EDGES):
        series.losses[edge] = [0.001] * series.minutes
    for _ in range(max(1, round(3 * series.minutes / 1440))):
        edge = chance.choice((0, 0, 1))
        start = chance.randrange(series.minutes)
        share = chance.uniform(0.02, 0.15)
        for minute in range(start, min(start + _hours(chance, 1, 3), series.minutes)):
            # Loss comes in bursts: a third of the minutes bear most of it.
            worse = 2.0 if chance.random() < 1 / 3 else 0.5
            series.losses[edge][minute] = share * worse


def _drift(series: Series, chance: random.Random) -> None:
    """The four nearest wander by a third over hours, each on its own."""
    for edge in range(4):
        away = 0.0
        for minute in range(series.minutes):
            away = away * (1 - 1 / 360) + chance.gauss(0.0, 0.3 * math.sqrt(2 / 360))
            series.round_trips[edge][minute] *= math.exp(away)


def _hours(chance: random.Random, low: float, high: float) -> int:
    return int(60 * chance.uniform(low, high))


FAMILIES: dict[str, Callable[[Series, random.Random], None]] = {
    "calm": _calm,
    "near": _near,
    "step": _step,
    "evening": _evening,
    "outages": _outages,
    "flapping": _flapping,
    "lossy": _lossy,
    "drift": _drift,
}
"Every kind of day, by its name."
