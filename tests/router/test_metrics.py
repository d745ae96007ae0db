"""Metrics: what they say, and that Prometheus's own tool is content with them."""

import re
import shutil
import subprocess
from pathlib import Path

import prometheus_client.parser
import pytest

from protocols.target import Result
from router.changes import Flip, Stalled
from router.election import Switch
from router.health import State
from router.metrics import PREFIX, Counts, Lines, Metrics
from tests.router.story import told

ROOT = Path(__file__).parents[2]


def metrics(counts: Counts | None = None) -> Metrics:
    status = told()
    return Metrics(
        lambda: status, counts or Counts(), lambda: Lines(7, 2), lambda: 0.25
    )


def samples(text: str) -> dict[tuple[str, tuple[str, ...]], float]:
    """Each sample by name and values of its labels, in the order of their names."""
    return {
        (
            sample.name.removeprefix(PREFIX),
            tuple(v for _, v in sorted(sample.labels.items())),
        ): sample.value
        for family in prometheus_client.parser.text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_status_is_told_edge_by_edge_and_flow_by_flow() -> None:
    found = samples(metrics().text().decode())
    assert found["edge_up", ("ashburn", "public")] == 1
    assert found["edge_up", ("sydney", "public")] == 0
    assert found["edge_down", ("sydney", "public")] == 1
    assert found["edge_home", ("ashburn", "public")] == 1
    assert 0.008 <= found["edge_round_trip_seconds", ("ashburn", "public")] < 0.011
    assert found["endpoint_up", ("umatilla", "api", "https")] == 1
    assert found["flows", ("ashburn", "trunk", "sip")] == 41
    assert found["flows_ended_total", ("ashburn", "api", "https")] == 48_211
    assert found["link_privacy", ("private", "ix1")] == 1
    assert found["link_privacy", ("exposed", "ix1")] == 0
    assert found["link_calls", ("ix1",)] == 3
    assert found["link_room_bytes_per_second", ("ix1",)] == 626_054.4 / 8
    assert found["link_spilled_calls_total", ("ix1",)] == 7
    assert found["condition", ("ok",)] == 1
    assert found["condition", ("failed",)] == 0
    assert found["info", ("us1", "1.2.3")] == 1
    assert found["log_dropped_lines_total", ()] == 2
    assert found["log_lines_total", ()] == 7
    assert found["loop_lag_seconds", ()] == 0.25


def test_changes_are_counted_as_they_happen() -> None:
    counts = Counts()
    flip = Flip("a", "", (), State.UP, State.DOWN, "why", Result.REFUSED, 1.0)
    of_product = Flip("a", "api", (), State.UP, State.DOWN, "why", Result.REFUSED, 1.0)
    counts.note([Switch("a", "b", "why"), flip, of_product, Stalled(1.0)])
    found = samples(metrics(counts).text().decode())
    assert found["switches_total", ()] == 1
    assert found["edge_flips_total", ("a", "down")] == 1
    assert found["loop_stalls_total", ()] == 1


def test_failed_reload_shows_until_one_succeeds() -> None:
    counts = Counts(reloaded=1_700_000_000.0, reload_failed=True)
    found = samples(metrics(counts).text().decode())
    assert found["config_last_reload_successful", ()] == 0
    stamp = "config_last_reload_success_timestamp_seconds"
    assert found[stamp, ()] == 1_700_000_000.0


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_promtool_is_content() -> None:
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=metrics().text(),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_every_metric_is_documented_and_every_documented_one_exists() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    families = prometheus_client.parser.text_string_to_metric_families(
        metrics().text().decode()
    )
    ours = {family.name for family in families if family.name.startswith(PREFIX)}
    told_of = {
        word.strip("`").removesuffix("_total")
        for line in page.splitlines()
        if line.startswith(f"| `{PREFIX}")
        for word in [line.split("|")[1].strip()]
    }
    assert told_of == ours


def test_alerts_and_dashboard_ask_for_metrics_that_exist() -> None:
    families = prometheus_client.parser.text_string_to_metric_families(
        metrics().text().decode()
    )
    names = {sample.name for family in families for sample in family.samples}
    empty = {"edge_router_edge_flips_total", "edge_router_receiver_up"}
    for name in ("alerts.yaml", "dashboard.json"):
        text = (ROOT / "monitoring" / name).read_text()
        asked = set(re.findall(r"edge_router_[a-z_]+", text))
        assert asked
        assert asked <= names | empty


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_alerts_fire_when_they_should() -> None:
    done = subprocess.run(
        ["promtool", "test", "rules", ROOT / "monitoring" / "alerts_test.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
