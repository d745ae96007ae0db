"""The commands that look: `status`, `explain`, `flows`, `probe`."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from rich.live import Live

from router.commands.asking import EX_TROUBLE, ask, stream, where
from router.commands.output import (
    Part,
    Sheet,
    console,
    laid_out,
    milliseconds,
    show,
    since,
)
from router.endpoint import Protocol
from router.status import megabits

JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
TROUBLED = ("degraded", "failed")

Data = Mapping[str, Any]


@click.command()
@JSON
@click.option(
    "--watch",
    "-w",
    is_flag=False,
    flag_value=2.0,
    type=click.FloatRange(0.2, 60.0),
    metavar="[SECONDS]",
    help="Show it again and again, every 2 seconds if no number is given.",
)
@where
def status(as_json: bool, watch: float | None, place: Path | None) -> None:
    """Show which edge is home and why, what is broken, and what goes through.

    The first line is the verdict: ok, starting, degraded or failed, and why.
    The exit code is 1 if it is degraded or failed, and 3 if no daemon answers.

    \b
    Example:
      edge-router status
      edge-router status --watch
      edge-router status --json | jq .home
    """
    if watch is not None:
        request = {"command": "status", "watch": watch}
        _follow(stream(place, request, patience=watch + 15.0), as_json)
        return
    found = ask(place, {"command": "status"})
    _print(found, as_json, status_parts)
    if found["condition"] in TROUBLED:
        raise SystemExit(EX_TROUBLE)


@click.command()
@JSON
@click.option(
    "--protocol", type=click.Choice([p.value for p in Protocol]), help="Of one only."
)
@where
def explain(as_json: bool, protocol: str | None, place: Path | None) -> None:
    """Print the arithmetic by which home was chosen, and what would change it.

    Edges come in their order; each with its score, what the score is made of, what it
    gains against home, and at which score home would move there.

    \b
    Example:
      edge-router explain
      edge-router explain --protocol sip
    """
    request = {"command": "explain"} | ({"protocol": protocol} if protocol else {})
    _print(ask(place, request), as_json, explain_parts)


@click.command()
@JSON
@where
def flows(as_json: bool, place: Path | None) -> None:
    """List the flows under way, the oldest first, and count all of them.

    A call counts until it is answered; from then on it needs nothing of the router.
    A thousand flows are listed at most; the counts have all.

    \b
    Example:
      edge-router flows
      edge-router flows --json | jq '.counts[] | select(.edge == "ashburn")'
    """
    _print(ask(place, {"command": "flows"}), as_json, flows_parts)


@click.command()
@click.argument("edge", required=False)
@JSON
@where
def probe(edge: str | None, as_json: bool, place: Path | None) -> None:
    """Probe EDGE now, or every edge, and print what was measured.

    SIP is asked by OPTIONS, which providers ban when they come often: an address that
    was asked within the last 15 seconds is not asked again.
    The exit code is 1 if anything that was asked is not alive.

    \b
    Example:
      edge-router probe
      edge-router probe ashburn
    """
    request = {"command": "probe"} | ({"edge": edge} if edge else {})
    found = ask(place, request)
    _print(found, as_json, probe_parts)
    if any(one["result"] not in (None, "alive") for one in found["probes"]):
        raise SystemExit(EX_TROUBLE)


# ---- How it looks ------------------------------------------------------------------


def status_parts(found: Data) -> Iterator[Part]:
    """A status on a terminal."""
    now = found["time"]
    yield str(found["verdict"])
    if len(found["troubles"]) > 3:
        yield Sheet(
            ("trouble", "since", "reason"),
            [
                (f"{t['subject']} {t['state']}", since(t["since"], now), t["reason"])
                for t in found["troubles"]
            ],
        )
    yield Sheet(
        ("edge", "kind", "state", "for", "score#", "round trip#", "lost#", "why"),
        [_edge(one, now) for one in found["edges"]],
    )
    yield Sheet(
        ("receiver", "of", "state", "for", "reason"),
        [
            (r["place"], r["product"], r["state"], since(r["since"], now), r["reason"])
            for r in found["receivers"]
        ],
    )
    yield Sheet(
        ("link", "exchange", "interface", "privacy", "edges", "BGP", "why"),
        [_link(one) for one in found.get("links", ())],
    )
    yield Sheet(
        ("link", "calls#", "taken by calls#", "other#", "room#", "of#", "spilled#"),
        [_use(one) for one in found.get("links", ()) if one["use"] is not None],
    )
    yield _counts(found["flows"])
    yield Sheet(
        ("ago", "what happened"),
        [
            (since(one["time"], now), one["text"])
            for one in found["past"]
            if one["kind"] != "address"
        ][:5],
    )


def _edge(edge: Data, now: str) -> tuple[str, ...]:
    reasons = edge["reasons"]
    score = reasons["score"] or {}
    lost = f"{score['lost']} of {score['probes']}" if score else "-"
    why = "; ".join(filter(None, [edge["reason"], reasons["verdict"]]))
    return (
        edge["name"],
        edge["kind"],
        edge["state"],
        since(edge["since"], now),
        milliseconds(score.get("value_ms")),
        milliseconds(score.get("round_trip_ms")),
        lost,
        why,
    )


def _link(link: Data) -> tuple[str, ...]:
    bgp = link["bgp"]
    said = "-"
    if bgp is not None:
        prefixes = ", ".join(bgp["prefixes"]) or "no route"
        said = bgp["trouble"] or f"{bgp['state']}, {prefixes}"
    return (
        link["name"],
        link["exchange"],
        link["interface"] or "-",
        link["privacy"],
        ", ".join(link["edges"]),
        said,
        link["reason"],
    )


def _use(link: Data) -> tuple[str, ...]:
    use = link["use"]
    rates = (use[f"{name}_bps"] for name in ("taken", "other", "room", "bandwidth"))
    return (link["name"], str(use["calls"]), *map(megabits, rates), str(use["spilled"]))


def _counts(counts: list[Data]) -> Sheet:
    return Sheet(
        ("listener", "protocol", "edge", "under way#", "ended#"),
        [
            (
                one["listener"],
                one["protocol"],
                one["edge"] or "(none)",
                str(one["open"]),
                str(one["ended"]),
            )
            for one in counts
        ],
    )


def explain_parts(found: Data) -> Iterator[Part]:
    """An explanation on a terminal."""
    yield str(found["verdict"])
    yield "\n".join(found["rules"])
    for number, edge in enumerate(found["edges"], start=1):
        home = ", home" if edge["home"] else ""
        yield "\n  ".join(
            (
                f"{number}. {edge['edge']} ({edge['kind']}{home})",
                edge["sum"],
                edge["moves"],
            )
        )
    yield Sheet(
        ("product", "protocol", "why", "order"),
        [
            (
                one["product"],
                one["protocol"],
                one["why"],
                ", ".join(_state_of(edge) for edge in one["edges"]),
            )
            for one in found["products"]
        ],
    )


def _state_of(edge: Data) -> str:
    good = edge["state"] == "up"
    return str(edge["edge"]) if good else f"{edge['edge']} ({edge['state']})"


def flows_parts(found: Data) -> Iterator[Part]:
    """Flows on a terminal."""
    yield _counts(found["counts"]) if found["counts"] else "no flows so far"
    yield Sheet(
        ("for", "listener", "protocol", "client", "edge"),
        [
            (
                f"{one['age_s']:.1f} s",
                one["listener"],
                one["protocol"],
                one["client"],
                one["edge"] or "(none yet)",
            )
            for one in found["listed"]
        ],
    )
    if found["unlisted"]:
        yield f"and {found['unlisted']} more that began later"


def probe_parts(found: Data) -> Iterator[Part]:
    """Probes on a terminal."""
    yield Sheet(
        ("edge", "protocol", "address", "result", "round trip#", "took#", "detail"),
        [
            (
                one["edge"],
                one["protocol"],
                f"{one['transport']}:{one['address']}:{one['port']}",
                one["result"] or "-",
                milliseconds(one.get("round_trip_ms")),
                milliseconds(one["took_ms"]),
                one["detail"],
            )
            for one in found["probes"]
        ],
    )


def _print(found: Data, as_json: bool, parts: Callable[[Data], Iterator[Part]]) -> None:
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        show(console(sys.stdout), parts(found))


def _follow(answers: Iterator[Data], as_json: bool) -> None:
    """Show each answer in the place of the one before, or after it when piped."""
    on = console(sys.stdout)
    try:
        if as_json:
            for found in answers:
                click.echo(json.dumps(found))
        elif on.is_terminal:
            with Live(console=on, screen=True, auto_refresh=False) as live:
                for found in answers:
                    view = laid_out(status_parts(found), terminal=True)
                    live.update(view, refresh=True)
        else:
            for found in answers:
                show(on, (*status_parts(found), ""))
    except KeyboardInterrupt:
        pass
