import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from router.cli import main
from router.problem import EX_CONFIG

EXAMPLES = Path(__file__).parents[2] / "examples"
WRONG = Path(__file__).parent / "wrong"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


def run_module(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    command = [sys.executable, "-m", "router", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    return subprocess.run(
        command, capture_output=True, text=True, env=environment, check=False
    )


@pytest.mark.parametrize("name", sorted(path.stem for path in WRONG.glob("*.yaml")))
def test_wrong_file_is_refused_with_every_problem_in_its_place(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(WRONG)
    result = run("check", f"{name}.yaml")
    expected = Path(f"{name}.txt").read_text("utf-8")
    assert result.stderr.replace(f"{WRONG}/", "") == expected
    assert result.stdout == ""
    assert result.exit_code == EX_CONFIG
    assert isinstance(result.exception, SystemExit)


def test_there_are_wrong_files_enough() -> None:
    assert len(list(WRONG.glob("*.yaml"))) >= 24


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda p: p.stem)
def test_example_is_fine(path: Path) -> None:
    result = run("check", path)
    warnings = result.stderr.splitlines()
    files = ("/tls/", "/secrets/")
    assert all(": warning: " in line for line in warnings)
    assert all(any(file in line for file in files) for line in warnings)
    assert result.exit_code == 0
    assert re.search(r"fine; (twilio|simulated) in region us1", result.stdout)


def test_demo_without_the_simulator_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    result = run("demo")
    assert result.exit_code == 1
    assert result.stderr == (
        "edge-router demo needs the simulator, which lacks aiohttp, cryptography, "
        "trustme: pip install 'edge-router[simulator]'\n"
    )


def test_demo_takes_its_own_options() -> None:
    result = run("demo", "--client", "telnet")
    assert result.exit_code == 2


def test_example_checked_without_files_has_no_warnings() -> None:
    result = run("check", "--no-files", EXAMPLES / "edge-router.yaml")
    assert (result.exit_code, result.stderr) == (0, "")


@pytest.mark.parametrize("command", [["check", "--files"], ["run", "--config"]])
def test_example_without_its_certificates_is_refused_by_who_needs_them(
    command: list[str],
) -> None:
    result = run(*command, EXAMPLES / "edge-router.yaml")
    assert result.exit_code == EX_CONFIG
    assert result.stderr.count("cannot read /etc/edge-router/") == 11


def test_check_prints_where_each_listener_leads() -> None:
    result = run("check", EXAMPLES / "minimal.yaml")
    assert "  api: 127.0.0.1:3128 to api; " in result.stdout
    assert "a silent target delays a flow by at most 4s" in result.stdout


def test_warning_is_printed_and_does_not_change_the_exit_code(tmp_path: Path) -> None:
    text = (EXAMPLES / "minimal.yaml").read_text("utf-8")
    path = tmp_path / "f.yaml"
    path.write_text(text.replace("127.0.0.0/8", "0.0.0.0/0"), "utf-8")
    result = run("check", path)
    assert result.exit_code == 0
    assert ": warning: listeners.api.allow[0]: found 0.0.0.0/0" in result.stderr
    assert ": fine;" in result.stdout


LINKED = """\
version: 1
provider:
  catalogue: twilio
  edges: [ashburn-ix, ashburn]
  links:
    one: {exchange: A, edges: [ashburn-ix], sources: [8.8.8.1],
          prefixes: [8.8.8.0/24], bandwidth: 1Mbit/s}
listeners:
  trunk:
    protocol: sip
    product: pstn
    host: t.pstn.twilio.com
    site: {bind: [udp://10.0.0.2:5060], to: [sip:10.0.0.9], allow: [10.0.0.9]}
    edge: {bind: [udp://5.5.5.5:5060, udp://8.8.8.1:5060], transport: udp}
"""


@pytest.fixture
def linked(tmp_path: Path) -> Path:
    path = tmp_path / "f.yaml"
    path.write_text(LINKED, "utf-8")
    return path


def test_report_lists_what_access_lists_must_have(linked: Path) -> None:
    result = run("check", "--report", "--no-files", linked)
    assert result.stdout.splitlines()[2:] == [
        "the access list of t.pstn.twilio.com must have:",
        "  8.8.8.1: source of link one, to ashburn-ix",
        "  5.5.5.5: edge.bind, to ashburn",
    ]
    found = json.loads(run("check", "--report", "--json", linked).stdout)
    assert [one["network"] for one in found["sources"]] == ["8.8.8.1", "5.5.5.5"]
    assert found["sources"][0]["edges"] == ["ashburn-ix"]


def test_report_without_calls_says_so() -> None:
    result = run("check", "--report", EXAMPLES / "minimal.yaml")
    assert result.stdout.endswith("no access list is needed\n")


def test_link_that_is_not_here_is_a_warning_and_with_files_an_error(
    linked: Path,
) -> None:
    told = "provider.links.one.sources[0]: 8.8.8.1 is no address of this machine"
    result = run("check", linked)
    assert (result.exit_code, f"warning: {told}" in result.stderr) == (0, True)
    result = run("check", "--files", linked)
    assert (result.exit_code, f": {told}" in result.stderr) == (EX_CONFIG, True)
    assert told not in run("check", "--no-files", linked).stderr


def test_check_as_json_has_places_or_listeners() -> None:
    found = json.loads(run("check", "--json", EXAMPLES / "minimal.yaml").stdout)
    assert found["ok"] is True
    assert found["listeners"][0]["name"] == "api"
    result = run("check", "--json", WRONG / "bare-number.yaml")
    found = json.loads(result.stdout)
    assert result.exit_code == EX_CONFIG
    assert found["ok"] is False
    assert found["problems"][0]["line"] == 3
    assert found["problems"][0]["hint"] == "did you mean '2s'?"


def test_run_refuses_a_wrong_configuration() -> None:
    """In words for whoever sits there, and as an event for whoever reads the log."""
    path = str(WRONG / "bare-number.yaml")
    done = run_module("run", "--config", path)
    assert done.returncode == EX_CONFIG
    event, *problems = done.stderr.splitlines()
    assert [problem.split(": ")[1] for problem in problems] == [
        "health.interval",
        "health.timeout",
    ]
    told = json.loads(event)
    assert (told["event"], told["level"]) == ("config.rejected", "error")
    assert (told["path"], told["errors"]) == (path, 2)
    assert told["first"].startswith(problems[0][:80])


def test_schema_is_of_configurations_or_of_catalogues() -> None:
    assert "listeners" in json.loads(run("schema").stdout)["properties"]
    assert "products" in json.loads(run("schema", "--catalogue").stdout)["properties"]


def test_version_is_told_to_people_and_programs() -> None:
    version = json.loads(run("version", "--json").stdout)
    assert set(version) == {"edge_router", "python"}
    assert version["edge_router"] in run("version").stdout


@pytest.mark.parametrize("arguments", [["check"], ["run"], ["chek"], ["check", "--x"]])
def test_wrong_usage_is_exit_code_2(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize("command", [[], ["check"], ["run"], ["schema"], ["version"]])
def test_help_is_there_for_every_command(command: list[str]) -> None:
    result = run(*command, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith("Usage:")


def test_module_is_the_command() -> None:
    """No traceback and the right exit code, in a process of its own."""
    done = run_module("check", str(WRONG / "tab.yaml"))
    assert done.returncode == EX_CONFIG
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
