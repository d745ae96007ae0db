"""The demo's script: a provider with five edges, the daemon, clients, and a death.

The provider runs in this process, the daemon in one of its own, as do clients that are
curl. Only here does the router's side know the simulator.
"""

import argparse
import asyncio
import contextlib
import hmac
import importlib.resources
import itertools
import shutil
import ssl
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import trustme
import uvloop
from rich.text import Text

from protocols.net.tasks import Tasks
from router.demo.clients import WAYS, Client, Curl, Doors, Python, Reply, Request
from router.demo.daemon import Daemon, DaemonError, Line
from router.demo.receiver import Receiver
from router.demo.screen import Screen, console, logged
from router.demo.tally import Sent, tally, timeline, total
from simulator.plan import EdgePlan
from simulator.provider import Provider
from simulator.webhooks import Webhook, sign

HOME = "ashburn-ix"
EDGES = (
    EdgePlan(HOME, 0.012, sources=("127.0.0.9",), addresses=2),
    EdgePlan("ashburn", 0.008, addresses=2),
    EdgePlan("umatilla", 0.065, addresses=2),
    EdgePlan("dublin", 0.075, addresses=2),
    EdgePlan("frankfurt", 0.090, addresses=2),
)
"As examples/demo.yaml has them."

SITE = "pbx.example.com"
"Name by which the provider knows the site."

PACE = 0.1
"Seconds between two requests of the load: every other one is a POST."

MOST = 16
"Requests under way at most, should this machine be too busy for that pace."

SLOW = 4
"Requests that are waiting for home's answer when it dies."

_NAMESERVER, _RECEIVER = "127.20.0.53:10053", "127.0.0.1:18080"


def main(arguments: Sequence[str] | None = None) -> int:
    """Play; 0 if every request was answered once, 1 if not."""
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
            screen.say(f"edge-router demo: {error}", "bold red")
            return 1
        except KeyboardInterrupt:
            return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="edge-router demo",
        description="A simulated provider with five edges, the daemon, real traffic, "
        "and an edge that dies under it. Takes half a minute.",
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
            f"and {stage.client.name} as the client. All on this machine."
        )
        await _rank(screen, stage)
        await _visit(screen, stage)
        await _kill(screen, stage)
        return _reckon(screen, stage)


class Stage:
    """All that is running, and what was sent so far."""

    def __init__(
        self,
        provider: Provider,
        daemon: Daemon,
        receiver: Receiver,
        client: Client,
        doors: Doors,
    ) -> None:
        self.provider = provider
        self.daemon = daemon
        self.receiver = receiver
        self.client = client
        self.sent: list[Sent] = []
        self.webhooks: list[Sent] = []
        self.doors = doors
        self._trust = ssl.create_default_context(cafile=str(doors.site_ca))
        self._numbers = itertools.count(1)
        self._time = asyncio.get_running_loop().time

    def request(self, way: str, method: str) -> Request:
        """A new request: a POST creates a message, a GET lists messages."""
        path = f"/2010-04-01/Accounts/{self.doors.user}/Messages.json"
        body = "To=%2B15005550006&From=%2B15005550001&Body=Hello"
        marker = f"demo-{next(self._numbers)}"
        if method == "POST":
            return Request(way, method, path, marker, body)
        return Request(way, method, f"{path}?PageSize=1", marker)

    def slow_request(self) -> Request:
        """A GET that takes the provider two seconds."""
        path = "/simulator/slow?first=2&every=0&parts=1"
        return Request("terminate", "GET", path, f"demo-{next(self._numbers)}")

    async def send(self, request: Request) -> Sent:
        """Send one request, and keep what became of it."""
        at = self._time()
        one = Sent(request, at, await self.client.send(request))
        self.sent.append(one)
        return one

    async def arrived(self, request: Request) -> None:
        """Wait until an edge has received a request."""
        await self.provider.ledger.wait("request", marker=request.marker)

    async def deliver(self) -> Sent:
        """Have the provider deliver a webhook."""
        at = self._time()
        url = f"https://{SITE}/sms?reply=a%2Fb"
        delivery = await self.provider.webhooks.deliver(
            Webhook(url, {"MessageStatus": "delivered", "To": "+15005550006"}),
            address="127.0.0.1",
            port=self.doors.ports["webhooks"],
            trust=self._trust,
        )
        seconds = self._time() - at
        status = delivery.attempts[-1].status
        request = Request("webhooks", "POST", "/sms?reply=a%2Fb", delivery.token)
        one = Sent(request, at, Reply(status, seconds))
        self.webhooks.append(one)
        return one

    def edges(self) -> dict[str, str]:
        """Which edge answered each request, by the ledger."""
        return {e.marker: e.edge for e in self.provider.ledger.events("answered")}

    def answers(self) -> dict[str, int]:
        """How often each request was answered, by the ledger."""
        counts: dict[str, int] = {}
        for event in self.provider.ledger.events("answered"):
            counts[event.marker] = counts.get(event.marker, 0) + 1
        return counts


