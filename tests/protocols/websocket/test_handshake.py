"""The opening handshake: what is one, what is refused, what accepts it."""

import pytest
from websockets.client import ClientProtocol
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from protocols.http.fields import forwarded_lines
from protocols.http.head import HeadError, parse_request, parse_response
from protocols.websocket.handshake import (
    Opening,
    is_accepted,
    opening,
    to_provider,
    to_site,
)

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 section 1.3, as is its answer
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
HOST = b"Host: example.test"
UPGRADE = b"Upgrade: websocket"
CONNECTION = b"Connection: Upgrade"
A_KEY = b"Sec-WebSocket-Key: " + KEY
VERSION = b"Sec-WebSocket-Version: 13"
USUAL = (HOST, UPGRADE, CONNECTION, A_KEY, VERSION)


def head(*lines: bytes, first: bytes = b"GET /signal?a=b HTTP/1.1") -> bytes:
    return b"\r\n".join((first, *lines)) + b"\r\n\r\n"


def read(data: bytes) -> Opening:
    return opening(data, parse_request(data))


def without(*left_out: bytes) -> list[bytes]:
    return [line for line in USUAL if line not in left_out]


def test_handshake_of_the_rfc_is_one() -> None:
    assert read(head(*USUAL)) == Opening(ACCEPT, frozenset(), frozenset())


@pytest.mark.parametrize(
    "lines",
    [
        [
            HOST,
            b"upgrade:WebSocket ",
            b"CONNECTION: keep-alive, UPGRADE",
            A_KEY,
            VERSION,
        ],
        [*without(CONNECTION), b"Connection: keep-alive", b"Connection: upgrade"],
        [*USUAL, b"Origin: https://example.test", b"Cookie: a=b"],
    ],
)
def test_spelling_of_others_is_understood(lines: list[bytes]) -> None:
    assert read(head(*lines)).accept == ACCEPT


def test_offers_are_kept_by_name() -> None:
    offer = read(
        head(
            *USUAL,
            b"Sec-WebSocket-Protocol: chat, v2.chat",
            b"Sec-WebSocket-Protocol: soap",
            b'Sec-WebSocket-Extensions: permessage-deflate; a="1"; b, x-other',
        )
    )
    assert offer.subprotocols == {"chat", "v2.chat", "soap"}
    assert offer.extensions == {"permessage-deflate", "x-other"}


REFUSED = {
    "POST": (405, head(*USUAL, first=b"POST / HTTP/1.1")),
    "CONNECT": (405, head(*USUAL, first=b"CONNECT example.test:443 HTTP/1.1")),
    "HTTP/1.0": (505, head(*USUAL, first=b"GET / HTTP/1.0")),
    "body": (400, head(*USUAL, b"Content-Length: 5")),
    "empty body": (400, head(*USUAL, b"Content-Length: 0")),
    "chunked body": (400, head(*USUAL, b"Transfer-Encoding: chunked")),
    "expectation": (400, head(*USUAL, b"Expect: 100-continue")),
    "no upgrade": (426, head(*without(UPGRADE))),
    "another upgrade": (400, head(*without(UPGRADE), b"Upgrade: h2c")),
    "two upgrades": (400, head(*USUAL, UPGRADE)),
    "one of two": (400, head(*without(UPGRADE), b"Upgrade: websocket, h2c")),
    "two of two": (400, head(*without(UPGRADE), b"Upgrade: h2c, websocket")),
    "versioned": (400, head(*without(UPGRADE), b"Upgrade: websocket/13")),
    "no connection": (400, head(*without(CONNECTION))),
    "other connection": (400, head(*without(CONNECTION), b"Connection: close")),
    "nominated key": (400, head(*USUAL, b"Connection: Sec-WebSocket-Key")),
    "nominated version": (400, head(*USUAL, b"Connection: SEC-WebSocket-Version")),
    "no version": (400, head(*without(VERSION))),
    "two versions": (400, head(*USUAL, VERSION)),
    "old version": (426, head(*without(VERSION), b"Sec-WebSocket-Version: 8")),
    "listed version": (426, head(*without(VERSION), b"Sec-WebSocket-Version: 13, 8")),
    "odd version": (426, head(*without(VERSION), b"Sec-WebSocket-Version: 013")),
    "no key": (400, head(*without(A_KEY))),
    "two keys": (400, head(*USUAL, A_KEY)),
    "short key": (400, head(*without(A_KEY), b"Sec-WebSocket-Key: c2hvcnQ=")),
    "long key": (400, head(*without(A_KEY), A_KEY + b"AAAA")),
    "key that is none": (
        400,
        head(*without(A_KEY), b"Sec-WebSocket-Key: " + b"?" * 24),
    ),
    "too many subprotocols": (
        400,
        head(*USUAL, *[b"Sec-WebSocket-Protocol: " + b"a," * 1_000 + b"a"] * 3),
    ),
    "too many extensions": (
        400,
        head(*USUAL, b"Sec-WebSocket-Extensions: a" + b";b=1" * 1_100),
    ),
    "odd subprotocol": (400, head(*USUAL, b"Sec-WebSocket-Protocol: a b")),
    "no subprotocol": (400, head(*USUAL, b"Sec-WebSocket-Protocol: ")),
    "odd extension": (400, head(*USUAL, b"Sec-WebSocket-Extensions: a; =1")),
}


