"""Which URI of a site is called, and when the next one is."""

import asyncio
import collections
import random
from collections.abc import Mapping

import pytest

from simulator.provider import Provider
from simulator.sip.message import Received, reply
from simulator.sip.origination import (
    FINAL,
    Uri,
    edge_of,
    follows,
    in_order,
    moves_on,
    request_uri,
)
from simulator.sip.pbx import Pbx
from tests.simulator.sip.conftest import PLAN, Wire
from tests.simulator.sip.raw import Raw, at


@pytest.fixture
async def sites(provider: Provider, wire: Wire) -> tuple[Raw, Raw]:
    """Two places of a site, played by hand."""
    return wire(), wire()


def uri(raw: Raw, edge: str = "ashburn", priority: int = 1) -> Uri:
    return Uri(f"sip:{raw.near[0]}:{raw.near[1]};edge={edge}", priority)


async def arrived(raw: Raw, method: str = "INVITE") -> Received:
    """The next request of a kind; later ones are answered where it came from."""
    while (message := await raw.until(0)).method != method:
        pass
    raw.far = message.via.host, message.via.port or 0
    return message


# ---- What decides ----------------------------------------------------------------


@pytest.mark.parametrize("status", [200, *sorted(FINAL), 600, 603, 606])
def test_status_that_decides(status: int) -> None:
    assert not moves_on(status)


@pytest.mark.parametrize(
    "status", [0, 302, 401, 403, 406, 408, 415, 480, 487, 488, 500, 502, 503, 504]
)
def test_status_after_which_the_next_is_tried(status: int) -> None:
    assert moves_on(status)


def test_lower_priorities_come_first_and_weights_are_shares() -> None:
    chance = random.Random(1)
    uris = [Uri("a", 2, 1), Uri("b", 1, 1), Uri("c", 1, 9)]
    firsts = collections.Counter(in_order(uris, chance)[0].text for _ in range(1000))

    assert firsts["a"] == 0
    assert 50 < firsts["b"] < 150
    assert in_order(uris, chance)[-1].text == "a"


@pytest.mark.parametrize(
    ("text", "edge", "target"),
    [
        ("sip:127.0.0.1:5070", "", "sip:+1@127.0.0.1:5070"),
        ("sip:x@127.0.0.1;edge=Dublin", "dublin", "sip:+1@127.0.0.1"),
        (
            "sip:127.0.0.1;transport=tls;edge=ashburn-ix;x=1",
            "ashburn-ix",
            "sip:+1@127.0.0.1;transport=tls;x=1",
        ),
    ],
)
def test_edge_is_read_and_taken_out(text: str, edge: str, target: str) -> None:
    assert edge_of(Uri(text)) == edge
    assert request_uri(Uri(text), "+1") == target


async def test_call_needs_a_uri(provider: Provider) -> None:
    with pytest.raises(ValueError, match="needs"):
        await provider.sip.call([])


# ---- On the wire -----------------------------------------------------------------


async def test_invite_comes_from_the_edge_as_the_provider_writes_it(
    provider: Provider, sites: tuple[Raw, Raw]
) -> None:
    first, _ = sites
    calling = asyncio.get_running_loop().create_task(
        provider.sip.call([uri(first, "dublin")], "+1555")
    )
    invite = await arrived(first)
    first.send(reply(invite, 486, tag="x"))
    placed = await calling

    addresses = {one.address for one in provider.edges["dublin"].addresses}
    edge, inside = invite.vias
    host = invite.via.host
    assert host in addresses
    assert f"{host}:{provider.sip.ports['udp']}" in edge
    assert inside.startswith("SIP/2.0/UDP 172.25.2.")
    assert invite.uri == f"sip:+1555@{first.near[0]}:{first.near[1]}"
    assert [f"<sip:{host}:" in one for one in invite.record_routes] == [True, True]
    assert invite.contact.partition("@")[2].startswith("172.25.2.")
    assert invite.call_id.endswith("@0.0.0.0")
    for name in ("Diversion", "X-Twilio-CallSid", "User-Agent", "Allow"):
        assert invite.headers.get(name), name
    assert b"168.86.128.1" in invite.body
    assert placed.status == 486
    assert len(placed.attempts) == 1


@pytest.mark.parametrize(
    ("status", "attempts"), [(503, 2), (500, 2), (408, 2), (404, 1), (603, 1)]
)
async def test_failure_moves_on_by_the_list(
    provider: Provider, sites: tuple[Raw, Raw], status: int, attempts: int
) -> None:
    first, second = sites
    calling = asyncio.get_running_loop().create_task(
        provider.sip.call([uri(second, priority=2), uri(first)])
    )

    first.send(reply(await arrived(first), status, tag="x"))
    if attempts == 2:
        second.send(reply(await arrived(second), 486, tag="y"))

    placed = await calling
    assert len(placed.attempts) == attempts
    assert placed.attempts[0].status == status
    assert placed.status == (486 if attempts == 2 else status)
    if attempts == 2:
        ids = {one.call.call_id for one in placed.attempts}
        assert len(ids) == 2


async def test_redirection_is_followed_once_to_its_first_contact(
    provider: Provider, sites: tuple[Raw, Raw]
) -> None:
    first, second = sites
    calling = asyncio.get_running_loop().create_task(provider.sip.call([uri(first)]))
    there = "<sip:+1666@{}:{}>".format(*second.near)
    contacts = [("Contact", f"{there}, <sip:+1777@127.0.0.1:9>")]
    first.send(reply(await arrived(first), 302, tag="x", fields=contacts))
    moved = await arrived(second)
    assert moved.uri == there.strip("<>")
    second.send(reply(moved, 302, tag="y", fields=[("Contact", "<sip:x@127.0.0.1:9>")]))

    placed = await calling
    assert [one.status for one in placed.attempts] == [302, 302]
    assert provider.ledger.events("disaster")


