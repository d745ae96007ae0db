"""Nothing but the catalogue's products can be reached, however it is asked for."""

import pytest

from simulator.provider import Provider
from tests.stage import NAME, Daemon, Site
from tests.wire import connect, tell

pytestmark = pytest.mark.asyncio(loop_scope="module")

EDGE = "api.ashburn.us1.twilio.com"


@pytest.mark.parametrize(
    "line",
    [
        "GET / HTTP/1.1\r\nHost: evil.example",
        "GET / HTTP/1.1\r\nHost: 127.0.0.1:22",
        f"GET http://evil.example/ HTTP/1.1\r\nHost: {NAME}",
        f"GET https://169.254.169.254/meta HTTP/1.1\r\nHost: {NAME}",
    ],
)
async def test_foreign_name_asked_of_a_terminating_listener_still_means_the_product(
    daemon: Daemon, site: Site, provider: Provider, line: str
) -> None:
    provider.ledger.clear()
    wire = f"{line}\r\nConnection: close\r\n\r\n".encode()
    heard = await tell(daemon.ports["api"], site.trust(), wire)
    assert heard.startswith(b"HTTP/1.1 200 ")
    (request,) = provider.ledger.requests()
    assert request.product == "api"
    assert request.host == f"api.{request.edge}.us1.twilio.com:{provider.port}"


async def test_connect_asked_of_a_terminating_listener_is_refused(
    daemon: Daemon, site: Site
) -> None:
    wire = b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n"
    heard = await tell(daemon.ports["api"], site.trust(), wire)
    assert heard.startswith(b"HTTP/1.1 501 ")


@pytest.mark.parametrize(
    "authority",
    [
        "evil.example:443",
        f"{EDGE}.evil.example:{{port}}",
        f"evil.{EDGE}:{{port}}",
        f"{EDGE}:22",
        "api.dublin.ie1.twilio.com:{port}",
        "verify.ashburn.us1.twilio.com:{port}",
        "pstn.ashburn.twilio.com:{port}",
        "127.20.1.1:{port}",
        "127.0.0.1:22",
        "[::1]:{port}",
        "2130706433:{port}",
        "localhost:{port}",
    ],
)
async def test_connect_to_anything_else_is_403(
    daemon: Daemon, provider: Provider, authority: str
) -> None:
    name = authority.format(port=provider.port)
    wire = f"CONNECT {name} HTTP/1.1\r\nHost: {name}\r\n\r\n".encode()
    heard = await tell(daemon.ports["proxy"], None, wire)
    assert heard.startswith(b"HTTP/1.1 403 "), heard


@pytest.mark.parametrize(
    "line",
    ["GET http://{name}/ HTTP/1.1", "GET / HTTP/1.1", "POST / HTTP/1.1"],
)
async def test_anything_but_connect_asked_of_the_proxy_is_405(
    daemon: Daemon, provider: Provider, line: str
) -> None:
    name = f"{EDGE}:{provider.port}"
    wire = f"{line.format(name=name)}\r\nHost: {name}\r\n\r\n".encode()
    heard = await tell(daemon.ports["proxy"], None, wire)
    assert heard.startswith(b"HTTP/1.1 405 ")


@pytest.mark.parametrize(
    "name",
    [
        "evil.example",
        f"{EDGE}.evil.example",
        "api.dublin.ie1.twilio.com",
        "verify.ashburn.us1.twilio.com",
        None,
    ],
)
async def test_passthrough_to_another_server_name_is_closed(
    daemon: Daemon, provider: Provider, name: str | None
) -> None:
    context = provider.trust()
    context.check_hostname = False
    seen = len(daemon.records)
    with pytest.raises(OSError):  # noqa: PT011 - an alert, a close, or a reset
        await connect(daemon.ports["names"], context, name=name or "")
    ended = await daemon.wait("flow.ended", after=seen, protocol="passthrough")
    assert ended["ended"] == "RH"


async def test_passthrough_of_no_tls_is_closed_without_a_word(daemon: Daemon) -> None:
    wire = f"GET / HTTP/1.1\r\nHost: {EDGE}\r\n\r\n".encode()
    assert b"HTTP" not in await tell(daemon.ports["names"], None, wire)
