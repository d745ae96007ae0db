"""The health of one address of one endpoint: may it be used at all?

`observe` turns evidence into the next `Health`; nothing here knows other addresses.
Which evidence counts:

    ALIVE                                            good, whatever the status was
    REFUSED RESET TIMEOUT CERTIFICATE TLS BAD_ANSWER  a failure
    SERVER_ERROR                                     weak: only several in a row count
    SILENT, a probe that is overdue                  a doubt: two of them make a SUSPECT

Probes and live flows are counted apart, for a good probe must not excuse failing
calls: an edge may answer OPTIONS and swallow every INVITE.
"""

import dataclasses
import enum
import math

from protocols.target import Outcome, Result


class State(enum.StrEnum):
    """What health says of an address, an endpoint or an edge."""

    UP = "up"
    SUSPECT = "suspect"
    DOWN = "down"


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """When to probe and what to conclude; times in seconds."""

    interval: float = 2.0
    "Between two probes of one address at home and at its best alternates."
    fast_interval: float = 0.25
    "Between two probes of a suspect."
    timeout: float = 1.0
    "After which a probe has failed."
    fall: int = 3
    "Failures in a row that make an address DOWN."
    rise: int = 3
    "Good answers that a suspect needs to be UP again."
    recovery: float = 60.0
    "Good average that an address needs after DOWN; doubled by each further flip."
    sip_options_interval: float = 15.0
    "Least time between two OPTIONS to one address; providers ban faster ones."
    max_recovery: float = 600.0
    "Longest recovery, however often the address has flipped."
    memory: float = 600.0
    "For how long a flip or a failed flow counts."
    heard_recently: float = 8.0
    "For how long after an answer to a live flow it takes twice `fall`."
    server_errors: int = 5
    "SERVER_ERROR answers in a row that make a suspect."
    error_hold: float = 10.0
    "For how long those keep it one, since probes will find nothing wrong."


@dataclasses.dataclass(frozen=True, slots=True)
class Health:
    """What is known of one address; times are monotonic seconds."""

    state: State = State.SUSPECT
    "The verdict."
    since: float = 0.0
    "When the verdict last changed."
    reason: str = "not yet probed"
    "The evidence behind the verdict, in words."
    proved: bool = False
    "Whether it ever answered; the first answer needs no confirmation."
    probe_failures: int = 0
    "Probes failed since anything was heard."
    live_failures: int = 0
    "Live flows failed since one was answered."
    live_failed: float = -math.inf
    "When a live flow last failed."
    refusals: int = 0
    "Attempts refused outright since anything was heard."
    server_errors: int = 0
    "SERVER_ERROR answers since a better one."
    doubts: int = 0
    "1 after a silence that no sign of life has followed, else 0."
    good: int = 0
    "Good answers since the last failure; after DOWN, during this recovery."
    bad: int = 0
    "Failures during this recovery."
    good_since: float = math.inf
    "When this recovery began."
    heard: float = -math.inf
    "When a live flow was last answered, unless one was met with silence since."
    held_until: float = -math.inf
    "Before then a suspect stays one."
    flips: tuple[float, ...] = ()
    "The last times at which it went DOWN."
    barred: bool = False
    "Whether nothing may be sent there, however well it would answer."

    @property
    def hopeless(self) -> bool:
        """Whether nothing good is known: for the order of last resort."""
        return self.good == 0 and (
            self.state is State.DOWN or self.probe_failures > 1 or self.refusals > 1
        )

    @property
    def carefree(self) -> bool:
        """Whether one more answer to a live flow would change nothing."""
        return (
            self.state is State.UP and not self.live_failures and not self.server_errors
        )


MAX_FLIPS = 8
"Flips remembered; eight doublings exceed any recovery."

TOLERATED = 0.2
"Share of failures that a recovery forgives: a good average, not a perfect run."


def observe(
    health: Health,
    outcome: Outcome,
    settings: Settings,
    *,
    now: float,
    live: bool = False,
    verdicts: bool = True,
) -> Health:
    """The health after one more outcome.

    `live` tells a flow from a probe. Without `verdicts` (the uplink is in doubt)
    failures are counted but condemn nothing.
    """
    match outcome.result:
        case Result.ALIVE:
            return _good(health, settings, now, live)
        case Result.SERVER_ERROR:
            return _server_error(health, settings, now)
        case Result.SILENT:
            return dataclasses.replace(health, doubts=1, heard=-math.inf)
        case Result.TIMEOUT if not live and now - health.heard < settings.timeout:
            return health  # it was heard after this probe was sent
        case _:
            return _failure(health, outcome, settings, now, live, verdicts)


def overdue(health: Health, *, now: float) -> Health:
    """The health after a probe stayed unanswered past the patience of its target.

    The second silence in a row makes a suspect: no flow should wait for the time-out.
    """
    if health.doubts and health.state is State.UP:
        return _turn(health, State.SUSPECT, "silent", now, doubts=1, good=0)
    return dataclasses.replace(health, doubts=1)


def heard(health: Health, when: float) -> Health:
    """The health after live flows were answered, most recently at `when`."""
    return dataclasses.replace(health, heard=when, doubts=0, probe_failures=0)


