"""Addresses are barred and freed as the kernel says, in a network of our own."""

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TextIO

import pytest

from protocols.net.tasks import Tasks
from router.checker import Checker
from router.egress import Privacy
from router.endpoint import Kind, Protocol
from router.exits import Exits
from router.kernel import Kernel
from router.links import Link
from router.location import plain
from router.logs import open_log
from router.table import Table
from tests.namespaces import Network

EDGE = "208.78.112.64"
LINK: dict[str, Any] = {
    "exchange": "A",
    "edges": ["ix"],
    "interface": "link1",
    "sources": ["203.0.113.10"],
    "prefixes": ["203.0.113.0/28"],
    "bandwidth": "1Mbit/s",
}


class Stage:
    """A checker that knows one private edge, and what watches over it."""

    def __init__(self, stream: TextIO, provider: Any, kernel: Callable[[], Any]):
        self.stream = stream
        self.log = open_log("json", stream=stream)
        self.tasks = Tasks()
        self.told = asyncio.Event()
        self.refits: list[bool] = []
        endpoint = dataclasses.replace(
            provider.endpoint("ix"), device="link1", source="203.0.113.10"
        )
        table = Table(
            {"ix": Kind.PRIVATE},
            [endpoint],
            now=asyncio.get_running_loop().time(),
            uniform=provider.chance.uniform,
        )
        self.checker = Checker(
            table,
            {Protocol.HTTPS: self._probe},
            tasks=self.tasks,
            on_change=lambda *_: self.told.set(),
            on_failure=lambda *_: None,
            look_up=lambda _: None,
        )
        self.exits = Exits(
            {"a": Link.model_validate(LINK)},
            self.checker,
            log=self.log,
            tasks=self.tasks,
            refit=lambda: self.refits.append(self.barred() != ""),
            kernel=kernel,
        )

    async def _probe(self, *_: object) -> Any:
        raise AssertionError("nobody probes before the checker was started")

    def resolve(self) -> None:
        """The name of the edge leads to its address."""
        self.checker.addresses("api.ix.example.com", plain([EDGE]))
        self.exits.watch()

    def barred(self) -> str:
        return self.checker.snapshot.edges["ix"].barred

    async def barred_for(self, reason: str) -> None:
        """Wait until the edge is barred for this reason."""
        async with asyncio.timeout(10):
            while self.barred() != reason:
                self.told.clear()
                await self.told.wait()

    async def close(self) -> list[dict[str, Any]]:
        """End it; what was logged."""
        await self.exits.close()
        self.checker.close()
        await self.tasks.close()
        self.log.close()
        self.stream.seek(0)
        return [json.loads(line) for line in self.stream]


Make = Callable[..., Stage]


@pytest.fixture
async def make(tmp_path: Path, provider: Any) -> AsyncIterator[Make]:
    with (tmp_path / "log").open("w+") as stream:
        yield lambda kernel: Stage(stream, provider, kernel)


@pytest.fixture(scope="module")
def linked(lasting_network: Network) -> Network:
    """An interface eth0 with the default route, and link1 to the edge."""
    network = lasting_network
    network.join("eth0", network.neighbour(), "198.51.100.2/24", "198.51.100.1/24")
    network.join("link1", network.neighbour(), "169.254.1.2/30", "169.254.1.1/30")
    network.ip("address add 203.0.113.10/32 dev lo")
    network.ip("route add default via 198.51.100.1")
    network.ip("route add 208.78.112.0/24 via 169.254.1.1")
    return network


async def test_edge_is_barred_while_its_packets_would_leave_by_another_interface(
    make: Make, linked: Network
) -> None:
    stage = make(lambda: linked.inside(Kernel))
    stage.resolve()
    assert stage.barred() == ""
    assert stage.refits == [], "its sockets have just been made"
    linked.ip("route delete 208.78.112.0/24")
    await stage.barred_for("route leaves by eth0")
    (link,) = stage.exits.links()
    assert (link.privacy, link.reason) == (Privacy.EXPOSED, "route leaves by eth0")
    linked.ip("route add 208.78.112.0/24 via 169.254.1.1")
    await stage.barred_for("")
    assert stage.refits == [False, True], "before the bar is there, or lifted"
    assert stage.exits.links()[0].privacy is Privacy.PRIVATE
    told = [line for line in await stage.close() if line["event"].startswith("link.")]
    assert [(line["event"], line["edges"]) for line in told] == [
        ("link.private", "ix"),
        ("link.exposed", "ix"),
        ("link.private", "ix"),
    ]


async def test_without_netlink_the_edge_is_used_and_it_is_said_once(
    make: Make,
) -> None:
    def kernel() -> Kernel:
        raise PermissionError(1, "Operation not permitted")

    stage = make(kernel)
    stage.resolve()
    assert stage.barred() == ""
    (link,) = stage.exits.links()
    assert link.privacy is Privacy.UNKNOWN
    assert link.reason == "no netlink: Operation not permitted"
    stage.checker.addresses("api.ix.example.com", plain([EDGE, "208.78.112.65"]))
    stage.exits.watch()
    told = [line["event"] for line in await stage.close()]
    assert told == ["netlink.failed"]


async def test_nothing_is_opened_for_links_without_an_interface(make: Make) -> None:
    def kernel() -> Kernel:
        raise AssertionError("it is not needed")

    stage = make(kernel)
    stage.exits.change({"a": Link.model_validate(LINK)})
    (link,) = stage.exits.links()
    assert link.reason == "no address of its edges is in use"
    assert await stage.close() == []


async def test_link_that_is_gone_is_looked_after_no_more(
    make: Make, linked: Network
) -> None:
    stage = make(lambda: linked.inside(Kernel))
    stage.resolve()
    stage.checker.addresses("api.ix.example.com", ())
    stage.exits.change({})
    assert stage.exits.links() == ()
    assert stage.exits._lookout is None
    await stage.close()


async def test_bird_that_cannot_be_asked_is_told_of_and_let_go(
    make: Make, linked: Network, tmp_path: Path
) -> None:
    stage = make(lambda: linked.inside(Kernel))
    bgp = {"socket": str(tmp_path / "bird.ctl"), "session": "ix"}
    link = Link.model_validate(LINK | {"bgp": bgp}, context={"base": Path()})
    stage.exits.change({"a": link})
    stage.resolve()
    assert stage.exits._birds["a"].questions.addresses == (EDGE,)
    async with asyncio.timeout(10):
        while not stage.exits._birds["a"]._trouble:  # noqa: ASYNC110 - it tells the log
            await asyncio.sleep(0)
    found = stage.exits.links()[0].bgp
    assert found is not None
    assert (found.session, found.trouble) == ("ix", "No such file or directory")
    stage.exits.change({"a": Link.model_validate(LINK)})
    assert stage.exits.links()[0].bgp is None
    told = [line for line in await stage.close() if line["event"] == "bird.failed"]
    assert [(one["link"], one["error"]) for one in told] == [("a", found.trouble)]
