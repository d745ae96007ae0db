import dns.message
import pytest

from simulator.commands import HELP, CommandError, obey
from simulator.faults import Active, Fault
from simulator.provider import Provider

API = "api.ashburn.us1.twilio.com"


async def test_edge_address_and_region_take_faults(provider: Provider) -> None:
    obey(provider, "ashburn slow-body=10ms")
    obey(provider, "  127.20.1.2   refuse ")
    obey(provider, "us1 status=500")
    obey(provider, "ashburn/udp blackhole")

    edge = provider.edges["ashburn"]
    assert edge.active == Active(Fault.SLOW_BODY, 0.01)
    assert edge.addresses[1].active == Active(Fault.REFUSE)
    assert provider.regions["us1"].active == Active(Fault.STATUS, 500)
    assert edge.transports["udp"].active == Active(Fault.BLACKHOLE)
    assert len(provider.ledger.events("fault")) == 4


async def test_heal_ends_one_fault_or_all(provider: Provider) -> None:
    obey(provider, "ashburn refuse")
    obey(provider, "dublin refuse")

    obey(provider, "ashburn heal")
    assert provider.edges["ashburn"].active is None
    assert provider.edges["dublin"].active is not None

    obey(provider, "heal")
    assert provider.edges["dublin"].active is None


async def test_distance_changes(provider: Provider) -> None:
    obey(provider, "ashburn round-trip=80ms")

    assert provider.edges["ashburn"].round_trip == 0.08


def answer(provider: Provider) -> str:
    response = provider.dns.answer(dns.message.make_query(API, "A"))
    return response.to_text() if response else "silence"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("dns nxdomain", "NXDOMAIN"),
        ("dns servfail ashburn", "SERVFAIL"),
        (f"dns timeout {API}", "silence"),
        (f"dns answer=127.20.9.9,127.20.9.8 {API}", "127.20.9.8"),
    ],
)
async def test_name_server_takes_faults_and_heals(
    provider: Provider, command: str, expected: str
) -> None:
    assert expected not in answer(provider)

    obey(provider, command)
    assert expected in answer(provider)

    obey(provider, "dns heal")
    assert "127.20.1.1" in answer(provider)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("", "write PLACE FAULT"),
        ("ashburn", "write PLACE FAULT"),
        ("ashburn refuse now", "write PLACE FAULT"),
        ("nowhere refuse", "no edge, address or region 'nowhere'; edges: ashburn"),
        ("ashburn explode", "no fault 'explode'"),
        ("us1 refuse", "no network of its own"),
        ("ashburn round-trip=80", "not a time"),
        ("us1 round-trip=80ms", "no edge 'us1'"),
        ("dns explode", "no fault 'explode' of the name server"),
        ("dns answer=127.0.0.1", "no fault 'answer=127.0.0.1'"),
        (f"dns answer=nonsense {API}", "does not appear to be"),
    ],
)
async def test_command_that_makes_no_sense_is_refused(
    provider: Provider, command: str, reason: str
) -> None:
    with pytest.raises(CommandError, match=reason):
        obey(provider, command)

    assert not provider.ledger.events("fault")


def test_help_names_every_fault() -> None:
    missing = [fault for fault in Fault if fault.value not in HELP]

    assert not missing
