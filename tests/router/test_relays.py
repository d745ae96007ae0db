"""What listeners at work have in common: how they serve, and whom they turn away."""

import dataclasses
from pathlib import Path
from typing import Any, cast

import pytest

from protocols.net.admission import Refusal
from router import events
from router.events import Event
from router.keyring import Keyring
from router.listeners import HttpsConnect, WebsocketFromProvider
from router.logs import Log
from router.relays import Ground, Refusals, serving
from tests import stage
from tests.router.counting import counting, example
from tests.router.test_usage import loaded


class Told:
    """The one method of a log that is used here."""

    def __init__(self) -> None:
        self.said: list[tuple[Event, dict[str, object]]] = []

    def say(self, event: Event, **fields: object) -> None:
        self.said.append((event, fields))


@pytest.fixture
def told() -> Told:
    return Told()


def ground(told: Told) -> Ground:
    log = cast(Log, told)
    nobody = cast(Any, None)
    return Ground(example(), nobody, Keyring(), log, nobody, *counting(log))


def test_first_link_of_a_new_configuration_is_counted_from_its_beginning(
    told: Told, tmp_path: Path
) -> None:
    before = ground(told)
    assert (before.meter, before.strays) == (None, None)
    after = dataclasses.replace(before, loaded=loaded())
    assert after.meter is before.usage.meter
    listener = WebsocketFromProvider.model_validate(
        {
            "protocol": "websocket",
            "direction": "from_provider",
            "bind": "127.0.0.1:0",
            "tls": stage.site(tmp_path).tls,
            "to": ["ws://127.0.0.1:1"],
        }
    )
    for one in (before, after):
        found = serving(one, "media", listener, cast(Any, None))
        assert found.strays == one.strays
    assert after.strays is not None


def test_tunnels_are_served_without_tls_as_configured(told: Told) -> None:
    listener = HttpsConnect.model_validate(
        {
            **stage.connect(allow=["10.0.0.0/8"]),
            "limits": {"connections": 7, "connections_per_client": 3},
            "deadlines": {"tls": "9s"},
        }
    )
    found = serving(ground(told), "proxy", listener, cast(Any, "factory"))
    assert found.factory == cast(Any, "factory")
    assert found.certificates is None
    assert found.handshake_timeout == 9.0
    assert (found.limits.total, found.limits.per_client) == (7, 3)
    assert list(map(str, found.allow or ())) == ["10.0.0.0/8"]


def test_certificate_is_shared_by_all_who_name_it(told: Told, tmp_path: Path) -> None:
    place = stage.site(tmp_path)
    listener = WebsocketFromProvider.model_validate(
        {
            "protocol": "websocket",
            "direction": "from_provider",
            "bind": "127.0.0.1:0",
            "tls": place.tls,
            "to": ["ws://127.0.0.1:1"],
        }
    )
    one = ground(told)
    found = serving(one, "media", listener, cast(Any, None))
    assert found.certificates is not None
    assert found.certificates is one.keyring.certificates(listener.tls)


def test_client_that_came_astray_is_told_with_its_edge(told: Told) -> None:
    refusals = Refusals(cast(Log, told), "hooks", lambda _: "ashburn-ix")
    refusals.client("208.78.112.65", Refusal.ASTRAY, "came in by eth0")
    fields = {"listener": "hooks", "client": "208.78.112.65", "edge": "ashburn-ix"}
    assert told.said == [(events.FLOW_STRAYED, fields | {"reason": "came in by eth0"})]


def test_failed_handshake_is_told_apart_from_who_may_not_connect(told: Told) -> None:
    refusals = Refusals(cast(Log, told), "api")
    refusals.client("10.0.0.1", Refusal.HANDSHAKE_FAILED, "no shared cipher")
    refusals.client("10.0.0.2", Refusal.NOT_ALLOWED, "")
    refusals.client("", Refusal.NO_RESOURCES, "too many open files")
    refusals.request("10.0.0.3", 400, "no Host")
    whom = {"listener": "api"}
    assert told.said == [
        (
            events.TLS_FAILED,
            whom | {"client": "10.0.0.1", "error": "no shared cipher"},
        ),
        (events.CLIENT_REFUSED, whom | {"client": "10.0.0.2", "reason": "not_allowed"}),
        (
            events.CLIENT_REFUSED,
            whom | {"client": "", "reason": "no_resources: too many open files"},
        ),
        (
            events.REQUEST_REFUSED,
            whom | {"client": "10.0.0.3", "status": 400, "reason": "no Host"},
        ),
    ]
