"""Which edge is home: stay unless health forbids it, or a gain is worth the move."""

import dataclasses
from collections.abc import Mapping

from router.health import State
from router.order import electable, order_edges, tiers
from router.snapshot import Edge, Home, Score, Settings, Snapshot

LAPSE = 3.0
"Seconds of lead that a second without it costs."

MAX_STEP = 10.0
"Seconds of lead counted at once; while home is frozen nothing is compared."

MOVE_MEMORY = 86_400.0
"Seconds for which a move for a small gain delays the next one."

MAX_MOVES = 8
"Such moves remembered; eight doublings outlast the memory."


@dataclasses.dataclass(frozen=True, slots=True)
class Switch:
    """A change of home, with the arithmetic behind it; times in seconds."""

    from_: str | None
    "The edge left; None for the first home."
    to: str
    "The edge that is home now."
    reason: str
    "Why, in words."
    from_score: float | None = None
    "Score of the edge left, if it had one."
    to_score: float | None = None
    "Score of the new home, if it had one."
    gain: float | None = None
    "Difference of the scores."
    needed: float | None = None
    "The gain that was asked for; None where none was."
    window: float = 0.0
    "Over which both scores were taken."
    held: float = 0.0
    "For how long the edge left had been home."


@dataclasses.dataclass(frozen=True, slots=True)
class Election:
    """Which edge is home now."""

    home: Home
    "The home, changed or not."
    switch: Switch | None = None
    "The change, if there was one."


def elect(snapshot: Snapshot, *, now: float) -> Election:
    """Which edge is home from now on. Only health overrules the wish to stay."""
    home = snapshot.home
    if home.edge is None:
        return _first_home(snapshot, now)
    if snapshot.frozen:
        return Election(home)
    here = snapshot.edges.get(home.edge)
    tier = tiers(snapshot)
    usable = sorted(
        (
            (tier[edge.name], edge.score.value, edge)
            for edge in snapshot.edges.values()
            if electable(edge) and edge.score is not None and edge.name != home.edge
        ),
        key=lambda item: item[:2],
    )
    pinned = wanted(snapshot, now)
    if pinned is not None and pinned.name != home.edge:
        return _move(snapshot, pinned, PINNED, now)
    forced = unusable(here)
    if forced:
        if not usable:
            return Election(home)
        return _move(snapshot, usable[0][2], Verdict(True, forced), now)
    if is_pinned(snapshot, home.edge, now):
        return Election(home)
    assert here is not None
    assert here.score is not None
    home = dataclasses.replace(
        home, leads=_leads(snapshot, here, tier, now), counted=now
    )
    snapshot = dataclasses.replace(snapshot, home=home)
    for _, _, edge in usable:
        verdict = challenge(snapshot, here, edge, tier, now)
        if verdict.moves:
            return _move(snapshot, edge, verdict, now)
    return Election(snapshot.home)


def needed_gain(settings: Settings, score: Score) -> float:
    """Seconds that an edge must gain over home's score for home to move soon."""
    return max(settings.min_gain, settings.min_gain_ratio * score.value)


def probation(settings: Settings, flips: int) -> float:
    """Seconds that an edge must have been healthy before it may become home."""
    doubled: float = settings.dwell * 2 ** max(0, flips - 1)
    return min(doubled, settings.max_probation)


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """Whether home moves to a challenger, and why."""

    moves: bool
    reason: str
    needed: float | None = None
    small: bool = False


PINNED = Verdict(True, "pinned by an operator")


def is_pinned(snapshot: Snapshot, edge: str, now: float) -> bool:
    """Whether an operator wants this edge for home now."""
    pin = snapshot.pin
    return pin is not None and pin.edge == edge and now < pin.until


def wanted(snapshot: Snapshot, now: float) -> Edge | None:
    """The edge that an operator wants for home, if it is fit for that.

    It is home as soon as it is: whoever pins an edge knows what a move is worth.
    """
    for edge in snapshot.edges.values():
        if is_pinned(snapshot, edge.name, now) and electable(edge):
            return edge
    return None


