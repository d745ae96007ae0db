import asyncio
import contextlib
import os
import socket
from pathlib import Path

import pytest

from simulator.faults import Fault
from simulator.nameserver import DnsFault
from simulator.plan import EdgePlan
from simulator.provider import Provider

API = "api.ashburn.us1.twilio.com"


async def test_every_address_of_every_public_edge_serves_the_same_port(
    provider: Provider,
) -> None:
    for name in ("ashburn", "dublin"):
        for address in provider.edges[name].addresses:
            answer = await provider.ask(
                f"api.{name}.us1.twilio.com", address=address.address
            )
            assert answer.json()["address"] == address.address


async def test_stopped_provider_leaves_no_task_no_port_and_no_file(
    tmp_path: Path,
) -> None:
    before = asyncio.all_tasks()
    async with Provider.start(["ashburn=0ms"], directory=tmp_path) as provider:
        port, (dns, dns_port) = provider.port, provider.dns_address
        assert provider.ca_file == tmp_path / "ca.pem"
        provider.edges["ashburn"].freeze()
        # A connection that nobody serves, at the moment of the end.
        client = socket.create_connection(("127.20.1.1", port))
        await provider.ledger.wait("accepted")

    assert asyncio.all_tasks() == before
    assert os.listdir(tmp_path) == ["ca.pem"]
    client.settimeout(5)
    with client, contextlib.suppress(ConnectionResetError):
        assert client.recv(1) == b""
    for address in (("127.20.1.1", port), (dns, dns_port)):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)


@pytest.mark.parametrize("fault", [None, *Fault])
async def test_provider_stops_with_any_fault_at_work(fault: Fault | None) -> None:
    async with Provider.start(["ashburn=0ms"]) as provider:
        await provider.ask(API)
        if fault is not None:
            provider.edges["ashburn"].fail(fault)


async def test_temporary_directory_is_removed() -> None:
    async with Provider.start(["ashburn=0ms"]) as provider:
        directory = provider.ca_file.parent
        assert directory.is_dir()

    assert not directory.exists()


async def test_two_providers_run_side_by_side(provider: Provider) -> None:
    async with Provider.start(["ashburn=0ms"]) as other:
        assert other.port != provider.port
        assert (await other.ask(API)).status == 200
        assert (await provider.ask(API)).status == 200


async def test_taken_port_is_an_error_and_leaves_nothing(provider: Provider) -> None:
    with pytest.raises(OSError, match="in use"):
        async with Provider.start(["tokyo=0ms"], port=provider.port):
            pytest.fail("it cannot start")

    assert (await provider.ask(API)).status == 200


async def test_fixed_port_can_be_taken_again_at_once() -> None:
    async with Provider.start(["ashburn=0ms"]) as first:
        port = first.port
        await first.ask(API)
    async with Provider.start(["ashburn=0ms"], port=port) as second:
        assert (await second.ask(API)).status == 200


@pytest.mark.parametrize("cdn", ["nowhere", "ashburn-ix"])
async def test_content_network_needs_a_public_edge(cdn: str) -> None:
    edges = ["ashburn=0ms", "ashburn-ix=0ms@127.0.0.9"]
    with pytest.raises(ValueError, match="needs a public edge"):
        async with Provider.start(edges, cdn=cdn):
            pytest.fail("it cannot start")


async def test_content_network_serves_the_names_of_other_edges() -> None:
    edges = [EdgePlan("ashburn"), EdgePlan("dublin")]
    async with Provider.start(edges, cdn="ashburn") as provider:
        seen = (await provider.ask("api.dublin.ie1.twilio.com")).json()

    assert (seen["edge"], seen["region"]) == ("ashburn", "ie1")


async def test_heal_ends_faults_of_every_kind(provider: Provider) -> None:
    provider.edges["ashburn"].addresses[0].refuse()
    provider.edges["dublin"].freeze()
    provider.regions["us1"].fail(Fault.STATUS)
    provider.dns.fail(DnsFault.SERVFAIL)

    provider.heal()

    for name in ("ashburn", "dublin"):
        assert (await provider.ask(f"api.{name}.us1.twilio.com")).status == 200


async def test_ledger_goes_to_a_file_as_well(tmp_path: Path) -> None:
    file = tmp_path / "ledger.jsonl"
    async with Provider.start(["ashburn=0ms"], ledger_file=file) as provider:
        await provider.ask(API)
        events = provider.ledger.events()

    assert file.read_text().splitlines() == [event.line() for event in events]
