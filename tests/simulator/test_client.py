import socket

import aiohttp
import pytest

from simulator.client import Fixed, ask
from simulator.provider import Provider

API = "api.ashburn.us1.twilio.com"


async def test_every_name_leads_to_the_fixed_address() -> None:
    (four,) = await Fixed("127.0.0.2").resolve("a.example", 443)
    (six,) = await Fixed("::1", 8443).resolve("b.example", 443)

    assert (four["host"], four["port"]) == ("127.0.0.2", 443)
    assert (six["host"], six["port"]) == ("::1", 8443)
    assert six["family"] == socket.AF_INET6


async def test_answer_comes_from_the_address_asked_by_the_source(
    provider: Provider,
) -> None:
    answer = await ask(
        "127.20.1.3",
        f"https://{API}:{provider.port}/%7Ea?b=%20",
        provider.trust(),
        source="127.0.0.77",
    )

    seen = answer.json()
    assert answer.headers["content-type"].startswith("application/json")
    assert seen["address"] == "127.20.1.3"
    assert seen["source"].startswith("127.0.0.77:")
    assert seen["target"] == "/%7Ea?b=%20"


async def test_refusal_is_raised(provider: Provider) -> None:
    provider.edges["ashburn"].refuse()

    with pytest.raises(aiohttp.ClientConnectorError) as caught:
        await provider.ask(API)
    assert isinstance(caught.value.os_error, ConnectionRefusedError)
