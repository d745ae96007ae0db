"""Kamailio as the provider's edge, which record-routes between router and core."""

import contextlib
import dataclasses
import shutil
import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from benchmarks.processes import Process
from simulator.sip.call import Call
from simulator.sip.pbx import Pbx
from tests import stage
from tests.interop import trunks
from tests.interop.trunks import EDGE, NUMBER, TELEPHONE, WAYS, Trunk, soon
from tests.scenarios.telephony import asked
from tests.stage import Daemon

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        shutil.which("kamailio") is None, reason="kamailio is not installed"
    ),
]

CORE = "127.30.0.42"
"Behind the edge; speaks UDP, whatever the router speaks with the edge."
CONFIG = Path(__file__).with_name("kamailio.cfg")


@dataclasses.dataclass(frozen=True, slots=True)
class Scene:
    """Both ends of calls over one transport."""

    trunk: Trunk
    site: Pbx
    core: Pbx
    daemon: Daemon


@contextlib.contextmanager
def kamailio(
    directory: Path, place: stage.Site, ports: dict[str, int], core: Pbx
) -> Iterator[None]:
    """The edge."""
    (directory / "tls.cfg").write_text(
        "".join(
            f"[{kind}:default]\nmethod=TLSv1.2+\nverify_certificate={verified}\n"
            f"ca_list={place.ca_file}\n"
            f"certificate={place.certificate}\nprivate_key={place.key}\n"
            for kind, verified in (("server", "no"), ("client", "yes"))
        )
    )
    defined = [
        *(f"OVER_{way.upper()}={way}:{EDGE}:{port}" for way, port in ports.items()),
        f'CORE="sip:{CORE}:{core.ports["udp"]}"',
        f'CORE_ADDRESS="{CORE}"',
        f'DIRECTORY="{directory}"',
    ]
    command: list[str | Path] = [
        *("kamailio", "-DD", "-E", "-f", CONFIG, "-Y", directory),
        *("-P", directory / "kamailio.pid"),
        *(word for one in defined for word in ("-A", one)),
    ]
    with Process.start("Kamailio", command, directory / "kamailio.log"):
        yield


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=WAYS)
async def scene(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Scene]:
    way: str = request.param
    directory = tmp_path_factory.mktemp(way)
    place = trunks.site(directory)
    trust, serves = trunks.contexts(place)
    port = stage.free_port(EDGE)
    ports = {"udp": port, "tcp": port, "tls": stage.free_port(EDGE)}
    async with (
        Pbx.start((EDGE, port), address=CORE) as core,
        site(way, trust, serves) as pbx,
    ):
        with kamailio(directory, place, ports, core):
            to = {way: pbx.ports[way]}
            async with trunks.running(directory, place, ports, to) as (daemon, found):
                pbx.proxy = found[way].site
                yield Scene(found[way], pbx, core, daemon)


def site(
    way: str, trust: ssl.SSLContext, serves: ssl.SSLContext
) -> contextlib.AbstractAsyncContextManager[Pbx]:
    """The site's PBX, whose calls go to a proxy that is not yet known."""
    return Pbx.start(
        ("", 0), transport=way, address=TELEPHONE, trust=trust, serves=serves
    )


async def held_and_ended(by: Pbx, mine: Call, other: Pbx, theirs: Call) -> None:
    """Both re-invite by the route set; the first hangs up."""
    await soon((mine if theirs.outgoing else theirs).confirmed)
    assert await soon(asked(by, mine, "INVITE")) == 200
    assert await soon(asked(other, theirs, "INVITE")) == 200
    assert len(mine.routes) >= 3, "two of the router, and one at least of the edge"
    assert await soon(asked(by, mine, "BYE")) == 200
    assert await soon(theirs.ended) == "remote"


async def call_to_the_core(scene: Scene) -> tuple[Call, Call]:
    call = scene.site.call(NUMBER, scene.trunk.host)
    assert await soon(call.outcome) == 200
    return call, await soon(scene.core.incoming.get())


async def call_to_the_site(scene: Scene) -> tuple[Call, Call]:
    host, port = scene.trunk.outside
    uri = f"{host}:{port};transport={scene.trunk.way}"
    call = scene.core.call(NUMBER, uri)
    assert await soon(call.outcome) == 200
    return call, await soon(scene.site.incoming.get())


async def test_call_to_the_core_is_held_by_both_and_ended_by_the_site(
    scene: Scene,
) -> None:
    near, far = await call_to_the_core(scene)
    await held_and_ended(scene.site, near, scene.core, far)


async def test_call_to_the_core_is_held_by_both_and_ended_by_the_core(
    scene: Scene,
) -> None:
    near, far = await call_to_the_core(scene)
    await held_and_ended(scene.core, far, scene.site, near)


async def test_call_to_the_site_is_held_by_both_and_ended_by_the_site(
    scene: Scene,
) -> None:
    far, near = await call_to_the_site(scene)
    await held_and_ended(scene.site, near, scene.core, far)


async def test_call_to_the_site_is_held_by_both_and_ended_by_the_core(
    scene: Scene,
) -> None:
    far, near = await call_to_the_site(scene)
    await held_and_ended(scene.core, far, scene.site, near)