def challenge(
    snapshot: Snapshot, here: Edge, edge: Edge, tier: Mapping[str, int], now: float
) -> Verdict:
    """Whether home moves from `here` to `edge`; both UP and measured."""
    settings = snapshot.settings
    assert here.score is not None
    assert edge.score is not None
    held = now - snapshot.home.since
    owed = probation(settings, edge.flips)
    gain = here.score.value - edge.score.value
    needed = needed_gain(settings, here.score)
    better_tier = tier[edge.name] < tier[here.name]
    lead = snapshot.home.leads.get(edge.name, 0.0)
    if now - edge.since < owed:
        return Verdict(False, f"healthy for {now - edge.since:.0f} s of {owed:.0f} s")
    if held < settings.dwell:
        return Verdict(
            False, f"home is held for {held:.0f} s of {settings.dwell:.0f} s"
        )
    if 2 * edge.score.samples < here.score.samples:
        return Verdict(False, "too few samples to compare")
    if tier[edge.name] > tier[here.name]:
        return Verdict(False, "home is of a better tier")
    if better_tier:
        return Verdict(True, "of a better tier")
    if gain >= needed:
        return Verdict(True, f"gains {ms(gain)}", needed)
    lasting = hold(snapshot, edge, now)
    small = small_gain(settings, here.score)
    if lead >= lasting and gain >= small:
        reason = f"has led for {lead:.0f} s, by {ms(gain)} now"
        return Verdict(True, reason, small, small=True)
    if lead:
        return Verdict(False, f"leads for {lead:.0f} s of {lasting:.0f} s")
    return Verdict(False, "no gain worth a move")


def hold(snapshot: Snapshot, edge: Edge, now: float) -> float:
    """Seconds for which an edge must lead: the longer the more home has wandered.

    A home that fell comes back without that: it did not leave for a gain.
    """
    once = snapshot.settings.small_gain_hold
    if edge.name == snapshot.home.fallen:
        return once
    moves = snapshot.home.moves
    doubled: float = once * 2 ** sum(now - move < MOVE_MEMORY for move in moves)
    return doubled


def small_gain(settings: Settings, score: Score) -> float:
    """Seconds that an edge must gain over home's score for home to move at all."""
    return max(settings.small_gain, settings.small_gain_ratio * score.value)


def _leads(
    snapshot: Snapshot, here: Edge, tier: Mapping[str, int], now: float
) -> dict[str, float]:
    """For how many seconds each edge has led home by the small gain.

    A second without the lead costs several with it, so that only an edge that is better
    nearly all the time gets there, and noise does not.
    """
    assert here.score is not None
    home = snapshot.home
    limit = here.score.value - small_gain(snapshot.settings, here.score)
    passed = min(now - home.counted, MAX_STEP)
    leads = {}
    for edge in snapshot.edges.values():
        ahead = electable(edge) and edge.score is not None and edge.score.value <= limit
        step = passed if ahead else -LAPSE * passed
        lead = home.leads.get(edge.name, 0.0) + step
        if lead > 0.0 and tier[edge.name] <= tier[here.name]:
            leads[edge.name] = lead
    return leads


def unusable(here: Edge | None) -> str:
    """Why home must be left, whatever it costs; empty while it need not."""
    if here is None:
        return "home is gone"
    if here.state is State.DOWN:
        return "home is down"
    if here.draining:
        return "home is draining"
    if here.score is None or not here.score.fresh:
        return "home is not measured"
    return ""


def _first_home(snapshot: Snapshot, now: float) -> Election:
    if snapshot.frozen:
        return Election(snapshot.home)
    pinned = wanted(snapshot, now)
    if pinned is not None:
        return _move(snapshot, pinned, PINNED, now)
    if now - snapshot.home.since < snapshot.settings.settle:
        return Election(snapshot.home)
    for name in order_edges(snapshot):
        if electable(snapshot.edges[name]):
            return _move(
                snapshot, snapshot.edges[name], Verdict(True, "the first home"), now
            )
    return Election(snapshot.home)


def _move(snapshot: Snapshot, to: Edge, why: Verdict, now: float) -> Election:
    home = snapshot.home
    left = snapshot.edges.get(home.edge) if home.edge is not None else None
    before = left.score.value if left is not None and left.score is not None else None
    after = to.score.value if to.score is not None else None
    switch = Switch(
        from_=home.edge,
        to=to.name,
        reason=why.reason,
        from_score=before,
        to_score=after,
        gain=before - after if before is not None and after is not None else None,
        needed=why.needed,
        window=snapshot.settings.window,
        held=now - home.since,
    )
    fallen = home.fallen if home.fallen != to.name else None
    if left is not None and left.state is State.DOWN:
        fallen = left.name
    moves = home.moves
    if why.small and to.name != home.fallen:
        recent = [move for move in moves if now - move < MOVE_MEMORY]
        moves = (*recent, now)[-MAX_MOVES:]
    return Election(Home(to.name, now, counted=now, fallen=fallen, moves=moves), switch)


def ms(seconds: float) -> str:
    """A time as operators read it."""
    return f"{seconds * 1000:.1f} ms"
