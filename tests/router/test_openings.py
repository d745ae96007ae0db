import importlib.resources
import ipaddress
import re
import shutil
import subprocess

import pytest

from router.catalogue import Catalogue, read_catalogue
from router.document import parse
from router.openings import collapsed, ipset, nftables, openings, plain

TWILIO = importlib.resources.files("router.catalogues") / "twilio.yaml"
BOTH = """\
version: 1
name: p
default_edge: a
edges:
  a: {kind: public, networks: {media: [8.8.8.0/25, 8.8.8.128/25, "2a00::/32"]}}
products: {api: {protocol: https, transports: {tls: 443}, host: "{edge}.example"}}
"""


@pytest.fixture(scope="module")
def twilio() -> Catalogue:
    return read_catalogue(parse(TWILIO.read_text("utf-8"), "twilio.yaml"))


@pytest.fixture(scope="module")
def both() -> Catalogue:
    return read_catalogue(parse(BOTH, "f"))


def test_every_purpose_has_its_ports_and_the_networks_of_all_edges(
    twilio: Catalogue,
) -> None:
    sip, sdk, media = openings(twilio)
    assert sip.ports == ("tcp 5060", "tcp 5061", "udp 5060")
    assert ipaddress.ip_network("208.78.112.64/31") in sip.networks
    assert (sdk.purpose, sdk.ports) == ("sdk_signalling", ("tcp 443",))
    assert media.ports == ("udp 10000-60000",)
    assert [str(network) for network in media.networks] == ["168.86.128.0/18"]


def test_purpose_without_networks_is_left_out(both: Catalogue) -> None:
    (media,) = openings(both)
    assert (media.purpose, media.ports) == ("media", ())


def test_networks_are_joined_and_ordered() -> None:
    texts = ["2a00::/32", "8.8.8.128/25", "8.8.8.0/25", "8.8.8.9/32"]
    found = collapsed(map(ipaddress.ip_network, texts))
    assert [str(network) for network in found] == ["8.8.8.0/24", "2a00::/32"]


def test_plain_list_has_a_network_a_line(both: Catalogue) -> None:
    assert list(plain(openings(both))) == [
        "# media: ports not known, both ways",
        "8.8.8.0/24",
        "2a00::/32",
    ]


def test_nftables_has_a_set_for_each_version_of_ip(both: Catalogue) -> None:
    assert list(nftables(openings(both), "filter")) == [
        "add table inet filter",
        "add set inet filter provider_media_4 { type ipv4_addr; flags interval; }",
        "flush set inet filter provider_media_4",
        "add element inet filter provider_media_4 { 8.8.8.0/24 }",
        "add set inet filter provider_media_6 { type ipv6_addr; flags interval; }",
        "flush set inet filter provider_media_6",
        "add element inet filter provider_media_6 { 2a00::/32 }",
    ]


def test_ipset_takes_what_is_written(twilio: Catalogue, both: Catalogue) -> None:
    """By the grammar of ipset(8): names of 31 characters, created before use."""
    assert "create provider_media_6 hash:net family inet6 -exist" in list(
        ipset(openings(both))
    )
    created = set()
    for line in ipset(openings(twilio)):
        command, name, *rest = line.split()
        assert re.fullmatch(r"[a-z0-9_]{1,31}", name)
        if command == "create":
            created.add(name)
            assert rest == ["hash:net", "family", "inet", "-exist"]
        elif command == "add":
            assert ipaddress.ip_network(rest[0]).prefixlen > 0
        else:
            assert (command, rest) == ("flush", [])
        assert name in created
    assert len(created) == 3


@pytest.mark.skipif(shutil.which("nft") is None, reason="needs nft (nftables)")
@pytest.mark.parametrize("which", ["twilio", "both"])
def test_nft_loads_what_is_written(which: str, request: pytest.FixtureRequest) -> None:
    lines = "\n".join(nftables(openings(request.getfixturevalue(which))))
    done = subprocess.run(
        ["nft", "-c", "-f", "-"],
        input=lines,
        capture_output=True,
        text=True,
        check=False,
    )
    if "Operation not permitted" in done.stderr:
        pytest.skip("nft may not look at the kernel's tables here")
    assert (done.returncode, done.stderr) == (0, "")
