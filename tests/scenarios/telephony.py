"""The stage of calls: a PBX, the daemon, and a provider with edges for both."""

import asyncio
import contextlib
import dataclasses
import functools
import os
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from simulator.provider import Provider
from simulator.sip.agent import Agent
from simulator.sip.call import Call, settle
from simulator.sip.digest import Credentials
from simulator.sip.origination import Placed
from simulator.sip.pbx import Pbx, answer
from simulator.sip.plan import SipPlan
from tests import stage
from tests.stage import Daemon, Settings

HOST = "example.pstn.twilio.com"
OUTSIDE = "127.30.0.2"
"Where the provider reaches the daemon."
PBX = "127.30.0.10"
WAYS = ("udp", "tcp", "tls")

ANSWERS = "+155520000000"
RINGS = "+155518000000"
RINGS_AND_ANSWERS = "+155520000050"
BUSY = "+155548600000"
HANGS_UP = "+155520000000001"
"Answers, and ends the call after a tenth of a second."

CALLS = int(os.environ.get("EDGE_ROUTER_CALLS", "60"))
"How many calls a load is made of."
MEASURED = "EDGE_ROUTER_CALLS" in os.environ
"Whether the machine is idle and the load long, so that times may be judged."
CALM = {"sip_options_interval": "10m"}
"Health that is known by calls alone."

PLAN = SipPlan(t1=0.1, options_period=0.0, pair_rate=0)
"Impatient, and with nothing to say about how often it is asked."


@dataclasses.dataclass(frozen=True, slots=True)
class Calling:
    """A PBX, the daemon and a provider, ready for calls."""

    way: str
    "Transport on both sides."
    pbx: Pbx
    "The telephone of the site."
    provider: Provider
    "The far side."
    settings: Settings
    "The configuration of the daemon."
    directory: Path
    "Where its files are."
    place: stage.Site
    "The certificate of the site, and who issued it."
    daemon: Daemon
    "The daemon."

    @property
    def site(self) -> tuple[str, int]:
        """Where the PBX reaches the daemon."""
        return self._bound("site")

    @property
    def outside(self) -> tuple[str, int]:
        """Where the provider reaches the daemon."""
        return self._bound("edge")

    def _bound(self, side: str) -> tuple[str, int]:
        bind = self.settings["listeners"]["trunk"][side]["bind"][0]
        host, _, port = bind.partition("://")[2].rpartition(":")
        return host, int(port)

    def edge(self, name: str = "ashburn") -> tuple[str, int]:
        """The first address of an edge, and its port."""
        address = self.provider.edges[name].addresses[0].address
        return address, self.provider.sip.ports[self.way]

    async def placed(self, *parameters: str) -> Placed:
        """Have the provider call the site, by one URI for each edge given."""
        host, port = self.outside
        uri = f"sip:{host}:{port};transport={self.way}"
        return await self.provider.sip.call(
            [f"{uri};edge={edge}" for edge in parameters] or [uri]
        )

    async def at_home(self, edge: str = "ashburn") -> None:
        """Call until an edge serves calls."""
        served = ""
        while served != edge:
            call = self.pbx.call(ANSWERS)
            assert await call.outcome == 200
            served = (await self.ended(call))["edge"]
            assert await asked(self.pbx, call, "BYE") == 200

    async def ended(self, call: Call, method: str = "INVITE") -> stage.Record:
        """The daemon's record of a call."""
        return await self.daemon.wait("call.ended", method=method, call_id=call.call_id)


@dataclasses.dataclass(frozen=True, slots=True)
class Set:
    """What `calling` needs before there is a daemon."""

    pbx: Pbx
    "The telephone of the site."
    provider: Provider
    "The far side."
    settings: Settings
    "The configuration for a daemon between them."
    place: stage.Site
    "The certificate of the site, and who issued it."


