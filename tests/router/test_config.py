import importlib.resources
import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from router.config import Loaded, load
from router.problem import ConfigError

BUNDLED = importlib.resources.files("router.catalogues")
EXAMPLES = Path(__file__).parents[2] / "examples"
TWILIO = (BUNDLED / "twilio.yaml").read_text("utf-8")
SMALL = """\
version: 1
name: small
default_edge: north
edges: {north: {kind: public}, south: {kind: public}}
products: {api: {protocol: https, transports: {tls: 443}, host: "{edge}.example"}}
"""
LEAST = """\
version: 1
provider: {catalogue: small}
listeners:
  api:
    protocol: https
    direction: to_provider
    mode: connect
    bind: 127.0.0.1:3128
    allow: [127.0.0.0/8]
"""
VALID = [
    LEAST,
    (EXAMPLES / "minimal.yaml").read_text("utf-8"),
    (EXAMPLES / "edge-router.yaml").read_text("utf-8"),
]


def catalogue(wanted: str) -> tuple[str, str]:
    if wanted == "absent":
        raise FileNotFoundError(2, "not there")
    if wanted == "latin-1":
        b"\xff".decode()
    known = {"small": SMALL, "twilio": TWILIO, "broken": "version: 1\nnaem: x\n"}
    return known.get(wanted, SMALL), f"{wanted}.yaml"


def read(text: str) -> Loaded:
    return load(text, "f", catalogue, base=Path("/etc"))


def complaints(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return [str(problem) for problem in caught.value.problems]


def test_least_configuration_is_read_and_filled_in() -> None:
    loaded = read(LEAST)
    assert loaded.config.provider.edges == ("north", "south")
    assert loaded.config.policy.default_edge == "north"
    assert loaded.catalogue.name == "small"
    assert loaded.warnings == ()
    assert loaded.document.name == "f"


def test_warning_does_not_refuse_a_configuration() -> None:
    (warning,) = read(LEAST.replace("127.0.0.0/8", "0.0.0.0/0")).warnings
    assert str(warning).startswith("f:9:13: warning: listeners.api.allow[0]: found 0.0")


def test_problems_of_every_kind_are_told_at_once_in_the_order_of_the_file() -> None:
    found = complaints(
        "version: 1\nversion: 1\nprovider:\n  catalogue: small\n  edges: [noth]\n"
        "health: {interval: 2}\npolicy: {window: 1m}\n"
        + LEAST[LEAST.index("listeners") :].replace("127.0.0.0/8", "0.0.0.0/0")
        + "zzz: 1\n"
    )
    assert [line.split(": ")[0] for line in found] == [
        "f:2:1",
        "f:5:11",
        "f:6:20",
        "f:14:13",
        "f:15:1",
    ]


def test_configuration_and_catalogue_are_complained_about_together() -> None:
    text = LEAST.replace("small", "broken").replace("3128", "port")
    found = complaints(text)
    assert found[0].startswith("f:8:11: listeners.api.bind: found '127.0.0.1:port'")
    assert [line.split(":")[0] for line in found[1:]] == ["broken.yaml"] * 5


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("absent", "f:2:23: provider.catalogue: cannot be read: not there"),
        ("latin-1", "f:2:23: provider.catalogue: cannot be read: byte 1 is not UTF-8"),
        ("5", "f:2:23: provider.catalogue: found 5; expected a text of printable"),
        ("''", "f:2:23: provider.catalogue: found ''; expected a text of printable"),
        ('"a\\0"', "f:2:23: provider.catalogue: found 'a\\x00'; expected a text of"),
    ],
)
def test_catalogue_that_cannot_be_read_is_complained_about_where_it_is_named(
    wanted: str, expected: str
) -> None:
    (found,) = complaints(LEAST.replace("small", wanted))
    assert found.startswith(expected)


def test_provider_that_is_no_mapping_is_one_complaint() -> None:
    (found,) = complaints(LEAST.replace("{catalogue: small}", "twilio"))
    assert found == "f:2:11: provider: found 'twilio'; expected a mapping"


def test_one_cause_is_one_complaint() -> None:
    tagged = LEAST.replace("catalogue: small", "catalogue: !x absent")
    assert complaints(tagged) == [
        "f:2:23: provider.catalogue: a tag ('!x'); expected no tags"
    ]


def test_relative_path_starts_at_the_directory_of_the_configuration() -> None:
    loaded = read(f"{LEAST}state_directory: state\n")
    assert loaded.config.state_directory == Path("/etc/state")


PIECES = st.sampled_from(
    [
        *(
            "&a",
            "*a",
            "!t",
            "!%07",
            "<<",
            "[",
            "]",
            "{",
            "}",
            "- ",
            ": ",
            "? ",
            "|\n",
            "# ",
        ),
        *("no", "22:22", "017", "~", "-1", "1e999", ".inf", "9" * 400, '"\\UFFFFFFFF"'),
        *("\n---\n", "\n...\n", "%YAML 1.9\n", "\t", "\r", "\x00", "\ud800", "\ufeff"),
        *("::/0", "fe80::1%eth0", "0.0.0.0:0", "[::", "http://@/", "sip:", "udp://"),
        *("protocol", "sip", "websocket", "from_provider", "terminate", "[key]"),
        *("HttpsConnect", "ashburn-ix", "absent", "latin-1", "broken", "us1", "*"),
        *("listeners", "limits", "tls", "{edge}", "2s", "-----BEGIN", "\U0001f4a5"),
    ]
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(VALID), st.data())
def test_no_text_raises_anything_but_a_config_error(
    valid: str, data: st.DataObject
) -> None:
    text = valid
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = start + data.draw(st.sampled_from([0, 0, 1, 3, 9, 40]))
        piece = data.draw(PIECES | st.text(string.printable, max_size=5))
        text = text[:start] + piece + text[end:]
    try:
        problems = read(text).warnings
    except ConfigError as error:
        problems = error.problems
    assert all(str(problem).isprintable() for problem in problems)


def test_more_names_than_are_looked_up_are_refused() -> None:
    receivers = ", ".join(f'"http://pbx{n}.test:80"' for n in range(1025))
    listener = f"""\
  hooks:
    protocol: https
    direction: from_provider
    bind: 127.0.0.1:443
    tls: {{certificate: c, key: k}}
    to: [{receivers}]
"""
    (told,) = [one for one in complaints(LEAST + listener) if "names" in one]
    assert "1027 names to look up; expected at most 1024" in told
