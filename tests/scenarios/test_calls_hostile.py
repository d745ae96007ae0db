"""What is no call, or not meant well: torture on the wire, strangers, forged routes."""

import asyncio
import contextlib
import dataclasses
import re
import socket
from collections.abc import AsyncIterator, Collection, Iterator

import pytest
import pytest_asyncio

from simulator.faults import Fault
from tests.scenarios.telephony import ANSWERS, HOST, Calling, asked, calling
from tests.torture import rfc4475, rfc5118
from tests.torture.cases import Case, Fate, Verdict
from tests.transparency import is_forwarded

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHARED = re.compile(rb"(?<=branch=z9hG4bK)(?:as3-111|kdjuw\b)")
"Branches of several messages: to a running proxy these would be one request."
TORTURE = (*rfc4475.CASES, *rfc5118.CASES)
ASKING = [
    dataclasses.replace(
        case,
        name=case.name + "-as-message",
        data=case.data.replace(b"OPTIONS", b"MESSAGE"),
    )
    for case in TORTURE
    if case.data.startswith(b"OPTIONS") and case.verdict is Fate.PASSED
]
"OPTIONS of the site are answered by the daemon: those that pass come once more."
CASES = tuple(
    dataclasses.replace(case, data=SHARED.sub(b"own-%d" % number, case.data))
    for number, case in enumerate((*TORTURE, *ASKING))
)
SENDER = "127.30.0.20"
"Who sends torture."
PORTS = (5060, 5050, 5070, 6050, 19823)
"Ports that the torture messages name in their Via, for answers."
ANSWERED = {b"INVITE": 100, b"OPTIONS": 200}
"What the daemon itself answers at once."
VICTIM = "127.30.0.66"
"Whom a forged message has called."
PERIOD = 0.2
"Seconds in which an edge bears one OPTIONS."
REFUSED = {
    "wsinv": 403,  # its Route is not the daemon's
    "mpart01": 403,
    "via-received-param-with-delim": 481,  # nor is its dialog
    "via-received-param-no-delim": 481,
    "mult-ip-in-header": 481,
}
"Sound ones, which are not taken further all the same: the daemon is no open relay."


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["udp", "tcp"])
async def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Calling]:
    """A daemon that neither crashes nor complains, as the end of this shows."""
    health = {"sip_options_interval": f"{3000 * PERIOD:.0f}ms"}
    directory = tmp_path_factory.mktemp(request.param)
    async with calling(directory, request.param, health=health) as running:
        yield running
        # It would wait for answers to what torture it has passed on.
        running.daemon.transport.kill()
        await running.daemon.end()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def overheard(site: Calling) -> "Overheard":
    """What comes to the edges from now on."""
    made = Overheard()
    site.provider.sip.core.overhear = made.take
    return made


def places(site: Calling) -> list[bytes]:
    """Where the daemon is, as it names itself in a message."""
    return [
        b"%b:%d" % (host.encode(), port) for host, port in (site.site, site.outside)
    ]


def verdict_on(case: Case, way: str) -> Verdict:
    """What becomes of a case over a transport."""
    return case.verdict if way == "udp" else case.streamed


