"""The provider's own client library, unmodified, and its check of signatures."""

import asyncio
import sys
from collections.abc import Mapping

import pytest
from twilio.request_validator import RequestValidator

from simulator.provider import Provider
from simulator.webhooks import Webhook
from tests.scenarios.conftest import Delivered, Receiver
from tests.stage import HERE, HUSH, NAME, Daemon, Site

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEND = """
import sys
from twilio.rest import Client
sid, token, base, *names = sys.argv[1:]
client = Client(sid, token, **dict(name.split("=") for name in names))
if base:
    client.api.base_url = base
message = client.messages.create(to="+15005550006", from_="+15005550001", body="Grüße")
assert client.messages(message.sid).fetch().body == "Grüße"
print(message.sid)
"""
"An application of a customer."


async def send(
    provider: Provider, environment: Mapping[str, object], base: str, *names: str
) -> str:
    """Run the application with its environment; the SID of the message it sent."""
    account = provider.account
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SEND, account.sid, account.tokens["us1"], base, *names),
        env={name: str(value) for name, value in environment.items()},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    told, complaint = await process.communicate()
    assert process.returncode == 0, complaint.decode()
    return told.decode().strip()


@pytest.mark.parametrize("names", [(), ("region=us1", "edge=ashburn")])
async def test_message_is_sent_once_by_way_of_https_proxy(
    daemon: Daemon, provider: Provider, names: tuple[str, ...]
) -> None:
    provider.ledger.clear()
    seen = len(daemon.records)
    environment = {
        "HTTPS_PROXY": f"http://{HERE}:{daemon.ports['proxy']}",
        "REQUESTS_CA_BUNDLE": provider.ca_file,
    }
    sid = await send(provider, environment, "", *names)
    post, fetch = provider.ledger.requests()
    assert fetch.target.endswith(f"/{sid}.json")
    ended = await daemon.wait("flow.ended", after=seen, protocol="connect")
    assert (ended["edge"], ended["ended"]) == (post.edge, "--")
    assert post.method == "POST"


async def test_message_is_sent_once_by_way_of_a_base_address(
    daemon: Daemon, provider: Provider, site: Site
) -> None:
    provider.ledger.clear()
    seen = len(daemon.records)
    environment = {"REQUESTS_CA_BUNDLE": site.ca_file}
    sid = await send(provider, environment, f"https://{HERE}:{daemon.ports['api']}")
    post, fetch = provider.ledger.requests()
    ended = await daemon.wait("flow.ended", after=seen, method="POST")
    assert (post.method, post.host) == (
        "POST",
        f"api.{ended['edge']}.us1.twilio.com:{provider.port}",
    )
    assert fetch.target.endswith(f"/{sid}.json")


@pytest.mark.parametrize(
    "path",
    [
        "/voice",
        f"/voice?{HUSH}=%C3%A9%20b+c&empty=&x=1&x=2",
        "/%7Euser/a%2Fb;c?q=%22%27",
    ],
)
@pytest.mark.parametrize("kind", ["form", "json", "get"])
async def test_relayed_webhook_passes_the_librarys_check_of_its_signature(
    daemon: Daemon,
    provider: Provider,
    receiver: Receiver,
    site: Site,
    path: str,
    kind: str,
) -> None:
    receiver.requests.clear()
    told = {"CallSid": "CA123", "From": "+15005550001", "Body": "Grüße & mehr = 100%"}
    delivery = await provider.webhooks.deliver(
        Webhook(
            f"https://{NAME}{path}",
            told,
            method="GET" if kind == "get" else "POST",
            as_json=kind == "json",
        ),
        address=HERE,
        port=daemon.ports["webhooks"],
        trust=site.trust(),
    )
    assert delivery.delivered, delivery
    assert delivery.attempts[-1].body == b"<Response/>"
    (delivered,) = receiver.requests
    assert valid(provider, delivered, told, kind)
    assert not valid(provider, delivered, {**told, "Body": "forged"}, "form")


def valid(
    provider: Provider, delivered: Delivered, told: Mapping[str, str], kind: str
) -> bool:
    """What an application of the site finds, which is told the scheme by the relay."""
    headers = delivered.headers
    assert headers["X-Forwarded-Host"] == headers["Host"] == NAME
    url = f"{headers['X-Forwarded-Proto']}://{headers['Host']}{delivered.target}"
    signed = {"form": dict(told), "json": delivered.body.decode(), "get": {}}[kind]
    validator = RequestValidator(provider.account.tokens["us1"])
    return bool(validator.validate(url, signed, headers["X-Twilio-Signature"]))
