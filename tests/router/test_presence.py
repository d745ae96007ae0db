import ipaddress
from pathlib import Path

import pytest

from router.files import read
from router.presence import check_presence, is_here

CONFIG = """\
version: 1
provider:
  catalogue: twilio
  links:
    one:
      exchange: A
      edges: [ashburn-ix]
      interface: INTERFACE
      sources: [8.8.8.1]
      prefixes: [8.8.8.0/24]
      bandwidth: 1Mbit/s
listeners:
  api: {protocol: https, direction: to_provider, mode: connect,
        bind: "127.0.0.1:3128", allow: [127.0.0.0/8]}
"""


@pytest.mark.parametrize("insist", [False, True])
def test_what_is_not_on_this_machine_is_told(tmp_path: Path, insist: bool) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(CONFIG.replace("INTERFACE", "no-such"))
    found = check_presence(read(path, verify=False), insist=insist)
    weight = "" if insist else "warning: "
    assert [str(one).removeprefix(f"{path}:") for one in found] == [
        f"8:18: {weight}provider.links.one.interface: no interface no-such on this "
        "machine; expected one that `ip link` shows",
        f"9:17: {weight}provider.links.one.sources[0]: 8.8.8.1 is no address of this "
        "machine; expected one that `ip address` shows",
    ]


def test_interface_that_is_here_is_not_told_of(tmp_path: Path) -> None:
    path = tmp_path / "f.yaml"
    path.write_text(CONFIG.replace("INTERFACE", "lo"))
    (found,) = check_presence(read(path, verify=False))
    assert "sources" in found.key


@pytest.mark.parametrize(
    ("address", "here"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("8.8.8.1", False), ("2a00::1", False)],
)
def test_address_is_here_if_it_can_be_bound(address: str, here: bool) -> None:
    assert is_here(ipaddress.ip_address(address)) is here
