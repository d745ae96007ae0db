import hashlib

from simulator.provider import Provider

API = "api.ashburn.us1.twilio.com"


async def test_body_is_measured_however_long(provider: Provider) -> None:
    body = b"0123456789" * 100_000

    seen = (await provider.ask(API, method="PUT", data=body)).json()

    assert seen["body"] == {
        "bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    (event,) = provider.ledger.events("answered")
    assert (event.size, event.digest) == (len(body), seen["body"]["sha256"])


async def test_compressed_body_is_measured_as_it_came(provider: Provider) -> None:
    seen = await provider.ask(
        API, method="POST", data=b"not gzip", headers={"Content-Encoding": "gzip"}
    )

    assert seen.json()["body"]["bytes"] == 8
