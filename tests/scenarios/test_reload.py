"""Reloads under load: whatever changes in the file, no flow notices.

EDGE_ROUTER_RELOADS=100 on a machine that does nothing else makes it the whole
requirement: so many reloads in 60 s under 50 calls and 200 requests a second, with 500
WebSockets open.
"""

import asyncio
import collections
import copy
import dataclasses
import itertools
import logging
import os
import signal
import ssl
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from cryptography import x509
from websockets.exceptions import WebSocketException

from protocols.net.tasks import Tasks
from simulator.provider import Provider
from tests import stage
from tests.scenarios.asking import asking
from tests.scenarios.phones import Phone, ring
from tests.scenarios.sockets import voice
from tests.scenarios.telephony import ANSWERS, CALM, PLAN, Set, asked, set_up
from tests.stage import HERE, NAME, Daemon, Settings, Site
from tests.wire import Caller

LOG = logging.getLogger(__name__)
MEASURED = "EDGE_ROUTER_RELOADS" in os.environ
RELOADS = int(os.environ.get("EDGE_ROUTER_RELOADS", "10"))
PAUSE = 60 / RELOADS if MEASURED else 0.2
"Seconds from one reload to the next at least."
CALLS, REQUESTS, PHONES = (50, 200, 500) if MEASURED else (10, 40, 10)
"Calls and requests a second; WebSockets that are open."
TALKS = 100 if MEASURED else 20
"Messages a second over all of these WebSockets."
CALLERS = 50 if MEASURED else 4
"Clients with a connection each."
LASTING = 5
"Calls that stand from the first reload to the last."
pytestmark = [
    pytest.mark.timeout(600 if MEASURED else 60),
    pytest.mark.asyncio(loop_scope="module"),
]

Change = Callable[[Settings], None]
Flow = Callable[[], Awaitable[None]]


class Certificates:
    """Certificates of the site, each time a new one that its clients trust."""

    def __init__(self, place: Site) -> None:
        self._place = place
        self._authority = trustme.CA()
        with place.ca_file.open("ab") as file:
            file.write(self._authority.cert_pem.bytes())

    def renew(self) -> int:
        """Put another one in the place of the one that is there; its number."""
        issued = self._authority.issue_cert(NAME, HERE)
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        for path, data in (
            (self._place.key, issued.private_key_pem.bytes()),
            (self._place.certificate, chain),
        ):
            fresh = path.with_suffix(".new")
            fresh.write_bytes(data)
            fresh.replace(path)
        return x509.load_pem_x509_certificate(chain).serial_number


def serial(writer: asyncio.StreamWriter) -> int:
    """The number of the certificate that a client was shown."""
    shown: ssl.SSLObject = writer.get_extra_info("ssl_object")
    data = shown.getpeercert(binary_form=True)
    assert data is not None
    return x509.load_der_x509_certificate(data).serial_number


class Running:
    """The daemon and its configuration file."""

    def __init__(self, daemon: Daemon, settings: Settings, directory: Path) -> None:
        self.daemon = daemon
        self.settings = copy.deepcopy(settings)
        (self._path,) = directory.glob("edge-router-*.yaml")

    async def reload(self, change: Change | None = None) -> dict[str, Any]:
        """Change the file, and have it read again; what the daemon says of it."""
        if change is not None:
            change(self.settings)
        self._path.write_text(yaml.safe_dump(self.settings), encoding="utf-8")
        after = len(self.daemon.records)
        self.daemon.transport.send_signal(signal.SIGHUP)
        return await self.daemon.wait("config.reloaded", after=after)


