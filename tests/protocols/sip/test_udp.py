import asyncio
import dataclasses
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import pytest

from protocols.sip.bound import Bound
from protocols.sip.datagrams import bind
from protocols.sip.peers import Peer, Side
from protocols.sip.udp import ATTEMPTS, PLACES, Udp
from protocols.target import Result
from tests.protocols.sip.peers import HERE, UDP, Telephone, at, telephone

Broken = tuple[tuple[int, ...], Result, str]


class Hears:
    def __init__(self) -> None:
        self.data: asyncio.Queue[tuple[bytes, Peer]] = asyncio.Queue()
        self.failures: asyncio.Queue[Broken] = asyncio.Queue()

    def datagram(self, data: bytes, source: Peer) -> None:
        self.data.put_nowait((data, source))

    def broken(self, attempts: Iterable[int], result: Result, detail: str) -> None:
        self.failures.put_nowait((tuple(attempts), result, detail))

    async def failure(self) -> Broken:
        return await asyncio.wait_for(self.failures.get(), 2)


Make = Callable[..., Udp]


def bound(side: Side, sock: socket.socket, device: str | None = None) -> Bound:
    return Bound(side, UDP, sock, device)


@pytest.fixture
def hears() -> Hears:
    return Hears()


@pytest.fixture
async def make(hears: Hears) -> AsyncIterator[Make]:
    """Sockets of these sides and addresses, all receiving."""
    made = []

    def build(*places: tuple[Side, str]) -> Udp:
        sockets = [bind(address, 0) for _, address in places]
        sides = [side for side, _ in places]
        udp = Udp(hears, map(bound, sides, sockets))
        udp.start()
        made.append(udp)
        return udp

    yield build
    for one in made:
        one.close()


async def port_of(udp: Udp, phone: Telephone, side: Side, address: str = HERE) -> int:
    """The port that a side sends from."""
    udp.send(side, at(phone.port, address=address), b"OPTIONS", 0)
    await phone.heard.get()
    return phone.source[1]


async def test_answer_leaves_from_the_socket_that_heard(
    make: Make, hears: Hears
) -> None:
    udp = make((Side.SITE, HERE), (Side.EDGE, HERE), (Side.EDGE, "127.0.0.2"))
    async with telephone() as phone:
        first = await port_of(udp, phone, Side.EDGE)
        udp.send(Side.EDGE, at(phone.port, source="127.0.0.2"), b"x", 0)
        await phone.heard.get()
        second = phone.source
        assert second[0] == "127.0.0.2"
        for place, number in ((HERE, first), 1), (second, 2):
            phone.say(b"hello", place)
            data, peer = await hears.data.get()
            assert data == b"hello"
            assert peer == Peer(Side.EDGE, UDP, HERE, phone.port, number)
            assert udp.answer(peer, b"answer")
            await phone.heard.get()
            assert phone.source == place


async def test_side_and_family_choose_the_socket(make: Make, hears: Hears) -> None:
    udp = make((Side.SITE, HERE), (Side.EDGE, HERE), (Side.EDGE, "::1"))
    async with telephone() as phone, telephone("::1") as phone6:
        ports = {
            await port_of(udp, phone, Side.SITE),
            await port_of(udp, phone, Side.EDGE),
            await port_of(udp, phone6, Side.EDGE, "::1"),
        }
    assert len(ports) == 3


@pytest.mark.parametrize("fields", [{"address": "::1"}, {"source": "127.0.0.9"}])
async def test_request_without_a_socket_fails(
    make: Make, hears: Hears, fields: dict[str, Any]
) -> None:
    udp = make((Side.EDGE, HERE))
    udp.send(Side.EDGE, at(5060, **fields), b"x", 7)
    udp.send(Side.EDGE, at(5060, **fields), b"x", 0)
    assert await hears.failure() == (
        (7,),
        Result.REFUSED,
        "no UDP socket to send from",
    )
    assert hears.failures.empty()


async def test_request_too_large_for_udp_fails(make: Make, hears: Hears) -> None:
    udp = make((Side.EDGE, HERE))
    udp.send(Side.EDGE, at(5060), b"x" * 70_000, 7)
    assert await hears.failure() == ((7,), Result.REFUSED, "Message too long")


async def test_nobody_there_fails_all_that_was_sent_there_once(
    make: Make, hears: Hears
) -> None:
    udp = make((Side.EDGE, HERE))
    async with telephone() as phone, telephone() as other:
        udp.send(Side.EDGE, at(phone.port), b"x", 1)
        udp.send(Side.EDGE, at(other.port), b"x", 2)
        await phone.heard.get()
        target = at(phone.port)
    udp.send(Side.EDGE, target, b"x", 3)
    assert await hears.failure() == ((1, 3), Result.REFUSED, "Connection refused")
    udp.send(Side.EDGE, target, b"x", 4)
    assert (await hears.failure())[0] == (4,)


