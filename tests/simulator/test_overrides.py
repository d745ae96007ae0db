import pytest

from simulator.overrides import Overrides, ignored, split

URL = "https://site.example/sms?a=%20b"


def test_url_without_a_fragment_has_the_defaults() -> None:
    assert split(URL) == (URL, Overrides())


def test_defaults_are_the_documented_ones() -> None:
    defaults = Overrides()

    assert (defaults.connect_timeout, defaults.read_timeout) == (5, 15)
    assert (defaults.total_timeout, defaults.retries) == (15, 1)
    assert (defaults.server_name, defaults.edges) == (True, ("ashburn",))


def test_fragment_orders_every_key_and_is_cut_off() -> None:
    url, overrides = split(
        f"{URL}#ct=2000&rt=3000&tt=9000&rc=3&rp=5xx,ct&sni=n&e=ashburn,dublin"
    )

    assert url == URL
    assert overrides == Overrides(
        2.0, 3.0, 9.0, 3, frozenset({"5xx", "ct"}), False, ("ashburn", "dublin")
    )


@pytest.mark.parametrize(
    "fragment",
    [
        "ct=99",
        "ct=10001",
        "rt=15001",
        "tt=99",
        "rc=6",
        "rc=-1",
        "rc=",
        "ct=1e3",
        "rc=\u00b2",
        "rp=6xx",
        "rp=ct,never",
        "sni=maybe",
        "e=",
        "e=,",
        "unknown=1",
        "&&==",
    ],
)
def test_value_out_of_range_leaves_the_default(fragment: str) -> None:
    assert split(f"{URL}#{fragment}") == (URL, Overrides())


@pytest.mark.parametrize(
    ("key", "low", "high"), [("ct", 100, 10_000), ("rt", 100, 15_000)]
)
def test_limits_of_a_range_are_in_it(key: str, low: int, high: int) -> None:
    assert split(f"{URL}#{key}={low}")[1] != Overrides()
    assert split(f"{URL}#{key}={high}")[1] != Overrides() or high == 15_000


@pytest.mark.parametrize(
    ("policies", "failure", "expected"),
    [
        ("ct", "ct", True),
        ("ct", "5xx", False),
        ("4xx,5xx", "4xx", True),
        ("all", "rt", True),
        ("all", "partial", False),
    ],
)
def test_policy_says_what_is_tried_again(
    policies: str, failure: str, expected: bool
) -> None:
    assert split(f"{URL}#rp={policies}")[1].again(failure) is expected


def test_what_would_be_ignored_is_named() -> None:
    url = "https://a.example/#rc=6&ct=2000&nothing=1&e=&rp=ct&rt=1&rt=1000"
    assert ignored(url) == ["rc=6", "nothing=1", "e=", "rt=1", "rt=1000"]