class Load:
    """Clients of all kinds, of whom none comes twice for the same thing."""

    def __init__(self, made: Set) -> None:
        self._made = made
        self._tasks = Tasks()
        self._loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        self._lasting: list[Any] = []
        self._phones: list[Phone] = []
        self._gone: list[Phone] = []
        self.counts: collections.Counter[str] = collections.Counter()
        "What happened, and how often."
        self.failures: list[str] = []
        "What should not have."

    async def start(self) -> None:
        """Open what lasts, and begin with the rest."""
        pbx = self._made.pbx
        self._lasting = [pbx.call(ANSWERS) for _ in range(LASTING)]
        for call in self._lasting:
            assert await call.outcome == 200
        while len(self._phones) < PHONES:
            some = range(min(20, PHONES - len(self._phones)))
            phones = (ring(self._port("voice"), self._made.place) for _ in some)
            self._phones += await asyncio.gather(*phones)
        self._tasks.start(self._paced(CALLS, self._call), name="calls")
        self._tasks.start(self._paced(5, self._come), name="sockets")
        for phone in self._phones:
            self._tasks.start(self._talk(phone), name="phone")

    async def stop(self) -> None:
        """Let all that is under way end."""
        self._over.set()
        await asyncio.sleep(0)
        while len(self._tasks):  # noqa: ASYNC110 - they end by themselves
            await asyncio.sleep(0.01)

        # All at once: the provider gives up a client that does not answer it for 10 s.
        await asyncio.gather(*(phone.end_of_talk() for phone in self._phones))
        await self._compare([*self._phones, *self._gone])
        for call in self._lasting:
            assert await asked(self._made.pbx, call, "BYE") == 200

    def _port(self, name: str) -> int:
        bind = str(self._made.settings["listeners"][name]["bind"])
        return int(bind.rpartition(":")[2])

    async def _paced(self, rate: float, flow: Flow) -> None:
        began = self._loop.time()
        for number in itertools.count(1):
            if self._over.is_set():
                return
            self._tasks.start(self._judged(flow), name="flow")
            await asyncio.sleep(began + number / rate - self._loop.time())

    async def _judged(self, flow: Flow) -> None:
        try:
            async with asyncio.timeout(stage.DEADLINE):
                await flow()
        except (AssertionError, OSError, WebSocketException) as error:
            self.failures.append(f"{flow.__name__}: {error!r}")
        else:
            self.counts[flow.__name__] += 1

    async def _call(self) -> None:
        call = self._made.pbx.call(ANSWERS)
        status = await call.outcome
        assert status == 200, status
        status = await asked(self._made.pbx, call, "BYE")
        assert status == 200, status

    async def _come(self) -> None:
        """Come, and go."""
        phone = await ring(self._port("voice"), self._made.place)
        await phone.talk(1)
        await phone.end_of_talk()
        self._gone.append(phone)

    async def _compare(self, phones: list[Phone]) -> None:
        """Each message must have arrived at either side as it was sent.

        A busy machine asks two edges for one WebSocket, of which one is not used.
        """
        ledger = self._made.provider.ledger
        closed = {one.marker for one in ledger.events("closed", code=1000)}
        for phone in phones:
            if phone.marker not in closed:
                await ledger.wait("closed", marker=phone.marker, code=1000)
        noted = {
            (one.event, one.marker, one.messages, one.digest) for one in ledger.events()
        }
        for phone in phones:
            for event, ours in (("received", phone.sent), ("sent", phone.received)):
                if (event, phone.marker, ours.count, ours.digest) in noted:
                    self.counts[event] += 1
                else:
                    self.failures.append(f"{phone.marker}: {event} otherwise")

    async def _talk(self, phone: Phone) -> None:
        async def talk() -> None:
            await phone.talk(1)

        while not self._over.is_set():
            await self._judged(talk)
            await asyncio.sleep(PHONES / TALKS)


def put(*path: str, value: object) -> Change:
    """Set one key of the configuration."""

    def change(settings: Settings) -> None:
        for key in path[:-1]:
            settings = settings.setdefault(key, {})
        settings[path[-1]] = value

    return change


def without(name: str) -> Change:
    """Remove a listener."""
    return lambda settings: settings["listeners"].pop(name)


