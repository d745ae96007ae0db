import asyncio

import aiohttp
import pytest

from simulator.faults import Fault
from simulator.provider import Provider

API = "api.ashburn.us1.twilio.com"
DUBLIN = "api.dublin.us1.twilio.com"
IRELAND = "api.dublin.ie1.twilio.com"


async def test_echo_says_what_arrived_and_where(provider: Provider) -> None:
    seen = (
        await provider.ask(
            API,
            "/a%2Fb/../c?d=%7e&e",
            method="PATCH",
            data=b"body",
            headers={"X-Case": "Kept"},
        )
    ).json()

    assert seen["method"] == "PATCH"
    assert seen["target"] == "/a%2Fb/../c?d=%7e&e"
    assert seen["host"] == f"{API}:{provider.port}"
    assert seen["server_name"] == API
    assert (seen["product"], seen["region"]) == ("api", "us1")
    assert (seen["edge"], seen["address"]) == ("ashburn", "127.20.1.1")
    assert ["X-Case", "Kept"] in seen["headers"]


async def test_answer_names_the_request_and_the_edge(provider: Provider) -> None:
    answer = await provider.ask(DUBLIN)

    (event,) = provider.ledger.requests()
    assert answer.headers["Twilio-Request-Id"] == event.request
    assert answer.headers["X-Simulator-Edge"] == "dublin 127.20.2.1"


async def test_ledger_holds_request_and_answer_with_their_marker(
    provider: Provider,
) -> None:
    for _ in range(2):
        await provider.ask(
            API, "/x", method="POST", headers={"Idempotency-Key": "k1"}, data=b"1"
        )
    await provider.ask(API, "/x", headers={"Idempotency-Key": "k2"})

    first, *_ = provider.ledger.requests(method="POST")
    assert (first.edge, first.product, first.region) == ("ashburn", "api", "us1")
    (answer,) = provider.ledger.events("answered", request=first.request)
    assert (answer.status, answer.marker, answer.size) == (200, "k1", 1)
    assert provider.ledger.duplicates() == {"k1": 2}


async def test_request_is_noted_before_its_body_is_complete(
    provider: Provider,
) -> None:
    _, writer = await asyncio.open_connection(
        "127.20.1.1", provider.port, ssl=provider.trust(), server_hostname=API
    )

    writer.write(
        f"POST / HTTP/1.1\r\nHost: {API}\r\nContent-Length: 10\r\n"
        "Idempotency-Key: half\r\n\r\n12345".encode()
    )
    async with asyncio.timeout(5):
        await provider.ledger.wait("request")

    assert provider.ledger.markers() == {"half": 1}
    writer.close()
    await writer.wait_closed()


async def test_foreign_host_is_misdirected(provider: Provider) -> None:
    answer = await provider.ask(API, headers={"Host": "127.0.0.1"})

    assert answer.status == 421
    (event,) = provider.ledger.requests()
    assert (event.host, event.product) == ("127.0.0.1", "")


async def test_bytes_that_are_no_request_are_noted_and_refused(
    provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection(
        "127.20.1.1", provider.port, ssl=provider.trust(), server_hostname=API
    )

    writer.write(b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")

    assert b" 400 " in await reader.readline()
    assert provider.ledger.events("unparsed")
    assert not caplog.records
    writer.close()
    await writer.wait_closed()


async def test_status_fault_of_an_edge_spares_the_others(provider: Provider) -> None:
    provider.edges["ashburn"].fail(Fault.STATUS, 502)

    assert (await provider.ask(API)).status == 502
    assert (await provider.ask(DUBLIN)).status == 200


async def test_fault_of_a_region_is_seen_at_every_edge(provider: Provider) -> None:
    provider.regions["us1"].fail(Fault.STATUS)

    assert (await provider.ask(API)).status == 503
    assert (await provider.ask(DUBLIN)).status == 503
    assert (await provider.ask(IRELAND)).status == 200
    provider.regions["us1"].heal()
    assert (await provider.ask(API)).status == 200


async def test_slow_first_byte_comes_late(provider: Provider) -> None:
    provider.edges["ashburn"].fail(Fault.SLOW_FIRST_BYTE, 0.2)
    clock = asyncio.get_running_loop().time
    begun = clock()

    assert (await provider.ask(API)).status == 200
    assert clock() - begun >= 0.2


async def test_slow_body_is_complete_in_the_end(provider: Provider) -> None:
    provider.edges["ashburn"].fail(Fault.SLOW_BODY, 0.02)
    clock = asyncio.get_running_loop().time
    begun = clock()

    answer = await provider.ask(API)

    assert answer.json()["edge"] == "ashburn"
    assert clock() - begun >= 0.18


async def test_cut_body_breaks_off(provider: Provider) -> None:
    provider.edges["ashburn"].fail(Fault.CUT_BODY)

    with pytest.raises(aiohttp.ClientPayloadError):
        await provider.ask(API)


async def test_answer_without_a_body_to_spoil_stays_whole(provider: Provider) -> None:
    provider.edges["ashburn"].fail(Fault.CUT_BODY)
    assert (await provider.ask(API, "/simulator/status/204")).status == 204

    provider.edges["ashburn"].fail(Fault.SLOW_BODY)
    assert (await provider.ask(API, "/simulator/bytes/10")).body == b"0123456789"
