import pytest

from simulator.console import (
    refused_environment,
    refused_fragment,
    refused_sdk_edges,
    refused_uris,
)

EDGES = ("ashburn", "ashburn-ix")


@pytest.mark.parametrize(
    "uri",
    [
        "sip:203.0.113.5",
        "sip:203.0.113.5:5060;transport=udp;edge=ashburn-ix",
        "sip:[2001:db8::1]:5061;transport=tls",
        "sips:pbx.example.com;edge=ashburn",
    ],
)
def test_good_uri_is_taken(uri: str) -> None:
    assert refused_uris([(uri, 0, 1), (f"{uri};x=y", 0, 1)], EDGES) == [
        f"{uri};x=y: parameter x"
    ]


@pytest.mark.parametrize(
    ("uri", "priority", "weight", "why"),
    [
        ("http://pbx.example.com", 1, 1, "no SIP URI"),
        ("sip:203.0.113.500", 1, 1, "host 203.0.113.500"),
        ("sip:[::g]", 1, 1, "no SIP URI"),
        ("sip:[1:2]", 1, 1, "host [1:2]"),
        ("sip:a.example:70000", 1, 1, "port 70000"),
        ("sip:a.example;transport=sctp", 1, 1, "transport sctp"),
        ("sip:a.example;edge=dublin", 1, 1, "edge dublin"),
        ("sip:a.example;edge=ashburn;edge=ashburn", 1, 1, "parameter edge"),
        ("sip:a.example", -1, 1, "priority -1"),
        ("sip:a.example", 65536, 1, "priority 65536"),
        ("sip:a.example", 1, 0, "weight 0"),
    ],
)
def test_bad_uri_is_refused(uri: str, priority: int, weight: int, why: str) -> None:
    found = refused_uris([(uri, priority, weight)], EDGES)
    assert f"{uri}: {why}" in found


def test_eleven_uris_and_one_twice_are_refused() -> None:
    uris = [(f"sip:a{n % 10}.example", 1, 1) for n in range(11)]
    assert refused_uris(uris, EDGES) == [
        "11 URIs",
        "sip:a0.example: twice",
        "sip:a0.example: twice",
    ]


@pytest.mark.parametrize(
    ("fragment", "refused"),
    [
        ("e=ashburn-ix,ashburn&rc=1&rp=ct,5xx&ct=2000", []),
        ("e=dublin", ["e=dublin"]),
        ("rc=6", ["rc=6"]),
        ("ct=99&rp=3xx", ["ct=99", "rp=3xx"]),
        ("rc=1&rc=2", ["rc=1", "rc=2"]),
        ("zz=1", ["zz=1"]),
        ("rc=5&ct=3000", ["6 attempts of 3.0 s"]),
    ],
)
def test_fragment_that_would_be_ignored_is_refused(
    fragment: str, refused: list[str]
) -> None:
    assert refused_fragment(f"https://a.example/x#{fragment}", EDGES) == refused


def test_list_of_an_sdk_has_known_edges_once() -> None:
    assert refused_sdk_edges(["ashburn", "roaming"], EDGES) == []
    listed = ["ashburn", "dublin", "ashburn"]
    assert refused_sdk_edges(listed, EDGES) == listed


@pytest.mark.parametrize(
    ("edge", "region", "refused"),
    [
        (None, None, []),
        (None, "us1", []),
        (None, "ie1", ["ie1 without an edge"]),
        ("ashburn-ix", None, []),
        ("ashburn", "us1", []),
        ("ashburn", "ie1", ["ashburn in ie1"]),
        ("tokyo", "us1", ["edge tokyo"]),
    ],
)
def test_environment_of_a_name_that_does_not_exist_is_refused(
    edge: str | None, region: str | None, refused: list[str]
) -> None:
    given = {"TWILIO_EDGE": edge, "TWILIO_REGION": region, "HTTPS_PROXY": "http://x"}
    environment = {name: value for name, value in given.items() if value is not None}
    assert refused_environment(environment, EDGES) == refused
