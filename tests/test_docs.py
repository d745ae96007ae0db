"""What the documents tell the reader to type works, and what they show is true."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from router.catalogue import read_catalogue
from router.cli import main
from router.document import parse
from router.events import registered
from router.files import read

ROOT = Path(__file__).parents[1]
DOCS = [
    "README.md",
    *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/**/*.md")),
]
MACHINE = "changes the machine: "
RUNNING = "asks a running daemon or its journal"
UNRUN = {
    "make demo": "takes a minute: tests/router/demo/test_play.py runs it",
    "curl --cacert site.pem": "needs the Internet: test_clients.py does it without",
    "HTTPS_PROXY=": "needs the Internet: test_clients.py does it without",
    "SSL_CERT_FILE=": "needs the Internet: scenarios/test_sockets.py does it without",
    "edge-router run": "needs the Internet: test_app.py runs it without",
    "make deb": MACHINE + "tests/packaging does it in a root of its own",
    "apt-get install --yes make": MACHINE + "tests/packaging and .ci/run do it",
    "make install": MACHINE + "tests/packaging does it in a root of its own",
    "(umask 077 && head -c 24 /dev/urandom | base64 > /etc": MACHINE + "a key in /etc",
    "runuser -u edge-router -- edge-router check": "needs the installed user",
    "#!/bin/sh\nset -eu\ninstall -d": MACHINE + "test_docs_installation.py runs it",
    "edge-router version\napt-get": MACHINE + "tests/packaging upgrades",
    "(umask 077 && tar": "needs the installed configuration",
    "systemctl": MACHINE + "needs systemd as PID 1",
    "journalctl": RUNNING,
    "edge-router check /etc/edge-router/edge-router.yaml\nsystemctl": RUNNING,
    "install -m 644 systemd/sysctl.d": MACHINE + "a limit of the kernel",
    "tcpdump": "waits for packets",
    "edge-router status": RUNNING,
    "edge-router log-level": RUNNING,
    "edge-router version --json\nedge-router status": RUNNING,
}
"How blocks of commands begin that are not run here, and why not."

ELSEWHERE = {
    "docs/private-links.md": "needs interfaces: test_docs_links.py gives it some",
}
"Documents whose commands another test runs, and why."

EVENTS = {event.name for event in registered()}

FRAGMENTS = {
    "provider:\n  catalogue: ./catalogues/telnyx.yaml": "what of it differs",
    "provider:\n  catalogue: twilio\n  links:": "test_docs_configuration.py tries it",
    "provider:\n  catalogue: twilio\n  region: us1\n": "test_docs_links.py tries it",
    "scrape_configs:": "is for Prometheus",
}
"How YAML begins that is no whole file, and why not."


def blocks(document: str, language: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def beginning(text: str, known: Mapping[str, str]) -> bool:
    return any(text.startswith(begin) for begin in known)


@pytest.mark.parametrize(
    "document", [d for d in DOCS if blocks(d, "sh") and d not in ELSEWHERE]
)
def test_commands_work_as_written(document: str, tmp_path: Path) -> None:
    """In one directory, in the order of the text, as a reader would."""
    scripts = tmp_path / "bin"
    scripts.mkdir()
    command = scripts / "edge-router"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m router "$@"\n')
    command.chmod(0o755)
    environ = {
        **os.environ,
        "PATH": f"{scripts}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    for block in blocks(document, "sh"):
        if beginning(block, UNRUN):
            continue
        if block.startswith("openssl") and shutil.which("openssl") is None:
            pytest.skip("openssl is not installed")
        done = subprocess.run(
            ["sh", "-euc", block],
            cwd=tmp_path, env=environ, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("document", DOCS)
def test_commands_stand_where_they_are_found(document: str) -> None:
    """In blocks that say `sh`: others are not looked at."""
    text = (ROOT / document).read_text(encoding="utf-8")
    for fence, body in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S):
        if fence != "sh":
            typed = r"^(edge-router|systemctl|journalctl|make|apt-get|apt|pip|sudo) "
            assert not re.search(typed, body, re.M), body


@pytest.mark.parametrize("begin", UNRUN)
def test_exception_is_of_use(begin: str) -> None:
    assert any(block.startswith(begin) for d in DOCS for block in blocks(d, "sh"))


@pytest.mark.parametrize("document", DOCS)
def test_commands_are_read_by_a_shell(document: str) -> None:
    """Those, too, that are not run."""
    for block in blocks(document, "sh"):
        done = subprocess.run(
            ["sh", "-n"], input=block, capture_output=True, text=True, check=False
        )
        assert done.stderr == "", block


@pytest.mark.parametrize("document", DOCS)
def test_commands_of_ours_are_understood(document: str) -> None:
    """In blocks and within sentences, run or not: command, options, arguments."""
    text = (ROOT / document).read_text(encoding="utf-8")
    lines = "\n".join(blocks(document, "sh")).splitlines()
    quoted = re.findall(r"`(edge-router [a-z][^`]*)`", text)
    for line in [*lines, *quoted]:
        for call in re.findall(r"(?:^|-- |; )edge-router ([a-z][^;|>]*)", line):
            name, *words = shlex.split(call.partition(" #")[0])
            if name in main.commands and words:
                main.commands[name].make_context(name, words)
            assert name in main.commands, line


@pytest.mark.parametrize("document", DOCS)
def test_events_that_are_searched_for_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    assert {*re.findall(r"EVENT=([\w.]+)", text)} <= EVENTS


def test_trouble_is_told_by_events_and_keys_that_exist() -> None:
    text = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    keys = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z]+\.[a-z_.]+)`", text))
    assert len(named & EVENTS) > 10
    for name in named - EVENTS:
        assert re.search(rf"^\| `(listeners\.\*\.)?{name}", keys, re.M), name


@pytest.mark.parametrize("document", DOCS)
def test_yaml_is_a_file_that_the_daemon_takes(document: str, tmp_path: Path) -> None:
    for number, text in enumerate(blocks(document, "yaml")):
        if beginning(text, FRAGMENTS):
            continue
        if "\nproducts:" in text:
            read_catalogue(parse(text, document))
            continue
        file = tmp_path / f"{number}.yaml"
        file.write_text(text, encoding="utf-8")
        assert read(file, verify=False).config.version == 1


def test_error_in_the_readme_is_the_one_of_check(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"^edge-router\.yaml:\d+:.*$", readme, re.MULTILINE)
    file = tmp_path / "edge-router.yaml"
    (text, *_) = blocks("README.md", "yaml")
    wrong = text.replace("[ashburn-ix, ashburn, umatilla]", "[ashburn-ix, ashborn]")
    file.write_text(wrong, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "router", "check", "--no-files", file.name],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert shown in done.stderr
    assert done.returncode == 78


@pytest.mark.parametrize("document", DOCS)
def test_links_lead_somewhere(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if "://" not in link:
            assert ((ROOT / document).parent / link).exists(), link


@pytest.mark.parametrize("document", DOCS)
def test_files_that_are_named_exist(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    folders = "debian|protocols|router|simulator|tests|docs|examples|systemd|benchmarks"
    for name in re.findall(rf"`((?:{folders})/[\w./-]+\.\w+)`", text):
        assert (ROOT / name).exists(), name


def test_architecture_names_every_module() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    told = {*re.findall(r"`(\w+)`", text.partition("## Where things are")[2])}
    there = {
        path.stem
        for folder in ("protocols/*", "router", "simulator")
        for path in ROOT.glob(f"{folder}/*.py")
        if not path.stem.startswith("__")
    }
    assert there <= told
