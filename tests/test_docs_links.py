"""docs/private-links.md says what works, and shows the files of examples/links.

Its commands run in a network of their own, on interfaces of these names. The addresses
in links are for documentation and refused, so that others stand in their place.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from router.egress import Found, Way, judge
from router.files import read
from router.problem import ConfigError
from router.rtnetlink import BLACKHOLE, UNREACHABLE
from tests.namespaces import Network

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/private-links.md").read_text("utf-8")
EXAMPLES = ROOT / "examples/links"
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.M | re.S)
UNRUN = ("edge-router status", "birdc")
"How blocks begin that ask a running daemon or a running BIRD."
MISSING = [name for name in ("ip", "bird", "nft") if shutil.which(name) is None]


def own(text: str) -> str:
    """With addresses of one's own, as the page has its reader do."""
    return text.replace("198.51.100.", "8.8.8.")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """The files of the example, as their reader has changed them."""
    for path in EXAMPLES.iterdir():
        text = own(path.read_text("utf-8"))
        (tmp_path / path.name).write_text(text, "utf-8")
    key = tmp_path / "trunk.key"
    key.write_text("0123456789abcdef0123456789abcdef", "ascii")
    key.chmod(0o600)
    return tmp_path


@pytest.mark.skipif(bool(MISSING), reason=f"needs {' and '.join(MISSING)}")
def test_commands_work_as_written(files: Path, network: Network) -> None:
    far = network.neighbour()
    for number, name in enumerate(("ix1", "ix2", "pub0")):
        network.join(name, far, f"10.0.{number}.1/30", f"10.0.{number}.2/30")
    network.ip("route add 208.78.112.0/24 dev ix1")
    network.ip("route add 67.213.136.0/24 dev ix2")
    command = files / "bin/edge-router"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m router "$@"\n')
    command.chmod(0o755)
    path = f"{command.parent}:{os.environ['PATH']}"
    environ = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    told = {}
    for block in BLOCKS:
        if block.startswith(UNRUN):
            continue
        done = subprocess.run(
            ["ip", "netns", "exec", network.name, "sh", "-euc", own(block)],
            cwd=files, env=environ, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{block}\n{done.stdout}{done.stderr}"
        told[block.split()[-1] if "route get" in block else block] = done.stdout
    assert " dev ix2 " in told["198.51.100.130"]
    assert "warning" not in told["edge-router check --files edge-router.yaml\n"]
    report = told["edge-router check --report edge-router.yaml\n"]
    assert "8.8.8.130: source of link california, to san-jose-ix" in report
    # Without the route over ix1, which went with the carrier, the default one is next.
    network.ip("route add default via 10.0.2.2")
    for source, far in (("8.8.8.10", "9.9.9.9"), ("10.0.2.1", "208.78.112.64")):
        with network.inside(lambda: socket.socket(type=socket.SOCK_DGRAM)) as sock:
            sock.bind((source, 0))
            with pytest.raises(PermissionError):
                sock.sendto(b"x", (far, 5060))


def test_page_shows_the_example() -> None:
    (shown,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)
    written = yaml.safe_load((EXAMPLES / "edge-router.yaml").read_text("utf-8"))
    assert yaml.safe_load(shown) == {"provider": written["provider"]}


def test_example_is_refused_for_its_addresses_and_fine_with_others(
    files: Path,
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(EXAMPLES / "edge-router.yaml", verify=False)
    found = [one.found for one in caught.value.problems]
    assert len(found) == 4
    assert all("an address for documentation (RFC 5737)" in one for one in found)
    assert read(files / "edge-router.yaml", verify=False).warnings == ()


def test_router_and_bird_have_the_same_links() -> None:
    bird = (EXAMPLES / "bird.conf").read_text("ascii")
    config = yaml.safe_load((EXAMPLES / "edge-router.yaml").read_text("utf-8"))
    sessions = re.findall(
        r'protocol bgp (\w+) .*?interface "(\w+)";.*?where net = ([\d./]+);', bird, re.S
    )
    assert sessions == [
        (name, link["interface"], *link["prefixes"])
        for name, link in config["provider"]["links"].items()
    ]


def test_reasons_are_the_ones_of_the_router() -> None:
    way = Way("208.78.112.64", "ix1", "198.51.100.10")
    found = [
        Found(leaves=("pub0",)), Found(running=False), Found(up=False),
        Found(exists=False), Found(ours=False), Found(kind=BLACKHOLE),
        Found(kind=UNREACHABLE),
    ]  # fmt: skip
    for one in found:
        assert f"`{judge(way, one).reason}`" in PAGE


def test_picture_can_be_read_on_light_and_on_dark() -> None:
    text = (ROOT / "docs/private-links.svg").read_text("utf-8")
    assert "prefers-color-scheme: dark" in text
    words = "".join(ElementTree.fromstring(text).itertext())
    for name in ("ix1", "ix2", "pub0", "ashburn-ix", "san-jose-ix", "198.51.100.130"):
        assert name in words
        assert name in PAGE
