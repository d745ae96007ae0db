"""How a command reaches the daemon: the other end of `router.control`."""

import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from router.files import read
from router.problem import EX_CONFIG, ConfigError, Problem
from router.settings import SOCKET

EX_TROUBLE = 1
"Exit code for trouble that a command has found."
EX_UNREACHABLE = 3
"Exit code for a daemon that does not answer."

ANSWER = 16 << 20
"Bytes of an answer; a thousand flows have some 200,000."

PATIENCE = 15.0
"Seconds to wait for an answer; `probe` takes five."

_FILE = click.Path(dir_okay=False, path_type=Path)
_Function = TypeVar("_Function", bound=Callable[..., Any])


class Unanswered(Exception):
    """Nobody answers, or nobody that is a daemon; says why."""


def where(function: _Function) -> _Function:
    """The options that tell where the daemon is; they give `place` to a command."""
    function = click.option(
        "--socket",
        "place",
        type=_FILE,
        envvar="EDGE_ROUTER_SOCKET",
        help=f"Control socket of the daemon.  [default: {SOCKET}]",
    )(function)
    return click.option(
        "--config",
        "-c",
        type=_FILE,
        help="Configuration file of the daemon, which says where the socket is.",
        expose_value=False,
        callback=_by_configuration,
    )(function)


def _by_configuration(
    context: click.Context, _: click.Parameter, config: Path | None
) -> None:
    if config is None:
        return
    try:
        found = read(config, verify=False).config.admin.socket
    except ConfigError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        context.exit(EX_CONFIG)
    if found is None:
        click.echo(
            f"{config}: admin.socket is off: the daemon cannot be asked", err=True
        )
        context.exit(EX_UNREACHABLE)
    context.obj = found


def ask(
    place: Path | None, request: Mapping[str, Any], *, patience: float = PATIENCE
) -> dict[str, Any]:
    """The one answer of the daemon to a request; ends the command if there is none."""
    return next(stream(place, request, patience=patience))


def stream(
    place: Path | None, request: Mapping[str, Any], *, patience: float | None = PATIENCE
) -> Iterator[dict[str, Any]]:
    """The answers of the daemon to a request, until it has no more.

    Ends the command with exit code 3 if nobody answers, or with the one that the daemon
    gives to a request that it does not carry out.
    """
    path = place or click.get_current_context().obj or SOCKET
    try:
        yield from _spoken(path, request, patience)
    except Unanswered as error:
        _unreachable(path, str(error))


def known(path: Path, request: Mapping[str, Any]) -> dict[str, Any] | None:
    """The answer of the daemon to a request, for commands that can do without one.

    Raises Unanswered; None if the daemon refuses, and has said why.
    """
    try:
        return next(_spoken(path, request, PATIENCE))
    except SystemExit:
        return None


def _spoken(
    path: Path, request: Mapping[str, Any], patience: float | None
) -> Iterator[dict[str, Any]]:
    """The answers of the daemon; raises Unanswered once there are no more."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(patience)
            sock.connect(os.fspath(path))
            sock.sendall(json.dumps(request).encode() + b"\n")
            with sock.makefile("rb") as lines:
                while line := lines.readline(ANSWER):
                    yield _answer(json.loads(line))
    except TimeoutError:
        raise Unanswered(f"no answer within {patience:g} s") from None
    except OSError as error:
        raise Unanswered(error.strerror or str(error)) from None
    except ValueError:
        raise Unanswered("what answers there is no edge-router") from None
    raise Unanswered("it has ended meanwhile")


def _answer(answer: object) -> dict[str, Any]:
    """What the daemon gave; ends the command if that is a refusal.

    Raises ValueError for what no daemon gives.
    """
    if not isinstance(answer, dict) or not {"ok", "error"} & answer.keys():
        raise ValueError(answer)
    if answer.pop("ok") is True:
        return answer
    for problem in answer.get("problems", ()):
        click.echo(Problem(**problem), err=True)
    click.echo(f"edge-router: {answer['error']}", err=True)
    raise SystemExit(int(answer["exit"]))


def _unreachable(path: Path, why: str) -> NoReturn:
    hint = ""
    if why == os.strerror(13):
        hint = "; run it as root, or as a member of the socket's group"
    elif why in (os.strerror(2), os.strerror(111)):
        hint = "; does it run? Its log says `control.failed` if it cannot open that"
    click.echo(f"edge-router: no daemon to ask at {path}: {why}{hint}", err=True)
    raise SystemExit(EX_UNREACHABLE)
