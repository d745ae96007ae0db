"""One look-up of a service, against a real nameserver on loopback."""

import asyncio
import os
import pathlib
import random
from collections.abc import AsyncIterator

import dns.name
import dns.rcode
import pytest

from protocols.target import Transport
from router.location import Location, plain
from router.lookup import Lookup, Sources
from router.names import Finding, Verdict
from router.services import service_name
from simulator.ledger import Ledger
from simulator.nameserver import Nameserver as Simulated
from simulator.plan import addresses as addresses_of
from simulator.plan import read_edges
from simulator.zone import build
from tests.nameserver import Nameserver, Zone, addresses, serving

NAME = "_sip._udp.edge.example"


@pytest.fixture
async def nameserver() -> AsyncIterator[Nameserver]:
    async with serving() as nameserver:
        yield nameserver


@pytest.fixture
def zone(nameserver: Nameserver) -> Zone:
    return nameserver.zone


@pytest.fixture
def lookup(nameserver: Nameserver, tmp_path: pathlib.Path) -> Lookup:
    return Lookup(
        Sources(
            [nameserver.address], timeout=5.0, lifetime=5.0, hosts=tmp_path / "hosts"
        )
    )


def servers(zone: Zone, *records: str, name: str = NAME, ttl: int = 60) -> None:
    """Let the zone have these SRV records."""
    zone.records[name, "SRV"] = (ttl, list(records))


def pointers(zone: Zone, *records: str, ttl: int = 60) -> None:
    """Let the zone have these NAPTR records."""
    zone.records["edge.example", "NAPTR"] = (ttl, list(records))


def locations(findings: dict[str, Finding]) -> tuple[Location, ...]:
    """All that was found."""
    return tuple(one for f in findings.values() for one in f.locations)


async def test_service_is_found_by_its_pointer_and_records(
    lookup: Lookup, zone: Zone
) -> None:
    pointers(
        zone,
        '10 10 "S" "SIPS+D2T" "" _sips._tcp.edge.example.',
        '20 10 "s" "SIP+D2U" "" Voice.Example.',
        ttl=25,
    )
    records = ("10 60 5070 gw1.example.", "20 0 5080 gw2.example.")
    servers(zone, *records, name="voice.example")
    addresses(zone, "gw1.example", "192.0.2.1", v6=("2001:db8::1",))
    addresses(zone, "gw2.example", "192.0.2.2", ttl=50)
    findings = await lookup.find(NAME)
    assert set(locations(findings)) == {
        Location("192.0.2.1", 5070, 10, 1),
        Location("2001:db8::1", 5070, 10, 1),
        Location("192.0.2.2", 5080, 20, 0),
    }
    assert {f.ttl for f in findings.values() if f.locations} == {25.0}


async def test_service_without_a_pointer_has_its_records_at_the_usual_name(
    lookup: Lookup, zone: Zone
) -> None:
    servers(zone, "10 10 5070 gw1.example.")
    addresses(zone, "gw1.example", "192.0.2.1")
    assert locations(await lookup.find(NAME)) == (Location("192.0.2.1", 5070, 10, 1),)


async def test_service_without_records_is_where_the_addresses_are(
    lookup: Lookup, zone: Zone
) -> None:
    addresses(zone, "edge.example", "192.0.2.1", v6=("2001:db8::1",))
    findings = await lookup.find(NAME)
    assert locations(findings) == plain(["192.0.2.1", "2001:db8::1"])


async def test_host_is_asked_for_addresses_alone(lookup: Lookup, zone: Zone) -> None:
    addresses(zone, "edge.example", "192.0.2.1")
    await lookup.find("edge.example")
    assert {kind for _, _, kind in zone.asked} == {"A", "AAAA"}


async def test_records_behind_a_cname_are_found(lookup: Lookup, zone: Zone) -> None:
    zone.records[NAME, "CNAME"] = (20, ["_sip._udp.other.example"])
    servers(zone, "10 10 5070 gw1.example.", name="_sip._udp.other.example")
    zone.records["gw1.example", "CNAME"] = (30, ["end.example"])
    addresses(zone, "end.example", "192.0.2.1")
    findings = await lookup.find(NAME)
    assert locations(findings) == (Location("192.0.2.1", 5070, 10, 1),)
    assert {f.ttl for f in findings.values() if f.locations} == {20.0}


async def test_more_than_a_hundred_records_are_cut_not_refused(
    lookup: Lookup, zone: Zone
) -> None:
    servers(zone, *(f"{n} 10 5070 gw{n}.example." for n in range(120)))
    for number in range(120):
        addresses(zone, f"gw{number}.example", f"192.0.2.{number}")
    found = locations(await lookup.find(NAME))
    assert {one.priority for one in found} == set(range(16))


async def test_record_without_a_host_says_that_there_is_no_service(
    lookup: Lookup, zone: Zone
) -> None:
    servers(zone, "0 0 0 .")
    addresses(zone, "edge.example", "192.0.2.1")
    findings = await lookup.find(NAME)
    assert {one.verdict for one in findings.values()} == {Verdict.GONE}


