from typing import Any

import pydantic
import pytest

from router.listeners import (
    HttpsConnect,
    HttpsFromProvider,
    HttpsPassthrough,
    HttpsTerminate,
    Limits,
    Listener,
    Mode,
    Sip,
    WebsocketFromProvider,
    WebsocketToProvider,
)

ADAPTER: pydantic.TypeAdapter[Any] = pydantic.TypeAdapter(Listener)
TLS = {"certificate": "a.pem", "key": "a.key"}
OPEN = {"bind": "127.0.0.1:0", "allow": ["10.0.0.0/8"]}
TO = {"direction": "to_provider", **OPEN}
FROM = {"direction": "from_provider", "bind": "127.0.0.1:0", "tls": TLS}
SIDE = {"bind": ["udp://10.0.0.2:5060"]}


@pytest.mark.parametrize(
    ("written", "model"),
    [
        ({"protocol": "https", **TO, "product": "api", "tls": TLS}, HttpsTerminate),
        (
            {"protocol": "https", **TO, "mode": "passthrough", "product": "api"},
            HttpsPassthrough,
        ),
        ({"protocol": "https", **TO, "mode": "connect"}, HttpsConnect),
        ({"protocol": "https", **FROM, "to": ["http://a"]}, HttpsFromProvider),
        (
            {"protocol": "websocket", **TO, "product": "v", "tls": TLS},
            WebsocketToProvider,
        ),
        ({"protocol": "websocket", **FROM, "to": ["ws://a"]}, WebsocketFromProvider),
        (
            {
                "protocol": "sip",
                "product": "pstn",
                "host": "t.example",
                "site": {**SIDE, "to": ["sip:10.0.0.9"], "allow": ["10.0.0.9"]},
                "edge": SIDE,
            },
            Sip,
        ),
    ],
)
def test_protocol_direction_and_mode_choose_the_model(
    written: dict[str, object], model: type
) -> None:
    listener = ADAPTER.validate_python(written)
    assert type(listener) is model
    assert ADAPTER.validate_python(listener) is listener


@pytest.mark.parametrize(
    ("written", "model"),
    [
        (5, "HttpsTerminate"),
        ({}, "HttpsTerminate"),
        ({"protocol": "spi"}, "Sip"),
        ({"protocol": "websockets"}, "WebsocketToProvider"),
        ({"protocol": 5, "direction": "from-provider"}, "HttpsFromProvider"),
        ({"mode": "conect"}, "HttpsConnect"),
    ],
)
def test_misspelt_listener_is_checked_as_what_it_was_meant_to_be(
    written: object, model: str
) -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        ADAPTER.validate_python(written)
    assert {error["loc"][0] for error in caught.value.errors()} == {model}


def test_listener_to_the_provider_must_say_who_may_use_it() -> None:
    written = {"protocol": "https", **TO, "mode": "connect"}
    del written["allow"]
    with pytest.raises(pydantic.ValidationError, match="allow"):
        ADAPTER.validate_python(written)


def test_listener_from_the_provider_admits_everyone_unless_told() -> None:
    written = {"protocol": "https", **FROM, "to": ["http://a"]}
    listener = ADAPTER.validate_python(written)
    assert [str(network) for network in listener.allow] == ["0.0.0.0/0", "::/0"]


def test_defaults_are_the_documented_ones() -> None:
    listener = ADAPTER.validate_python({"protocol": "https", **TO, "mode": "connect"})
    assert listener.mode is Mode.CONNECT
    assert listener.products is None
    assert listener.limits == Limits()
    assert (listener.limits.connections, listener.limits.header_size) == (10000, 65536)
    deadlines = listener.deadlines
    assert (deadlines.connect, deadlines.tls, deadlines.header) == (1.0, 3.0, 10.0)


@pytest.mark.parametrize(
    "written",
    [
        {"limits": {"body_rate": "1KiB/s"}},
        {"deadlines": {"body_grace": "1s"}},
        {"deadlines": {"idle": "1s"}},
    ],
)
@pytest.mark.parametrize(
    "listener",
    [
        {"protocol": "websocket", **TO, "product": "v", "tls": TLS},
        {"protocol": "websocket", **FROM, "to": ["ws://a"]},
    ],
)
def test_keys_of_bodies_and_requests_are_unknown_where_there_are_none(
    listener: dict[str, object], written: dict[str, dict[str, object]]
) -> None:
    with pytest.raises(pydantic.ValidationError) as caught:
        ADAPTER.validate_python({**listener, **written})
    ((section, keys),) = written.items()
    (error,) = caught.value.errors()
    assert (error["type"], error["loc"][1:]) == ("extra_forbidden", (section, *keys))
