"""Listeners of one configuration, and then of another one, in one process."""

import asyncio
import contextlib
import random
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from protocols.net.devices import confine_or_silence, is_confined
from protocols.net.listen import BindError
from protocols.net.tasks import Tasks
from protocols.net.tls import TLSFileError
from router.checker import Checker
from router.config import Loaded
from router.endpoints import endpoints, receivers
from router.files import read
from router.handover import Handover
from router.keyring import Keyring
from router.logs import Log, open_log
from router.notify import Notifier
from router.opened import Opened
from router.relays import Ground
from router.table import Table
from tests import stage
from tests.namespaces import Network
from tests.protocols.http.stage import OK, Origin, answering
from tests.router.counting import counting
from tests.scenarios import sockets
from tests.stage import HERE, NAME, Settings, Site, free_port
from tests.wire import Caller, connect

Change = Callable[[Settings], object]


class House:
    """What is open, and the configuration that says so."""

    def __init__(
        self, place: Site, directory: Path, port: int, **listeners: Settings
    ) -> None:
        self.place = place
        self.settings: Settings = {
            "version": 1,
            "provider": {"catalogue": "twilio"},
            "listeners": {
                "hooks": stage.webhooks(place, f"http://127.0.0.1:{port}"),
                "proxy": stage.connect(),
                "trunk": {
                    "protocol": "sip",
                    "product": "pstn",
                    "host": "example.pstn.twilio.com",
                    "site": {
                        "bind": [f"udp://{HERE}:{free_port()}"],
                        "to": ["sip:127.0.0.3:5060"],
                        "allow": ["127.0.0.0/8"],
                    },
                    "edge": {
                        "bind": [f"tcp://{HERE}:{free_port()}"],
                        "transport": "tcp",
                    },
                },
                **listeners,
            },
        }
        self.tasks = Tasks()
        self.told: list[tuple[str, str]] = []
        self._file = directory / "edge-router.yaml"
        self._keyring = Keyring()
        self._log: Log
        self._checker: Checker
        self.opened: Opened

    def open(self, log: Log) -> None:
        """Take the first configuration over."""
        self._log = log
        loaded = self.read()
        table = Table(
            {
                name: loaded.catalogue.edges[name].kind
                for name in loaded.catalogue.edges
            },
            endpoints(loaded.catalogue, loaded.config),
            receivers(loaded.config),
            now=asyncio.get_running_loop().time(),
            uniform=random.Random(1).uniform,
        )
        self._checker = Checker(
            table,
            {},
            tasks=self.tasks,
            on_change=lambda *_: None,
            on_failure=lambda *_: None,
            look_up=lambda _: None,
        )
        self.opened = Opened(log, self.tasks, self._keyring, Handover(Notifier({})))
        self.take_over(loaded)

    def read(self, change: Change = lambda settings: None) -> Loaded:
        """The configuration, changed."""
        change(self.settings)
        self._file.write_text(yaml.safe_dump(self.settings), encoding="utf-8")
        return read(self._file, verify=False)

    def take_over(self, loaded: Loaded) -> None:
        """Both steps."""
        ground = self.ground(loaded)
        self.opened.switch(
            ground, self.opened.prepare(ground, self.opened.bind(loaded))
        )

    def ground(self, loaded: Loaded) -> Ground:
        return Ground(
            loaded,
            self._checker,
            self._keyring,
            self._log,
            self.tasks,
            *counting(self._log, loaded),
        )

    def change(self, change: Change) -> None:
        self.take_over(self.read(change))

    def port(self, name: str) -> int:
        return int(self.settings["listeners"][name]["bind"].rpartition(":")[2])

    def caller(self) -> Caller:
        return Caller(self.port("hooks"), self.place.trust())


@pytest.fixture
async def origin() -> AsyncIterator[Origin]:
    origin = Origin(answering(OK))
    await origin.open("site", 1.0)
    yield origin
    await origin.end()


@contextlib.asynccontextmanager
async def inhabited(house: House, directory: Path) -> AsyncIterator[House]:
    """Open it, and drain it."""
    with (directory / "log").open("w") as file:
        log = open_log("json", stream=file)
        house.open(log)
        yield house
        await house.opened.drain()
        await house.tasks.close()
        log.close()


@pytest.fixture
async def house(origin: Origin, tmp_path: Path) -> AsyncIterator[House]:
    empty = House(stage.site(tmp_path), tmp_path, origin.target.port)
    async with inhabited(empty, tmp_path) as house:
        yield house


def set_(name: str, **keys: Any) -> Change:
    """Change keys of a listener."""
    return lambda settings: settings["listeners"][name].update(keys)