@contextlib.asynccontextmanager
async def calling(
    directory: Path,
    way: str,
    *edges: str,
    plan: SipPlan = PLAN,
    known_as: Credentials | None = None,
    script: Callable[[Pbx, Call], None] = answer,
    trunk: Settings | None = None,
    misled: bool = False,
    **sections: Any,
) -> AsyncIterator[Calling]:
    """All of them; `trunk` has further keys of the listener.

    A daemon that is `misled` has a catalogue with wrong ports of SIP.
    """
    async with set_up(
        directory,
        way,
        *edges,
        plan=plan,
        known_as=known_as,
        script=script,
        trunk=trunk,
        **sections,
    ) as made:
        if misled:
            _mislead(Path(made.settings["provider"]["catalogue"]))
        async with stage.running(made.settings, directory) as daemon:
            yield Calling(
                way,
                made.pbx,
                made.provider,
                made.settings,
                directory,
                made.place,
                daemon,
            )


@contextlib.asynccontextmanager
async def set_up(
    directory: Path,
    way: str,
    *edges: str,
    plan: SipPlan = PLAN,
    known_as: Credentials | None = None,
    script: Callable[[Pbx, Call], None] = answer,
    trunk: Settings | None = None,
    **sections: Any,
) -> AsyncIterator[Set]:
    """All but the daemon."""
    place = stage.site(directory, OUTSIDE, PBX)
    serves = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serves.load_cert_chain(place.certificate, place.key)
    near = (stage.HERE, stage.free_port())
    async with (
        Provider.start(edges or ["ashburn=2ms", "dublin=30ms"], seed=1, sip=plan) as it,
        Pbx.start(
            near,
            transport=way,
            address=PBX,
            trust=place.trust(),
            serves=serves,
            known_as=known_as,
            script=script,
            t1=plan.t1,
        ) as pbx,
    ):
        it.sip.trust = place.trust()
        listener = _listener(way, near, pbx, place) | (trunk or {})
        sections["state_directory"] = stage.state_directory(directory)
        settings = stage.configuration(it, directory, {"trunk": listener}, **sections)
        yield Set(pbx, it, settings, place)


def _mislead(path: Path) -> None:
    """Put ports into a catalogue at which there is nothing."""
    catalogue = yaml.safe_load(path.read_text(encoding="utf-8"))
    catalogue["products"]["pstn"]["transports"] = dict.fromkeys(WAYS, 9)
    path.write_text(yaml.safe_dump(catalogue), encoding="utf-8")


def _listener(way: str, near: tuple[str, int], pbx: Pbx, place: stage.Site) -> Settings:
    """A SIP listener that speaks the same on both sides."""
    scheme = "sips" if way == "tls" else "sip"
    return {
        "protocol": "sip",
        "product": "pstn",
        "host": HOST,
        "site": {
            "bind": [f"{way}://{near[0]}:{near[1]}"],
            "to": [f"{scheme}:{PBX}:{pbx.ports[way]}"],
            "allow": ["127.0.0.0/8"],
            "ca_file": str(place.ca_file),
        },
        "edge": {
            "bind": [f"{way}://{OUTSIDE}:{stage.free_port(OUTSIDE)}"],
            "transport": way,
            "tls": place.tls,
        },
    }


@contextlib.contextmanager
def rules(provider: Provider, **changes: Any) -> Iterator[None]:
    """Change the rules of a running provider for a while."""
    core = provider.sip.core
    before = core.plan
    core.plan = dataclasses.replace(before, **changes)
    try:
        yield
    finally:
        core.plan = before


def theirs(provider: Provider, call: Call) -> Call:
    """The provider's end of a call of the PBX, or to it."""
    (found,) = [
        one for one in provider.sip.core.calls.values() if one.call_id == call.call_id
    ]
    return found


async def asked(agent: Agent, call: Call, method: str) -> int:
    """Send a request in a dialog from either end; its final status, 0 without one."""
    status: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    # Over a restart an answer may come twice.
    heard = functools.partial(settle, status)
    if method == "INVITE":
        agent.reinvite(call, heard)
    else:
        agent.hang_up(call, heard)
    return await status
