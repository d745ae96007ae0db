"""What differs between two configurations, in words."""

from pathlib import Path

import pytest

from router.config import Loaded, load
from router.differences import Difference, differences

CATALOGUE = """\
version: 1
name: small
default_edge: north
edges: {north: {kind: public}, south: {kind: public}}
products:
  api: {protocol: https, transports: {tls: 443}, host: "{edge}.example"}
  voice: {protocol: websocket, transports: {tls: 443}, host: "v.{edge}.example"}
"""
CONFIG = """\
version: 1
provider: {catalogue: small}
listeners:
  one: {protocol: https, direction: to_provider, mode: terminate, product: api,
        bind: "127.0.0.1:1", allow: [127.0.0.0/8],
        tls: {certificate: one.pem, key: one.key}}
  two: {protocol: https, direction: to_provider, mode: connect,
        bind: "127.0.0.1:2", allow: [127.0.0.0/8]}
"""


def loaded(text: str = CONFIG, catalogue: str = CATALOGUE) -> Loaded:
    return load(text, "f", lambda _: (catalogue, "small.yaml"), base=Path("/etc"))


def shown(text: str) -> list[str]:
    """What differs once the configuration is this one."""
    return [str(one) for one in differences(loaded(), loaded(text))]


def test_same_configuration_differs_in_nothing() -> None:
    assert differences(loaded(), loaded()) == ()
    assert differences(loaded(), loaded("# a comment\n" + CONFIG)) == ()


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("bind: \"127.0.0.1:2\"", "bind: \"127.0.0.1:3\"",
         "listeners.two.bind: 127.0.0.1:2 -> 127.0.0.1:3"),
        ("{catalogue: small}", "{catalogue: small, edges: [north]}",
         "provider.edges: [north, south] -> [north]"),
        ("  two:", "  three:", "listeners.two: removed"),
        ("listeners:", "log: {request_id: X-Id}\nlisteners:",
         "log.request_id: nothing -> X-Id"),
        ("mode: connect,", "mode: passthrough, product: api,",
         "listeners.two: of another kind"),
    ],
)  # fmt: skip
def test_setting_that_differs_is_named_with_both_values(
    before: str, after: str, told: str
) -> None:
    assert told in shown(CONFIG.replace(before, after))


def test_listener_that_is_added_is_one_difference() -> None:
    text = CONFIG.replace("  two:", "  three:")
    assert sorted(shown(text)) == ["listeners.three: added", "listeners.two: removed"]


@pytest.mark.parametrize(
    ("section", "path"),
    [
        ("admin: {http: 127.0.0.1:9}", ("admin", "http")),
        ("log: {format: json}", ("log", "format")),
        ("state_directory: /tmp", ("state_directory",)),
    ],
)
def test_setting_that_is_read_at_the_start_alone_says_so(
    section: str, path: tuple[str, ...]
) -> None:
    (one,) = differences(loaded(), loaded(f"{section}\n{CONFIG}"))
    assert one.path == path
    assert one.restart
    (other,) = differences(loaded(), loaded(f"log: {{level: debug}}\n{CONFIG}"))
    assert not other.restart


def test_file_that_was_written_anew_is_named_where_it_is_used() -> None:
    rewritten = {Path("/etc/one.pem"), Path("/etc/elsewhere.pem")}
    (one,) = differences(loaded(), loaded(), rewritten)
    assert str(one) == "listeners.one.tls.certificate: /etc/one.pem was written anew"
    # Of a listener that is new there is nothing more to say.
    text = CONFIG.replace("  one:", "  other:")
    assert [str(one) for one in differences(loaded(), loaded(text), rewritten)] == [
        "listeners.one: removed",
        "listeners.other: added",
    ]


def test_catalogue_that_was_written_anew_is_named() -> None:
    other = loaded(catalogue=CATALOGUE.replace("443", "8443"))
    (one,) = differences(loaded(), other)
    assert str(one) == "provider.catalogue: small was written anew"
    text = CONFIG.replace("catalogue: small", "catalogue: ./other.yaml")
    (one,) = differences(loaded(), loaded(text, CATALOGUE.replace("443", "8443")))
    assert str(one) == "provider.catalogue: small -> ./other.yaml"


def test_difference_is_a_value() -> None:
    one = Difference(("a", "b"), None, (1, 2), restart=False)
    assert str(one) == "a.b: nothing -> [1, 2]"