async def test_service_of_a_name_that_does_not_exist_is_gone(lookup: Lookup) -> None:
    findings = await lookup.find(NAME)
    assert {one.verdict for one in findings.values()} == {Verdict.GONE}


async def test_nameserver_that_knows_no_such_records_does_not_hide_the_addresses(
    lookup: Lookup, zone: Zone
) -> None:
    addresses(zone, "edge.example", "192.0.2.1")
    zone.refused = {"SRV", "NAPTR"}
    findings = await lookup.find(NAME)
    assert locations(findings) == plain(["192.0.2.1"])
    assert findings["SRV"].error == "SERVFAIL"


@pytest.mark.parametrize("refused", [{"SRV"}, {"NAPTR"}])
async def test_records_known_before_are_not_taken_for_missing_by_a_failure(
    lookup: Lookup, zone: Zone, refused: set[str]
) -> None:
    pointers(zone, '20 10 "s" "SIP+D2U" "" voice.example.')
    servers(zone, "10 10 5070 gw1.example.", name="voice.example")
    addresses(zone, "edge.example", "192.0.2.1")
    zone.refused = refused
    findings = await lookup.find(NAME, served=True)
    assert findings["SRV"].error == "SERVFAIL"
    assert not locations(findings)


async def test_records_are_found_where_pointers_are_not_answered(
    lookup: Lookup, zone: Zone
) -> None:
    servers(zone, "10 10 5070 gw1.example.")
    addresses(zone, "gw1.example", "192.0.2.1")
    zone.refused = {"NAPTR"}
    assert locations(await lookup.find(NAME, served=True))


async def test_name_in_the_hosts_file_has_no_service_in_the_dns(
    lookup: Lookup, zone: Zone, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "hosts").write_text("192.0.2.50 edge.example\n192.0.2.51 gw1.example\n")
    assert locations(await lookup.find(NAME)) == plain(["192.0.2.50"])
    assert zone.asked == []
    servers(zone, "10 10 5070 gw1.example.", name="_sip._udp.other.example")
    found = locations(await lookup.find("_sip._udp.other.example"))
    assert found == (Location("192.0.2.51", 5070, 10, 1),)


async def test_silent_nameserver_is_a_failure(nameserver: Nameserver) -> None:
    nameserver.zone.silent = True
    lookup = Lookup(Sources([nameserver.address], timeout=0.1, lifetime=0.1))
    findings = await lookup.find(NAME, served=True)
    assert {one.error for one in findings.values()} == {"timeout"}


async def test_refusing_nameserver_is_a_failure(lookup: Lookup, zone: Zone) -> None:
    zone.rcode = dns.rcode.REFUSED
    findings = await lookup.find("edge.example")
    assert {one.error for one in findings.values()} == {"REFUSED"}


async def test_service_of_a_bare_name_is_completed_as_the_site_says(
    nameserver: Nameserver, zone: Zone, tmp_path: pathlib.Path
) -> None:
    lookup = Lookup(Sources([nameserver.address], hosts=tmp_path / "none"))
    lookup._read_nameservers()
    lookup._resolver.search = [dns.name.from_text("site.example")]
    servers(zone, "10 10 5070 pbx.site.example.", name="_sip._udp.pbx.site.example")
    addresses(zone, "pbx.site.example", "192.0.2.7")
    found = locations(await lookup.find("_sip._udp.pbx"))
    assert found == (Location("192.0.2.7", 5070, 10, 1),)


async def test_system_nameservers_come_from_resolv_conf(tmp_path: pathlib.Path) -> None:
    conf = tmp_path / "resolv.conf"
    conf.write_text("nameserver 127.0.0.53\nsearch site.example\n")
    lookup = Lookup(Sources(resolv_conf=conf))
    lookup._read_nameservers()
    assert list(map(str, lookup._resolver.nameservers)) == ["127.0.0.53"]
    conf.write_text("nameserver 127.0.0.54\n")
    os.utime(conf, ns=(1, 1))
    lookup._read_nameservers()
    assert list(map(str, lookup._resolver.nameservers)) == ["127.0.0.54"]
    conf.unlink()
    lookup._read_nameservers()
    assert list(map(str, lookup._resolver.nameservers)) == ["127.0.0.1"]


@pytest.mark.parametrize("way", ["udp", "tcp", "tls"])
async def test_service_of_the_simulated_provider_is_found(
    way: str, tmp_path: pathlib.Path
) -> None:
    plans = read_edges(["ashburn=0ms"])
    at = addresses_of(plans)
    zone = build(plans, at)
    zone.ports = {"udp": 5060, "tcp": 5062, "tls": 5061}
    ledger = Ledger(asyncio.get_running_loop().time)
    server = Simulated(zone, ledger, random.Random(1))
    await server.start("127.0.0.1")
    lookup = Lookup(Sources([server.address], hosts=tmp_path / "none"))
    name = service_name(Transport(way), "pstn.ashburn.twilio.com")
    found = locations(await lookup.find(name))
    server.stop()
    assert {(one.address, one.port) for one in found} == {
        (address, zone.ports[way]) for address in at["ashburn"]
    }
    assert {(one.priority, one.weight) for one in found} == {(10, 1)}
