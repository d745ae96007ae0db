"""Who is next for one call, where links may be full."""

from collections.abc import Collection, Sequence

import pytest

from protocols.sip.records import CallRecord
from protocols.target import Target, Transport
from router.bandwidth import Bandwidth, Capacity
from router.spilling import FULL, Spilling

G711 = 87_200.0
BEHIND = {"north": "link1", "east": "link1", "south": "link2"}


def at(label: str, number: int = 1) -> Target:
    """An address of an edge."""
    return Target(f"192.0.2.{number}", 5060, Transport.UDP, label, label=label)


class Call:
    """A call that may go to these, in their order, over links of 100 kbit/s."""

    def __init__(self, *targets: Target) -> None:
        self.targets: Sequence[Target] = targets
        self.bandwidth = Bandwidth({"link1": Capacity(1e5), "link2": Capacity(1e5)})
        self.record = CallRecord("INVITE", "to_provider", "10.0.0.10", "one", "tag")
        self.asked: list[str] = []
        self.choose = Spilling(
            self._choose,
            self.record,
            self.bandwidth,
            link_of=BEHIND.get,
            needed=self._needed,
            now=0.0,
        )

    def fill(self, link: str) -> None:
        self.bandwidth.open(f"on {link}", link, G711, 0.0)

    def spilled(self) -> list[int]:
        return [self.bandwidth.use(link, 0.0).spilled for link in ("link1", "link2")]

    def _choose(self, tried: Collection[Target]) -> Target | None:
        return next((one for one in self.targets if one not in tried), None)

    def _needed(self, link: str) -> tuple[str, float]:
        self.asked.append(link)
        return "one", G711


NORTH, EAST, SOUTH, PUBLIC = (at(n) for n in ("north", "east", "south", "ashburn"))


def test_call_goes_by_the_policy_while_there_is_room() -> None:
    call = Call(NORTH, SOUTH, PUBLIC)
    assert call.choose(()) == NORTH
    assert call.choose((NORTH,)) == SOUTH
    assert call.choose((NORTH, SOUTH)) == PUBLIC
    assert call.choose((NORTH, SOUTH, PUBLIC)) is None
    assert (call.record.spilled, call.record.reason) == ("", "")


def test_call_spills_past_all_addresses_behind_a_full_link_and_is_counted_once() -> (
    None
):
    call = Call(NORTH, at("north", 2), EAST, SOUTH, PUBLIC)
    call.fill("link1")
    assert call.choose(()) == SOUTH
    assert call.choose((SOUTH,)) == PUBLIC
    assert call.record.spilled == "link1"
    assert call.spilled() == [1, 0]


def test_call_spills_to_public_edges_when_all_links_are_full() -> None:
    call = Call(NORTH, SOUTH, PUBLIC)
    call.fill("link1")
    call.fill("link2")
    assert call.choose(()) == PUBLIC
    assert call.record.spilled == "link1, link2"
    assert call.record.reason == ""


@pytest.mark.parametrize("tried", [(), (PUBLIC,)])
def test_call_that_nobody_has_room_for_has_a_reason(tried: tuple[Target, ...]) -> None:
    call = Call(NORTH, SOUTH, *tried)
    call.fill("link1")
    call.fill("link2")
    assert call.choose(tried) is None
    assert call.record.reason == FULL


def test_call_that_was_tried_at_one_edge_may_go_to_the_other_behind_its_link() -> None:
    call = Call(NORTH, EAST, PUBLIC)
    assert call.choose(()) == NORTH
    call.bandwidth.open("one", "link1", G711, 0.0)
    assert call.choose((NORTH,)) == EAST


def test_public_edge_costs_no_look_at_what_a_call_needs() -> None:
    call = Call(PUBLIC)
    assert call.choose(()) == PUBLIC
    assert call.asked == []
