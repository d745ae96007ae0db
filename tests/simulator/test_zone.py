import pytest

from simulator.plan import addresses, read_edges
from simulator.zone import Zone, build

PLANS = read_edges(["ashburn=20ms", "dublin=5ms", "ashburn-ix=1ms@127.0.0.9"])
AT = addresses(PLANS)


def zone(cdn: str | None = None) -> Zone:
    return build(PLANS, AT, cdn=cdn)


@pytest.mark.parametrize(
    ("name", "edge"),
    [
        ("api.ashburn.us1.twilio.com", "ashburn"),
        ("trunking.dublin.us1.twilio.com", "dublin"),
        ("api.dublin.ie1.twilio.com", "dublin"),
        ("api.ashburn-ix.us1.twilio.com", "ashburn-ix"),
        ("voice-js.ashburn.twilio.com", "ashburn"),
        ("pstn.dublin.twilio.com", "dublin"),
        ("example.pstn.dublin.twilio.com", "dublin"),
        ("a.b.pstn.ashburn-ix.twilio.com", "ashburn-ix"),
        ("example.sip.ie1.twilio.com", "dublin"),
    ],
)
def test_name_with_a_listed_edge_leads_to_it(name: str, edge: str) -> None:
    entry = zone().find(name)

    assert entry is not None
    assert (entry.edge, entry.addresses) == (edge, AT[edge])


@pytest.mark.parametrize(
    "name",
    [
        "api.twilio.com",
        "api.us1.twilio.com",
        "example.pstn.twilio.com",
        "voice-js.roaming.twilio.com",
        "global.vss.twilio.com",
    ],
)
def test_name_without_an_edge_leads_to_the_nearest_public_one(name: str) -> None:
    entry = zone().find(name)

    assert entry is not None
    assert (entry.edge, entry.addresses) == (None, AT["dublin"])


@pytest.mark.parametrize(
    "name",
    [
        "api.ashburn.ie1.twilio.com",
        "api.tokyo.us1.twilio.com",
        "api.ie1.twilio.com",
        "nothing.twilio.com",
        "voice-js.tokyo.twilio.com",
        "example.pstn.tokyo.twilio.com",
        "api.example.com",
    ],
)
def test_name_of_an_unlisted_pair_does_not_exist(name: str) -> None:
    assert zone().find(name) is None


def test_region_is_that_of_the_label() -> None:
    found = [
        zone().find(f"{name}.twilio.com")
        for name in ("api.dublin.ie1", "api", "voice-js.dublin")
    ]

    assert [entry and entry.region for entry in found] == ["ie1", "us1", None]


def test_content_network_takes_all_public_rest_names_and_no_other() -> None:
    names = ("api.dublin.us1", "api", "api.ashburn-ix.us1", "voice-js.dublin")
    found = [zone(cdn="ashburn").find(f"{name}.twilio.com") for name in names]

    assert [entry and entry.addresses for entry in found] == [
        AT["ashburn"],
        AT["ashburn"],
        AT["ashburn-ix"],
        AT["dublin"],
    ]


def test_certificate_has_single_label_wildcards_of_its_edge_and_of_none() -> None:
    names = zone().certificate("dublin", AT["dublin"])

    assert {
        "*.twilio.com",
        "*.dublin.us1.twilio.com",
        "*.dublin.ie1.twilio.com",
        "*.dublin.twilio.com",
        "*.pstn.dublin.twilio.com",
        "*.pstn.twilio.com",
    } <= set(names)
    assert not [name for name in names if "ashburn" in name]
    assert all(name.startswith("*.") for name in names)


def test_certificate_of_a_content_network_covers_the_edges_that_lead_there() -> None:
    names = zone(cdn="ashburn").certificate("ashburn", AT["ashburn"])

    assert "*.dublin.us1.twilio.com" in names
    assert "*.ashburn-ix.us1.twilio.com" not in names


def test_zone_holds_its_domain_and_what_is_below() -> None:
    assert zone().holds("twilio.com")
    assert zone().holds("x.y.twilio.com")
    assert not zone().holds("nottwilio.com")


def test_next_hop_points_to_services_and_they_to_single_addresses() -> None:
    built = zone()
    built.ports = {"udp": 30000, "tcp": 30000, "tls": 30001}

    assert built.pointers("pstn.ashburn.twilio.com") == [
        '10 10 "S" "SIPS+D2T" "" _sips._tcp.pstn.ashburn.twilio.com.',
        '20 10 "S" "SIP+D2T" "" _sip._tcp.pstn.ashburn.twilio.com.',
        '30 10 "S" "SIP+D2U" "" _sip._udp.pstn.ashburn.twilio.com.',
    ]
    services = built.services("_sips._tcp.pstn.ashburn.twilio.com")
    assert services[0] == "10 10 30001 gw1.pstn.ashburn.twilio.com."
    found = [built.find(one.split()[-1].removesuffix(".")) for one in services]
    assert [one and one.addresses for one in found] == [(a,) for a in AT["ashburn"]]


@pytest.mark.parametrize(
    "name",
    [
        "pstn.tokyo.twilio.com",
        "example.pstn.ashburn.twilio.com",
        "gw1.pstn.ashburn.twilio.com",
        "api.ashburn.us1.twilio.com",
        "twilio.com",
    ],
)
def test_name_that_is_no_next_hop_has_no_services(name: str) -> None:
    assert zone().pointers(name) == []
    assert zone().services(f"_sip._udp.{name}") == []
    assert zone().services(name) == []
