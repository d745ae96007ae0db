"""A provider with short times, raw sockets, and PBXs on every transport."""

import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import trustme

from simulator.provider import Provider
from simulator.sip.pbx import Pbx
from simulator.sip.plan import SipPlan
from tests.simulator.conftest import SOURCE
from tests.simulator.sip.raw import Raw, at

PLAN = SipPlan(t1=0.02, ban=0.3, no_answer=0.15, patience=0.4)
EDGES = ["ashburn=0ms", "dublin=0ms", f"ashburn-ix=0ms@{SOURCE}"]

Wire = Callable[..., Raw]


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    """Three edges: ashburn, dublin, and the private ashburn-ix."""
    async with Provider.start(EDGES, seed=1, sip=PLAN) as running:
        yield running


@pytest.fixture
def wire(provider: Provider) -> Iterator[Wire]:
    """Opens UDP sockets to ashburn, or to another address."""
    with contextlib.ExitStack() as stack:

        def opened(
            far: tuple[str, int] | None = None, source: str = "127.0.0.1"
        ) -> Raw:
            raw = Raw(far or at(provider, "ashburn"), source)
            stack.callback(raw.close)
            return raw

        yield opened


@pytest.fixture(scope="session")
def site() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Contexts of a site: its server's, and that of who trusts it."""
    authority = trustme.CA()
    serves = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(serves)
    trusts = ssl.create_default_context()
    authority.configure_trust(trusts)
    return serves, trusts


@pytest.fixture(params=["udp", "tcp", "tls"])
async def pbx(
    provider: Provider,
    site: tuple[ssl.SSLContext, ssl.SSLContext],
    request: pytest.FixtureRequest,
) -> AsyncIterator[Pbx]:
    """A PBX that calls by way of ashburn, on each transport."""
    way = request.param
    serves, provider.sip.trust = site
    async with Pbx.start(
        (at(provider, "ashburn")[0], provider.sip.ports[way]),
        transport=way,
        trust=provider.trust(),
        server_name="pstn.ashburn.twilio.com",
        serves=serves,
        t1=PLAN.t1,
    ) as running:
        yield running