def listens(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex((HERE, port)) == 0


async def test_unchanged_listener_is_not_touched(house: House) -> None:
    before = dict(house.opened._relays)
    doors = dict(house.opened._doors)
    async with house.caller() as caller:
        await caller.ask("POST", "/")
        house.change(set_("proxy", allow=["127.0.0.0/8", "10.0.0.0/8"]))
        answer = await caller.ask("POST", "/")
        assert answer.headers.get("connection") != "close"
    assert house.opened._relays["hooks"] is before["hooks"]
    assert house.opened._relays["proxy"] is not before["proxy"]
    assert house.opened._doors == doors


async def test_changed_listener_serves_who_is_there_by_its_old_settings(
    house: House,
) -> None:
    async with house.caller() as old, house.caller() as new:
        await old.ask("POST", "/")
        house.change(set_("hooks", limits={"header_size": "1KiB"}))
        headers = {"X-Long": "x" * 2000}
        answer = await old.ask("POST", "/", headers=headers)
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert (await new.ask("POST", "/", headers=headers)).status == 431
    await ended(house)


async def ended(house: House) -> None:
    """Wait until nothing is left of former settings."""
    async with asyncio.timeout(5):
        while house.opened._retiring or house.opened._ending:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_handshake_begun_before_a_change_is_served_to_the_end(
    house: House,
) -> None:
    for change in (
        set_("hooks", deadlines={"header": "5s"}),
        set_("hooks", bind=f"{HERE}:{free_port()}"),
    ):
        port = house.port("hooks")
        reader, writer = await connect(port, None)
        door = house.opened._doors["", HERE, port]
        while not door.admission.handshakes:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0)
        house.change(change)
        await asyncio.sleep(0)
        assert house.opened._retiring
        await writer.start_tls(house.place.trust(), server_hostname=NAME)
        writer.write(f"GET / HTTP/1.1\r\nHost: {NAME}\r\n\r\n".encode())
        async with asyncio.timeout(5):
            assert (await reader.readuntil(b"ok")).startswith(b"HTTP/1.1 200 ")
        writer.transport.abort()
        await ended(house)


async def test_removed_listener_refuses_and_ends_its_flows(house: House) -> None:
    port = house.port("hooks")
    async with house.caller() as idle:
        await idle.ask("POST", "/")
        # A client that never gets through its handshake holds up nobody.
        _, writer = await connect(port, None)
        flows = house.opened.flows
        house.change(set_("hooks", deadlines={"tls": "200ms"}))
        house.change(lambda settings: settings["listeners"].pop("hooks"))
        assert house.opened.flows == flows  # both relays are still there
        assert not listens(port)
        assert await idle.reader.read() == b""
        writer.transport.abort()
    await ended(house)
    assert set(house.opened.flows.values()) == {0}


async def test_listener_renamed_keeps_its_socket(house: House) -> None:
    doors = dict(house.opened._doors)

    def rename(settings: Settings) -> None:
        settings["listeners"]["other"] = settings["listeners"].pop("proxy")

    house.change(rename)
    assert house.opened._doors == doors
    assert listens(house.port("other"))


async def test_listener_of_another_kind_takes_the_place(house: House) -> None:
    port = house.port("proxy")
    other = stage.terminate(house.place, bind=f"{HERE}:{port}")
    house.change(lambda settings: settings["listeners"].update(proxy=other))
    async with Caller(port, house.place.trust()) as caller:
        # Its edges have no addresses here.
        assert (await caller.ask("GET", "/")).status == 503


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_address_that_is_taken_changes_nothing(
    transport: str, house: House
) -> None:
    port, kind = free_port(), socket.SOCK_STREAM
    if transport == "udp":
        kind = socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind((HERE, port))
        fresh = free_port()

        def change(settings: Settings) -> None:
            settings["listeners"]["new"] = stage.connect(bind=f"{HERE}:{fresh}")
            if transport == "udp":
                site = settings["listeners"]["trunk"]["site"]
                site["bind"] = [*site["bind"], f"udp://{HERE}:{port}"]
            else:
                settings["listeners"]["proxy"]["bind"] = f"{HERE}:{port}"

        with pytest.raises(BindError, match="Address already in use"):
            house.change(change)
    assert not listens(fresh)
    before = house.opened._places
    assert listens(before["proxy"][2])


async def test_address_of_our_own_is_explained(house: House) -> None:
    port = house.port("proxy")
    wide = set_("proxy", bind=f"0.0.0.0:{port}")
    with pytest.raises(BindError, match="this daemon still has it"):
        house.change(wide)
    set_("proxy", bind=f"{HERE}:{port}")(house.settings)

    def rename(settings: Settings) -> None:
        settings["listeners"]["other"] = settings["listeners"].pop("trunk")

    with pytest.raises(BindError, match="this daemon still has it"):
        house.change(rename)


