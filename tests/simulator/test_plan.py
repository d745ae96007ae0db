import pytest

from simulator.plan import EdgePlan, addresses, read_edge, read_edges, seconds


@pytest.mark.parametrize(
    ("text", "expected"), [("20ms", 0.02), ("1.5s", 1.5), ("0ms", 0.0)]
)
def test_time_with_a_unit_is_read(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["20", "ms", "-1s", "1 s", "", "1m", "nans"])
def test_time_without_a_unit_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a time"):
        seconds(text)


def test_edge_is_read_with_all_its_parts() -> None:
    assert read_edge("ashburn=20ms") == EdgePlan("ashburn", 0.02)
    assert read_edge("ashburn-ix=5ms~1ms@127.0.0.9,127.0.0.8") == EdgePlan(
        "ashburn-ix", 0.005, 0.001, ("127.0.0.9", "127.0.0.8")
    )


@pytest.mark.parametrize(
    "text", ["ashburn", "Ashburn=1ms", "a=1", "a=1ms@", "a=1ms@x", "a=1ms@1.2.3"]
)
def test_edge_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"not an edge|Expected 4 octets"):
        read_edge(text)


def test_private_edge_is_one_with_sources() -> None:
    assert read_edge("a-ix=1ms@127.0.0.9").private
    assert not read_edge("a=1ms").private


def test_edge_serves_the_default_region_and_the_one_beside_it() -> None:
    assert EdgePlan("ashburn").served == ("us1",)
    assert EdgePlan("dublin").served == ("us1", "ie1")
    assert EdgePlan("dublin", regions=("ie1",)).served == ("ie1",)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ([], "public edge"),
        (["a-ix=1ms@127.0.0.9"], "public edge"),
        (["a=1ms", "a=2ms"], "twice"),
        ([EdgePlan("a", addresses=0)], "1 to 250 addresses"),
        ([EdgePlan(f"a{n}") for n in range(251)], "at most 250 edges"),
    ],
)
def test_impossible_provider_is_refused(
    given: list[EdgePlan | str], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        read_edges(given)


def test_private_edges_have_an_address_block_of_their_own() -> None:
    plans = read_edges(["a=1ms", "a-ix=1ms@127.0.0.9", EdgePlan("b", addresses=2)])

    assert addresses(plans) == {
        "a": ("127.20.1.1", "127.20.1.2", "127.20.1.3", "127.20.1.4"),
        "a-ix": ("127.21.2.1", "127.21.2.2", "127.21.2.3", "127.21.2.4"),
        "b": ("127.20.3.1", "127.20.3.2"),
    }


def test_edge_with_addresses_of_its_own_takes_these() -> None:
    plans = read_edges(["a=1ms", EdgePlan("b", at=("192.0.2.1", "192.0.2.2"))])

    assert addresses(plans)["b"] == ("192.0.2.1", "192.0.2.2")
