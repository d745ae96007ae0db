import dataclasses

import pytest

from protocols.sip import shared
from protocols.sip.message import MessageError
from protocols.sip.peers import Dropped, Side
from protocols.sip.shared import Shared
from protocols.sip.token import Hop
from protocols.target import Target
from tests.protocols.sip.stage import (
    SETTINGS,
    TCP,
    TLS,
    UDP,
    Known,
    edge,
    in_order,
    pbx,
)


def made(*targets: Target) -> Shared:
    choose = in_order(targets)
    return Shared(SETTINGS, (choose, choose), Known(targets), lambda: b"token")


def test_attempts_are_numbered_from_one() -> None:
    one = made()
    assert [one.number(), one.number()] == [1, 2]


def test_actions_are_taken_once() -> None:
    one = made()
    one.actions.append(Dropped("x"))
    assert one.take() == [Dropped("x")]
    assert one.take() == []


def test_hop_of_a_known_place_has_its_names_and_the_signed_address() -> None:
    one = made(edge(1, TLS))
    hop = Hop(TLS, "192.0.2.9", 5061, "edge1")
    target = one.target_of(Side.EDGE, hop)
    assert (target.address, target.host) == ("192.0.2.9", "trunk.pstn.test")
    assert one.target_of(Side.EDGE, hop) is target


def test_names_that_changed_are_used_from_then_on() -> None:
    known = Known([edge(1)])
    one = Shared(SETTINGS, (in_order(()), in_order(())), known, lambda: b"token")
    hop = Hop(UDP, "192.0.2.9", 5060, "edge1")
    first = one.target_of(Side.EDGE, hop)
    known.targets = [Target("192.0.2.1", 5060, UDP, "new.test", label="edge1")]
    assert first.host == "trunk.pstn.test"
    assert one.target_of(Side.EDGE, hop).host == "new.test"


def test_hop_of_an_unknown_place_is_reached_unless_over_tls() -> None:
    one = made()
    target = one.target_of(Side.SITE, Hop(TCP, "10.0.0.10", 5060, "gone"))
    assert (target.address, target.port, target.transport) == ("10.0.0.10", 5060, TCP)
    with pytest.raises(MessageError) as caught:
        one.target_of(Side.SITE, Hop(TLS, "10.0.0.10", 5061, "gone"))
    assert caught.value.status == 430


PHONE = Hop(TLS, "10.0.0.77", 5061, "", 40_001)
"A telephone that has connected."


def standing(hop: Hop) -> int:
    """Whatever the telephone's connection is: it has another one by now."""
    return 40_002 if hop.address == PHONE.address else 0


def by_flow(side: Side, hop: Hop, signed: Hop = PHONE) -> Target:
    choose = in_order(())
    targets = [edge(1), pbx(9)]
    known = Known(targets)
    one = Shared(SETTINGS, (choose, choose), known, lambda: b"token", standing)
    return one.next(side, hop, signed)


@pytest.mark.parametrize(
    "hop",
    [
        PHONE,
        Hop(UDP, "10.0.0.77", 5060),  # another port of it: a Contact
        Hop(TLS, "10.0.0.78", 5061),  # another address that cannot be verified
    ],
)
def test_machine_of_the_site_is_reached_by_the_connection_it_made(hop: Hop) -> None:
    target = by_flow(Side.SITE, hop)
    assert (target.address, target.port) == ("10.0.0.77", 40_002)
    assert (target.transport, target.verify_name) == (TLS, "")


@pytest.mark.parametrize(
    ("hop", "signed", "to"),
    [
        (Hop(UDP, "10.0.0.78", 5070), PHONE, ("10.0.0.78", 5070)),
        (Hop(TCP, "10.0.0.77", 5070), Hop(TCP, "10.0.0.77", 5060), ("10.0.0.77", 5070)),
        (Hop(TCP, "10.0.0.1", 5070), Hop(TCP, "10.0.0.1", 5070), ("10.0.0.1", 5070)),
    ],
)
def test_other_machine_of_the_site_is_reached_where_it_says(
    hop: Hop, signed: Hop, to: tuple[str, int]
) -> None:
    target = by_flow(Side.SITE, hop, signed)
    assert (target.address, target.port) == to


def test_edge_is_never_reached_by_a_connection_that_it_made() -> None:
    hop = PHONE._replace(transport=UDP, label="edge1")
    assert by_flow(Side.EDGE, hop, hop).port == 5061


@pytest.mark.parametrize(
    "hop",
    [
        Hop(TLS, "10.0.0.1", 5061, "", 40_001),  # its connection is gone
        Hop(TLS, "10.0.0.9", 5061, "pbx9"),  # known over UDP, without a name to verify
    ],
)
def test_tls_without_a_connection_or_a_name_to_verify_is_refused(hop: Hop) -> None:
    with pytest.raises(MessageError) as caught:
        by_flow(Side.SITE, hop, hop)
    assert caught.value.status == 430


def test_memory_of_hops_and_of_udp_alone_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shared, "REMEMBERED", 2)
    one = made()
    for number in range(10):
        one.target_of(Side.EDGE, Hop(UDP, f"192.0.2.{number}", 5060))
        one.note_udp_only(edge(number), 0.0)
    assert len(one._targets) <= 2
    assert len(one._udp_only) <= 2


def test_target_without_tcp_is_remembered_for_a_while() -> None:
    one = made()
    assert not one.is_udp_only(edge(1), 0.0)
    one.note_udp_only(edge(1), 0.0)
    assert one.is_udp_only(edge(1), 299.0)
    assert not one.is_udp_only(edge(1), 300.0)


def test_change_counts_from_the_next_question_on() -> None:
    one = made(edge(1))
    hop = Hop(UDP, "192.0.2.9", 5060, "edge1")
    assert one.target_of(Side.EDGE, hop).host == "trunk.pstn.test"
    places, contexts = one.places, one.contexts
    named = Target("192.0.2.1", 5060, UDP, "new.test", label="edge1")
    settings = dataclasses.replace(SETTINGS, host="new.test")
    one.change(settings, (in_order(()), in_order([named])), Known([named]))
    assert one.settings.host == "new.test"
    assert one.places is not places
    assert one.choose[Side.EDGE](()) is named
    assert one.target_of(Side.EDGE, hop).host == "new.test"
    assert one.contexts is contexts
