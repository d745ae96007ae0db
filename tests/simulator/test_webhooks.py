"""Webhooks to a site that checks them with the client library's own validator."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from twilio.request_validator import RequestValidator

from simulator.certificates import Authority, NamedTLS
from simulator.ledger import Ledger
from simulator.webhooks import Delivery, Webhook, WebhookEngine

TOKEN = "12345"
EDGES = {"ashburn": "127.20.1.1", "dublin": "127.20.2.1"}
FORM = {"Body": "h\u00e9 & more", "From": "+15550001", "Empty": ""}
URL = "https://site.example/sms?a=%20b&c=%2F"


class Site:
    """A receiver of webhooks: answers as told, remembers what came."""

    def __init__(self, directory: Path) -> None:
        authority = Authority(directory)
        self._context = authority.context(["site.example"])
        self.trust = authority.client()
        self.port = 0
        self.statuses: list[int] = []
        "What to answer, one after the other; then 200. 0 cuts the answer short."
        self.pause = 0.0
        "Seconds before an answer."
        self.paths: list[str] = []
        self.sources: list[str] = []
        self.bodies: list[str] = []
        self.names: list[str] = []
        self.headers: list[dict[str, str]] = []

    async def receive(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        session = request.transport.get_extra_info("ssl_object")
        assert isinstance(session, NamedTLS)
        self.names.append(session.server_name)
        self.paths.append(request.raw_path)
        self.sources.append(request.remote or "")
        self.bodies.append(await request.text())
        self.headers.append(dict(request.headers))
        await asyncio.sleep(self.pause)
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 0:
            response = web.StreamResponse()
            response.content_length = 10
            await response.prepare(request)
            await response.write(b"half")
            request.transport.close()
            return response
        return web.Response(status=status, text="<Response/>")

    async def start(self) -> web.AppRunner:
        application = web.Application()
        application.router.add_route("*", "/{path:.*}", self.receive)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._context).start()
        self.port = runner.addresses[0][1]
        return runner


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    receiver = Site(tmp_path)
    runner = await receiver.start()
    yield receiver
    await runner.cleanup()


@pytest.fixture
async def ledger() -> Ledger:
    return Ledger(asyncio.get_running_loop().time)


async def deliver(site: Site, ledger: Ledger, webhook: Webhook) -> Delivery:
    engine = WebhookEngine(EDGES, TOKEN, ledger)
    return await engine.deliver(
        webhook, address="127.0.0.1", port=site.port, trust=site.trust
    )


def valid(site: Site, form: dict[str, str] | str) -> bool:
    validator = RequestValidator(TOKEN)
    signature = site.headers[0]["X-Twilio-Signature"]
    url = f"https://site.example{site.paths[0]}"
    return bool(validator.validate(url, form, signature))


async def test_form_arrives_with_a_signature_over_the_exact_url(
    site: Site, ledger: Ledger
) -> None:
    delivery = await deliver(site, ledger, Webhook(f"{URL}#e=ashburn", FORM))

    assert delivery.delivered
    assert delivery.attempts[0].body == b"<Response/>"
    assert site.paths == ["/sms?a=%20b&c=%2F"]
    assert valid(site, FORM)
    assert not valid(site, FORM | {"Body": "other"})
    assert site.headers[0]["I-Twilio-Idempotency-Token"] == delivery.token


async def test_json_is_signed_by_its_digest(site: Site, ledger: Ledger) -> None:
    await deliver(site, ledger, Webhook(URL, FORM, as_json=True))

    assert "bodySHA256=" in site.paths[0]
    assert valid(site, site.bodies[0])
    assert not valid(site, site.bodies[0] + " ")


async def test_get_tells_all_in_its_query(site: Site, ledger: Ledger) -> None:
    await deliver(site, ledger, Webhook(URL, FORM, method="GET"))

    assert site.paths[0].startswith("/sms?a=%20b&c=%2F&Body=h%C3%A9+%26+more&")
    assert site.bodies == [""]
    assert valid(site, {})


async def test_retry_comes_from_the_next_edge_with_the_same_token(
    site: Site, ledger: Ledger
) -> None:
    site.statuses = [503, 500]

    delivery = await deliver(
        site, ledger, Webhook(f"{URL}#rc=2&rp=5xx&e=ashburn,dublin", FORM)
    )

    assert [attempt.failure for attempt in delivery.attempts] == ["5xx", "5xx", ""]
    assert site.sources == ["127.20.1.1", "127.20.2.1", "127.20.1.1"]
    tokens = {headers["I-Twilio-Idempotency-Token"] for headers in site.headers}
    assert tokens == {delivery.token}
    assert [event.status for event in ledger.events("webhook")] == [503, 500, 200]


async def test_failing_answer_is_not_tried_again_by_default(
    site: Site, ledger: Ledger
) -> None:
    site.statuses = [503]

    delivery = await deliver(site, ledger, Webhook(URL, FORM))

    assert [attempt.failure for attempt in delivery.attempts] == ["5xx"]
    assert not delivery.delivered


async def test_refused_connection_is_tried_again_once(
    site: Site, ledger: Ledger
) -> None:
    engine = WebhookEngine(EDGES, TOKEN, ledger)

    delivery = await engine.deliver(
        Webhook(URL, FORM), address="127.0.0.3", port=site.port, trust=site.trust
    )

    assert [attempt.failure for attempt in delivery.attempts] == ["ct", "ct"]


async def test_untrusted_certificate_counts_as_failed_connect(
    site: Site, ledger: Ledger
) -> None:
    engine = WebhookEngine(EDGES, TOKEN, ledger)

    delivery = await engine.deliver(
        Webhook(f"{URL}#rc=0", FORM), address="127.0.0.1", port=site.port
    )

    assert [attempt.failure for attempt in delivery.attempts] == ["ct"]
    assert not site.paths


async def test_name_is_neither_indicated_nor_checked_if_so_ordered(
    site: Site, ledger: Ledger
) -> None:
    url = "https://other.example/sms"

    checked = await deliver(site, ledger, Webhook(f"{url}#rc=0", FORM))
    unchecked = await deliver(site, ledger, Webhook(f"{url}#rc=0&sni=n", FORM))

    assert not checked.delivered
    assert unchecked.delivered
    assert site.names == [""]


async def test_silent_site_is_given_up_after_the_read_timeout(
    site: Site, ledger: Ledger
) -> None:
    site.pause = 5.0

    delivery = await deliver(site, ledger, Webhook(f"{URL}#rt=100&rp=rt&rc=1", FORM))

    assert [attempt.failure for attempt in delivery.attempts] == ["rt", "rt"]


async def test_all_attempts_share_the_total_time(site: Site, ledger: Ledger) -> None:
    site.pause = 5.0
    clock = asyncio.get_running_loop().time
    begun = clock()

    delivery = await deliver(site, ledger, Webhook(f"{URL}#tt=300&rp=all&rc=5", FORM))

    assert 0.3 <= clock() - begun < 3
    assert len(delivery.attempts) == 1


async def test_partial_answer_is_never_tried_again(site: Site, ledger: Ledger) -> None:
    site.statuses = [0]

    delivery = await deliver(site, ledger, Webhook(f"{URL}#rp=all&rc=5", FORM))

    assert [attempt.failure for attempt in delivery.attempts] == ["partial"]


async def test_fallback_url_learns_what_failed(site: Site, ledger: Ledger) -> None:
    site.statuses = [500]

    delivery = await deliver(
        site,
        ledger,
        Webhook(URL, FORM, fallback_url="https://site.example/fallback"),
    )

    assert delivery.delivered
    assert site.paths == ["/sms?a=%20b&c=%2F", "/fallback"]
    assert "ErrorCode=11200" in site.bodies[1]
    assert "ErrorUrl=https%3A%2F%2Fsite.example%2Fsms" in site.bodies[1]