async def test_certificate_that_is_missing_changes_nothing(
    house: House, tmp_path: Path
) -> None:
    fresh, trunk = free_port(), free_port()

    def change(settings: Settings) -> None:
        listeners = settings["listeners"]
        listeners["first"] = stage.terminate(house.place, bind=f"{HERE}:{fresh}")
        listeners["second"] = stage.terminate(house.place)
        listeners["second"]["tls"] = {"certificate": "no.pem", "key": "no.pem"}
        listeners["trunk"]["site"]["bind"].append(f"tcp://{HERE}:{trunk}")

    relays = dict(house.opened._relays)
    with pytest.raises(TLSFileError, match=r"no\.pem"):
        house.change(change)
    assert house.opened._relays == relays
    assert not listens(fresh)
    assert not listens(trunk)
    # What was bound for it is free again.
    with contextlib.closing(socket.create_server((HERE, fresh))):
        pass


async def test_trunk_gets_and_loses_sockets(house: House) -> None:
    fresh = free_port()
    before = dict(house.opened.trunks._endpoints)

    def add(settings: Settings) -> None:
        settings["listeners"]["trunk"]["site"]["bind"].append(f"tcp://{HERE}:{fresh}")

    house.change(add)
    assert listens(fresh)
    assert house.opened.trunks._endpoints == before

    def remove(settings: Settings) -> None:
        settings["listeners"]["trunk"]["site"]["bind"].pop()

    house.change(remove)
    assert not listens(fresh)
    house.change(lambda settings: settings["listeners"].pop("trunk"))
    await ended(house)
    assert not house.opened.trunks._endpoints


async def test_drain_waits_for_those_of_former_settings_too(house: House) -> None:
    async with house.caller() as old, house.caller() as new:
        await old.ask("POST", "/")
        house.change(set_("hooks", deadlines={"header": "5s"}))
        await new.ask("POST", "/")
        assert house.opened.flows["connections"] == 2
        assert await house.opened.drain() == 0
        for caller in (old, new):
            with contextlib.suppress(ssl.SSLError, ConnectionError):
                assert await caller.reader.read() == b""


@pytest.fixture
async def receiver() -> AsyncIterator[sockets.Endpoint]:
    receiver = sockets.Endpoint("receiver")
    await receiver.open([HERE], 0, None)
    yield receiver
    await receiver.close()


async def test_tunnels_end_at_once_though_a_websocket_lasts(
    origin: Origin, receiver: sockets.Endpoint, tmp_path: Path
) -> None:
    place = stage.site(tmp_path)
    media = sockets.media(place, f"ws://{HERE}:{receiver.port}")
    empty = House(place, tmp_path, origin.target.port, media=media)
    async with inhabited(empty, tmp_path) as house:
        websocket = await sockets.dial(house.port("media"), place)
        drain = house.tasks.start(house.opened.drain(), name="drain")
        async with asyncio.timeout(5):
            while listens(house.port("proxy")):  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0)
        assert listens(house.port("media"))
        assert not drain.done()
        await websocket.send("still there?")
        assert await websocket.recv() == "still there?"
        await websocket.close()
        assert await drain == 0


async def test_sockets_made_anew_for_an_interface_outlive_the_process_too(
    network: Network,
    origin: Origin,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("router.opened.REFIT", 0.01)
    source, port = "8.8.8.1", 5060
    empty = House(stage.site(tmp_path), tmp_path, origin.target.port)
    listeners, provider = empty.settings["listeners"], empty.settings["provider"]
    bind = [f"udp://{source}:{port}", f"udp://{HERE}:{free_port()}"]
    listeners["trunk"]["edge"] = {"bind": bind, "transport": "udp"}
    provider["links"] = {
        "ix": {
            "exchange": "A",
            "edges": ["ashburn-ix"],
            "sources": [source],
            "interface": "link1",
            "prefixes": ["8.8.8.0/24"],
            "bandwidth": "1Mbit/s",
        }
    }
    with network.entered():
        async with inhabited(empty, tmp_path) as house:
            network.ip("link add link1 type veth peer name far1")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as foreign:
                confine_or_silence(foreign, "link1")
                foreign.bind((source, port))
                house.opened.refit()
                assert not fit(house, source)
            async with asyncio.timeout(5):
                while not fit(house, source):  # noqa: ASYNC110 - it has no event
                    await asyncio.sleep(0.01)
            held = house.opened._handover._held[f"udp-{source}-{port}"]
            assert held in house.opened.trunks.sockets
            assert is_confined(held, "link1")


def fit(house: House, source: str) -> bool:
    """Whether the socket at this address is confined to the interface of the link."""
    (found,) = (
        one for one in house.opened.trunks.sockets if one.getsockname()[0] == source
    )
    return is_confined(found, "link1")
