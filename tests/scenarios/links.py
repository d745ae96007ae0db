"""The stage of links: a site with two direct links and the Internet, in namespaces.

    site ── ix1 ── virginia ───┐
      ├──── ix2 ── california ─┼── provider
      └──── pub0 ─ internet ───┘

Each is a namespace of the kernel; `virginia` and `california` are exchanges, where a
real BIRD speaks BGP with that of the site. The site has the files of examples/links.
"""

import contextlib
import dataclasses
import ipaddress
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from simulator.plan import EdgePlan
from simulator.provider import Provider
from simulator.sip.pbx import Pbx
from simulator.sip.plan import SipPlan
from tests import bird, stage
from tests.capture import Capture
from tests.namespaces import Network
from tests.stage import ROOT, Daemon, Settings

EXAMPLES = ROOT / "examples/links"
INSIDE = "10.0.0.2"
"The router, as PBXs see it."
OUTSIDE = "203.0.113.5"
"The router, as the Internet sees it."
PBXS = {5060: "10.0.0.10", 5062: "10.0.0.11", 5070: "10.0.0.12"}
"By the port of the trunk that is theirs; the first are those of the example."
NAMESERVER = "198.18.0.53"
"Reached by the Internet, and no address of an edge."
FAULTS = ("carrier", "withdrawal", "blackhole")
"How a link fails: it is dark; its routes are taken back; nothing arrives any more."

EDGES = (
    EdgePlan(
        "ashburn-ix", 0.004, sources=("198.51.100.10",),
        at=("208.78.112.64", "208.78.112.65"),
    ),
    EdgePlan(
        "san-jose-ix", 0.008, sources=("198.51.100.130",),
        at=("67.213.136.64", "67.213.136.65"),
    ),
    EdgePlan("ashburn", 0.012, at=("54.172.60.1", "54.172.60.2")),
    EdgePlan("umatilla", 0.030, at=("54.244.51.1", "54.244.51.2")),
)  # fmt: skip
"Addresses as the real ones have them: nothing leaves the namespaces."

THEIRS = """
log "{directory}/{name}.log" all;
router id {far};
protocol device {{ scan time 1; }}
protocol static announced {{ ipv4; route {network} unreachable; }}
protocol kernel {{ ipv4 {{ import none; export where source = RTS_BGP; }}; }}
protocol bgp site {{
    local {far} as 64510;
    neighbor {near} as 64500;
    connect delay time 1; connect retry time 1; error wait time 1, 2;
    ipv4 {{ import all; export where source = RTS_STATIC; }};
}}
"""
"The provider's side of an exchange."


@dataclasses.dataclass(frozen=True, slots=True)
class Exchange:
    """Where one link meets the provider."""

    name: str
    "Name of the link, of its BIRD, and of the BGP session."
    edge: str
    "The private edge behind it."
    interface: str
    "Interface of the site that leads to it."
    near: str
    "The site's address on the link."
    far: str
    "The exchange's address there."
    network: str
    "What the provider announces: the network of its edge."
    prefix: str
    "What the site announces."
    inner: str
    "The provider's address behind the exchange."


EXCHANGES = {
    one.edge: one
    for one in (
        Exchange(
            "virginia", "ashburn-ix", "ix1", "192.0.2.2", "192.0.2.1",
            "208.78.112.0/24", "198.51.100.0/25", "10.255.1.2",
        ),
        Exchange(
            "california", "san-jose-ix", "ix2", "192.0.2.6", "192.0.2.5",
            "67.213.136.0/24", "198.51.100.128/25", "10.255.2.2",
        ),
    )
}  # fmt: skip
"By the edge behind them."


