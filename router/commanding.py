"""What the commands do in the running daemon.

A command takes the members of its request, and gives data that JSON can hold; whatever
changes something is logged with who asked for it.
"""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing
from typing import Any, Protocol

from protocols.record import UnderWay
from router import endpoint, events, explanation
from router.checker import Checker, Probed
from router.control import Answers, Caller, CommandError
from router.flows import LISTED, count, listed
from router.logs import Log
from router.problem import did_you_mean, one_of
from router.status import Status, as_json, plain
from router.steering import Steering, known_edge

FLOWS = "edge-router/flows/1"
PROBES = "edge-router/probes/1"
DONE = "edge-router/done/1"
"Versions of what is answered to `flows`, to `probe`, and to what changes something."

WATCH = (0.2, 60.0)
"Least and most seconds between two answers of a stream."

Request = Mapping[str, Any]

_OPTIONS = ("for", "wait")


class Reload(Protocol):
    """Reads the configuration again, and goes by it."""

    def __call__(self, *, wait: bool) -> Awaitable[Mapping[str, Any]]:
        """What was done: `said` in words, and `changed` as a list of lines.

        `wait` until what was taken out of service has ended. Raises CommandError with
        exit code 78 and `problems` as `check --json` has them, having changed nothing.
        """


@dataclasses.dataclass(frozen=True, slots=True)
class Served:
    """The parts of the daemon that commands ask."""

    checker: Checker
    "Health, preference and probes."
    log: Log
    "Who is told of commands; and how many flows have ended."
    status: Callable[[], Status]
    "Makes the status."
    under_way: Callable[[], Iterator[UnderWay]]
    "The flows that have not ended."
    clock: Callable[[], tuple[float, float]]
    "The time in monotonic seconds, and the same in Unix seconds."
    reload: Reload
    "Reads the configuration again."


class Commands:
    """Carries requests out; the `Serve` of the control socket."""

    def __init__(self, served: Served, steering: Steering) -> None:
        self._served = served
        self._asking: dict[str, tuple[set[str], Callable[[Request], Answers]]] = {
            "status": ({"watch"}, self._status),
            "explain": ({"protocol"}, self._explain),
            "flows": (set(), self._flows),
            "probe": ({"edge"}, self._probe),
        }
        self._steering: dict[str, tuple[set[str], Callable[[Request], str]]] = {
            "drain": ({"edge"}, steering.drain),
            "undrain": ({"edge"}, steering.undrain),
            "pin": ({"edge", "for"}, steering.pin),
            "unpin": (set(), steering.unpin),
            "log-level": ({"level", "for"}, steering.log_level),
        }

    async def __call__(self, request: Request, caller: Caller) -> Answers:
        """Carry a request out. Raises CommandError for one that is wrong."""
        name = request["command"]
        if name in self._asking:
            members, answers = self._asking[name]
            _check(request, members)
            async with aclosing(answers(request)) as found:
                async for answer in found:
                    yield answer
        elif name in self._steering:
            members, steer = self._steering[name]
            _check(request, members)
            yield {"schema": DONE, "said": self._logged(request, caller, steer)}
        elif name == "reload":
            _check(request, {"wait"})
            yield {"schema": DONE, **await self._reload(request, caller)}
        else:
            known = [*self._asking, *self._steering, "reload"]
            hint = did_you_mean(name, known) or f"there are {one_of(known)}"
            raise CommandError(f"there is no command '{name[:40]}'; {hint}")

    # ---- What asks ---------------------------------------------------------------

    async def _status(self, request: Request) -> Answers:
        pause = request.get("watch")
        if pause is not None and not _is_number_within(pause, WATCH):
            low, high = WATCH
            raise CommandError(f"watch: expected {low:g} to {high:g} seconds")
        yield as_json(self._served.status())
        while pause is not None:
            await asyncio.sleep(pause)
            yield as_json(self._served.status())

    async def _explain(self, request: Request) -> Answers:
        protocol, word = None, request.get("protocol")
        if word is not None:
            try:
                protocol = endpoint.Protocol(word)
            except ValueError:
                known = one_of(endpoint.Protocol)
                raise CommandError(f"protocol: expected {known}") from None
        now, _ = self._served.clock()
        snapshot = self._served.checker.snapshot
        status = self._served.status()
        explained = explanation.explain(snapshot, now=now, protocol=protocol)
        yield {**explained, "verdict": status.verdict}

    async def _flows(self, request: Request) -> Answers:
        now, unix = self._served.clock()
        under_way = list(self._served.under_way())
        yield {
            "schema": FLOWS,
            "counts": [plain(c) for c in count(under_way, self._served.log.ended)],
            "listed": list(listed(under_way, now=now, unix=unix)),
            "unlisted": max(0, len(under_way) - LISTED),
        }

    async def _probe(self, request: Request) -> Answers:
        checker, edge = self._served.checker, request.get("edge")
        if edge is not None:
            known_edge(checker.snapshot, edge)
        probed = await checker.probe_now(edge)
        yield {"schema": PROBES, "probes": [_probed(one) for one in probed]}

    # ---- What changes something --------------------------------------------------

    def _logged(
        self, request: Request, caller: Caller, steer: Callable[[Request], str]
    ) -> str:
        try:
            said = steer(request)
        except CommandError as error:
            self._tell(request, caller, str(error))
            raise
        self._tell(request, caller, said)
        return said

    async def _reload(self, request: Request, caller: Caller) -> Mapping[str, Any]:
        wait = request.get("wait", False)
        if not isinstance(wait, bool):
            raise CommandError("wait: expected true or false")
        try:
            done = await self._served.reload(wait=wait)
        except CommandError as error:
            self._tell(request, caller, str(error))
            raise
        self._tell(request, caller, str(done.get("said", "")))
        return done

    def _tell(self, request: Request, caller: Caller, result: str) -> None:
        self._served.log.say(
            events.CONTROL_COMMANDED,
            command=_words(request),
            pid=caller.pid,
            uid=caller.uid,
            gid=caller.gid,
            result=result,
        )


def _words(request: Request) -> str:
    """A request as it is typed."""
    words = [str(one) for key, one in request.items() if key not in _OPTIONS]
    options = [f"--{key} {one}" for key, one in request.items() if key in _OPTIONS]
    return " ".join([*words, *options])


def _check(request: Request, members: set[str]) -> None:
    """Raise CommandError for what a command does not take: a misspelt word must not
    pass for one that was left out."""
    for key in request:
        if key != "command" and key not in members:
            hint = f"; it takes {one_of(sorted(members))}" if members else ""
            raise CommandError(f"{request['command']} takes no '{key[:40]}'{hint}")


def _is_number_within(value: object, bounds: tuple[float, float]) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and bounds[0] <= float(str(value)) <= bounds[1]


def _probed(one: Probed) -> dict[str, Any]:
    """What a probe found, as data that JSON can hold."""
    outcome, target = one.outcome, one.target
    found: dict[str, Any] = {
        "edge": target.label,
        "protocol": one.protocol.value,
        "address": target.address,
        "port": target.port,
        "transport": target.transport.value,
        "name": target.server_name or target.host,
        "result": outcome.result.value if outcome is not None else None,
        "detail": outcome.detail if outcome is not None else one.why,
    }
    times = {"took_ms": one.took}
    if outcome is not None:
        times |= {"round_trip_ms": outcome.round_trip, "connect_ms": outcome.connect}
    for key, seconds in times.items():
        found[key] = round(seconds * 1000, 3) if seconds is not None else None
    return found
