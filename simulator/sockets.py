"""The WebSocket service behind all edges: the signalling of voice and video clients.

What becomes of a WebSocket is in the ledger: `upgrade` when its opening handshake is
complete, `opened` or `refused` when that is answered; and at its end, `received` and
`sent` with the sum of all messages, then `closed`.
"""

import asyncio
import dataclasses
import http
import itertools
from typing import cast

from websockets.exceptions import InvalidMessage
from websockets.extensions.permessage_deflate import enable_server_permessage_deflate
from websockets.frames import CloseCode, Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from simulator.faults import SOCKETS, Active, Fault, at_work
from simulator.front import Arrival
from simulator.ledger import Ledger
from simulator.messages import Messages
from simulator.signalling import Conversation, Video, Voice
from simulator.zone import Entry

VOICE, VIDEO = "voice-js", "vss"
"Products whose names lead here."

_STUMP = bytes((0x82, 126, 0x10, 0x00)) + bytes(100)
"The beginning of a binary frame of 4,096 bytes (RFC 6455 section 5.2)."


class Sockets:
    """Serves every connection for one of the WebSocket products."""

    def __init__(self, ledger: Ledger, heartbeat: float) -> None:
        """A heartbeat goes to voice clients every so many seconds."""
        self._ledger = ledger
        self._heartbeat = heartbeat
        self._numbers = itertools.count(1)

    def accept(self, arrival: Arrival, entry: Entry, name: str) -> asyncio.Protocol:
        """The protocol for a new connection to the name of an entry."""
        conversation: Voice | Video
        if entry.product == VOICE:
            conversation = Voice(arrival.edge, self._heartbeat)
        else:
            conversation = Video()
        note = _Note(
            self._ledger,
            {
                "edge": arrival.edge,
                "address": arrival.address,
                "product": entry.product,
                "source": arrival.source,
                "server_name": name,
                "request": f"WS{next(self._numbers):032x}",
            },
        )
        return Socket(arrival, conversation.path, conversation, note)


@dataclasses.dataclass(frozen=True, slots=True)
class _Note:
    """Writes down what happens to one WebSocket."""

    ledger: Ledger
    "Where to."
    fields: dict[str, str]
    "What all events of this WebSocket have in common."

    def __call__(self, event: str, **fields: str | int) -> None:
        self.ledger.record(event, **{**self.fields, **fields})


