"""The command `advise`: what to tell the provider."""

import dataclasses
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from router.advice import ALL, Advice, Orders, advise
from router.commands.asking import Unanswered, known
from router.commands.output import Part, Sheet, console, show
from router.config import Loaded
from router.files import read
from router.fragment import POLICIES, Wishes
from router.openings import TABLE, Opening, ipset, nftables, openings, plain
from router.problem import EX_CONFIG, ConfigError
from router.units import seconds_in

SCHEMA = "edge-router/advice/1"
"Version of what --json prints: a new number once a key goes or changes its meaning."

_FILE = click.Path(dir_okay=False, path_type=Path)
_FORMS: dict[str, Callable[[Sequence[Opening]], Iterable[str]]] = {
    "plain": plain,
    "nftables": nftables,
    "ipset": ipset,
}
"How networks are written, but for JSON."


def _seconds(_: click.Context, __: click.Parameter, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return seconds_in(text, "100ms", "10s")
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _table(_: click.Context, __: click.Parameter, text: str) -> str:
    if not re.fullmatch("[A-Za-z][A-Za-z0-9_]{0,63}", text):
        raise click.BadParameter("expected letters, digits and _")
    return text


@click.command("advise")
@click.argument("file", type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--networks",
    "form",
    type=click.Choice([*_FORMS, "json"]),
    help="Print the provider's networks only, in this form.",
)
@click.option(
    "--table",
    default=TABLE,
    show_default=True,
    callback=_table,
    metavar="NAME",
    help="With nftables: the table of family inet that holds the sets.",
)
@click.option("--retries", type=int, help="Of webhooks, 0 to 5.")
@click.option(
    "--retry-on",
    "policies",
    type=click.Choice(POLICIES),
    multiple=True,
    default=("ct",),
    show_default=True,
    help="After what a webhook is tried again; may be given several times.",
)
@click.option(
    "--connect-timeout",
    callback=_seconds,
    metavar="TIME",
    help="Of webhooks, 100ms to 10s.",
)
@click.option("--socket", "place", type=_FILE, help="Control socket of the daemon.")
def advising(
    file: Path,
    as_json: bool,
    form: str | None,
    table: str,
    retries: int | None,
    policies: tuple[str, ...],
    connect_timeout: float | None,
    place: Path | None,
) -> None:
    """Print what to set at the provider, for the configuration FILE.

    The provider picks the edge of calls and webhooks that it opens; this is how it is
    told which ones the policy likes: origination URIs, fragments of webhook URLs, the
    list of client SDKs, the environment of server SDKs; and which networks to open for
    it, and which addresses it must let in.
    The order is that of the running daemon, if it answers; else that of the file.

    \b
    Example:
      edge-router advise /etc/edge-router/edge-router.yaml
      edge-router advise --networks nftables edge-router.yaml
      edge-router advise --json edge-router.yaml
    """
    loaded = _read(file)
    if form is not None:
        _print_networks(openings(loaded.catalogue), form, table)
        return
    orders, basis = _orders(place or loaded.config.admin.socket)
    wishes = Wishes(retries, policies, connect_timeout)
    try:
        advice = advise(loaded.config, loaded.catalogue, orders, wishes)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if as_json:
        order = "live" if orders else "configuration"
        told = {"schema": SCHEMA, "order": order, **dataclasses.asdict(advice)}
        click.echo(json.dumps(told, indent=2, default=str))
        return
    show(console(sys.stdout), advice_parts(advice, basis))
    for note in advice.notes:
        click.echo(f"note: {note}", err=True)


def _read(file: Path) -> Loaded:
    try:
        return read(file, verify=False)
    except ConfigError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        raise SystemExit(EX_CONFIG) from None


def _orders(place: Path | None) -> tuple[Orders, str]:
    """How the running daemon likes the edges, and in whose order advice is."""
    if place is None:
        return {}, "of the file: admin.socket is off"
    try:
        found = known(place, {"command": "explain"})
    except Unanswered as error:
        return {}, f"of the file: no daemon answers at {place} ({error})"
    if found is None:
        return {}, "of the file: the daemon does not tell its own"
    products, edges = found.get("products", ()), found.get("edges", ())
    orders = {one["product"]: _names(one["edges"]) for one in products}
    return orders | {ALL: _names(edges)}, "of the running daemon"


def _names(edges: Iterable[Mapping[str, Any]]) -> list[str]:
    return [str(edge["edge"]) for edge in edges]


def _print_networks(found: Sequence[Opening], form: str, table: str) -> None:
    if form == "json":
        told = [dataclasses.asdict(opening) for opening in found]
        click.echo(json.dumps(told, indent=2, default=str))
        return
    for line in nftables(found, table) if form == "nftables" else _FORMS[form](found):
        click.echo(line)


# ---- How it looks ------------------------------------------------------------------


def advice_parts(advice: Advice, basis: str) -> Iterator[Part]:
    """Advice on a terminal; `basis` tells in whose order it is."""
    yield f"what to set at the provider, edges in the order {basis}"
    for trunk in advice.trunks:
        if trunk.uris:
            yield f"origination URIs of {trunk.host}, for calls to {trunk.listener}"
            rows = [(str(u.priority), str(u.weight), u.uri) for u in trunk.uris]
            yield Sheet(("priority#", "weight#", "URI"), rows)
        yield f"access list of {trunk.host}, for calls from {trunk.listener}"
        yield Sheet(
            ("address", "edges", "what it is"),
            [(s.network, ", ".join(s.edges), s.note) for s in trunk.access],
        )
    for webhook in advice.webhooks:
        yield f"behind the URL of each webhook that leads to {webhook.listener}"
        yield f"  {webhook.fragment}"
    if advice.sdk_edges:
        yield "edges of client SDKs"
        yield f"  {json.dumps(advice.sdk_edges)}"
    if advice.environment:
        yield "environment of programs with a server SDK"
        yield "\n".join(f"  {name}={v}" for name, v in advice.environment.items())
    yield Sheet(
        ("open for", "from and to the provider's", "who begins", "networks"),
        [_opening(opening) for opening in advice.networks],
    )


def _opening(opening: Opening) -> tuple[str, ...]:
    return (
        opening.purpose,
        ", ".join(opening.ports) or "-",
        opening.directions,
        ", ".join(map(str, opening.networks)),
    )
