"""All that the demo runs: provider, receiver, PBX, daemon, and a client.

The provider runs in this process, the daemon in one of its own. Only here does the
router's side know the simulator.
"""

import asyncio
import collections
import contextlib
import dataclasses
import hmac
import itertools
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from router.demo.clients import Client, Curl, Doors, Python, Reply, Request
from router.demo.daemon import Daemon
from router.demo.files import configure, free_port
from router.demo.receiver import Receiver
from router.demo.tally import Sent
from simulator.plan import EdgePlan
from simulator.provider import Provider
from simulator.sip.call import Call
from simulator.sip.pbx import Pbx
from simulator.sip.plan import SipPlan
from simulator.webhooks import Webhook, sign

HOME = "ashburn-ix"
"The edge that the daemon will choose: private, and not much slower than the best."

EDGES = (
    EdgePlan(HOME, 0.012, sources=("127.0.0.9",), addresses=2),
    EdgePlan("ashburn", 0.008, addresses=2),
    EdgePlan("umatilla", 0.065, addresses=2),
    EdgePlan("dublin", 0.075, addresses=2),
    EdgePlan("frankfurt", 0.090, addresses=2),
)
"As examples/demo.yaml has them."

SIP = SipPlan(options_period=0.0)
"A provider that bears OPTIONS as often as they come, so that the demo is short."

SITE = "pbx.example.com"
"Name by which the provider knows the site."

PBX = "127.30.0.10"
"Where the PBX is."

NUMBER = "+155520000300"
"Somebody at the provider whose telephone rings at once, and who answers after 0.3 s."

PATIENCE = 20.0
"Seconds after which a call is given up."

_NAMESERVER, _RECEIVER = "127.20.0.53:10053", "127.0.0.1:18080"
"Written in demo.yaml, and replaced by the addresses that are free."

_SITE, _EDGE, _SOURCE = "127.30.0.1", "127.30.0.2", "127.0.0.9"
"Addresses of the trunk in demo.yaml, whose ports are replaced, too."

_SOCKETS = 7
"On which the daemon listens: one of each HTTPS listener, three of the trunk."


@dataclasses.dataclass(frozen=True, slots=True)
class Talk:
    """A call that the PBX takes part in."""

    call: Call
    "The PBX's end of it."
    at: float
    "When it was begun, in monotonic seconds."