def question(site: Calling, number: int) -> bytes:
    """OPTIONS for the daemon itself, which answers at once: all before it is done."""
    host, port = site.site
    return (
        f"OPTIONS sip:{host}:{port} SIP/2.0\r\n"
        f"Via: SIP/2.0/{site.way.upper()} {SENDER}:5060;rport"
        f";branch=z9hG4bKq{number}\r\n"
        f"From: <sip:q@{SENDER}>;tag=q\r\nTo: <sip:{host}:{port}>\r\n"
        f"Call-ID: question-{number}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()


def statuses(heard: bytes) -> list[int]:
    """Status of all answers of the daemon's own; those of the provider say so."""
    answers = re.split(rb"(?=SIP/2\.0 \d{3} )", heard)[1:]
    own = [one for one in answers if b"Server: Twilio" not in one]
    return [int(one[8:11]) for one in own if b"Call-ID: question-" not in one]


def read_in(case: Case, way: str) -> list[bytes]:
    """The messages that the daemon reads in a case."""
    if case.messages == 1:
        return [case.data]
    head, end, second = case.data.partition(b"\r\n\r\n")
    # What is behind a message in its datagram is discarded.
    return [head + end] if way == "udp" else [head + end, second]


class Overheard:
    """What comes to the edges, as it came."""

    def __init__(self) -> None:
        self._messages: list[bytes] = []
        self._came = asyncio.Event()

    def take(self, data: bytes) -> None:
        """Note a message."""
        self._messages.append(data)
        self._came.set()

    def has(self, message: bytes, places: Collection[bytes]) -> bool:
        """Whether a message came as a proxy forwards it."""
        return any(is_forwarded(message, sent, places) for sent in self._messages)

    async def wait(self, message: bytes, places: Collection[bytes]) -> None:
        """Return once it came."""
        while not self.has(message, places):
            self._came.clear()
            await self._came.wait()


# ---- OPTIONS ----


async def test_edges_are_never_asked_faster_than_they_bear(site: Calling) -> None:
    ashburn = site.provider.edges["ashburn"]
    await site.at_home()
    _, second, *_ = ashburn.addresses
    for fault in (Fault.KILL, Fault.STATUS):
        # Looked up again because of the fault, one name leads to another's address.
        site.provider.dns.change("gw1.pstn.ashburn.twilio.com", [second.address])
        ashburn.fail(fault)
        await site.at_home("dublin")
        ashburn.heal()
        site.provider.dns.heal("gw1.pstn.ashburn.twilio.com")
    while site.provider.sip.fastest_options(10.0) == 1:
        await site.at_home()  # until an address was asked for the second time
    assert site.provider.sip.fastest_options(PERIOD) == 1


# ---- Torture ----


@contextlib.contextmanager
def sockets() -> Iterator[list[socket.socket]]:
    """UDP sockets at all ports that answers may go to; the first one sends."""
    with contextlib.ExitStack() as stack:
        opened = []
        for port in PORTS:
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            stack.enter_context(sock)
            sock.setblocking(False)
            sock.bind((SENDER, port))
            opened.append(sock)
        yield opened


async def over_udp(site: Calling, case: Case, number: int) -> bytes:
    """All that is heard before the answer to a question asked after the message."""
    loop = asyncio.get_running_loop()
    with sockets() as [sender, *others]:
        sender.sendto(case.data, site.site)
        sender.sendto(question(site, number), site.site)
        heard = b""
        while b"Call-ID: question-%d\r\n" % number not in heard:
            heard += await loop.sock_recv(sender, 65_536)
        for sock in others:
            with contextlib.suppress(BlockingIOError):
                heard += sock.recv(65_536)
        return heard


async def over_tcp(site: Calling, case: Case, number: int) -> bytes:
    """All that is heard before the answer to a question, or the end."""
    reader, writer = await asyncio.open_connection(*site.site, local_addr=(SENDER, 0))
    heard = b""
    with contextlib.closing(writer):
        if case.streamed is Fate.AWAITED:
            writer.write(case.data)
            # What comes next would be its body: ask on another connection.
            other = await asyncio.open_connection(*site.site, local_addr=(SENDER, 0))
            with contextlib.closing(other[1]):
                other[1].write(question(site, number))
                assert b"200 OK" in await other[0].readline()
            return heard
        writer.write(case.data + question(site, number))
        while b"Call-ID: question-%d\r\n" % number not in heard:
            data = await reader.read(65_536)
            heard += data
            if not data:
                break
    return heard


def answers_due(read: list[bytes], verdict: Verdict) -> list[int]:
    """What the daemon itself answers to the messages that it reads in a case."""
    if isinstance(verdict, int):
        return [verdict]
    if verdict is not Fate.PASSED:
        return []
    methods = [message.partition(b" ")[0] for message in read]
    return [ANSWERED[method] for method in methods if method in ANSWERED]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_torture_on_the_wire(
    site: Calling, overheard: Overheard, case: Case
) -> None:
    number = CASES.index(case)
    read = read_in(case, site.way)
    verdict = REFUSED.get(case.name, verdict_on(case, site.way))
    async with asyncio.timeout(5.0):
        ask = over_udp if site.way == "udp" else over_tcp
        assert statuses(await ask(site, case, number)) == answers_due(read, verdict)
        if verdict is Fate.PASSED and not case.data.startswith((b"SIP/", b"OPTIONS")):
            for message in read:
                await overheard.wait(message, places(site))


async def test_torture_that_was_refused_went_no_further(
    site: Calling, overheard: Overheard
) -> None:
    refused = [
        case.data
        for case in CASES
        if REFUSED.get(case.name, verdict_on(case, site.way)) is not Fate.PASSED
    ]
    assert not [one for one in refused if overheard.has(one, places(site))]


# ---- Strangers ----


def invite(site: Calling, *lines: str, to: str = "", call_id: str = "forged") -> bytes:
    """A request of the site, as a forger would write it."""
    way = site.way.upper()
    uri = f"sip:{ANSWERS}@{HOST}"
    return "\r\n".join(
        (
            f"INVITE {uri} SIP/2.0",
            f"Via: SIP/2.0/{way} {SENDER}:5060;rport;branch=z9hG4bK{call_id}",
            f"From: <sip:forger@{SENDER}>;tag=f",
            f"To: <{uri}>{to}",
            f"Call-ID: {call_id}",
            "CSeq: 1 INVITE",
            f"Contact: <sip:forger@{SENDER}:5060;transport={site.way}>",
            "Max-Forwards: 70",
            *lines,
            "Content-Length: 0",
            "",
            "",
        )
    ).encode()


async def first_answer(site: Calling, data: bytes) -> int:
    """Status of the first answer to a message from the site."""
    if site.way == "udp":
        with sockets() as [sender, *_]:
            sender.sendto(data, site.site)
            heard = await asyncio.get_running_loop().sock_recv(sender, 65_536)
    else:
        reader, writer = await asyncio.open_connection(
            *site.site, local_addr=(SENDER, 0)
        )
        with contextlib.closing(writer):
            writer.write(data)
            heard = await reader.readuntil(b"\r\n")
    return int(heard[8:11])


async def test_stranger_at_the_side_of_the_provider_gets_silence(site: Calling) -> None:
    before = len(site.daemon.records)
    if site.way == "udp":
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.bind(("127.0.0.9", 0))
            stranger.setblocking(False)
            stranger.sendto(invite(site, call_id="stranger"), site.outside)
            await site.daemon.wait("message.dropped", after=before, client="127.0.0.9")
            with pytest.raises(BlockingIOError):
                stranger.recv(1)
    else:
        reader, writer = await asyncio.open_connection(
            *site.outside, local_addr=("127.0.0.9", 0)
        )
        with contextlib.closing(writer), contextlib.suppress(ConnectionError):
            writer.write(invite(site, call_id="stranger"))
            assert await reader.read() == b""
    assert site.pbx.happened("rung", "stranger") == 0


async def signed(site: Calling) -> str:
    """The daemon's own Route of a call that stands no more."""
    call = site.pbx.call(ANSWERS)
    assert await call.outcome == 200
    assert await asked(site.pbx, call, "BYE") == 200
    return call.routes[0]


@pytest.mark.parametrize("forged", ["none", "altered", "of another call"])
async def test_route_that_the_daemon_has_not_signed_for_a_call_is_refused(
    site: Calling, forged: str
) -> None:
    ours = await signed(site)
    routes = {
        "none": re.sub(r";er=[^;>]*", "", ours),
        "altered": re.sub(r";er=....", ";er=AAAA", ours),
        "of another call": ours,
    }
    kind = socket.SOCK_DGRAM if site.way == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as victim:
        victim.bind((VICTIM, 0))
        victim.setblocking(False)
        if site.way == "tcp":
            victim.listen()
        port = victim.getsockname()[1]
        onward = f"Route: <sip:{VICTIM}:{port};transport={site.way};lr>"
        name = f"forged-{forged.replace(' ', '-')}"
        for to in ("", ";tag=t"):
            data = invite(
                site, f"Route: {routes[forged]}", onward, to=to, call_id=name + to[1:2]
            )
            assert await first_answer(site, data) in (403, 481)
        with pytest.raises(BlockingIOError):
            victim.recv(1) if site.way == "udp" else victim.accept()
    assert not site.provider.sip.rung()[name]


async def test_foreign_route_leads_nowhere(site: Calling) -> None:
    kind = socket.SOCK_DGRAM if site.way == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as victim:
        victim.bind((VICTIM, 0))
        victim.setblocking(False)
        if site.way == "tcp":
            victim.listen()
        onward = f"Route: <sip:{VICTIM}:{victim.getsockname()[1]};lr>"
        assert await first_answer(site, invite(site, onward, call_id="foreign")) == 403
        with pytest.raises(BlockingIOError):
            victim.recv(1) if site.way == "udp" else victim.accept()