class Links:
    """The networks of the stage, and what can happen to them."""

    def __init__(self, network: Network, directory: Path) -> None:
        self.network = network
        self.directory = directory
        self.beyond = network.neighbour()
        "The namespace of the provider."
        self._internet = network.neighbour()
        self._exchanges = {edge: network.neighbour() for edge in EXCHANGES}
        self._lay()

    def namespace(self, edge: str) -> str:
        """That of the exchange before an edge."""
        return self._exchanges[edge]

    def cut(self, edge: str, fault: str) -> None:
        """Have the link to an edge fail."""
        one, within = EXCHANGES[edge], self._exchanges[edge]
        match fault:
            case "carrier":
                self.network.ip(f"link set {one.interface} down", within=within)
            case "withdrawal":
                bird.control(self.directory, one.name, "disable announced")
            case _:
                self.network.ip(f"route replace blackhole {one.network}", within=within)

    def heal(self, edge: str, fault: str) -> None:
        """End it."""
        one, within = EXCHANGES[edge], self._exchanges[edge]
        match fault:
            case "carrier":
                self.network.ip(f"link set {one.interface} up", within=within)
            case "withdrawal":
                bird.control(self.directory, one.name, "enable announced")
            case _:
                self._lead(one, "replace")

    @contextlib.contextmanager
    def cut_off(self, edge: str, fault: str) -> Iterator[None]:
        """Have the link to an edge fail for a while."""
        self.cut(edge, fault)
        try:
            yield
        finally:
            self.heal(edge, fault)

    @contextlib.asynccontextmanager
    async def routers(self) -> AsyncIterator[None]:
        """Run the BIRDs: that of the site, and one at each exchange."""
        ours = (EXAMPLES / "bird.conf").read_text(encoding="ascii")
        async with contextlib.AsyncExitStack() as stack:
            for edge, one in EXCHANGES.items():
                values = dataclasses.asdict(one)
                text = THEIRS.format(directory=self.directory, **values)
                within = self._exchanges[edge]
                await stack.enter_async_context(self._speaking(within, one.name, text))
            here = self.network.name
            await stack.enter_async_context(self._speaking(here, "site", ours))
            yield

    def _speaking(
        self, within: str, name: str, text: str
    ) -> contextlib.AbstractAsyncContextManager[None]:
        return bird.speaking(self.network, within, self.directory, name, text)

    def _lay(self) -> None:
        """Join all of them, and lead everything but what BGP is for."""
        network, beyond, internet = self.network, self.beyond, self._internet
        network.join("pub0", internet, f"{OUTSIDE}/29", "203.0.113.1/29")
        network.join("wan", internet, "10.255.0.2/30", "10.255.0.1/30", within=beyond)
        network.ip("route add default via 203.0.113.1")
        network.ip("route add 203.0.113.0/29 via 10.255.0.1", within=beyond)
        for address in (INSIDE, *PBXS.values()):
            network.ip(f"address add {address}/32 dev lo")
        for plan in EDGES:
            for address in plan.at:
                network.ip(f"address add {address}/32 dev lo", within=beyond)
                if not plan.private:
                    network.ip(f"route add {address} via 10.255.0.2", within=internet)
            for address in plan.sources:
                network.ip(f"address add {address}/32 dev lo")
        network.ip(f"address add {NAMESERVER}/32 dev lo", within=beyond)
        network.ip(f"route add {NAMESERVER} via 10.255.0.2", within=internet)
        network.forward(internet)
        for edge, one in EXCHANGES.items():
            within = self._exchanges[edge]
            network.join(one.interface, within, f"{one.near}/30", f"{one.far}/30")
            behind = str(ipaddress.ip_address(one.inner) - 1)
            pair = (f"{one.inner}/30", f"{behind}/30")
            network.join(one.name, within, *pair, within=beyond)
            network.ip(f"route add {one.prefix} via {behind}", within=beyond)
            network.forward(within)
            self._lead(one, "add")

    def _lead(self, one: Exchange, how: str) -> None:
        """Have an exchange pass on what is for its edge."""
        words = f"route {how} {one.network} via {one.inner}"
        self.network.ip(words, within=self._exchanges[one.edge])