class Stage:
    """All that is running, and what was sent so far."""

    def __init__(
        self,
        provider: Provider,
        daemon: Daemon,
        receiver: Receiver,
        pbx: Pbx,
        client: Client,
        doors: Doors,
    ) -> None:
        self.provider = provider
        self.daemon = daemon
        self.receiver = receiver
        self.pbx = pbx
        self.client = client
        self.sent: list[Sent] = []
        self.webhooks: list[Sent] = []
        self.calls: list[Sent] = []
        self.doors = doors
        self.hung_up: set[str] = set()
        "Call-IDs of calls whose BYE was answered 200."
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

    def dial(self) -> Talk:
        """Have the PBX call somebody at the provider."""
        return Talk(self.pbx.call(NUMBER), self._time())

    async def answered(self, talk: Talk) -> Sent:
        """Wait until a call of the PBX is answered; its delay is until it rang."""
        call = talk.call
        async with asyncio.timeout(PATIENCE):
            await asyncio.wait(
                (call.ringing, call.outcome), return_when=asyncio.FIRST_COMPLETED
            )
            rang = self._time()
            status = await call.outcome
        return self._called(talk, "to the provider", status, rang)

    async def called(self, edge: str) -> tuple[Talk, Sent]:
        """Have the provider call the PBX from that edge; its delay is to the answer."""
        at = self._time()
        uri = f"sip:{_EDGE}:{self.doors.trunk};edge={edge}"
        async with asyncio.timeout(PATIENCE):
            placed = await self.provider.sip.call([uri])
            talk = Talk(await self.pbx.incoming.get(), at)
        status = placed.status
        return talk, self._called(talk, "from the provider", status, self._time())

    async def hang_up(self, talk: Talk) -> int:
        """Have the PBX end a call; the status of its BYE, 0 without an answer."""
        async with asyncio.timeout(PATIENCE):
            status = await self.pbx.asked(talk.call, "BYE")
        if status == 200:
            self.hung_up.add(talk.call.call_id)
        return status

    async def restart(self) -> None:
        """Stop the daemon and start it again, until it is ready."""
        since = self._time()
        await self.daemon.restart()
        self.doors.ports.update(await _ports(self.daemon, since))
        await self.daemon.wait("daemon.ready", since=since, seconds=20)

    def edges(self) -> dict[str, str]:
        """Which edge answered each request, by the ledger."""
        return {e.marker: e.edge for e in self.provider.ledger.events("answered")}

    def edge_of(self, sent: Sent) -> str:
        """Which edge a call passed, by the ledger."""
        ledger, call = self.provider.ledger, sent.request.marker
        passed = ledger.events("rung", call=call) + ledger.events("placed", call=call)
        return ", ".join(event.edge for event in passed) or "none"

    def rings(self) -> dict[str, int]:
        """How often each call rang: by the ledger, or by the PBX if it was called."""
        heard = self.pbx.heard
        there = collections.Counter(
            call for event, call, *_ in heard if event == "rung"
        )
        return self.provider.sip.rung() + there

    def talks(self) -> dict[str, int]:
        """How often each call rang, of those whose BYE arrived and was answered."""
        arrived = {e.call for e in self.provider.ledger.events("bye")} & self.hung_up
        return {call: count for call, count in self.rings().items() if call in arrived}

    def answers(self) -> dict[str, int]:
        """How often each request was answered, by the ledger."""
        counts: dict[str, int] = {}
        for event in self.provider.ledger.events("answered"):
            counts[event.marker] = counts.get(event.marker, 0) + 1
        return counts

    def _called(self, talk: Talk, way: str, status: int, rang: float) -> Sent:
        request = Request(way, "INVITE", talk.call.uri, talk.call.call_id)
        one = Sent(request, talk.at, Reply(status, rang - talk.at))
        self.calls.append(one)
        return one


@contextlib.asynccontextmanager
async def set_up(directory: Path, client: str) -> AsyncIterator[Stage]:
    """Run provider, receiver, PBX and daemon, with all their files in the directory."""
    tls = directory / "tls"
    tls.mkdir(exist_ok=True)
    async with Provider.start(
        EDGES, directory=tls, ledger_file=directory / "ledger.jsonl", sip=SIP
    ) as provider:
        token = provider.account.tokens["us1"]

        def verify(url: str, form: Mapping[str, str], signature: str) -> bool:
            return hmac.compare_digest(sign(token, url, form), signature)

        site, trunk = free_port(_SITE), free_port(_EDGE, _SOURCE)
        with Receiver(verify) as receiver:
            async with Pbx.start((_SITE, site), address=PBX) as pbx:
                found = {
                    _NAMESERVER: "{}:{}".format(*provider.dns_address),
                    _RECEIVER: f"127.0.0.1:{receiver.port}",
                    f"{_SITE}:5060": f"{_SITE}:{site}",
                    f"{_EDGE}:5060": f"{_EDGE}:{trunk}",
                    f"{_SOURCE}:5060": f"{_SOURCE}:{trunk}",
                    f"{PBX}:5060": f"{PBX}:{pbx.ports['udp']}",
                }
                config = configure(directory, SITE, provider.catalogue(), found)
                async with Daemon.start(config, directory / "daemon.log") as daemon:
                    doors = Doors(
                        ports=await _ports(daemon, 0.0),
                        trunk=trunk,
                        site_ca=tls / "site-ca.pem",
                        provider_ca=provider.ca_file,
                        user=provider.account.sid,
                        password=token,
                    )
                    sender = Curl(doors) if client == "curl" else Python(doors)
                    yield Stage(provider, daemon, receiver, pbx, sender, doors)


async def _ports(daemon: Daemon, since: float) -> dict[str, int]:
    """The port of each HTTPS listener of a daemon that was started at that time."""
    lines = await daemon.wait("listener.bound", count=_SOCKETS, seconds=20, since=since)
    return {
        line["listener"]: int(line["address"].rpartition(":")[2])
        for line in lines
        if line["protocol"] == "https"
    }
