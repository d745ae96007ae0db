"""What is shown of a status, an explanation, flows and probes."""

from typing import Any

from router.commands.looking import (
    explain_parts,
    flows_parts,
    probe_parts,
    status_parts,
)
from router.commands.output import Part, Sheet

THEN, NOW = "2026-11-22T11:00:00.000Z", "2026-11-22T12:00:00.000Z"
TROUBLE = {"subject": "a", "state": "is down", "since": THEN, "reason": "refused"}
EDGE = {
    "name": "ashburn",
    "kind": "public",
    "state": "down",
    "since": THEN,
    "reason": "refused",
    "reasons": {"score": None, "verdict": "not fit to be home: down"},
}
STATUS: dict[str, Any] = {
    "time": NOW,
    "verdict": "ok: home is ashburn",
    "troubles": [TROUBLE],
    "edges": [EDGE],
    "receivers": [],
    "flows": [],
    "past": [],
}


def text(parts: list[Part]) -> list[Any]:
    return [part if isinstance(part, str) else list(part.rows) for part in parts]


def test_edge_without_a_score_has_dashes() -> None:
    why = "refused; not fit to be home: down"
    row = ("ashburn", "public", "down", "60 min", "-", "-", "-", why)
    first, edges, *_ = text(list(status_parts(STATUS)))
    assert first == "ok: home is ashburn"
    assert edges == [row]


def test_troubles_are_listed_once_the_first_line_cannot_hold_them() -> None:
    parts = list(status_parts(STATUS | {"troubles": [TROUBLE] * 4}))
    assert text(parts)[1] == [("a is down", "60 min", "refused")] * 4


def test_receivers_flows_and_the_past_are_shown() -> None:
    receiver = {"place": "10.0.0.20:80", "product": "hooks", "state": "up"}
    count = {"listener": "api", "protocol": "https", "edge": "", "open": 1, "ended": 2}
    past = {"time": THEN, "text": "home is ashburn", "kind": "switch"}
    flip = {"time": THEN, "text": "192.0.2.1 is down", "kind": "address"}
    parts = status_parts(
        STATUS
        | {
            "receivers": [receiver | {"since": THEN, "reason": ""}],
            "flows": [count],
            "past": [flip, *[past] * 9],
        }
    )
    _, _, receivers, _, _, flows, happened = text(list(parts))
    assert receivers == [("10.0.0.20:80", "hooks", "up", "60 min", "")]
    assert flows == [("api", "https", "(none)", "1", "2")]
    assert happened == [("60 min", "home is ashburn")] * 5


def test_links_are_shown_with_what_bird_says() -> None:
    link: dict[str, Any] = {
        "name": "ix",
        "exchange": "A",
        "interface": "link1",
        "edges": ["a-ix"],
    }
    link |= {"privacy": "private", "reason": "", "bgp": None, "use": None}
    bgp = {"state": "Established", "prefixes": ["8.8.8.0/24"], "trouble": ""}
    exposed = {"privacy": "exposed", "reason": "link1 is down", "interface": None}
    silent = {"state": "", "prefixes": [], "trouble": "gone"}
    links = [link, link | exposed | {"bgp": bgp}, link | {"bgp": silent}]
    shown = text(list(status_parts(STATUS | {"links": links})))[3]
    assert shown == [
        ("ix", "A", "link1", "private", "a-ix", "-", ""),
        ("ix", "A", "-", "exposed", "a-ix", "Established, 8.8.8.0/24", "link1 is down"),
        ("ix", "A", "link1", "private", "a-ix", "gone", ""),
    ]
    assert text(list(status_parts(STATUS | {"links": links})))[4] == []


def test_links_are_shown_with_what_they_carry() -> None:
    use = {"calls": 3, "taken_bps": 261_600, "other_bps": 12_346}
    use |= {"room_bps": 626_054, "bandwidth_bps": 1_000_000, "spilled": 7}
    link: dict[str, Any] = {"name": "ix1", "exchange": "A", "interface": None}
    link |= {"edges": ["a-ix"], "privacy": "unknown", "reason": "", "bgp": None}
    parts = text(list(status_parts(STATUS | {"links": [link | {"use": use}]})))
    rates = ("0.26 Mbit/s", "0.01 Mbit/s", "0.63 Mbit/s", "1.00 Mbit/s")
    assert parts[4] == [("ix1", "3", *rates, "7")]


def test_explanation_has_a_paragraph_for_each_edge() -> None:
    edge = {"edge": "a", "kind": "public", "home": True, "sum": "s", "moves": "m"}
    product = {"product": "api", "protocol": "https", "why": "w"}
    order = [{"edge": "a", "state": "up"}, {"edge": "b", "state": "down"}]
    parts = explain_parts(
        {
            "verdict": "ok",
            "rules": ["one", "two"],
            "edges": [edge],
            "products": [product | {"edges": order}],
        }
    )
    assert text(list(parts)) == [
        "ok",
        "one\ntwo",
        "1. a (public, home)\n  s\n  m",
        [("api", "https", "w", "a, b (down)")],
    ]


def test_flows_that_are_not_listed_are_told_of() -> None:
    flow = {"age_s": 3.0, "listener": "api", "protocol": "https", "client": "c"}
    found = {"counts": [], "listed": [flow | {"edge": ""}], "unlisted": 7}
    assert text(list(flows_parts(found))) == [
        "no flows so far",
        [("3.0 s", "api", "https", "c", "(none yet)")],
        "and 7 more that began later",
    ]


def test_probe_that_was_not_sent_says_why() -> None:
    probe = {
        "edge": "a",
        "protocol": "sip",
        "transport": "udp",
        "address": "192.0.2.1",
        "port": 5060,
        "result": None,
        "took_ms": None,
        "detail": "not asked",
    }
    (sheet,) = probe_parts({"probes": [probe]})
    assert isinstance(sheet, Sheet)
    assert sheet.rows == [
        ("a", "sip", "udp:192.0.2.1:5060", "-", "-", "-", "not asked")
    ]
