"""The status as JSON: names with their units, times that people read."""

import json
from typing import Any

from router.assessment import assess
from router.endpoint import Kind
from router.history import History
from router.snapshot import Home, Pin
from router.status import SCHEMA, About, as_json, iso, plain


def test_status_as_json_names_units_and_leaves_samples_out(
    make_snapshot: Any, make_edge: Any
) -> None:
    edges = [make_edge("ix", 0.0041, kind=Kind.PRIVATE), make_edge("far", 0.0954321)]
    snapshot = make_snapshot(edges, Home("ix", 9_000.0), pin=Pin("ix", 10_060.0))
    history = History()
    history.sample(snapshot, 10_000.0)
    about = About("1.0", 0.0, "x.yaml", 0.0, "us1", "ix", ())
    status = assess(snapshot, about, [], history, now=10_000.0, unix=86_400.5)
    found = json.loads(json.dumps(as_json(status)))
    assert found["schema"] == SCHEMA
    assert found["time"] == "1970-01-02T00:00:00.500Z"
    assert found["pinned"] == {"edge": "ix", "until": "1970-01-02T00:01:00.500Z"}
    home, far = found["edges"]
    assert (home["name"], home["kind"], home["state"]) == ("ix", "private", "up")
    assert far["reasons"]["score"]["value_ms"] == 95.432
    assert far["reasons"]["gain_ms"] == -91.332
    assert home["reasons"]["gain_ms"] is None
    assert home["reasons"]["window_s"] == 120.0
    assert home["drained"] is None
    assert "samples" not in home
    assert home["reasons"]["score"]["samples"] == 60
    assert plain(status)["verdict"] == status.verdict


def test_time_is_told_to_the_millisecond_in_utc() -> None:
    assert iso(0.0) == "1970-01-01T00:00:00.000Z"
