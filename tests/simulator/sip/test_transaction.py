"""What is sent again, and when it stops, in real but very short times."""

import asyncio

import pytest

from simulator.sip.message import Received, read, reply
from simulator.sip.transaction import END, Client, Path, Repeat, Timers, Transactions
from tests.simulator.sip.raw import Raw

T1 = 0.002


class Bench:
    """Transactions whose sent messages are kept."""

    def __init__(self, transport: str, t1: float = T1) -> None:
        self.sent: list[bytes] = []
        self.news = asyncio.Event()
        self.heard: list[int] = []
        self.timers = Timers()
        self.transactions = Transactions(self.timers, t1)
        near, far = ("127.0.0.1", 5071), ("127.0.0.1", 5072)
        self.path = Path(transport, near, far, self.send, "ashburn")
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        raw = Raw(far)
        raw.close()
        self.raw = raw

    def send(self, data: bytes) -> None:
        self.sent.append(data)
        self.news.set()

    async def sends(self, count: int) -> None:
        """Wait until so much was sent."""
        while len(self.sent) < count:
            self.news.clear()
            await self.news.wait()

    def ask(self, method: str) -> Client:
        head = [
            ("Via", "SIP/2.0/UDP 127.0.0.1:5071;branch=z9hG4bKq"),
            ("From", "<sip:a@b>;tag=1"),
            ("Call-ID", "c"),
        ]
        client = Client(method, "z9hG4bKq", "sip:a@b", head, self.path, self.take)
        self.transactions.ask(client, b"request")
        return client

    def take(self, message: Received | None) -> None:
        self.heard.append(0 if message is None else message.code)
        if message is None:
            self.over.set_result(None)

    def answer(self, method: str, code: int) -> bool:
        request = read(self.raw.request(method, branch="q"))
        return self.transactions.response(read(reply(request, code, tag="t")))


@pytest.mark.parametrize(
    ("transport", "method", "most"),
    [("udp", "INVITE", 7), ("udp", "INFO", 12), ("tcp", "INVITE", 1)],
)
async def test_unanswered_request_is_repeated_over_udp_and_given_up(
    transport: str, method: str, most: int
) -> None:
    bench = Bench(transport)
    bench.ask(method)

    await bench.over

    assert bench.heard == [0]
    # A busy machine may miss some of the last ones.
    assert min(4, most) <= len(bench.sent) <= most
    assert not bench.answer(method, 200)


async def test_invite_is_repeated_no_more_once_something_was_heard() -> None:
    bench = Bench("udp")
    bench.ask("INVITE")

    assert bench.answer("INVITE", 100)
    await asyncio.sleep(5 * T1)

    assert bench.sent == [b"request"]
    bench.timers.stop()


async def test_failure_is_acknowledged_whenever_it_comes_and_heard_once() -> None:
    bench = Bench("udp")
    bench.ask("INVITE")

    assert bench.answer("INVITE", 486)
    assert bench.answer("INVITE", 486)

    acks = [read(one) for one in bench.sent[1:]]
    assert [one.method for one in acks] == ["ACK", "ACK"]
    assert acks[0].branch == "z9hG4bKq"
    assert acks[0].to_tag == "t"
    assert bench.heard == [486]
    bench.timers.stop()


async def test_every_2xx_is_heard_and_none_acknowledged_here() -> None:
    bench = Bench("udp")
    bench.ask("INVITE")

    assert bench.answer("INVITE", 200)
    assert bench.answer("INVITE", 200)

    assert bench.heard == [200, 200]
    assert bench.sent == [b"request"]
    bench.timers.stop()


async def test_requests_on_a_broken_path_are_given_up() -> None:
    bench = Bench("tcp")
    bench.ask("INVITE")

    bench.transactions.failed(Bench("tcp").path)
    assert bench.heard == []
    bench.transactions.failed(bench.path)

    assert bench.heard == [0]
    bench.timers.stop()


async def test_abandoned_request_may_still_be_answered_for_a_while() -> None:
    bench = Bench("udp")
    client = bench.ask("INVITE")

    bench.transactions.still(client)
    assert bench.answer("INVITE", 180)

    assert bench.heard == [180]
    await asyncio.sleep((END + 5) * T1)
    assert not bench.answer("INVITE", 180)
    assert bench.sent == [b"request"]


@pytest.mark.parametrize(
    ("transport", "code", "repeats"),
    [
        ("udp", 486, True),
        ("tcp", 486, False),
        ("udp", 200, True),
        ("tcp", 200, True),
        ("udp", 180, False),
    ],
)
async def test_final_answer_to_an_invite_is_repeated_until_its_ack(
    transport: str, code: int, repeats: bool
) -> None:
    t1 = 5 * T1  # or a busy machine may miss two repeats before the last is due
    bench = Bench(transport, t1)
    request = read(bench.raw.request())
    server = bench.transactions.open(request, bench.path)

    bench.transactions.respond(server, code, tag="t")
    bench.transactions.respond(server, 100)
    if repeats:
        await bench.sends(3)
    else:
        await asyncio.sleep(5 * t1)
    bench.transactions.acknowledged(server)
    sent = len(bench.sent)
    await asyncio.sleep(5 * t1)

    assert len(bench.sent) == sent
    codes = {read(one).code for one in bench.sent}
    assert codes == ({code, 100} if code == 180 else {code})
    bench.timers.stop()


async def test_repeated_request_gets_the_last_answer_and_is_then_forgotten() -> None:
    bench = Bench("udp")
    request = read(bench.raw.request("BYE"))
    server = bench.transactions.open(request, bench.path)
    bench.transactions.again(server)
    assert bench.sent == []

    bench.transactions.respond(server, 200)
    again = bench.transactions.find(read(bench.raw.request("BYE")))
    assert again is server
    bench.transactions.again(server)

    assert bench.sent == [server.last] * 2
    await asyncio.sleep((END + 5) * T1)
    assert bench.transactions.find(request) is None


async def test_cancel_finds_its_invite_and_ack_too() -> None:
    bench = Bench("udp")
    invite = bench.transactions.open(read(bench.raw.request()), bench.path)

    cancel, ack = read(bench.raw.request("CANCEL")), read(bench.raw.request("ACK"))

    assert bench.transactions.find_invite(cancel) is invite
    assert bench.transactions.find(cancel) is None
    assert bench.transactions.find(ack) is invite


async def test_stopped_timers_do_nothing_more() -> None:
    timers, fired = Timers(), []
    timers.after(T1, lambda: fired.append("one"))
    repeat = Repeat(timers, lambda: fired.append("two"), T1, T1)

    repeat.stop()
    timers.stop()
    await asyncio.sleep(4 * T1)

    assert fired == []


def test_path_names_its_source() -> None:
    path = Path("udp", ("127.0.0.1", 1), ("127.0.0.2", 2), lambda _: None)

    assert path.source == "127.0.0.2:2"