def bar(health: Health, reason: str, *, now: float) -> Health:
    """The health of an address to which nothing may be sent any more.

    It goes DOWN as by failures: who does so again and again waits longer each time.
    """
    if health.barred and health.state is State.DOWN:
        return dataclasses.replace(health, reason=reason)
    began = {"barred": True, "good": 0, "good_since": math.inf, "doubts": 0}
    if health.state is State.DOWN:
        return dataclasses.replace(health, reason=reason, **began)  # type: ignore[arg-type]
    flips = (*health.flips, now)[-MAX_FLIPS:] if health.proved else health.flips
    return _turn(health, State.DOWN, reason, now, flips=flips, **began)


def lift(health: Health, *, now: float) -> Health:
    """The health once something may be sent there again: yet to be found out.

    An address that has never answered is a new one. Any other has to recover.
    """
    if not health.barred:
        return health
    if not health.proved:
        return Health(since=now)
    reason = f"free again, after: {health.reason}"
    return dataclasses.replace(health, barred=False, reason=reason)


def recovery(health: Health, settings: Settings, *, now: float) -> float:
    """Seconds of good average that an address owes after its latest flip."""
    recent = sum(now - flip < settings.memory for flip in health.flips)
    doubled: float = settings.recovery * 2 ** max(0, recent - 1)
    return min(doubled, settings.max_recovery)


def _good(health: Health, settings: Settings, now: float, live: bool) -> Health:
    changes = {
        "probe_failures": 0,
        "refusals": 0,
        "doubts": 0,
        "good": health.good + 1,
        "good_since": min(health.good_since, now),
    }
    if live:
        changes |= {"heard": now, "live_failures": 0, "server_errors": 0}
    health = dataclasses.replace(health, **changes)  # type: ignore[arg-type]
    if health.state is State.UP:
        return health
    if not health.proved:
        return _turn(health, State.UP, "answered", now, proved=True)
    if health.good < settings.rise or now < health.held_until:
        return health
    if health.state is State.SUSPECT:
        reason = f"answered {health.good} times"
        return _turn(health, State.UP, reason, now, server_errors=0)
    owed = recovery(health, settings, now=now)
    if now - health.good_since < owed:
        return health
    # Flows that failed before may fail again: the first one that does is enough.
    failures = min(health.live_failures, settings.fall - 1)
    reason = f"good for {owed:.0f} s"
    return _turn(health, State.UP, reason, now, live_failures=failures, live_failed=now)


def _server_error(health: Health, settings: Settings, now: float) -> Health:
    errors = health.server_errors + 1
    health = dataclasses.replace(health, server_errors=errors, doubts=0)
    if errors < settings.server_errors or health.state is State.DOWN:
        return health
    held = dataclasses.replace(health, held_until=now + settings.error_hold, good=0)
    if health.state is State.SUSPECT:
        return held
    return _turn(held, State.SUSPECT, f"{errors} server errors in a row", now)


def _failure(
    health: Health,
    outcome: Outcome,
    settings: Settings,
    now: float,
    live: bool,
    verdicts: bool,
) -> Health:
    health = _count(health, outcome.result, settings, now, live)
    why = outcome.detail or outcome.result.value
    if health.state is State.DOWN:
        return _restart_recovery(health, settings)
    count = _condemned(health, settings, now)
    if count and verdicts:
        reason = f"{count} failures, the last: {why}"
        flips = (*health.flips, now)[-MAX_FLIPS:]
        return _turn(
            health, State.DOWN, reason, now, flips=flips, good=0, good_since=math.inf
        )
    health = dataclasses.replace(health, good=0, good_since=math.inf)
    if health.state is State.UP:
        return _turn(health, State.SUSPECT, why, now)
    return dataclasses.replace(health, reason=why)


def _count(
    health: Health, result: Result, settings: Settings, now: float, live: bool
) -> Health:
    refusals = health.refusals + (result is Result.REFUSED)
    if not live:
        return dataclasses.replace(
            health, refusals=refusals, probe_failures=health.probe_failures + 1
        )
    recent = now - health.live_failed < settings.memory
    return dataclasses.replace(
        health,
        refusals=refusals,
        live_failures=health.live_failures + 1 if recent else 1,
        live_failed=now,
        heard=-math.inf,
    )


def _condemned(health: Health, settings: Settings, now: float) -> int:
    """How many failures condemn the address; 0 while they do not."""
    if health.refusals >= 2:
        return health.refusals
    if health.live_failures >= settings.fall:
        return health.live_failures
    fall = settings.fall
    if now - health.heard < settings.heard_recently:
        fall *= 2
    return health.probe_failures if health.probe_failures >= fall else 0


def _restart_recovery(health: Health, settings: Settings) -> Health:
    bad = health.bad + 1
    in_a_row = max(health.probe_failures, health.refusals) >= settings.fall
    if in_a_row or bad > TOLERATED * (health.good + bad):
        return dataclasses.replace(health, good=0, bad=0, good_since=math.inf)
    return dataclasses.replace(health, bad=bad)


def _turn(
    health: Health, state: State, reason: str, now: float, **changes: object
) -> Health:
    return dataclasses.replace(
        health,
        state=state,
        since=now,
        reason=reason,
        bad=0,
        **changes,  # type: ignore[arg-type]
    )
