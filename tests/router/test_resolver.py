"""The resolver against a small real nameserver on loopback, by UDP and TCP."""

import asyncio
import pathlib
from collections.abc import AsyncIterator, Awaitable, Callable

import dns.rcode
import pytest
import uvloop

from router.location import Location, plain
from router.lookup import Sources
from router.names import Answer
from router.resolver import Resolver
from tests.nameserver import Nameserver, addresses, serving


@pytest.fixture
async def nameserver() -> AsyncIterator[Nameserver]:
    async with serving() as nameserver:
        yield nameserver


class Told:
    """The answers that a resolver told of, to wait for."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[tuple[str, Answer]] = asyncio.Queue()

    def __call__(self, name: str, answer: Answer) -> None:
        self._queue.put_nowait((name, answer))

    async def next(self) -> tuple[str, Answer]:
        async with asyncio.timeout(10):
            return await self._queue.get()

    async def answer(self) -> Answer:
        return (await self.next())[1]

    @property
    def empty(self) -> bool:
        return self._queue.empty()


@pytest.fixture
def told() -> Told:
    return Told()


Start = Callable[..., Awaitable[Resolver]]


@pytest.fixture
async def start(
    nameserver: Nameserver, told: Told, tmp_path: pathlib.Path
) -> AsyncIterator[Start]:
    """Start resolvers that watch names at the nameserver; close them at the end."""
    started: list[Resolver] = []

    async def start(
        *names: str,
        known: dict[str, tuple[Location, ...]] | None = None,
        **sources: object,
    ) -> Resolver:
        chosen = {
            "nameservers": [nameserver.address],
            # More than a busy machine takes: nothing but silence runs into it.
            "timeout": 2.0,
            "lifetime": 4.0,
            "hurry": 0.05,
            "hosts": tmp_path / "hosts",
            **sources,
        }
        running = Resolver(told, Sources(**chosen), known=known or {})  # type: ignore[arg-type]
        started.append(running)
        running.watch(names)
        return running

    yield start
    for running in started:
        await running.close()


async def test_name_with_both_families_is_told_with_its_ttl(
    nameserver: Nameserver, start: Start, told: Told
) -> None:
    addresses(nameserver.zone, "edge.example", "192.0.2.2", v6=("2001:db8::2",))
    await start("Edge.Example.")
    name, answer = await told.next()
    assert name == "edge.example"
    assert answer.addresses == ("192.0.2.2", "2001:db8::2")
    assert (answer.ttl, answer.stale, answer.error) == (60.0, False, "")


async def test_cname_chain_is_followed_and_its_shortest_ttl_used(
    nameserver: Nameserver, start: Start, told: Told
) -> None:
    nameserver.zone.records["www.example", "CNAME"] = (20, ["mid.example"])
    nameserver.zone.records["mid.example", "CNAME"] = (300, ["end.example"])
    addresses(nameserver.zone, "end.example", "192.0.2.3")
    await start("www.example")
    answer = await told.answer()
    assert answer.addresses == ("192.0.2.3",)
    assert answer.ttl == 20.0


async def test_truncated_answer_is_asked_for_again_by_tcp(
    nameserver: Nameserver, start: Start, told: Told
) -> None:
    addresses(nameserver.zone, "many.example", *(f"192.0.2.{n}" for n in range(1, 31)))
    nameserver.zone.truncate = True
    await start("many.example")
    assert len((await told.answer()).addresses) == 30
    assert ("tcp", "many.example", "A") in nameserver.zone.asked


async def test_hurried_name_is_asked_again_within_its_ttl_and_the_change_told(
    nameserver: Nameserver, start: Start, told: Told
) -> None:
    addresses(nameserver.zone, "edge.example", "192.0.2.1", ttl=600)
    running = await start("edge.example")
    await told.next()
    addresses(nameserver.zone, "edge.example", "192.0.2.99", ttl=600)
    for _ in range(100):
        running.hurry("edge.example")
    assert (await told.answer()).addresses == ("192.0.2.99",)
    assert nameserver.zone.asked.count(("udp", "edge.example", "A")) == 2


@pytest.mark.parametrize("rcode", [dns.rcode.SERVFAIL, dns.rcode.REFUSED])
async def test_failing_nameserver_leaves_the_last_good_answer_marked_stale(
    rcode: dns.rcode.Rcode, nameserver: Nameserver, start: Start, told: Told
) -> None:
    addresses(nameserver.zone, "edge.example", "192.0.2.1")
    running = await start("edge.example")
    good = await told.answer()
    nameserver.zone.rcode = rcode
    running.hurry("edge.example")
    stale = await told.answer()
    assert stale.addresses == good.addresses
    assert stale.stale
    assert stale.error == dns.rcode.to_text(rcode)
    assert stale.learnt == good.learnt
    nameserver.zone.rcode = None
    running.hurry("edge.example")
    assert not (await told.answer()).stale


async def test_silent_nameserver_leaves_the_last_good_answer_marked_stale(
    nameserver: Nameserver, start: Start, told: Told
) -> None:
    addresses(nameserver.zone, "edge.example", "192.0.2.1")
    running = await start("edge.example", timeout=0.3, lifetime=0.6)
    while (await told.answer()).error:
        pass  # so slow is a busy machine at times
    nameserver.zone.silent = True
    running.hurry("edge.example")
    answer = await told.answer()
    assert answer.addresses == ("192.0.2.1",)
    assert (answer.stale, answer.error) == (True, "timeout")


async def test_empty_answer_leaves_the_last_good_answer_marked_stale(
    nameserver: Nameserver, start: Start, told: Told
) -> None:
    addresses(nameserver.zone, "edge.example", "192.0.2.1")
    running = await start("edge.example")
    await told.next()
    nameserver.zone.records = {("edge.example", "TXT"): (60, ["here"])}
    running.hurry("edge.example")
    answer = await told.answer()
    assert answer.addresses == ("192.0.2.1",)
    assert (answer.stale, answer.error) == (True, "empty answer")


async def test_nxdomain_takes_the_addresses_away(
    nameserver: Nameserver, start: Start, told: Told
) -> None:
    addresses(nameserver.zone, "edge.example", "192.0.2.1")
    running = await start("edge.example")
    await told.next()
    nameserver.zone.records.clear()
    running.hurry("edge.example")
    answer = await told.answer()
    assert answer.gone
    assert answer.addresses == ()


async def test_dead_first_nameserver_is_passed_over_within_its_timeout(
    nameserver: Nameserver, start: Start, told: Told
) -> None:
    addresses(nameserver.zone, "edge.example", "192.0.2.1")
    dead = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    port = dead.sockets[0].getsockname()[1]
    await start(
        "edge.example",
        nameservers=[("127.0.0.1", port), nameserver.address],
        timeout=0.2,
        lifetime=4.0,
    )
    assert (await told.answer()).addresses == ("192.0.2.1",)
    dead.close()


async def test_answer_that_is_the_same_is_not_told_again(
    nameserver: Nameserver, start: Start, told: Told
) -> None:
    addresses(nameserver.zone, "edge.example", "192.0.2.1", "192.0.2.2")
    running = await start("edge.example")
    await told.next()
    addresses(nameserver.zone, "edge.example", "192.0.2.2", "192.0.2.1")
    running.hurry("edge.example")
    await nameserver.zone.until_asked(("udp", "edge.example", "AAAA"), times=2)
    nameserver.zone.rcode = dns.rcode.SERVFAIL
    running.hurry("edge.example")
    assert (await told.answer()).stale


async def test_literal_is_told_without_a_question(
    nameserver: Nameserver, start: Start, told: Told
) -> None:
    running = await start("[2001:db8::7]", "192.0.2.7")
    assert not told.empty
    assert {(await told.answer()).addresses for _ in range(2)} == {
        ("192.0.2.7",),
        ("2001:db8::7",),
    }
    running.hurry("192.0.2.7")
    addresses(nameserver.zone, "edge.example", "192.0.2.1")
    running.watch(["192.0.2.7", "edge.example"])
    assert (await told.next())[0] == "edge.example"
    assert {name for _, name, _ in nameserver.zone.asked} == {"edge.example"}


async def test_name_in_the_hosts_file_is_told_without_a_question(
    nameserver: Nameserver, start: Start, told: Told, tmp_path: pathlib.Path
) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("192.0.2.50 pbx.example\n")
    running = await start("pbx.example")
    assert (await told.answer()).addresses == ("192.0.2.50",)
    hosts.write_text("192.0.2.51 pbx.example pbx\n")
    running.hurry("pbx.example")
    assert (await told.answer()).addresses == ("192.0.2.51",)
    assert nameserver.zone.asked == []


async def test_restored_addresses_are_told_as_stale_before_any_look_up(
    nameserver: Nameserver, start: Start, told: Told
) -> None:
    nameserver.zone.rcode = dns.rcode.SERVFAIL
    running = await start("edge.example", known={"EDGE.example": plain(["192.0.2.1"])})
    assert running.answers["edge.example"].addresses == ("192.0.2.1",)
    assert (await told.answer()).stale
    answer = await told.answer()
    assert (answer.addresses, answer.error) == (("192.0.2.1",), "SERVFAIL")


async def test_name_no_longer_watched_is_forgotten(
    nameserver: Nameserver, start: Start, told: Told
) -> None:
    addresses(nameserver.zone, "one.example", "192.0.2.1")
    addresses(nameserver.zone, "two.example", "192.0.2.2")
    running = await start("one.example", "two.example")
    assert {(await told.next())[0] for _ in range(2)} == {"one.example", "two.example"}
    running.watch(["two.example"])
    running.hurry("one.example")
    assert set(running.answers) == {"two.example"}


@pytest.mark.parametrize("name", ["a..b", "x" * 70 + ".example", "x." * 200])
async def test_name_that_is_none_is_an_error_not_a_crash(
    name: str, start: Start, told: Told
) -> None:
    await start(name)
    answer = await told.answer()
    assert answer.addresses == ()
    assert answer.error


async def test_reply_of_garbage_is_an_error_not_a_crash(
    start: Start, told: Told
) -> None:
    class Garbage(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
            self.transport = transport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            self.transport.sendto(data[:2] + b"\xff" * 40, addr)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        Garbage, local_addr=("127.0.0.1", 0)
    )
    port = transport.get_extra_info("sockname")[1]
    await start(
        "edge.example", nameservers=[("127.0.0.1", port)], timeout=0.2, lifetime=0.4
    )
    assert (await told.answer()).error == "timeout"
    transport.close()


def test_names_are_looked_up_on_uvloop_by_udp_and_tcp(tmp_path: pathlib.Path) -> None:
    async def look_up() -> Answer:
        async with serving() as nameserver:
            addresses(nameserver.zone, "edge.example", "192.0.2.1")
            nameserver.zone.truncate = True
            told = Told()
            sources = Sources([nameserver.address], hosts=tmp_path / "none")
            running = Resolver(told, sources)
            running.watch(["edge.example"])
            answer = await told.answer()
            await running.close()
            return answer

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(look_up()).addresses == ("192.0.2.1",)


async def test_other_nameservers_are_asked_at_once(
    nameserver: Nameserver, start: Start, told: Told, tmp_path: pathlib.Path
) -> None:
    dead = {"nameservers": [("127.0.0.1", 9)], "timeout": 0.05, "lifetime": 0.05}
    running = await start("edge.example", **dead)
    assert (await told.answer()).failed
    addresses(nameserver.zone, "edge.example", "192.0.2.1")
    sources = Sources(
        nameservers=[nameserver.address], hurry=0.05, hosts=tmp_path / "hosts"
    )
    running.change(sources)
    assert (await told.answer()).addresses == ("192.0.2.1",)
    asked = len(nameserver.zone.asked)
    running.change(sources)  # the same ones are not asked again
    await asyncio.sleep(0)
    assert len(nameserver.zone.asked) == asked
