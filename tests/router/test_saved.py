"""What survives a restart, and what is refused."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.location import Location, plain
from router.saved import Saved, SavedError, dump, is_address, parse

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def test_what_is_dumped_is_parsed_again() -> None:
    addresses = {
        "api": plain(["192.0.2.1", "2001:db8::1"]),
        "_sip._udp.pstn": (Location("192.0.2.1", 5070, 10, 60),),
    }
    options = {"192.0.2.1": 3.5, "2001:db8::1": 0}
    saved = Saved({"ashburn": 0.02, "dublin": 1}, addresses, options, ended=True)
    assert parse(json.loads(json.dumps(dump(saved)))) == saved


def test_calls_are_left_to_those_who_count_them() -> None:
    assert parse(good()).calls is None
    assert parse(good() | {"calls": [1, "x"]}).calls == [1, "x"]


def good() -> dict[str, Any]:
    """Sound data."""
    return dump(Saved({"a": 0.1}, {"n": plain(["192.0.2.1"])}))


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"version": 2}, "version 2, expected 1"),
        ({"version": None}, "version None"),
        ({"scores": []}, "scores: expected names"),
        ({"scores": {1: 0.1}}, "scores: expected names"),
        ({"scores": {"a": "fast"}}, "scores, a: expected seconds up to 60"),
        ({"scores": {"a": True}}, "scores, a"),
        ({"scores": {"a": -1.0}}, "scores, a"),
        ({"scores": {"a": 61}}, "scores, a"),
        ({"scores": {"a": math.nan}}, "scores, a"),
        ({"scores": {"a": math.inf}}, "scores, a"),
        ({"scores": {str(n): 0.1 for n in range(1025)}}, "more than 1024"),
        ({"addresses": None}, "addresses: expected names"),
        ({"addresses": {"n": "192.0.2.1"}}, "addresses, n: expected a list"),
        ({"addresses": {"n": ["192.0.2.1"] * 17}}, "list of up to 16"),
        ({"addresses": {"n": ["example.com"]}}, "'example.com' is no IP address"),
        ({"addresses": {"n": [7]}}, "7 is no IP address"),
        ({"addresses": {"n": [[]]}}, "is no IP address"),
        ({"addresses": {"n": [["192.0.2.1"]]}}, "is no IP address"),
        ({"addresses": {"n": [["example.com", 1, 1, 1]]}}, "is no IP address"),
        ({"addresses": {"n": [["192.0.2.1", 65_536, 1, 1]]}}, "is no IP address"),
        ({"addresses": {"n": [["192.0.2.1", 1, -1, 1]]}}, "is no IP address"),
        ({"addresses": {"n": [["192.0.2.1", 1, 1, 1.5]]}}, "is no IP address"),
        ({"options": []}, "options: expected names"),
        ({"options": {"pstn": 1.0}}, "options, pstn: expected seconds"),
        ({"options": {"192.0.2.1": -1}}, "options, 192.0.2.1: expected seconds"),
        ({"options": {"192.0.2.1": math.nan}}, "options, 192.0.2.1"),
        ({"options": {"192.0.2.1": math.inf}}, "options, 192.0.2.1"),
        ({"options": {"192.0.2.1": "soon"}}, "options, 192.0.2.1"),
        ({"options": {str(n): 1 for n in range(16_385)}}, "more than 16384"),
    ],
)
def test_unsound_data_is_refused_with_its_place(change: Any, where: str) -> None:
    with pytest.raises(SavedError, match=where):
        parse(good() | change)


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "fe80::1", "::ffff:192.0.2.1", "224.0.0.1", "0.0.0.0", "::"],
)
def test_address_that_no_answer_could_give_is_left_out(address: str) -> None:
    saved = parse(good() | {"addresses": {"n": [address, "192.0.2.1"], "m": [address]}})
    assert saved.addresses == {"n": plain(["192.0.2.1"])}


def test_data_of_an_earlier_version_says_nothing_of_options() -> None:
    data = good()
    del data["options"], data["ended"]
    assert (parse(data).options, parse(data).ended) == ({}, False)
    assert not parse(data | {"ended": 1}).ended


@given(JSON)
def test_any_json_is_parsed_or_refused(data: Any) -> None:
    for attempt in (
        data,
        good() | {"scores": data},
        good() | {"addresses": data},
        good() | {"options": data},
    ):
        try:
            parse(attempt)
        except SavedError:
            pass


def test_addresses_are_told_from_names() -> None:
    assert is_address("192.0.2.1")
    assert is_address("2001:db8::1")
    assert not is_address("edge.example.com")