@contextlib.asynccontextmanager
async def beyond(links: Links, directory: Path) -> AsyncIterator[Provider]:
    """The provider, in its namespace, on the ports that are its own."""
    starting = Provider.start(
        EDGES,
        directory=directory,
        port=443,
        sip_port=5060,
        dns_port=53,
        nameserver=NAMESERVER,
        seed=1,
        sip=SipPlan(options_period=0.0, pair_rate=0, no_answer=2.0),
    )
    async with contextlib.AsyncExitStack() as stack:
        with links.network.entered(links.beyond):
            provider = await stack.enter_async_context(starting)
        yield provider


@contextlib.contextmanager
def captured(links: Links, interface: str = "pub0") -> Iterator[Capture]:
    """A capture on an interface of the site; the test is skipped where none may be."""
    with links.network.entered():
        try:
            capture = Capture(interface)
        except PermissionError as error:
            pytest.skip(f"needs a packet socket: {error}")
    try:
        yield capture
    finally:
        capture.close()


@dataclasses.dataclass(frozen=True, slots=True)
class Office:
    """A PBX of the site, and a daemon of its own."""

    pbx: Pbx
    "The PBX."
    daemon: Daemon
    "The daemon."

    async def until(self, edge: str, state: str) -> None:
        """Wait until an edge as a whole is in that state of health."""
        about = {"edge": edge, "product": None}
        while True:
            told = self.daemon.events("edge.flipped", **about)
            if told and told[-1]["state"] == state:
                return
            seen = len(self.daemon.records)
            await self.daemon.wait("edge.flipped", after=seen, **about)


@contextlib.asynccontextmanager
async def office(
    links: Links, settings: Settings, directory: Path
) -> AsyncIterator[Office]:
    """Run a daemon at the site, and the PBX that its trunk names, at any port."""
    site = settings["listeners"]["trunk"]["site"]
    _, _, port = site["bind"][0].rpartition(":")
    _, address, _ = site["to"][0].split(":")
    before = links.network.command()
    async with contextlib.AsyncExitStack() as stack:
        with links.network.entered():
            pbx = await stack.enter_async_context(
                Pbx.start((INSIDE, int(port)), address=address)
            )
        site["to"] = [f"sip:{address}:{pbx.ports['udp']}"]
        state = {"state_directory": stage.state_directory(directory)}
        running = stage.running(settings | state, directory, before=before)
        daemon = await stack.enter_async_context(running)
        yield Office(pbx, daemon)


def example(provider: Provider, directory: Path, **sections: Any) -> Settings:
    """The configuration of examples/links, for the simulated provider."""
    text = (EXAMPLES / "edge-router.yaml").read_text(encoding="utf-8")
    written: Settings = yaml.safe_load(text)
    base = stage.configuration(provider, directory, {})
    key = directory / "trunk.key"
    key.write_text("0123456789abcdef0123456789abcdef", encoding="ascii")
    written["listeners"]["trunk"]["key_file"] = str(key)
    return {
        **base,
        **written,
        "provider": written["provider"] | base["provider"],
        **sections,
    }


def moved(settings: Settings, port: int, **sections: Any) -> Settings:
    """The same with its trunk at another port, for another PBX."""
    text = yaml.safe_dump(settings["listeners"]["trunk"])
    text = text.replace(":5060", f":{port}").replace(PBXS[5060], PBXS[port])
    return {**settings, "listeners": {"trunk": yaml.safe_load(text)}, **sections}


def confidential(settings: Settings, place: stage.Site) -> Settings:
    """The same for flows that take a link or none: calls, and API requests beside."""
    required = {"privacy": "required"}
    trunk = settings["listeners"]["trunk"]
    links = [bind for bind in trunk["edge"]["bind"] if OUTSIDE not in bind]
    edge = {"edge": trunk["edge"] | {"bind": links}}
    listeners = {
        "trunk": trunk | edge | required,
        "api": stage.terminate(place, **required),
    }
    return {**settings, "listeners": listeners}


def missing() -> str:
    """What this machine lacks for the stage; empty if nothing."""
    needed = ("ip", "bird", "birdc", "setpriv")
    lacking = [name for name in needed if shutil.which(name) is None]
    return f"needs {' and '.join(lacking)}" if lacking else ""