async def test_latest_requests_alone_are_remembered(make: Make, hears: Hears) -> None:
    udp = make((Side.EDGE, HERE))
    async with telephone() as phone:
        for attempt in range(1, ATTEMPTS + 3):
            udp.send(Side.EDGE, at(phone.port), b"x", attempt)
    udp.send(Side.EDGE, at(phone.port), b"x", 999)
    attempts, _, _ = await hears.failure()
    assert attempts == (*range(4, ATTEMPTS + 3), 999)


async def test_places_asked_are_remembered_in_a_bounded_table(
    make: Make, hears: Hears
) -> None:
    udp = make((Side.EDGE, HERE))
    for port in range(1, PLACES + 2):
        udp.send(Side.EDGE, at(port, address="127.9.9.9"), b"x", port)
    assert not udp.has_asked("127.9.9.9", 1)
    assert udp.has_asked("127.9.9.9", 2)
    assert udp.has_asked("127.9.9.9", PLACES + 1)
    assert not udp.has_asked("127.9.9.8", 2)


async def test_socket_that_is_changed_away_answers_until_it_is_dropped(
    make: Make, hears: Hears
) -> None:
    udp = make((Side.SITE, HERE), (Side.EDGE, HERE))
    (old, stays) = (sock for _, sock in udp_bound(udp))
    async with telephone() as phone:
        phone.say(b"before", old.getsockname())
        _, peer = await hears.data.get()
        new = bind(HERE, 0)
        removed = udp.change([bound(Side.SITE, new), bound(Side.EDGE, stays)])
        assert removed == (old,)
        udp.start()
        assert {port for _, port in udp.open} == {
            sock.getsockname()[1] for sock in (old, stays, new)
        }
        udp.send(Side.SITE, at(phone.port), b"request", 0)
        assert await phone.heard.get() == b"request"
        assert phone.source == new.getsockname()
        # What it received is answered there, and it still hears answers.
        assert udp.answer(peer, b"answer")
        assert await phone.heard.get() == b"answer"
        assert phone.source == old.getsockname()
        phone.say(b"after")
        assert await hears.data.get() == (b"after", peer)
        udp.drop(removed)
        udp.drop(removed)
        assert old.fileno() < 0
        assert not udp.answer(peer, b"answer")
        phone.say(b"to the new one", new.getsockname())
        data, other = await hears.data.get()
        assert data == b"to the new one"
        assert other.connection != peer.connection


async def test_targets_find_their_socket_anew_after_a_change(
    make: Make, hears: Hears
) -> None:
    udp = make((Side.EDGE, HERE))
    async with telephone() as phone:
        udp.send(Side.EDGE, at(phone.port), b"x", 0)
        await phone.heard.get()
        udp.drop(udp.change([]))
        udp.send(Side.EDGE, at(phone.port), b"x", 7)
        assert (await hears.failure())[0] == (7,)


def udp_bound(udp: Udp) -> list[tuple[Side, socket.socket]]:
    """The sockets, in the order in which they were given."""
    return [(Side.SITE, sock) for sock in udp._bound]


async def test_socket_confined_to_an_interface_sends_to_what_is_behind_it_alone(
    hears: Hears,
) -> None:
    inner, outer = (bind("127.0.0.1", 0) for _ in range(2))
    places = [bound(Side.EDGE, inner, "link1"), bound(Side.EDGE, outer)]
    udp = Udp(hears, places)
    async with telephone() as phone:
        for number, device in enumerate(("link1", None), start=1):
            udp.send(Side.EDGE, at(phone.port, device=device), b"OPTIONS", number)
            await asyncio.wait_for(phone.heard.get(), 2)
            assert phone.source == places[number - 1].sock.getsockname()
        udp.send(Side.EDGE, at(phone.port, device="link2"), b"OPTIONS", 3)
    words = "no UDP socket to send from"
    assert await hears.failure() == ((3,), Result.REFUSED, words)
    udp.close()


async def test_way_of_a_peer_is_that_of_the_socket_that_received(
    make: Make, hears: Hears
) -> None:
    udp = make((Side.EDGE, HERE))
    async with telephone() as phone:
        phone.say(b"hello", udp.open[0])
        _, peer = await asyncio.wait_for(hears.data.get(), 2)
    assert udp.way_of(peer) == (HERE, "")
    gone = dataclasses.replace(peer, connection=99)
    assert udp.way_of(gone) == ("", "")
