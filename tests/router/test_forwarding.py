"""Where the host names lead that clients of a forward proxy ask for."""

from collections.abc import Collection

import pytest

from protocols.target import Target, Transport
from router.files import bundled_catalogues, read
from router.forwarding import at_edge, forward
from router.hosts import HostNames, host_names

TARGETS = [
    Target(f"192.0.2.{number}", 443, Transport.TLS, "api.example.com", label=label)
    for number, label in enumerate(["ashburn", "dublin", "ashburn", "dublin"])
]


def choose(tried: Collection[Target]) -> Target | None:
    return next((target for target in TARGETS if target not in tried), None)


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> HostNames:
    assert bundled_catalogues() == ["twilio"]
    file = tmp_path_factory.mktemp("config") / "edge-router.yaml"
    file.write_text(
        "version: 1\nprovider: {catalogue: twilio}\nlisteners:\n  proxy: {protocol: "
        "https, direction: to_provider, mode: connect, bind: 127.0.0.1:3128, "
        "allow: [127.0.0.0/8]}\n"
    )
    return host_names(read(file).catalogue, ["api"])


def test_name_without_an_edge_leads_to_every_edge(names: HostNames) -> None:
    assert forward(names, "us1", {"api": choose})("api.twilio.com", 443) is choose


def test_name_of_an_edge_leads_to_that_edge_alone(names: HostNames) -> None:
    found = forward(names, "us1", {"api": choose})("api.dublin.us1.twilio.com", 443)
    assert not isinstance(found, str)
    tried: list[Target] = []
    while (target := found(tried)) is not None:
        tried.append(target)
    assert tried == [TARGETS[1], TARGETS[3]]


def test_name_that_is_not_the_providers_leads_nowhere(names: HostNames) -> None:
    found = forward(names, "us1", {"api": choose})("www.example.com", 443)
    assert isinstance(found, str)


def test_edge_without_targets_has_none_to_offer() -> None:
    assert at_edge(choose, "tokyo")(()) is None
