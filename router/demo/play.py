"""The demo's script: edges are measured, used, and one of them dies.

All requests and calls are judged at the end by what the provider's ledger says.
"""

import argparse
import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import uvloop
from rich.text import Text

from router.demo import calls
from router.demo.clients import WAYS, Curl, Request
from router.demo.daemon import Daemon, DaemonError, Line
from router.demo.load import SLOW, Load
from router.demo.screen import Screen, console, logged
from router.demo.stage import EDGES, HOME, Stage, set_up
from router.demo.tally import tally, timeline, total


def main(arguments: Sequence[str] | None = None) -> int:
    """Play; 0 if every request and call was answered once, 1 if not."""
    given = _parser().parse_args(arguments)
    screen = Screen(console())
    with contextlib.ExitStack() as stack:
        directory: Path | None = given.keep
        if directory is None:
            temporary = tempfile.TemporaryDirectory(prefix="edge-router-demo-")
            directory = Path(stack.enter_context(temporary))
        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        try:
            directory.mkdir(parents=True, exist_ok=True)
            return stack.enter_context(runner).run(
                _play(screen, directory, given.client)
            )
        except (OSError, DaemonError) as error:
            screen.say(f"edge-router demo: {str(error) or 'out of time'}", "bold red")
            return 1
        except KeyboardInterrupt:
            return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-router demo",
        description="A simulated provider with five edges, the daemon, requests and "
        "calls, and an edge that dies under them. Takes less than a minute.",
    )
    parser.add_argument(
        "--keep",
        type=Path,
        metavar="DIRECTORY",
        help="leave configuration, log and ledger there",
    )
    parser.add_argument(
        "--client",
        choices=["curl", "python"],
        default="curl" if shutil.which("curl") else "python",
        help="what sends the requests (default here: %(default)s)",
    )
    return parser


async def _play(screen: Screen, directory: Path, client: str) -> int:
    async with set_up(directory, client) as stage:
        screen.say(
            "A simulated provider with five edges, the daemon with examples/demo.yaml, "
            f"{stage.client.name} as the client, and a PBX. All on this machine."
        )
        await _rank(screen, stage)
        await _visit(screen, stage)
        standing = await calls.talk(screen, stage)
        await _kill(screen, stage)
        await calls.outlive(screen, stage, standing)
        return _reckon(screen, stage)


async def _rank(screen: Screen, stage: Stage) -> None:
    screen.chapter(
        "The daemon measures every edge, and chooses a home",
        "Measured is the time from ClientHello to its answer: twice the distance here, "
        "since the simulator cannot delay TCP's handshake and so adds its round trip. "
        "A private edge wins unless it is 40 ms slower than the best public one.",
    )
    lines = await stage.daemon.wait("edge.ranked", count=len(EDGES), seconds=20)
    distances = {plan.name: f"{plan.round_trip * 1000:g} ms" for plan in EDGES}
    screen.ranking(lines, distances)


async def _visit(screen: Screen, stage: Stage) -> None:
    screen.chapter("Three ways in for API clients, and one for the provider's webhooks")
    if isinstance(stage.client, Curl):
        screen.commands({way: stage.client.shown(way) for way in WAYS})
    rows = []
    for way in WAYS:
        for method in ("GET", "POST"):
            one = await stage.send(stage.request(way, method))
            rows.append((one, stage.edges().get(one.request.marker, "nobody")))
    webhook = await stage.deliver()
    genuine = webhook.request.marker in stage.receiver.genuine
    rows.append((webhook, f"the site: {'genuine' if genuine else 'forged'}"))
    screen.visits(rows)


async def _kill(screen: Screen, stage: Stage) -> None:
    screen.chapter(
        f"{HOME} dies under load, and comes back",
        f"10 requests a second: GETs, POSTs, and webhooks of the provider. When {HOME} "
        f"dies, {SLOW} slow GETs wait for its answer and no POST does: one that home "
        "has been given is never sent again, and would be answered 502.",
    )
    before = len(stage.sent), len(stage.webhooks)
    await stage.daemon.wait("edge.switched", home=HOME, seconds=60)
    slow, died, healed = await _act(stage)
    edges = stage.edges()
    markers = {request.marker for request in slow}
    sent = stage.sent[before[0] :]
    cut = [one for one in sent if one.request.marker in markers]
    events = [
        (died, Text(f"{HOME} dies: it refuses, and resets what it had", "red")),
        (healed, Text(f"{HOME} is well again", "green")),
        *((line["at"], logged(line)) for line in _decisions(stage.daemon, died)),
    ]
    events.sort(key=lambda event: event[0])
    webhooks = stage.webhooks[before[1] :]
    spans = timeline(
        [*(one for one in sent if one not in cut), *webhooks],
        {**edges, **{one.request.marker: "site" for one in webhooks}},
        [at for at, _ in events],
    )
    screen.spans(spans, [(at - died, text) for at, text in events])
    by = ", ".join(sorted({edges.get(marker, "nobody") for marker in markers}))
    longest = max(one.reply.seconds for one in cut)
    screen.say(
        f"The {SLOW} slow GETs were sent again by the daemon and answered by {by}; the "
        f"longest took {longest:.1f} s, 2 s of it the provider's work. The way back is "
        "held on purpose: recovery and dwell are 3 s in demo.yaml, 60 s by default."
    )


async def _act(stage: Stage) -> tuple[list[Request], float, float]:
    """Kill home and heal it under load: who waited for it, and when that was."""
    home, daemon = stage.provider.edges[HOME], stage.daemon
    time = asyncio.get_running_loop().time
    async with Load(stage) as load:
        await asyncio.sleep(1.0)
        slow = await load.have_waiting()
        died = time()
        home.kill()
        load.resume()
        await daemon.wait("edge.switched", before=HOME, since=died, seconds=60)
        await asyncio.sleep(max(0.0, died + 2.0 - time()))
        healed = time()
        home.heal()
        await daemon.wait("edge.switched", home=HOME, since=healed, seconds=60)
        await asyncio.sleep(0.5)
    return slow, died, healed


def _decisions(daemon: Daemon, since: float) -> Iterator[Line]:
    """What the daemon decided about edges as a whole."""
    for line in daemon.lines:
        flip = line["event"] == "edge.flipped" and line["state"] != "suspect"
        if line["at"] >= since and (flip or line["event"] == "edge.switched"):
            yield line


def _reckon(screen: Screen, stage: Stage) -> int:
    screen.chapter("The reckoning, by the provider's ledger")
    answers = stage.answers()
    rows = [
        tally(method, (s for s in stage.sent if s.request.method == method), answers)
        for method in ("GET", "POST")
    ]
    received = {
        token: stage.receiver.genuine.count(token) for token in stage.receiver.genuine
    }
    rows.append(tally("webhook", stage.webhooks, received))
    rows.append(tally("call", stage.calls, stage.talks()))
    screen.reckoning([*rows, total(rows)])
    fine = all(row.fine for row in rows)
    if fine:
        screen.say("Every request and every call was answered once.", "bold green")
    else:
        screen.say("Not every request and call was answered once.", "bold red")
    return 0 if fine else 1