@pytest.mark.parametrize(
    ("status", "contact", "followed"),
    [
        (302, "sip:+1@192.0.2.1", True),
        (302, "sip:+1@example.pstn.twilio.com", False),
        (302, "sip:+1@TWILIO.com;transport=tls", False),
        (302, "sip:+1@nottwilio.com", True),
        (302, "", False),
        (301, "sip:+1@192.0.2.1", False),
    ],
)
def test_redirection_to_the_provider_or_to_nowhere_is_not_followed(
    status: int, contact: str, followed: bool
) -> None:
    assert follows(status, contact) is followed


async def test_webhook_of_last_resort_is_delivered_when_no_uri_is_left(
    provider: Provider, sites: tuple[Raw, Raw]
) -> None:
    first, _ = sites
    told: list[Mapping[str, str]] = []

    async def disaster(form: Mapping[str, str]) -> None:
        told.append(form)

    for status in (503, 486):
        calling = asyncio.get_running_loop().create_task(
            provider.sip.call([uri(first)], "+1555", disaster)
        )
        first.send(reply(await arrived(first), status, tag="x"))
        await calling
    assert [form["To"] for form in told] == ["+1555"]


async def test_silence_moves_on_and_its_late_answer_is_hung_up(
    provider: Provider, sites: tuple[Raw, Raw]
) -> None:
    first, second = sites
    calling = asyncio.get_running_loop().create_task(
        provider.sip.call([uri(first), uri(second, priority=2)])
    )
    late = await arrived(first)
    second.send(reply(await arrived(second), 486, tag="y"))
    placed = await calling
    assert [one.status for one in placed.attempts] == [0, 486]

    contact = ("Contact", f"<sip:{first.near[0]}:{first.near[1]}>")
    routes = [("Record-Route", one) for one in late.record_routes]
    first.send(reply(late, 200, tag="z", fields=[contact, *routes]))

    assert (await arrived(first, "ACK")).to_tag == "z"
    assert (await arrived(first, "BYE")).to_tag == "z"
    assert provider.ledger.events("answered-late")


async def test_late_ringing_of_an_abandoned_uri_is_cancelled(
    provider: Provider, sites: tuple[Raw, Raw]
) -> None:
    first, _ = sites
    calling = asyncio.get_running_loop().create_task(provider.sip.call([uri(first)]))
    late = await arrived(first)
    placed = await calling
    assert placed.status == 0
    assert provider.ledger.events("disaster")

    first.send(reply(late, 180, tag="z"))

    assert (await arrived(first, "CANCEL")).branch == late.branch


@pytest.mark.parametrize("code", [100, 180])
async def test_any_response_ends_the_wait_for_the_first(
    provider: Provider, sites: tuple[Raw, Raw], code: int
) -> None:
    first, second = sites
    calling = asyncio.get_running_loop().create_task(
        provider.sip.call([uri(first), uri(second, priority=2)])
    )
    invite = await arrived(first)
    first.send(reply(invite, code, tag="x" if code > 100 else ""))
    loop = asyncio.get_running_loop()
    begun = loop.time()

    cancel = await arrived(first, "CANCEL")
    first.send(reply(cancel, 200, tag="x"))
    first.send(reply(invite, 487, tag="x"))
    second.send(reply(await arrived(second), 486, tag="y"))

    assert loop.time() - begun > PLAN.no_answer
    assert [one.status for one in (await calling).attempts] == [0, 486]


async def test_unknown_edge_leads_to_the_default_one(
    provider: Provider, sites: tuple[Raw, Raw]
) -> None:
    first, _ = sites
    calling = asyncio.get_running_loop().create_task(
        provider.sip.call([uri(first, "nowhere")])
    )
    first.send(reply(await arrived(first), 486, tag="x"))

    assert (await calling).call.path.edge == "ashburn"


async def test_unknown_private_edge_is_an_error(provider: Provider) -> None:
    with pytest.raises(ValueError, match="nowhere-ix"):
        await provider.sip.call(["sip:127.0.0.1:9;edge=nowhere-ix"])


async def test_two_answers_to_one_call_are_noted_and_one_is_hung_up(
    provider: Provider, sites: tuple[Raw, Raw]
) -> None:
    first, _ = sites
    calling = asyncio.get_running_loop().create_task(provider.sip.call([uri(first)]))
    invite = await arrived(first)
    contact = ("Contact", f"<sip:{first.near[0]}:{first.near[1]}>")
    routes = [("Record-Route", one) for one in invite.record_routes]

    for tag in ("one", "two", "two"):
        first.send(reply(invite, 200, tag=tag, fields=[contact, *routes]))

    assert (await calling).status == 200
    assert (await arrived(first, "BYE")).to_tag == "two"
    assert len(provider.ledger.events("answered-twice")) == 1
    assert (await calling).call.established


async def test_refusing_site_over_tcp_moves_on(provider: Provider) -> None:
    async with Pbx.start(at(provider, "ashburn")) as pbx:
        nowhere = Uri("sip:127.0.0.1:9;transport=tcp", 1)
        there = Uri(f"sip:127.0.0.1:{pbx.ports['tcp']};transport=tcp", 2)

        placed = await provider.sip.call([there, nowhere])

        assert [one.status for one in placed.attempts] == [0, 200]