@pytest.mark.parametrize(("status", "data"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_handshake_is_refused(status: int, data: bytes) -> None:
    with pytest.raises(HeadError) as refused:
        read(data)
    assert refused.value.status == status
    assert refused.value.reason.isascii()


@pytest.mark.parametrize("name", ["no connection", "no key", "old version", "POST"])
def test_what_is_refused_here_is_refused_by_the_library(name: str) -> None:
    _, data = REFUSED[name]
    server = ServerProtocol()
    server.receive_data(data)
    events = server.events_received()
    if events:  # else it is not even parsed
        assert isinstance(events[0], Request)
        assert server.accept(events[0]).status_code != 101
    else:
        assert server.handshake_exc is not None


def test_edge_gets_the_handshake_under_its_own_name() -> None:
    data = head(
        HOST,
        b"Connection: keep-alive, Upgrade, X-Ends-Here",
        UPGRADE,
        b"X-Ends-Here: yes",
        b"X-Twilio-Signature: c2lnbmF0dXJl",
        b"sec-websocket-KEY:  " + KEY,
        VERSION,
        b"Sec-WebSocket-Protocol: a,b",
        b'Sec-WebSocket-Extensions: permessage-deflate; x="1"',
        first=b"GET /signal?q=%41&b HTTP/1.1",
    )
    assert to_provider(parse_request(data), b"voice.edge.test:8443") == head(
        b"Host: voice.edge.test:8443",
        b"X-Twilio-Signature: c2lnbmF0dXJl",
        b"sec-websocket-KEY:  " + KEY,
        VERSION,
        b"Sec-WebSocket-Protocol: a,b",
        b'Sec-WebSocket-Extensions: permessage-deflate; x="1"',
        b"Via: 1.1 edge-router",
        CONNECTION,
        UPGRADE,
        first=b"GET /signal?q=%41&b HTTP/1.1",
    )


def test_receiver_gets_the_host_that_was_signed() -> None:
    data = head(*USUAL, b"X-Forwarded-For: 10.0.0.1", b"X-Twilio-Signature: c2ln")
    assert to_site(parse_request(data), forwarded_lines("192.0.2.1", "https")) == head(
        HOST,
        A_KEY,
        VERSION,
        b"X-Twilio-Signature: c2ln",
        b"X-Forwarded-For: 192.0.2.1",
        b"X-Forwarded-Proto: https",
        b"X-Forwarded-Host: example.test",
        b"Via: 1.1 edge-router",
        CONNECTION,
        UPGRADE,
    )


OFFER = Opening(ACCEPT, frozenset(["chat"]), frozenset(["permessage-deflate"]))
SWITCHING = b"HTTP/1.1 101 Switching Protocols"
AN_ACCEPT = b"Sec-WebSocket-Accept: " + ACCEPT


def accepted(data: bytes) -> bool:
    return is_accepted(data, parse_response(data, b"GET"), OFFER)


@pytest.mark.parametrize(
    "more",
    [
        [],
        [b"Sec-WebSocket-Protocol: chat"],
        [b"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover"],
        [b"Connection: close"],
    ],
)
def test_answer_that_fits_is_accepted(more: list[bytes]) -> None:
    lines = [UPGRADE, CONNECTION, AN_ACCEPT, *more]
    assert accepted(head(*lines, first=SWITCHING))


@pytest.mark.parametrize("status", [b"200 OK", b"403 No", b"426 No", b"503 No"])
def test_other_answer_is_an_ordinary_one(status: bytes) -> None:
    lines = [UPGRADE, CONNECTION, AN_ACCEPT]
    assert not accepted(head(*lines, first=b"HTTP/1.1 " + status))


@pytest.mark.parametrize(
    "lines",
    [
        [CONNECTION, AN_ACCEPT],
        [b"Upgrade: h2c", CONNECTION, AN_ACCEPT],
        [UPGRADE, UPGRADE, CONNECTION, AN_ACCEPT],
        [UPGRADE, AN_ACCEPT],
        [UPGRADE, b"Connection: keep-alive", AN_ACCEPT],
        [UPGRADE, CONNECTION],
        [UPGRADE, CONNECTION, AN_ACCEPT, AN_ACCEPT],
        [UPGRADE, CONNECTION, b"Sec-WebSocket-Accept: " + ACCEPT.swapcase()],
        [UPGRADE, CONNECTION, AN_ACCEPT, b"Sec-WebSocket-Protocol: soap"],
        [UPGRADE, CONNECTION, AN_ACCEPT, b"Sec-WebSocket-Protocol: chat, soap"],
        [UPGRADE, CONNECTION, AN_ACCEPT, b"Sec-WebSocket-Protocol: a b"],
        [UPGRADE, CONNECTION, AN_ACCEPT, b"Sec-WebSocket-Extensions: x-other"],
        [UPGRADE, CONNECTION, AN_ACCEPT, b"Sec-WebSocket-Extensions: ;"],
        [UPGRADE, CONNECTION, AN_ACCEPT, b"Content-Length: 5"],
        [UPGRADE, CONNECTION, AN_ACCEPT, b"Transfer-Encoding: chunked"],
    ],
)
def test_switch_that_does_not_fit_is_broken(lines: list[bytes]) -> None:
    with pytest.raises(HeadError) as broken:
        accepted(head(*lines, first=SWITCHING))
    assert broken.value.status == 502


def test_switch_of_an_old_version_is_broken() -> None:
    with pytest.raises(HeadError):
        accepted(head(UPGRADE, CONNECTION, AN_ACCEPT, first=b"HTTP/1.0 101 Switching"))


def test_client_and_server_of_the_library_agree_with_it() -> None:
    """Both ends are the library's; every head between them is read and rewritten."""
    client = ClientProtocol(
        parse_uri("wss://voice.test/signal?a=b"), subprotocols=[Subprotocol("chat")]
    )
    client.send_request(client.connect())
    asked = b"".join(client.data_to_send())
    offer = read(asked)
    server = ServerProtocol(subprotocols=[Subprotocol("chat")])
    server.receive_data(to_provider(parse_request(asked), b"edge.test"))
    (request,) = server.events_received()
    assert isinstance(request, Request)
    assert request.headers["Host"] == "edge.test"
    server.send_response(server.accept(request))
    answered = b"".join(server.data_to_send())
    assert is_accepted(answered, parse_response(answered, b"GET"), offer)
    client.receive_data(answered)
    assert client.handshake_exc is None
    assert client.subprotocol == "chat"
