"""A status with a past: an hour and a half at a provider, in virtual time."""

import datetime
import functools

from router.assessment import assess
from router.egress import Privacy
from router.health import State
from router.history import INTERVAL, History
from router.status import About, FlowCount, LinkStatus, LinkUse, Listener, Status
from tests.router.conftest import Provider

ROUND_TRIPS = {"ashburn": 0.008, "umatilla": 0.031, "dublin": 0.044, "sydney": 0.102}

EPOCH = datetime.datetime(2026, 3, 4, 10, 0, tzinfo=datetime.UTC).timestamp()
"When the story begins, in Unix seconds."

FLOWS = (
    FlowCount("api", "https", "ashburn", 12, 48_211),
    FlowCount("api", "https", "umatilla", 3, 902),
    FlowCount("trunk", "sip", "ashburn", 41, 3_207),
    FlowCount("voice", "websocket", "umatilla", 7, 118),
    FlowCount("webhooks", "https", "", 0, 4),
)
LINKS = (
    LinkStatus(
        name="ix1",
        exchange="DC2",
        interface="link1",
        privacy=Privacy.PRIVATE,
        reason="",
        edges=("ashburn-ix",),
        bgp=None,
        use=LinkUse(1e6, 1e5, 3, 261_600.0, 12_345.6, 626_054.4, 7),
    ),
)


@functools.cache
def told(*, at: float = 5_400.0) -> Status:
    """The status after so many seconds.

    ashburn dies after 40 minutes, and answers again 20 minutes later; sydney refuses
    from the 80th minute on.
    """
    provider, history = Provider(), History()
    provider.jitter = 0.002
    table = provider.table(ROUND_TRIPS)
    noted, second = 0, 0.0
    snapshot = table.snapshot(second)
    while second < at:
        second += INTERVAL
        if 2_400 <= second < 3_600:
            provider.dead.add("ashburn")
        else:
            provider.dead.clear()
        if second >= 4_800:
            provider.refusing.add("sydney")
        snapshot = provider.run(table, second)
        for when, change in provider.changes[noted:]:
            history.note(change, when)
        noted = len(provider.changes)
        history.sample(snapshot, second)
    assert (snapshot.edges["sydney"].state is State.DOWN) == (at > 4_900)
    unix = EPOCH + second
    return assess(snapshot, ABOUT, FLOWS, history, LINKS, now=second, unix=unix)


ABOUT = About(
    version="1.2.3",
    started=EPOCH,
    config="/etc/edge-router/edge-router.yaml",
    loaded=EPOCH,
    region="us1",
    default_edge="ashburn",
    listeners=(
        Listener("api", "https", "to_provider", ("127.0.0.1:8443",), ("api",)),
        Listener("trunk", "sip", "both", ("udp://10.0.0.2:5060",), ("pstn",)),
    ),
)
