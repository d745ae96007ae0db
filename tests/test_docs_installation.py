"""What docs/installation.md has people write fits together, and is understood.

One example runs through the page: each snippet must name the addresses and the trunk of
its configuration. Neither PBX is in Debian, so that parsers stand for them.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from router.catalogue import read_catalogue
from router.document import parse

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/installation.md").read_text("utf-8")
CATALOGUE = ROOT / "router/catalogues/twilio.yaml"


def block(language: str, beginning: str = "") -> str:
    (text,) = (
        found
        for found in re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.M | re.S)
        if found.startswith(beginning)
    )
    return str(text)


CONFIG = yaml.safe_load(block("yaml"))
TRUNK = CONFIG["listeners"]["trunk"]
INSIDE = TRUNK["site"]["bind"][0].removeprefix("udp://")
OUTSIDE = TRUNK["edge"]["bind"][0].removeprefix("udp://")
PBX = TRUNK["site"]["to"][0].removeprefix("sip:")


def host(address: str) -> str:
    return address.partition(":")[0]


def sections(text: str) -> dict[str, dict[str, str]]:
    """Of pjsip.conf, by type: there a name may occur once for each."""
    found = {}
    for section in re.split(r"^\[provider\]\n", text, flags=re.M)[1:]:
        lines = [line.split(" = ", 1) for line in section.split("\n") if line]
        keys = {key: value.replace("\\;", ";") for key, value in lines}
        found[keys.pop("type")] = keys
    return found


def test_asterisk_sends_to_the_router_and_knows_it() -> None:
    asterisk = sections(block("ini"))
    assert asterisk["identify"] == {"endpoint": "provider", "match": host(INSIDE)}
    assert asterisk["endpoint"]["aors"] == "provider"
    assert asterisk["aor"]["contact"] == f"sip:{TRUNK['host']}"
    for section in ("endpoint", "aor"):
        assert asterisk[section]["outbound_proxy"] == f"sip:{INSIDE};lr"


def test_semicolons_are_escaped_for_asterisk() -> None:
    assert not re.search(r"[^\\];", block("ini")), "the rest would be a comment"


def test_freeswitch_sends_to_the_router_and_knows_it() -> None:
    gateway = ElementTree.fromstring(block("xml", "<include>"))
    params = {p.attrib["name"]: p.attrib["value"] for p in gateway.iter("param")}
    assert params["proxy"] == TRUNK["host"]
    assert params["outbound-proxy"] == host(INSIDE)
    assert params["register"] == "false"
    access = ElementTree.fromstring(block("xml", "<list"))
    assert access.attrib["default"] == "deny"
    assert [n.attrib["cidr"] for n in access] == [f"{host(INSIDE)}/32"]


def test_3cx_sends_to_the_router() -> None:
    assert f"| Registrar/Server | `{TRUNK['host']}` |" in PAGE
    address, port = INSIDE.split(":")
    assert f"| Outbound proxy | `{address}`, port {port} |" in PAGE


def test_provider_is_told_where_the_router_is() -> None:
    assert f"`sip:{OUTSIDE}`" in PAGE


def test_firewall_lets_in_the_networks_of_the_edges_in_use() -> None:
    catalogue = read_catalogue(parse(CATALOGUE.read_text("utf-8"), CATALOGUE.name))
    networks = [
        str(network)
        for edge in CONFIG["provider"]["edges"]
        for network in catalogue.edges[edge].networks.sip_signalling
    ]
    assert f"elements = {{ {', '.join(networks)} }}" in block("nft")
    assert f"elements = {{ {host(PBX)} }}" in block("nft")
    assert f"ip daddr {host(INSIDE)} " in block("nft")
    assert f"ip daddr {host(OUTSIDE)} " in block("nft")


def test_media_networks_are_those_of_the_catalogue() -> None:
    catalogue = read_catalogue(parse(CATALOGUE.read_text("utf-8"), CATALOGUE.name))
    media = {str(n) for e in catalogue.edges.values() for n in e.networks.media}
    assert media == {"168.86.128.0/18"}
    trouble = (ROOT / "docs/troubleshooting.md").read_text("utf-8")
    for page in (PAGE, trouble):
        assert "168.86.128.0/18" in page


def test_nft_understands_the_firewall(tmp_path: Path) -> None:
    """In a network of its own, since even a check talks with the kernel's tables."""
    if shutil.which("nft") is None:
        pytest.skip("nft is not installed")
    if os.geteuid() != 0:
        pytest.skip("needs root")
    rules = tmp_path / "edge-router.nft"
    rules.write_text(block("nft"))
    done = subprocess.run(
        ["unshare", "--net", "nft", "--check", "--file", rules],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_certificate_hook_copies_what_was_renewed(tmp_path: Path) -> None:
    """Below another directory, for our own group, with a noting systemctl."""
    lineage, etc, scripts = (tmp_path / name for name in ("live", "etc", "bin"))
    for directory in (lineage, etc, scripts):
        directory.mkdir()
    (lineage / "privkey.pem").write_text("key\n")
    (lineage / "fullchain.pem").write_text("chain\n")
    systemctl = scripts / "systemctl"
    systemctl.write_text(f'#!/bin/sh\necho "$@" >{tmp_path}/told\n')
    systemctl.chmod(0o755)
    hook = block("sh", "#!/bin/sh\n").replace("/etc/edge-router", str(etc))
    subprocess.run(
        ["sh", "-c", hook.replace("-g edge-router", f"-g {os.getgid()}")],
        env={
            "PATH": f"{scripts}:{os.environ['PATH']}",
            "RENEWED_LINEAGE": str(lineage),
        },
        check=True,
    )
    key = etc / "tls/site.key"
    assert key.read_text() == "key\n"
    assert key.stat().st_mode & 0o777 == 0o640
    assert (etc / "tls/site.pem").read_text() == "chain\n"
    assert (tmp_path / "told").read_text() == "reload edge-router\n"
