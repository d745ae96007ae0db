"""The command line."""

import dataclasses
import importlib.metadata
import importlib.util
import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from router import app
from router.catalogue import Catalogue
from router.commands.advising import advising
from router.commands.changing import drain, log_level, pin, reload, undrain, unpin
from router.commands.looking import explain, flows, probe, status
from router.config import Loaded
from router.files import read
from router.logs import open_log
from router.problem import EX_CONFIG, ConfigError, Problem
from router.schema import schema
from router.settings import Config
from router.sources import sources
from router.summary import summarise
from router.telling import tell_rejection

_SIMULATOR = ("aiohttp", "cryptography", "trustme")
"What the extra `simulator` installs."

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="edge-router", prog_name="edge-router")
def main() -> None:
    """Route a site's calls, API requests and sockets through its provider's best edge.

    \b
    Begin with a configuration file:
      edge-router check edge-router.yaml
      edge-router run --config edge-router.yaml

    
    Ask the daemon while it runs, and steer it:
      edge-router status
      edge-router explain
      edge-router drain umatilla

    Exit codes: 0 fine, 1 trouble found, 2 wrong usage, 3 no daemon answers,
    78 configuration.
    """


for _command in (
    *(status, explain, flows, probe, advising),
    *(drain, undrain, pin, unpin, log_level, reload),
):
    main.add_command(_command)


@main.command()
@click.option("--config", "-c", type=_FILE, required=True, help="Configuration file.")
def run(config: Path) -> None:
    """Run the daemon in the foreground until SIGTERM.

    It starts with everything that the file asks for, or not at all.

    \b
    Example:
      edge-router run --config /etc/edge-router/edge-router.yaml
    """
    try:
        loaded = read(config)
    except ConfigError as error:
        log = open_log(strict=False)  # which one the file wants nobody knows
        tell_rejection(log, config, error)
        log.close()
        _refuse(error)
    _print(loaded.warnings)
    raise SystemExit(app.run(loaded, config))


@main.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def demo(options: tuple[str, ...]) -> None:
    """Show it all on this machine: provider, daemon, traffic, an edge that dies.

    It needs the simulator: pip install 'edge-router[simulator]'.

    \b
    Example:
      edge-router demo
      edge-router demo --keep /tmp/demo
    """
    # In a process of its own, since the router itself knows no simulator.
    missing = [name for name in _SIMULATOR if importlib.util.find_spec(name) is None]
    if missing:
        click.echo(
            f"edge-router demo needs the simulator, which lacks {', '.join(missing)}: "
            "pip install 'edge-router[simulator]'",
            err=True,
        )
        raise SystemExit(1)
    command = [sys.executable, "-m", "router.demo", *options]
    raise SystemExit(subprocess.run(command, check=False).returncode)


@main.command()
@click.argument("file", type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--files/--no-files",
    default=None,
    help="Insist on certificates and keys as `run` does, or do not look at them.",
)
@click.option(
    "--report", is_flag=True, help="List the addresses that the provider must know."
)
def check(file: Path, as_json: bool, files: bool | None, report: bool) -> None:
    """Check a configuration FILE, and print every problem with its place and cure.

    Certificates and keys are loaded as the daemon would, so run it as the same user.
    Without --files the configuration may be meant for another machine: if the whole
    directory of a certificate is missing, that is a warning. With it, a link that is
    not on this machine is an error.
    With --report it lists every address that calls may come from, failovers included:
    all of them belong on the trunk's access list at the provider.
    Warnings do not change the exit code: 0 fine, 78 not usable.

    \b
    Example:
      edge-router check --files /etc/edge-router/edge-router.yaml
      edge-router check --report edge-router.yaml
      edge-router check --json --no-files edge-router.yaml
    """
    try:
        loaded = read(
            file, verify=files is not False, elsewhere=files is None, insist=bool(files)
        )
    except ConfigError as error:
        if as_json:
            _print_json({"ok": False, "problems": _plain(error.problems)})
            raise SystemExit(EX_CONFIG) from None
        _refuse(error)
    if as_json:
        listeners = [dataclasses.asdict(s) for s in summarise(loaded)]
        problems = _plain(loaded.warnings)
        told = {"ok": True, "problems": problems, "listeners": listeners}
        _print_json(told | ({"sources": _sources(loaded)} if report else {}))
        return
    _print(loaded.warnings)
    click.echo(f"{file}: fine; {_outline(loaded)}")
    for summary in summarise(loaded):
        click.echo(f"  {summary}")
    if report:
        _report(loaded)


@main.command("schema")
@click.option("--catalogue", is_flag=True, help="Of catalogue files instead.")
def print_schema(catalogue: bool) -> None:
    """Print the JSON schema of configuration files, for editors.

    \b
    Example, with a first line in the configuration for editors that know it:
      edge-router schema > edge-router.schema.json
      # yaml-language-server: $schema=edge-router.schema.json
    """
    if catalogue:
        _print_json(schema(Catalogue, "edge-router catalogue"))
    else:
        _print_json(schema(Config, "edge-router configuration"))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def version(as_json: bool) -> None:
    """Print the versions of edge-router and of Python."""
    ours = importlib.metadata.version("edge-router")
    python = platform.python_version()
    if as_json:
        _print_json({"edge_router": ours, "python": python})
    else:
        click.echo(f"edge-router {ours}, Python {python}")


def _sources(loaded: Loaded) -> list[dict[str, Any]]:
    return [dataclasses.asdict(s) for s in sources(loaded.config, loaded.catalogue)]


def _report(loaded: Loaded) -> None:
    """Print what must be on access lists, trunk by trunk."""
    found = sources(loaded.config, loaded.catalogue)
    for host in dict.fromkeys(source.host for source in found):
        click.echo(f"the access list of {host} must have:")
        for source in found:
            if source.host == host:
                click.echo(f"  {source}")
    if not found:
        click.echo("no listener makes calls: no access list is needed")


def _refuse(error: ConfigError) -> NoReturn:
    _print(error.problems)
    raise SystemExit(EX_CONFIG) from None


def _print(problems: tuple[Problem, ...]) -> None:
    for problem in problems:
        click.echo(problem, err=True)


def _print_json(value: dict[str, Any]) -> None:
    click.echo(json.dumps(value, indent=2))


def _plain(problems: tuple[Problem, ...]) -> list[dict[str, Any]]:
    return [dataclasses.asdict(problem) for problem in problems]


def _outline(loaded: Loaded) -> str:
    provider = loaded.config.provider
    region = f" in region {provider.region}" if provider.region else ""
    edges = ", ".join(provider.edges)
    first = loaded.config.policy.default_edge
    return f"{loaded.catalogue.name}{region}; edges {edges}; {first} first"
