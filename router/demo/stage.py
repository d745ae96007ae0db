"""All that the demo runs: provider, receiver, daemon, and a client.

The provider runs in this process, the daemon in one of its own. Only here does the
router's side know the simulator.
"""

import asyncio
import contextlib
import hmac
import importlib.resources
import itertools
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import trustme

from router.demo.clients import Client, Curl, Doors, Python, Reply, Request
from router.demo.daemon import Daemon
from router.demo.receiver import Receiver
from router.demo.tally import Sent
from simulator.plan import EdgePlan
from simulator.provider import Provider
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

SITE = "pbx.example.com"
"Name by which the provider knows the site."

_NAMESERVER, _RECEIVER = "127.20.0.53:10053", "127.0.0.1:18080"
"Written in demo.yaml, and replaced by the addresses that are free."


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
    tls = directory / "tls"
    tls.mkdir(exist_ok=True)
    async with Provider.start(
        EDGES, directory=tls, ledger_file=directory / "ledger.jsonl"
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
                    site_ca=tls / "site-ca.pem",
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
    tls = directory / "tls"
    authority.cert_pem.write_to_path(str(tls / "site-ca.pem"))
    site.private_key_pem.write_to_path(str(tls / "site.key"))
    for number, pem in enumerate(site.cert_chain_pems):
        pem.write_to_path(str(tls / "site.pem"), append=number > 0)
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
