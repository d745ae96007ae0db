import importlib.resources
from collections.abc import Callable, Collection

import pytest

from protocols.target import Choose, Target, Transport
from router.catalogue import read_catalogue
from router.document import parse
from router.forwarding import at_edge, forward
from router.hosts import host_names


def target(edge: str, number: int) -> Target:
    return Target(f"192.0.2.{number}", 443, Transport.TLS, "h", label=edge)


A1, A2, B1 = target("a", 1), target("a", 2), target("b", 3)


def choose(tried: Collection[Target]) -> Target | None:
    return next((one for one in (A1, B1, A2) if one not in tried), None)


def test_choice_at_an_edge_passes_over_the_others() -> None:
    chosen = at_edge(choose, "a")
    assert chosen(()) == A1
    assert chosen([A1]) == A2
    assert chosen([A1, A2]) is None
    assert at_edge(choose, "b")(()) == B1


@pytest.fixture(scope="module")
def route() -> Callable[[str, int], Choose | str]:
    bundled = importlib.resources.files("router.catalogues") / "twilio.yaml"
    catalogue = read_catalogue(parse(bundled.read_text("utf-8"), "twilio.yaml"))
    return forward(host_names(catalogue, ["api"]), "us1", {"api": choose})


def test_name_without_an_edge_leads_to_the_whole_choice(
    route: Callable[[str, int], Choose | str],
) -> None:
    assert route("api.twilio.com", 443) is choose


def test_name_of_an_edge_leads_to_that_edge_alone(
    route: Callable[[str, int], Choose | str],
) -> None:
    found = route("api.dublin.us1.twilio.com", 443)
    assert callable(found)
    assert found(()) is None  # none of the targets is there


@pytest.mark.parametrize(
    ("host", "port"),
    [
        ("example.com", 443),
        ("api.twilio.com", 22),
        ("api.dublin.ie1.twilio.com", 443),
        ("192.0.2.1", 443),
    ],
)
def test_name_that_is_not_the_providers_is_refused_with_a_reason(
    route: Callable[[str, int], Choose | str], host: str, port: int
) -> None:
    assert isinstance(route(host, port), str)
