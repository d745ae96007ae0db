import importlib.resources

import pytest

from router.catalogue import Catalogue, read_catalogue
from router.document import parse
from router.hosts import HostNames, Match, Reason, Refusal, host_names, match_host

BUNDLED = importlib.resources.files("router.catalogues")


@pytest.fixture(scope="module")
def twilio() -> Catalogue:
    text = (BUNDLED / "twilio.yaml").read_text("utf-8")
    return read_catalogue(parse(text, "twilio.yaml"))


@pytest.fixture(scope="module")
def names(twilio: Catalogue) -> HostNames:
    return host_names(twilio, list(twilio.products))


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("api.twilio.com", Match("api")),
        ("api.us1.twilio.com", Match("api")),
        ("API.Twilio.COM.", Match("api")),
        ("api.ashburn.us1.twilio.com", Match("api", "ashburn")),
        ("trunking.san-jose-ix.us1.twilio.com", Match("trunking", "san-jose-ix")),
        ("voice-js.dublin.twilio.com", Match("voice-js", "dublin")),
        ("voice-js.roaming.twilio.com", Match("voice-js")),
        ("chunderm.us2.gll.twilio.com", Match("voice-mobile", "umatilla")),
        ("eventgw.twilio.com", Match("eventgw")),
        ("us1.vss.twilio.com", Match("video")),
    ],
)
def test_name_of_a_product_matches(
    names: HostNames, host: str, expected: Match
) -> None:
    assert match_host(names, host, 443, "us1") == expected


@pytest.mark.parametrize(
    "host",
    [
        "",
        ".",
        "twilio.com",
        "evil.example",
        "api.twilio.com.evil.example",
        "evil-api.twilio.com",
        "x.api.twilio.com",
        "apixtwilio.com",
        "api..twilio.com",
        "api.twilio.com..",
        "api.ie1.twilio.com",
        "api.roaming.us1.twilio.com",
        "api.ashburn.us2.twilio.com",
        "{product}.twilio.com",
        "{tenant}.pstn.twilio.com",
        "pstn.twilio.com",
        "10.0.0.1",
        "::1",
        "api.twilio.com\x00",
        "a" * 300,
    ],
)
def test_name_that_is_no_product_is_refused(names: HostNames, host: str) -> None:
    found = match_host(names, host, 443, "us1")
    assert isinstance(found, Refusal)
    assert found.reason is Reason.UNKNOWN_HOST


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("example.pstn.twilio.com", Match("pstn")),
        ("a.b.pstn.twilio.com", Match("pstn")),
        ("pstn.pstn.twilio.com", Match("pstn")),
        ("a.b.pstn.london-ix.twilio.com", Match("pstn", "london-ix")),
        ("ashburn.pstn.dublin.twilio.com", Match("pstn", "dublin")),
        ("me.sip.twilio.com", Match("sip")),
    ],
)
def test_trunk_of_any_number_of_labels_is_found_from_the_right(
    names: HostNames, host: str, expected: Match
) -> None:
    for region in ("us1", "ie1"):
        assert match_host(names, host, 5061, region) == expected


@pytest.mark.parametrize(
    ("host", "region", "reason"),
    [
        ("api.twilio.com", "ie1", Reason.OTHER_REGION),
        ("api.dublin.ie1.twilio.com", "us1", Reason.OTHER_REGION),
        ("api.frankfurt.ie1.twilio.com", "ie1", Reason.NOT_OFFERED),
        ("ie1.vss.twilio.com", "us1", Reason.OTHER_REGION),
    ],
)
def test_name_of_another_region_or_of_no_offer_is_refused(
    names: HostNames, host: str, region: str, reason: Reason
) -> None:
    found = match_host(names, host, 443, region)
    assert isinstance(found, Refusal)
    assert found.reason is reason
    assert found.text


def test_name_of_the_configured_region_matches(names: HostNames) -> None:
    found = match_host(names, "api.dublin.ie1.twilio.com", 443, "ie1")
    assert found == Match("api", "dublin")


def test_product_is_on_its_own_ports_only(names: HostNames) -> None:
    assert match_host(names, "api.twilio.com", 22, "us1") == Refusal(
        Reason.OTHER_PORT, "the product is on port 443 only"
    )
    assert isinstance(match_host(names, "t.pstn.twilio.com", 443, "us1"), Refusal)


def test_https_product_on_an_odd_port_is_met_on_the_usual_one_too() -> None:
    text = """\
version: 1
name: p
default_edge: north
edges: {north: {kind: public}, south: {kind: public}}
products:
  api:
    protocol: https
    transports: {tls: 9443}
    hosts: {north: N.example, south: s.example}
"""
    names = host_names(read_catalogue(parse(text, "f")), ["api"])
    for port in (443, 9443):
        assert match_host(names, "n.example", port, "") == Match("api", "north")
        assert match_host(names, "s.example", port, "") == Match("api", "south")
    assert isinstance(match_host(names, "n.example", 80, ""), Refusal)


def test_only_the_products_asked_for_are_matched(twilio: Catalogue) -> None:
    names = host_names(twilio, ["api"])
    assert match_host(names, "api.twilio.com", 443, "us1") == Match("api")
    assert isinstance(match_host(names, "lookups.twilio.com", 443, "us1"), Refusal)
