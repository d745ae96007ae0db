"""Two agents in one process, joined by a wire that a test can cut."""

import asyncio
from collections.abc import Callable

from simulator.sip.agent import Agent
from simulator.sip.call import Call
from simulator.sip.message import Received, read
from simulator.sip.transaction import Path

T1 = 0.004


class Local(Agent):
    """An agent that sends to its peer; what it sent and saw is kept."""

    def __init__(self, port: int, transport: str = "udp") -> None:
        super().__init__(t1=T1)
        self.port = port
        self.transport = transport
        self.peer: Local
        self.sent: list[Received] = []
        self.events: list[str] = []
        self.calls_taken: list[Call] = []
        self.passes: Callable[[Received], bool] = lambda _: True
        "Which of its messages arrive."
        self.admits = True
        self.objects = ""
        self.news = asyncio.Event()
        "Set whenever something was sent or received."

    @property
    def path(self) -> Path:
        """The way to the peer."""
        near, far = ("127.0.0.1", self.port), ("127.0.0.1", self.peer.port)
        return Path(self.transport, near, far, self.send)

    def send(self, data: bytes) -> None:
        message = read(data)
        self.sent.append(message)
        self.news.set()
        if self.passes(message):
            asyncio.get_running_loop().call_soon(self.peer.take, data, self.peer.path)

    def receive(self, message: Received, path: Path) -> None:
        super().receive(message, path)
        self.news.set()

    async def until(self, fact: Callable[[], bool]) -> None:
        """Wait until something holds."""
        while not fact():
            self.news.clear()
            await self.news.wait()

    def call(self) -> Call:
        """Call the peer."""
        return self.invite(self.path, "sip:b@b.test", "<sip:a@a.test>")

    def count(self, method: str, code: int = 0) -> int:
        """How often a request or response was sent."""
        return sum((one.method, one.code) == (method, code) for one in self.sent)

    def invited(self, call: Call) -> None:
        super().invited(call)
        self.calls_taken.append(call)

    def admit(self, server: object) -> bool:
        return self.admits

    def objection(self, request: Received, call: Call, path: Path) -> str:
        return self.objects

    def contact(self, path: Path, call: Call) -> str:
        return f"sip:x@127.0.0.1:{self.port}"

    def outward(self, hop: tuple[str, str, int], call: Call) -> Path:
        return self.path

    def note(self, event: str, path: Path, *args: object, **fields: object) -> None:
        super().note(event, path)
        self.events.append(event)


def pair(transport: str = "udp") -> tuple[Local, Local]:
    """Two agents, joined."""
    first, second = Local(5071, transport), Local(5072, transport)
    return join(first, second)


def join(first: Local, second: Local) -> tuple[Local, Local]:
    """Have two agents be each other's peer, and share their news."""
    first.peer, second.peer = second, first
    second.news = first.news
    return first, second
