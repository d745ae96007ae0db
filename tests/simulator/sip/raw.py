"""SIP by hand: a UDP socket, and messages written out."""

import asyncio
import socket
from collections.abc import Sequence

from simulator.provider import Provider
from simulator.sip.message import Received, read

HOST = "example.pstn.twilio.com"
NUMBER = "+15551234567"
SOON = 0.1
"Seconds in which a healthy edge on loopback has long answered."


class Raw:
    """A UDP socket that talks to one address."""

    def __init__(self, far: tuple[str, int], source: str = "127.0.0.1") -> None:
        self.far = far
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind((source, 0))
        self.near: tuple[str, int] = self.socket.getsockname()

    def send(self, data: bytes) -> None:
        self.socket.sendto(data, self.far)

    async def receive(self) -> Received:
        data = await asyncio.get_running_loop().sock_recv(self.socket, 65_536)
        return read(data)

    async def until(self, *codes: int) -> Received:
        """The next message with one of these statuses; 0 is a request."""
        while (message := await self.receive()).code not in codes:
            pass
        return message

    async def silence(self) -> None:
        """Nothing comes, for longer than an answer takes."""
        try:
            async with asyncio.timeout(SOON):
                message = await self.receive()
        except TimeoutError:
            return
        raise AssertionError(f"{message.code} {message.method} {message.phrase}")

    def request(
        self,
        method: str = "INVITE",
        uri: str = f"sip:{NUMBER}@{HOST}",
        *,
        call: str = "call-1",
        cseq: int = 1,
        branch: str = "1",
        to_tag: str = "",
        fields: Sequence[str] = (),
        body: str = "",
    ) -> bytes:
        """A request of ours."""
        host, port = self.near
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {host}:{port};rport;branch=z9hG4bK{branch}",
            "From: <sip:a@example.com>;tag=ours",
            f"To: <{uri}>{f';tag={to_tag}' if to_tag else ''}",
            f"Call-ID: {call}",
            f"CSeq: {cseq} {method}",
            f"Contact: <sip:a@{host}:{port}>",
            "Max-Forwards: 70",
            *fields,
            f"Content-Length: {len(body)}",
            "",
            body,
        ]
        return "\r\n".join(lines).encode()

    def within(
        self,
        method: str,
        answer: Received,
        *,
        cseq: int,
        uri: str = "",
        routes: Sequence[str] | None = None,
    ) -> bytes:
        """A request within the dialog that a 2xx made."""
        if routes is None:
            routes = answer.record_routes[::-1]
        return self.request(
            method,
            uri or answer.contact,
            call=answer.call_id,
            cseq=cseq,
            branch=f"{method}-{cseq}-{len(routes)}",
            to_tag=answer.to_tag,
            fields=[f"Route: {one}" for one in routes],
        )

    def close(self) -> None:
        self.socket.close()


def at(provider: Provider, edge: str, number: int = 0) -> tuple[str, int]:
    """Where an edge address takes datagrams."""
    return provider.edges[edge].addresses[number].address, provider.sip.ports["udp"]