@contextlib.asynccontextmanager
async def set_up(directory: Path, client: str) -> AsyncIterator[Stage]:
    """Run provider, receiver and daemon, with all their files in the directory."""
    async with Provider.start(
        EDGES, directory=directory, ledger_file=directory / "ledger.jsonl"
    ) as provider:
        token = provider.account.tokens["us1"]

        def verify(url: str, form: Mapping[str, str], signature: str) -> bool:
            return hmac.compare_digest(sign(token, url, form), signature)

        with Receiver(verify) as receiver:
            config = _configure(directory, provider, receiver.port)
            async with Daemon.start(config, directory / "daemon.log") as daemon:
                lines = await daemon.wait("listener.bound", count=4, seconds=20)
                ports = {
                    line["listener"]: int(line["address"].rpartition(":")[2])
                    for line in lines
                }
                doors = Doors(
                    ports=ports,
                    site_ca=directory / "site-ca.pem",
                    provider_ca=provider.ca_file,
                    user=provider.account.sid,
                    password=token,
                )
                sender = Curl(doors) if client == "curl" else Python(doors)
                yield Stage(provider, daemon, receiver, sender, doors)


def _configure(directory: Path, provider: Provider, receiver: int) -> Path:
    """Put everything into the directory that the configuration refers to."""
    catalogue = directory / "catalogues" / "simulated.yaml"
    catalogue.parent.mkdir(exist_ok=True)
    catalogue.write_text(provider.catalogue(), encoding="utf-8")
    authority = trustme.CA()
    site = authority.issue_cert(SITE, "127.0.0.1")
    authority.cert_pem.write_to_path(str(directory / "site-ca.pem"))
    site.private_key_pem.write_to_path(str(directory / "site.key"))
    for number, pem in enumerate(site.cert_chain_pems):
        pem.write_to_path(str(directory / "site.pem"), append=number > 0)
    text = importlib.resources.files("router.demo").joinpath("demo.yaml").read_text()
    address, port = provider.dns_address
    for written, found in (
        (_NAMESERVER, f"{address}:{port}"),
        (_RECEIVER, f"127.0.0.1:{receiver}"),
    ):
        assert text.count(written) == 1, f"demo.yaml should have {written} once"
        text = text.replace(written, found)
    config = directory / "demo.yaml"
    config.write_text(text, encoding="utf-8")
    return config


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
    home = stage.provider.edges[HOME]
    daemon = stage.daemon
    time = asyncio.get_running_loop().time
    before, began = len(stage.sent), time()
    await daemon.wait("edge.switched", home=HOME, seconds=60)
    async with _Load(stage) as load:
        await asyncio.sleep(1.0)
        slow = await load.have_waiting()
        died = time()
        home.kill()
        load.resume()
        await daemon.wait("edge.switched", before=HOME, since=died, seconds=60)
        await asyncio.sleep(max(0.0, died + 3.0 - time()))
        healed = time()
        home.heal()
        await daemon.wait("edge.switched", home=HOME, since=healed, seconds=60)
        await asyncio.sleep(1.5)
    edges = stage.edges()
    markers = {request.marker for request in slow}
    sent = stage.sent[before:]
    cut = [one for one in sent if one.request.marker in markers]
    events = [
        (died, Text(f"{HOME} dies: it refuses, and resets what it had", "red")),
        (healed, Text(f"{HOME} is well again", "green")),
        *((line["at"], logged(line)) for line in _decisions(daemon, died)),
    ]
    events.sort(key=lambda event: event[0])
    steady = [one for one in (*sent, *stage.webhooks) if one not in cut]
    spans = timeline(
        (one for one in steady if one.at >= began),
        {**edges, **{one.request.marker: "site" for one in stage.webhooks}},
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


def _decisions(daemon: Daemon, since: float) -> Iterator[Line]:
    """What the daemon decided about edges as a whole."""
    for line in daemon.lines:
        flip = line["event"] == "edge.flipped" and line["state"] != "suspect"
        whole = flip and "product" not in line
        if line["at"] >= since and (whole or line["event"] == "edge.switched"):
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
    screen.reckoning([*rows, total(rows)])
    fine = all(row.fine for row in rows)
    if fine:
        screen.say("Every request was answered once.", "bold green")
    else:
        screen.say("Not every request was answered once.", "bold red")
    return 0 if fine else 1


class _Load:
    """A steady stream of GETs and POSTs in turn, until the context ends."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._tasks = Tasks()
        self._running: set[asyncio.Task[Sent]] = set()
        self._on = asyncio.Event()
        self._on.set()

    async def __aenter__(self) -> "_Load":
        self._source = self._tasks.start(self._send(), name="load")
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._source.cancel()
        if kind is None:
            await self._ended()
        await self._tasks.close()

    def start(self, request: Request) -> None:
        """Send a request beside the stream."""
        self._run(self._stage.send(request))

    def _run(self, sending: Coroutine[Any, Any, Sent]) -> None:
        task = self._tasks.start(sending, name="request")
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def have_waiting(self) -> list[Request]:
        """Pause with nothing under way but slow requests that home has received."""
        self._on.clear()
        while True:
            await self._ended()
            slow = [self._stage.slow_request() for _ in range(SLOW)]
            for request in slow:
                self.start(request)
            await asyncio.gather(*(self._stage.arrived(request) for request in slow))
            if not any(request.marker in self._stage.edges() for request in slow):
                return slow
            # This machine is so busy that they were answered meanwhile: once more.

    def resume(self) -> None:
        """Go on, at once."""
        self._on.set()

    async def _ended(self) -> None:
        while self._running:
            await asyncio.wait(self._running)

    async def _send(self) -> None:
        for what in itertools.cycle((*("GET", "POST") * 5, "webhook")):
            await self._on.wait()
            if len(self._running) >= MOST:
                pass
            elif what == "webhook":
                self._run(self._stage.deliver())
            else:
                self.start(self._stage.request("terminate", what))
            await asyncio.sleep(PACE)
