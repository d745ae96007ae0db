"""The API as the provider's own client library sees it, unmodified, through a proxy."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from simulator.provider import Provider

API = "api.ashburn.us1.twilio.com"


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


@pytest.fixture
async def proxy(provider: Provider) -> AsyncIterator[str]:
    """The URL of a forward proxy that leads every CONNECT to its edge."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        name = head.split()[1].decode().partition(":")[0]
        entry = provider.zone.find(name)
        assert entry is not None
        there, back = await asyncio.open_connection(entry.addresses[0], provider.port)
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        await asyncio.gather(pump(reader, back), pump(there, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


@pytest.fixture
async def library(
    provider: Provider, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[..., Client]]:
    """Makes clients of the library, which trust the simulated authority."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(provider.ca_file))
    made: list[TwilioHttpClient] = []

    def client(token_of: str = "us1", **labels: str) -> Client:
        made.append(TwilioHttpClient(proxy={"https": proxy}))
        return Client(
            provider.account.sid,
            provider.account.tokens[token_of],
            http_client=made[-1],
            **labels,
        )

    yield client
    for one in made:
        assert one.session is not None
        one.session.close()


Library = Callable[..., Client]


async def test_library_creates_fetches_and_lists_a_message(
    provider: Provider, library: Library
) -> None:
    client = library()

    def work() -> list[str | None]:
        made = client.messages.create(to="+15550001", from_="+15550002", body="h\u00e9")
        fetched = client.messages(made.sid).fetch()
        assert fetched.date_created is not None
        assert fetched.status == "queued"
        return [made.body, fetched.body, *(m.body for m in client.messages.list())]

    assert await asyncio.to_thread(work) == ["h\u00e9"] * 3
    assert [event.host for event in provider.ledger.requests(method="POST")] == [
        "api.twilio.com"
    ]


async def test_library_with_an_edge_creates_a_call_there(
    provider: Provider, library: Library
) -> None:
    client = library(edge="dublin")

    call = await asyncio.to_thread(
        client.calls.create, to="+15550001", from_="+15550002", twiml="<Response/>"
    )

    assert call.sid is not None
    assert call.sid.startswith("CA")
    (event,) = provider.ledger.requests()
    assert (event.edge, event.host) == ("dublin", "api.dublin.us1.twilio.com")


@pytest.mark.parametrize("region", ["us1", "ie1"])
async def test_credentials_are_good_in_their_own_region_only(
    library: Library, region: str
) -> None:
    good = library(region, edge="dublin", region=region)
    bad = library("au1", edge="dublin", region=region)

    assert await asyncio.to_thread(good.messages.list) == []
    with pytest.raises(TwilioRestException, match="Authenticate") as caught:
        await asyncio.to_thread(bad.messages.create, to="+1", from_="+1", body="x")
    assert (caught.value.status, caught.value.code) == (401, 20003)


@pytest.mark.parametrize("value", ["", "Basic", "Basic %%%", "Bearer x", "Basic Og=="])
async def test_request_without_good_credentials_is_refused(
    provider: Provider, value: str
) -> None:
    path = f"/2010-04-01/Accounts/{provider.account.sid}/Messages.json"

    answer = await provider.ask(API, path, headers={"Authorization": value})

    assert answer.status == 401
    assert answer.json()["code"] == 20003


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/2010-04-01/Accounts/{sid}/Messages.json", 400),
        ("POST", "/2010-04-01/Accounts/{sid}/Calls.json", 400),
        ("GET", "/2010-04-01/Accounts/{sid}/Messages/SM" + "0" * 32 + ".json", 404),
        ("GET", "/2010-04-01/Accounts/ACother/Messages.json", 404),
        ("GET", "/2010-04-01/Accounts/{sid}/Calls.json?PageSize=x", 200),
    ],
)
async def test_request_for_what_there_is_not_is_refused(
    provider: Provider, method: str, path: str, status: int
) -> None:
    account = provider.account
    secret = base64.b64encode(f"{account.sid}:{account.tokens['us1']}".encode())

    answer = await provider.ask(
        API,
        path.format(sid=account.sid),
        method=method,
        headers={"Authorization": f"Basic {secret.decode()}"},
    )

    assert answer.status == status
