"""The commands that change something in the running daemon."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from router.commands.asking import PATIENCE, ask, where
from router.events import Level

RELOADING = 120.0
"Seconds that a reload may take; with --wait, flows that end are waited for."

LEVELS = [level.name.lower() for level in sorted(Level)]


@click.command()
@click.argument("edge")
@where
def drain(edge: str, place: Path | None) -> None:
    """Send no new flows to EDGE, or with `all` to no edge; nothing is cut.

    A drained edge comes last, so that it still serves if nothing else is up. Requests
    and calls under way go on; WebSockets are asked to come back (Close 1012), one after
    the other, and idle connections are closed. With `all`, new flows to the provider
    are refused with 503, and so is the PBX's OPTIONS. It lasts until `undrain`, or the
    daemon's end.

    \b
    Example:
      edge-router drain umatilla
      edge-router drain all
    """
    _do(place, {"command": "drain", "edge": edge})


@click.command()
@click.argument("edge")
@where
def undrain(edge: str, place: Path | None) -> None:
    """Let new flows go to EDGE again, or with `all` to all edges.

    \b
    Example:
      edge-router undrain umatilla
      edge-router undrain all
    """
    _do(place, {"command": "undrain", "edge": edge})


@click.command()
@click.argument("edge")
@click.option(
    "--for", "lasts", default="1h", metavar="TIME", help="How long.", show_default=True
)
@where
def pin(edge: str, lasts: str, place: Path | None) -> None:
    """Have EDGE for home while it is healthy, whatever others gain.

    If it goes down, or is drained, the best other edge is home until it is back. The
    pin ends with its time (7d at most), with `unpin`, or with the daemon.

    \b
    Example:
      edge-router pin ashburn --for 2h
    """
    _do(place, {"command": "pin", "edge": edge, "for": lasts})


@click.command()
@where
def unpin(place: Path | None) -> None:
    """Choose home by merit again.

    \b
    Example:
      edge-router unpin
    """
    _do(place, {"command": "unpin"})


@click.command("log-level")
@click.argument("level", type=click.Choice(LEVELS))
@click.option("--for", "lasts", metavar="TIME", help="How long; then as before.")
@where
def log_level(level: str, lasts: str | None, place: Path | None) -> None:
    """Log from LEVEL on: debug, info, warning or error.

    Without --for it lasts until the daemon ends.

    \b
    Example:
      edge-router log-level debug --for 10m
    """
    request = {"command": "log-level", "level": level}
    _do(place, request | ({"for": lasts} if lasts else {}))


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--wait", is_flag=True, help="Until flows of removed listeners have ended."
)
@where
def reload(as_json: bool, wait: bool, place: Path | None) -> None:
    """Have the daemon read its configuration again, and go by it.

    What changed is printed. A file with errors changes nothing: they are printed with
    their places, and the exit code is 78.

    \b
    Example:
      edge-router reload
    """
    done = ask(place, {"command": "reload", "wait": wait}, patience=RELOADING)
    if as_json:
        click.echo(json.dumps(done, indent=2))
        return
    click.echo(done["said"])
    for line in done.get("changed", ()):
        click.echo(f"  {line}")


def _do(place: Path | None, request: Mapping[str, Any]) -> None:
    click.echo(ask(place, request, patience=PATIENCE)["said"])