class Socket(asyncio.Protocol):
    """One connection: its handshake, its messages, its end."""

    def __init__(
        self, arrival: Arrival, path: str, conversation: Conversation, note: _Note
    ) -> None:
        self._arrival = arrival
        self._path = path
        self._conversation = conversation
        self._note = note
        self._loop = asyncio.get_running_loop()
        self._protocol = ServerProtocol(
            extensions=enable_server_permessage_deflate(None)
        )
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle | None = None
        self._request: Request | None = None
        self._answered = 0
        self._parts: list[Frame] = []
        self._received, self._sent = Messages(), Messages()

    # ---- Called by the event loop ------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Follow the faults of the places from now on."""
        self._transport = cast(asyncio.Transport, transport)
        for place in self._arrival.places:
            place.watchers.add(self._changed)

    def data_received(self, data: bytes) -> None:
        """Take bytes of the client."""
        self._protocol.receive_data(data)
        if isinstance(self._protocol.handshake_exc, InvalidMessage):
            self._note("unparsed", detail=str(self._protocol.handshake_exc))
        self._go_on()

    def eof_received(self) -> None:
        """No end of one direction alone: answer nothing more."""
        self._protocol.receive_eof()
        self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        """Write down how it ended."""
        for place in self._arrival.places:
            place.watchers.discard(self._changed)
        self._stop_timer()
        self._protocol.receive_eof()
        if self._answered == http.HTTPStatus.SWITCHING_PROTOCOLS:
            for event, sum_ in (("received", self._received), ("sent", self._sent)):
                self._note(
                    event, messages=sum_.count, size=sum_.size, digest=sum_.digest
                )
            self._note("closed", code=self._protocol.close_code or 0)
        elif self._request is not None and not self._answered:
            self._note("aborted")

    def pause_writing(self) -> None:
        """Hear nothing from a client that does not listen."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Hear it again."""
        if not self._transport.is_closing():
            self._transport.resume_reading()

    # ---- The handshake -----------------------------------------------------------

    def _go_on(self) -> None:
        """Take what came, and send what is to be said."""
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._asked(event)
            elif isinstance(event, Frame):
                self._take(event)
        self._flush()

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)
            else:
                self._transport.close()

    def _asked(self, request: Request) -> None:
        self._request = request
        self._note.fields["marker"] = request.headers.get("Idempotency-Key", "")
        self._note(
            "upgrade",
            method="GET",
            target=request.path,
            host=request.headers.get("Host", ""),
        )
        fault = self._fault()
        if fault is not None and fault.fault is Fault.SLOW_FIRST_BYTE:
            self._timer = self._loop.call_later(fault.value, self._answer_late, request)
        else:
            self._answer(request)

    def _answer_late(self, request: Request) -> None:
        self._timer = None
        self._answer(request)
        self._flush()

    def _answer(self, request: Request) -> None:
        response = self._response(request)
        self._answered = response.status_code
        self._protocol.send_response(response)
        accepted = self._answered == http.HTTPStatus.SWITCHING_PROTOCOLS
        self._note("opened" if accepted else "refused", status=self._answered)

    def _response(self, request: Request) -> Response:
        """The answer, as the fault at work would have it."""
        fault, protocol = self._fault(), self._protocol
        if fault is not None and fault.fault is Fault.STATUS:
            response = protocol.reject(503, "The simulator was told to fail\n")
            status = int(fault.value)
            return dataclasses.replace(
                response, status_code=status, reason_phrase="Simulated"
            )
        if fault is not None and fault.fault is Fault.DRAIN:
            return protocol.reject(503, "The edge drains\n")
        if request.path.partition("?")[0] != self._path:
            return protocol.reject(404, f"There is {self._path} here\n")
        response = protocol.accept(request)
        response.headers["X-Simulator-Edge"] = (
            f"{self._arrival.edge} {self._arrival.address}"
        )
        return response

    # ---- The messages ------------------------------------------------------------

    def _take(self, frame: Frame) -> None:
        """Put messages together; the library sees to control frames itself."""
        if frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return
        self._parts.append(frame)
        if not frame.fin:
            return
        data = b"".join(bytes(part.data) for part in self._parts)
        text = self._parts[0].opcode is Opcode.TEXT
        self._parts.clear()
        try:
            self._hear(data.decode() if text else data)
        except UnicodeDecodeError as error:
            self._protocol.fail(CloseCode.INVALID_DATA, str(error.reason))

    def _hear(self, message: str | bytes) -> None:
        if self._transport.is_closing():
            return
        self._received.add(message)
        fault = self._fault()
        if fault is not None and fault.fault is Fault.SEVER:
            self._sever()
        elif isinstance(message, str) and not self._is_hushed():
            for text in self._conversation.hear(message):
                self._say(text)
            if self._conversation.every and self._timer is None:
                self._timer = self._loop.call_later(
                    self._conversation.every, self._beat
                )

    def _say(self, text: str) -> None:
        if self._is_open():
            self._sent.add(text)
            self._protocol.send_text(text.encode())

    def _beat(self) -> None:
        self._timer = self._loop.call_later(self._conversation.every, self._beat)
        if self._is_hushed():
            return
        if beat := self._conversation.beat():
            self._say(beat)
        else:
            self._note("unechoed")
            self._close("no answer to the heartbeat")
        self._flush()

    # ---- The end -----------------------------------------------------------------

    def _fault(self) -> Active | None:
        return at_work(self._arrival.places, SOCKETS)

    def _is_open(self) -> bool:
        return self._protocol.state is OPEN and not self._transport.is_closing()

    def _is_hushed(self) -> bool:
        fault = self._fault()
        return fault is not None and fault.fault is Fault.HUSH

    def _changed(self) -> None:
        """Have the fault at work take effect on an open WebSocket."""
        fault = self._fault()
        if fault is None or not self._is_open():
            return
        if fault.fault is Fault.SEVER:
            self._sever()
        elif fault.fault is Fault.DRAIN:
            self._close("the edge drains")
        self._flush()

    def _sever(self) -> None:
        self._stop_timer()
        self._transport.write(_STUMP)
        self._transport.close()

    def _close(self, reason: str) -> None:
        self._stop_timer()
        if self._is_open():
            self._protocol.send_close(CloseCode.GOING_AWAY, reason)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
