"""What checker, resolver and configuration report, as events of the log."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from protocols.target import Outcome, Target
from router import events
from router.changes import (
    Change,
    Flip,
    PinEnded,
    RegionFailed,
    RegionRecovered,
    Stalled,
    UplinkCleared,
    UplinkSuspect,
)
from router.contradiction import Contradicted, Followed
from router.election import Switch
from router.events import Level
from router.health import State
from router.keyring import Renewal
from router.logs import Log
from router.names import Answer
from router.policy import rank
from router.problem import ConfigError, Severity
from router.snapshot import Snapshot


def tell_change(log: Log, change: Change, region: str = "") -> None:
    """Log one change of health or preference, with all that explains it."""
    match change:
        case Flip():
            _tell_flip(log, change)
        case Switch():
            _tell_switch(log, change)
        case UplinkSuspect():
            failing = ", ".join(change.failing)
            log.say(events.UPLINK_SUSPECT, failing=failing, edges=change.edges)
        case UplinkCleared():
            held = round(change.lasted, 1)
            log.say(events.UPLINK_CLEARED, reason=change.reason, held_s=held)
        case RegionFailed():
            _tell_region(log, change, region)
        case RegionRecovered():
            held = round(change.lasted, 1)
            log.say(
                events.REGION_RECOVERED, region=region, edge=change.edge, held_s=held
            )
        case Stalled():
            log.say(events.LOOP_STALLED, late_ms=_milliseconds(change.late))
        case PinEnded():
            log.say(events.PIN_ENDED, edge=change.edge)


def tell_answer(log: Log, name: str, answer: Answer, before: tuple[str, ...]) -> None:
    """Log what the resolver found out about a name, `before` being known until now."""
    known = ", ".join(before)
    found = ", ".join(answer.addresses)
    if answer.gone:
        log.say(events.NAME_GONE, name=name, before=known)
    elif not answer.addresses:
        log.say(events.NAME_UNRESOLVED, name=name, error=answer.error)
    elif answer.failed:
        log.say(events.NAME_STALE, name=name, addresses=found, error=answer.error)
    elif not answer.stale:  # else it is of the last run: `state.restored` tells of all
        news = before and set(before) != set(answer.addresses)
        log.say(
            events.NAME_RESOLVED,
            at=None if news else Level.DEBUG,
            name=name,
            addresses=found,
            before=known,
            ttl_s=round(answer.ttl),
        )


def tell_probe(log: Log, target: Target, outcome: Outcome) -> None:
    """Log a probe that found its target not alive."""
    log.say(
        events.PROBE_FAILED,
        edge=target.label,
        address=target.address,
        name=target.server_name or target.host,
        result=outcome.result.value,
        error=outcome.detail,
    )


def tell_arrivals(log: Log, found: Contradicted | Followed) -> None:
    """Log whether the provider's flows come from where they were advised to."""
    if isinstance(found, Followed):
        log.say(events.ADVICE_FOLLOWED, listener=found.listener, advised=found.advised)
        return
    log.say(
        events.ADVICE_CONTRADICTED,
        listener=found.listener,
        advised=found.advised,
        edge=found.edge,
        flows=found.flows,
        looked=found.of,
    )


def tell_rejection(log: Log, path: Path, error: ConfigError) -> None:
    """Log that a configuration is refused; warnings in it are no part of that."""
    errors = [one for one in error.problems if one.severity is Severity.ERROR]
    first = str(errors[0]) if errors else ""
    log.say(events.CONFIG_REJECTED, path=str(path), errors=len(errors), first=first)


def tell_renewals(log: Log, renewals: Iterable[Renewal]) -> None:
    """Log what became of certificates and keys that were written anew."""
    for one in renewals:
        files = ", ".join(map(str, one.files))
        if one.error:
            log.say(events.CERTIFICATE_REJECTED, path=files, error=one.error)
        else:
            log.say(events.CERTIFICATE_RENEWED, path=files)


def tell_ranking(log: Log, snapshot: Snapshot, product: str) -> None:
    """Log where each edge stands for a product, from the best to the worst."""
    ranking = rank(snapshot, product, now=snapshot.time)
    for number, place in enumerate(ranking, start=1):
        reasons = place.reasons
        fields: dict[str, Any] = {
            "edge": place.endpoint.edge,
            "product": product,
            "place": number,
            "kind": snapshot.edges[place.endpoint.edge].kind.value,
            "state": reasons.state.value,
            "tier": reasons.tier,
            "needed_ms": _milliseconds(reasons.needed),
            "reason": reasons.verdict,
        }
        if reasons.score is not None:
            fields["score_ms"] = _milliseconds(reasons.score.value)
        if reasons.gain is not None:
            fields["gain_ms"] = _milliseconds(reasons.gain)
        log.say(events.EDGE_RANKED, **fields)


def _tell_flip(log: Log, flip: Flip) -> None:
    fields: dict[str, Any] = {
        "edge": flip.edge,
        "state": flip.to.value,
        "before": flip.from_.value,
        "reason": flip.reason,
        "held_s": round(flip.lasted, 1),
    }
    if flip.result is not None:
        fields["result"] = flip.result.value
    if flip.targets:
        event, fields["address"] = events.ADDRESS_FLIPPED, flip.targets[0].address
    else:
        event = events.PRODUCT_FLIPPED if flip.product else events.EDGE_FLIPPED
    log.say(event, at=_weight(flip), product=flip.product, **fields)


def _weight(flip: Flip) -> Level:
    """How much a change of health matters: the more, the more it concerns."""
    if flip.product and flip.first:
        return Level.DEBUG  # at the start, one line for each edge is enough
    if flip.targets:
        return Level.INFO if State.DOWN in (flip.from_, flip.to) else Level.DEBUG
    grave = flip.to is State.DOWN if flip.product else flip.to is not State.UP
    return Level.WARNING if grave else Level.INFO


def _tell_region(log: Log, failed: RegionFailed, region: str) -> None:
    fields: dict[str, Any] = {"edges": failed.edges, "reason": failed.reason}
    if failed.result is not None:
        fields["result"] = failed.result.value
    log.say(events.REGION_FAILED, region=region, **fields)


def _tell_switch(log: Log, switch: Switch) -> None:
    fields: dict[str, Any] = {
        "home": switch.to,
        "before": switch.from_,
        "reason": switch.reason,
        "window_s": round(switch.window),
        "held_s": round(switch.held, 1),
    }
    for name, seconds in (
        ("home_ms", switch.to_score),
        ("before_ms", switch.from_score),
        ("gain_ms", switch.gain),
        ("needed_ms", switch.needed),
    ):
        if seconds is not None:
            fields[name] = _milliseconds(seconds)
    log.say(events.EDGE_SWITCHED, **fields)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
