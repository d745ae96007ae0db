"""The router's own answers, as an independent client reads them."""

import h11
import pytest

from protocols.http.answers import answer


def read(data: bytes, method: str) -> tuple[h11.Response, bytes]:
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    response = client.next_event()
    assert isinstance(response, h11.Response)
    body = b""
    while isinstance(event := client.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert client.trailing_data == (b"", False)
    return response, body


@pytest.mark.parametrize(
    "status", [400, 404, 405, 408, 414, 417, 421, 429, 431, 501, 502, 503, 504, 505]
)
def test_answer_says_in_its_body_who_gives_it_and_why(status: int) -> None:
    response, body = read(answer(status, "the cause", close=False), "GET")
    assert response.status_code == status
    assert response.reason
    assert body == b"edge-router: the cause\n"
    assert dict(response.headers)[b"content-type"] == b"text/plain"


def test_answer_to_head_has_the_same_head_and_no_body() -> None:
    whole = answer(502, "the cause", close=False)
    bare = answer(502, "the cause", close=False, head_only=True)
    assert whole == bare + b"edge-router: the cause\n"
    assert read(bare, "HEAD")[1] == b""


@pytest.mark.parametrize("close", [True, False])
def test_answer_tells_whether_the_connection_closes(close: bool) -> None:
    response, _ = read(answer(404, "nothing here", close=close), "GET")
    assert ((b"connection", b"close") in response.headers) is close


@pytest.mark.parametrize(("status", "again"), [(503, b"1"), (502, None), (504, None)])
def test_answer_asks_to_come_back_only_when_nothing_can_be_reached(
    status: int, again: bytes | None
) -> None:
    response, _ = read(answer(status, "why", close=False), "GET")
    assert dict(response.headers).get(b"retry-after") == again


@pytest.mark.parametrize("allow", ["CONNECT", "GET"])
def test_refused_method_comes_with_the_one_that_is_served(allow: str) -> None:
    response, _ = read(answer(405, "why", close=True, allow=allow), "POST")
    assert dict(response.headers)[b"allow"] == allow.encode()


def test_answer_that_wants_an_upgrade_names_it() -> None:
    response, _ = read(answer(426, "why", close=True), "GET")
    fields = dict(response.headers)
    assert fields[b"upgrade"] == b"websocket"
    assert fields[b"sec-websocket-version"] == b"13"


def test_cause_in_another_script_does_not_break_the_answer() -> None:
    _, body = read(answer(502, "Verbindung abgelehnt: Gerät", close=False), "GET")
    assert body == b"edge-router: Verbindung abgelehnt: Ger?t\n"


@pytest.mark.parametrize(("status", "allowed"), [(405, b"CONNECT"), (404, None)])
def test_refusal_of_a_method_says_which_one_is_served(
    status: int, allowed: bytes | None
) -> None:
    response, _ = read(answer(status, "why", close=True), "GET")
    assert dict(response.headers).get(b"allow") == allowed
