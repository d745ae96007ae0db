"""The demo's calls: both directions, an edge that goes dark, a daemon that restarts."""

import asyncio
from collections.abc import Iterator

from rich.text import Text

from router.demo.daemon import Daemon, Line
from router.demo.screen import Screen, logged
from router.demo.stage import HOME, Stage, Talk
from router.demo.tally import Sent

ELSEWHERE = "dublin"
"The edge from which the provider calls: it is the provider's to choose."

_OF_EDGES = ("edge.switched", "daemon.stopping", "daemon.stopped", "daemon.ready")


async def talk(screen: Screen, stage: Stage) -> Talk:
    """One call in each direction, and another one, which stays up."""
    screen.chapter(
        "Calls, in both directions",
        "A PBX at the site, SIP over UDP. The PBX calls by way of home; the provider "
        f"calls from {ELSEWHERE}, and the PBX hangs up. A third call stays up.",
    )
    out = stage.dial()
    rows = [await stage.answered(out)]
    await stage.hang_up(out)
    back, called = await stage.called(ELSEWHERE)
    await stage.hang_up(back)
    standing = stage.dial()
    rows += [called, await stage.answered(standing)]
    rings = stage.rings()
    screen.calls((one, stage.edge_of(one), rings[one.request.marker]) for one in rows)
    return standing


async def outlive(screen: Screen, stage: Stage, standing: Talk) -> None:
    """Home goes dark with an INVITE on its way, and the daemon is started again."""
    screen.chapter(
        f"{HOME} goes dark while a call is on its way; the daemon is restarted",
        f"The third call still stands, though {HOME} died meanwhile. Now nothing gets "
        "in there or out: after 2 s of silence the daemon tries the next edge. Then it "
        "is stopped and started, and has forgotten all calls.",
    )
    time = asyncio.get_running_loop().time
    home = stage.provider.edges[HOME]
    call = stage.dial()
    home.blackhole()
    one = await stage.answered(call)
    await stage.hang_up(call)
    healed = time()
    home.heal()
    await stage.restart()
    hung_up = time()
    status = await stage.hang_up(standing)
    marker = standing.call.call_id
    await stage.daemon.wait(
        "call.ended", method="BYE", call_id=marker, since=call.at, seconds=20
    )
    events = [
        (call.at, Text(f"the PBX calls; {HOME} goes dark before it arrives", "red")),
        (healed, Text(f"{HOME} is well again; the daemon is restarted", "green")),
        (hung_up, Text("the PBX hangs up the call that had stood all along", "green")),
        *((line["at"], logged(line)) for line in _told(stage.daemon, call.at)),
    ]
    events.sort(key=lambda event: event[0])
    screen.events([(at - call.at, text) for at, text in events])
    _conclude(screen, stage, one, status)


def _conclude(screen: Screen, stage: Stage, one: Sent, status: int) -> None:
    seconds, rung = one.reply.seconds, stage.rings()[one.request.marker]
    screen.say(
        f"Post-dial delay {seconds:.2f} s; answered by {stage.edge_of(one)}; rung "
        f"{'once' if rung == 1 else f'{rung} times'}. The BYE of the other call was "
        f"answered {status}: where it has to go is signed into its route set, so that "
        "neither the death of its edge nor a new daemon can lose it."
    )


def _told(daemon: Daemon, since: float) -> Iterator[Line]:
    """What the daemon did about calls, and edges as a whole."""
    shown = ("direction", "method", "status", "edge", "attempts", "tried", "ringing_ms")
    for line in daemon.lines:
        if line["at"] < since:
            continue
        if line["event"] == "call.ended":
            yield {n: line[n] for n in ("event", "at", *shown) if n in line}
        elif line["event"] in _OF_EDGES:
            yield line