def changes(extra: Settings, certificates: Certificates) -> Iterator[Change]:
    """One real change after the other, for ever, each with its way back."""

    def certificate(_: Settings) -> None:
        certificates.renew()

    api = "listeners", "api"
    every = [
        put("policy", "window", value="60s"),
        put("provider", "edges", value=["ashburn", "dublin"]),
        put("listeners", "extra", value=extra),
        put(*api, "deadlines", "header", value="5s"),
        certificate,
        put(*api, "allow", value=["127.0.0.0/8", "::1/128"]),
        put("listeners", "trunk", "no_response", value="3s"),
        put("listeners", "voice", "limits", value={"connections_per_client": 5000}),
        put("health", "fall", value=9),
        put("provider", "edges", value=["dublin", "singapore"]),
        put("policy", "window", value="2m"),
        put("provider", "edges", value=["ashburn", "dublin", "singapore"]),
        without("extra"),
        put(*api, "deadlines", "header", value="6s"),
        put(*api, "allow", value=["127.0.0.0/8"]),
        put("listeners", "trunk", "no_response", value="2s"),
        put("listeners", "voice", "limits", value={"connections_per_client": 6000}),
        put("health", "fall", value=10),
    ]
    return itertools.cycle(every)


async def test_reloads_under_load_are_noticed_by_nobody(tmp_path: Path) -> None:
    # Nothing fails here: a busy machine is to be no reason to change edges.
    health = {"interval": "2s", "timeout": "3s", "fall": 10, **CALM}
    edges = ["ashburn=2ms", "dublin=10ms", "singapore=20ms"]
    plan = dataclasses.replace(PLAN, t1=0.5)
    async with set_up(tmp_path, "udp", *edges, plan=plan, health=health) as made:
        certificates = Certificates(made.place)
        listeners = made.settings["listeners"]
        listeners["trunk"]["key_file"] = str(tmp_path / "keys")
        (tmp_path / "keys").write_text("a key of these tests, long enough")
        made.settings["provider"]["edges"] = ["ashburn", "dublin", "singapore"]
        patient = {"connect": "10s", "tls": "10s"}
        listeners["api"] = stage.terminate(made.place, deadlines={**patient})
        most = {"connections_per_client": 6000}
        listeners["voice"] = voice(made.place, limits=most, deadlines={**patient})
        extra = stage.terminate(made.place)
        async with stage.running(made.settings, tmp_path) as daemon:
            running, load = Running(daemon, made.settings, tmp_path), Load(made)
            await load.start()
            loop = asyncio.get_running_loop()
            began, took = loop.time(), []
            every = changes(extra, certificates)
            api = daemon.ports["api"]
            async with asking(api, made.place, REQUESTS, CALLERS) as requests:
                for number in range(1, RELOADS + 1):
                    asked_at = loop.time()
                    reloaded = await running.reload(next(every))
                    took.append(loop.time() - asked_at)
                    # A certificate may have been seen by the watch before.
                    renewed = daemon.events("certificate.renewed")
                    assert renewed or reloaded["changed"] != "nothing"
                    await asyncio.sleep(began + number * PAUSE - loop.time())
                seconds = loop.time() - began
            load.counts["request"] = requests.asked
            load.failures += requests.failures
            await load.stop()
            assert len(daemon.events("config.reloaded")) == RELOADS
    LOG.info(
        "%d reloads in %.1f s, the slowest took %.0f ms; %s; %s",
        RELOADS, seconds, 1000 * max(took), dict(load.counts), load.failures[:20],
    )  # fmt: skip
    assert not load.failures, load.failures[:20]
    ended = daemon.events("flow.ended")
    assert {one["ended"] for one in ended} == {"--"}
    calls = daemon.events("call.ended", method="INVITE")
    assert {one["status"] for one in calls} == {200}


async def test_certificate_written_anew_is_seen_by_the_next_handshake_only(
    provider: Provider, tmp_path: Path
) -> None:
    place = stage.site(tmp_path)
    certificates = Certificates(place)
    listeners = {"api": stage.terminate(place)}
    settings = stage.configuration(provider, tmp_path, listeners)
    async with stage.running(settings, tmp_path) as daemon:
        running, port = Running(daemon, settings, tmp_path), daemon.ports["api"]
        async with Caller(port, place.trust()) as old:
            await old.ask("GET", "/")
            before = serial(old.writer)
            number = certificates.renew()
            await running.reload()
            answer = await old.ask("GET", "/")
            assert (answer.status, answer.headers.get("connection")) == (200, None)
            assert serial(old.writer) == before != number
        async with Caller(port, place.trust()) as new:
            assert (await new.ask("GET", "/")).status == 200
            assert serial(new.writer) == number
        assert daemon.events("certificate.renewed")
