"""Endpoints of one edge that lead to the same address share what is known of it."""

import dataclasses
from typing import Any

import pytest

from protocols.target import Transport
from router.endpoint import Endpoint, Protocol
from router.health import State
from router.location import Location, plain
from router.records import EndpointRecord, Exit
from router.register import UNSEEN, Register

ONE, TWO = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def register() -> Register:
    return Register()


def enter(
    register: Register, endpoint: Endpoint, *, receiver: bool = False
) -> EndpointRecord:
    """Have one more endpoint, without addresses."""
    before = [(known.endpoint, known.receiver) for known in register.endpoints]
    register.arrange([*before, (endpoint, receiver)], 0.0)
    return register.endpoints[-1]


def add(
    register: Register, endpoint: Endpoint, *addresses: str, receiver: bool = False
) -> EndpointRecord:
    known = enter(register, endpoint, receiver=receiver)
    register.resolve(known, plain(addresses), 0.0)
    return known


def test_addresses_have_the_ports_of_the_look_up(
    register: Register, provider: Any
) -> None:
    known = enter(register, provider.endpoint("a"))
    at = (Location(ONE), Location(ONE, 5070, 10, 60), Location(TWO, 5070))
    moved = register.resolve(known, at, 0.0)
    assert [record.target.port for record in moved.new] == [443, 5070, 5070]
    assert tuple(known.locations.values()) == at
    shown = [(a.priority, a.weight) for a in known.service().addresses]
    assert shown == [(0, 1), (10, 60), (0, 1)]
    again = (Location(ONE, 5070, 10, 10),)
    moved = register.resolve(known, again, 1.0)
    assert (len(moved.new), len(moved.gone)) == (0, 2)
    assert known.service().addresses[0].weight == 10


def test_products_at_one_address_of_an_edge_share_a_record(
    register: Register, provider: Any
) -> None:
    api = add(register, provider.endpoint("a"), ONE, TWO)
    voice = enter(register, provider.endpoint("a", "voice"))
    moved = register.resolve(voice, plain([ONE]), 0.0)
    assert (moved.new, moved.gone) == ((), ())
    assert len(list(register)) == 2
    (record,) = voice.records
    assert register.owners(record) == [api, voice]
    for target, known in zip(record.targets, (api, voice), strict=True):
        assert register[target] is register.get(target) is record
        assert target.host == known.endpoint.host
        assert register.users(target) == [known]
        assert set(register.names_of(target)) == set(register.names())


@pytest.mark.parametrize(
    "change",
    [
        {"edge": "b"},
        {"port": 8443},
        {"source": "198.51.100.1"},
        {"protocol": Protocol.WEBSOCKET},
        {"transport": Transport.TCP},
    ],
)
def test_what_differs_in_more_than_names_stays_apart(
    register: Register, provider: Any, change: dict[str, Any]
) -> None:
    (record,) = add(register, provider.endpoint("a"), ONE).records
    other = dataclasses.replace(provider.endpoint("a", "voice"), **change)
    assert add(register, other, ONE).records[0] is not record


def test_receivers_at_one_address_by_one_name_are_one(
    register: Register, provider: Any
) -> None:
    hooks = provider.endpoint("10.0.0.2:80", "hooks", resolve=ONE)
    more = dataclasses.replace(hooks, product="more", protocol=Protocol.WEBSOCKET)
    first, second = (add(register, e, ONE, receiver=True) for e in (hooks, more))
    assert first.records == second.records
    assert [known.receiver for known in register.endpoints] == [True, True]
    assert list(register.products) == ["hooks", "more"]
    assert register.names() == ()


def test_address_is_gone_when_the_last_product_leaves_it(
    register: Register, provider: Any
) -> None:
    api = add(register, provider.endpoint("a"), ONE)
    voice = add(register, provider.endpoint("a", "voice"), ONE)
    (target,), (other,) = api.targets, voice.targets
    (record,) = api.records
    moved = register.resolve(api, plain([TWO]), 1.0)
    assert (moved.new, moved.gone) == (api.records, ())
    assert list(record.targets) == [other]
    assert register.get(target) is None
    assert register.names_of(target) == ()
    assert register.resolve(voice, (), 1.0).gone == (record,)
    assert list(register) == list(api.records)


def test_target_that_another_listener_has_too_stays(
    register: Register, provider: Any
) -> None:
    hooks = provider.endpoint("10.0.0.2:80", "hooks", resolve=ONE)
    first = add(register, hooks, ONE, receiver=True)
    add(register, dataclasses.replace(hooks, product="more"), ONE, receiver=True)
    (target,) = first.targets
    assert register.resolve(first, (), 1.0).gone == ()
    assert len(register[target].targets) == 1


def test_arranged_anew_keeps_what_is_known_of_those_that_stay(
    register: Register, provider: Any
) -> None:
    api = add(register, provider.endpoint("a"), ONE, TWO)
    voice = add(register, provider.endpoint("a", "voice"), TWO)
    other = provider.endpoint("b")
    (alone, shared) = api.records
    gone = register.arrange([(other, False), (voice.endpoint, False)], 1.0)
    assert gone == (alone,)
    assert [known.endpoint for known in register.endpoints] == [other, voice.endpoint]
    assert register.products == {
        "api": [register.endpoints[0]],
        "voice": [register.endpoints[1]],
    }
    assert voice.records == (shared,)
    assert list(register) == [shared]
    assert [target.host for target in shared.targets] == [voice.endpoint.host]
    assert not register.endpoints[0].resolved


def test_address_behind_a_link_is_barred_until_its_way_is_known(
    register: Register, provider: Any
) -> None:
    plain_one = add(register, provider.endpoint("a"), ONE)
    linked = dataclasses.replace(provider.endpoint("a"), device="link1")
    behind = add(register, linked, ONE)
    (open_record,), (record,) = plain_one.records, behind.records
    assert (open_record.exit, open_record.health.barred) == (None, False)
    assert record.exit == Exit("link1", None, ONE)
    assert (record.health.barred, record.health.reason) == (True, UNSEEN)
    assert behind.service().state is State.SUSPECT
