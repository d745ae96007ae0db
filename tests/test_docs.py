"""What the documents tell the reader to type works, and what they show is true."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from router.catalogue import read_catalogue
from router.document import parse
from router.files import read

ROOT = Path(__file__).parents[1]
DOCS = [
    "README.md",
    *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/**/*.md")),
]
TYPED = ("README.md", "docs/getting-started.md")
"Documents whose shell commands are run."

UNRUN = {
    "make demo": "takes a minute: tests/router/demo/test_play.py runs it",
    "curl --cacert site.pem": "needs the Internet: test_clients.py does it without",
    "HTTPS_PROXY=": "needs the Internet: test_clients.py does it without",
    "SSL_CERT_FILE=": "needs the Internet: scenarios/test_sockets.py does it without",
    "edge-router run": "needs the Internet: test_app.py runs it without",
    "python3 -m venv /opt": "needs root and the Internet; `make setup` does the same",
}
"How blocks of commands begin that are not run here, and why not."

FRAGMENTS = {
    "provider:\n  catalogue: ./catalogues/telnyx.yaml": "what of it differs",
}
"How YAML begins that is no whole file, and why not."


def blocks(document: str, language: str) -> list[str]:
    text = (ROOT / document).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def beginning(text: str, known: Mapping[str, str]) -> bool:
    return any(text.startswith(begin) for begin in known)


@pytest.mark.parametrize("document", TYPED)
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
    folders = "protocols|router|simulator|tests|docs|examples|systemd|benchmarks"
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
