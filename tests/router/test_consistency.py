from pathlib import Path

import pytest

from protocols.sip.headers import parse_uri
from protocols.sip.peers import Side
from protocols.sip.places import Places
from protocols.sip.settings import Place, Settings
from protocols.target import Transport
from router.consistency import check_alone
from router.document import Document, parse
from router.endpoints import receivers
from router.listeners import Sip
from router.settings import Config
from router.validation import build

HEAD = "version: 1\nprovider: {catalogue: p}\n"
CONNECT = (
    "{protocol: https, direction: to_provider, mode: connect, allow: [10.0.0.0/8], "
)
WEBHOOKS = "{protocol: https, direction: from_provider, tls: {certificate: a, key: b}, "
SIP = "{protocol: sip, product: pstn, host: t.example, "


def read(text: str) -> tuple[Config, Document]:
    document = parse(HEAD + text, "f")
    config, problems = build(Config, document, Path())
    assert config is not None
    assert problems == []
    return config, document


def complaints(text: str) -> list[str]:
    return [str(problem) for problem in check_alone(*read(text))]


def said(found: list[str]) -> list[str]:
    """Without the positions."""
    return [line.split(": ", 1)[1] for line in found]


def listeners(*lines: str) -> str:
    names = (f"  l{index}: {line}\n" for index, line in enumerate(lines))
    return "listeners:\n" + "".join(names)


SOUND = listeners(CONNECT + "bind: 127.0.0.1:3128}")


def test_sound_configuration_has_no_complaint() -> None:
    assert complaints(SOUND) == []


def test_configuration_without_listeners_is_refused() -> None:
    assert complaints("listeners: {}\n") == [
        "f:3:1: listeners: no listener; expected at least one"
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "health: {interval: 1s, fast_interval: 2s}",
            "f:3:39: health.fast_interval: found 2s; "
            "expected at most health.interval (1s)",
        ),
        (
            "health: {interval: 1s, timeout: 3s}",
            "f:3:33: warning: health.timeout: found 3s, so that probes overlap; "
            "expected at most health.interval (1s)",
        ),
        (
            "health: {interval: 1m}",
            "f:1:1: policy.window: found 2m; "
            "expected five times health.interval (60s) or more",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_found(
    line: str, expected: str
) -> None:
    assert complaints(f"{line}\n{SOUND}") == [expected]


def test_admin_is_a_warning_where_others_can_reach_it() -> None:
    assert complaints(f"admin: {{http: '127.0.0.1:9090'}}\n{SOUND}") == []
    assert complaints(f"admin: {{http: 0.0.0.0:9090}}\n{SOUND}") == [
        "f:3:15: warning: admin.http: found 0.0.0.0:9090, which others can reach; "
        "expected a loopback address",
    ]


def test_two_listeners_on_one_address_are_refused_wherever_they_are() -> None:
    found = complaints(
        "admin: {http: '127.0.0.1:3128'}\n"
        + listeners(
            CONNECT + "bind: 0.0.0.0:3128}",
            CONNECT + 'bind: "[::1]:443"}',
            CONNECT + 'bind: "[::]:443"}',
            CONNECT + "bind: 127.0.0.1:443}",
        )
    )
    assert [line.partition(";")[0].split(": ", 1)[1] for line in found] == [
        "admin.http: found 127.0.0.1:3128, which meets 0.0.0.0:3128 of "
        "listeners.l0.bind",
        "listeners.l2.bind: found [::]:443, which meets [::1]:443 of listeners.l1.bind",
    ]


def test_sip_listener_must_not_meet_itself_and_needs_a_certificate_for_tls() -> None:
    side = "bind: [udp://10.0.0.2:5060, tcp://10.0.0.2:5060], to: [sip:10.0.0.9], "
    edge = "edge: {bind: [udp://0.0.0.0:5060, tls://10.0.0.2:5061]}}"
    site = f"site: {{{side} allow: [0.0.0.0/0]}}, "
    found = complaints(listeners(f"{SIP}{site}{edge}"))
    assert said(found) == [
        "listeners.l0.edge.bind[0]: found 0.0.0.0:5060, which meets 10.0.0.2:5060 of "
        "listeners.l0.site.bind[0]; expected another address or port",
        "warning: listeners.l0.site.allow[0]: found 0.0.0.0/0, everyone; expected your "
        "own networks; whoever reaches this listener can act in your name",
        "listeners.l0.edge.bind[0]: found 0.0.0.0:5060; expected an address that peers "
        "can reach; it is written into every message",
        "listeners.l0.edge.tls: no certificate for tls://10.0.0.2:5061; "
        "expected certificate and key",
    ]


def test_sip_listener_without_tls_needs_no_certificate() -> None:
    site = (
        "site: {bind: [udp://10.0.0.2:5060], to: [sip:10.0.0.9], allow: [10.0.0.9]}, "
    )
    edge = "edge: {bind: [udp://10.0.0.3:5060], transport: udp}}"
    assert complaints(listeners(f"{SIP}{site}{edge}")) == []


TLS = "tls: {certificate: a.pem, key: a.key}"
BINDS = ("udp", "tcp", "tls", "udp tcp", "udp tls", "tcp tls", "tcp udp tls")
SPOKEN = {
    "sip:10.0.0.9": None,
    "sip:10.0.0.9;transport=udp": Transport.UDP,
    "sip:10.0.0.9;transport=tcp": Transport.TCP,
    "sips:10.0.0.9": Transport.TLS,
}


def trunk(site: str, edge: str, to: str, transport: str) -> str:
    """A listener whose sides are bound by these transports."""
    sides = {"site": ("10.0.0.2", site), "edge": ("10.0.0.3", edge)}
    binds = {
        side: ", ".join(
            f"{kind}://{host}:{5061 if kind == 'tls' else 5060}"
            for kind in kinds.split()
        )
        for side, (host, kinds) in sides.items()
    }
    return listeners(
        f"{SIP}site: {{bind: [{binds['site']}], to: [{to}], allow: [10.0.0.9]}}, "
        f"edge: {{bind: [{binds['edge']}], transport: {transport}, {TLS}}}}}"
    )


@pytest.mark.parametrize(
    ("site", "edge", "transport"),
    [
        *((site, "udp", Transport.UDP) for site in BINDS),
        *(("tcp tls", edge, transport) for edge in BINDS for transport in Transport),
    ],
)
def test_trunk_speaks_on_each_side_what_it_is_bound_to_there_or_is_refused(
    site: str, edge: str, transport: Transport
) -> None:
    text = trunk(site, edge, ", ".join(f"'{to}'" for to in SPOKEN), transport)
    config, document = read(text)
    plain = next((kind for kind in site.split() if kind != "tls"), "udp")
    refused = {
        f"listeners.l0.site.to[{index}]"
        for index, spoken in enumerate(SPOKEN.values())
        if (spoken or plain) not in site.split()
    }
    if transport not in edge.split():
        refused.add("listeners.l0.edge.bind")
    found = said([str(problem) for problem in check_alone(config, document)])
    assert {line.split(":")[0] for line in found} == refused
    used = [(Side.SITE, pbx.transport) for pbx in receivers(config)]
    for index, pair in enumerate([*used, (Side.EDGE, transport)]):
        key = f"listeners.l0.site.to[{index}]"
        if index == len(used):
            key = "listeners.l0.edge.bind"
        assert is_named_truly(config, *pair) is (key not in refused)


def is_named_truly(config: Config, side: Side, transport: Transport) -> bool:
    """Whether somebody listens where Via and Record-Route would say."""
    listener = config.listeners["l0"]
    assert isinstance(listener, Sip)
    binds = {Side.SITE: listener.site.bind, Side.EDGE: listener.edge.bind}
    places = tuple(
        Place(side, bind.transport, str(bind.address), bind.port)
        for side, of_side in binds.items()
        for bind in of_side
    )
    face = Places(Settings(places, (b"k",))).face(side, transport, "10.0.0.9")
    uri = parse_uri(face.uri)
    named = Transport(uri.parameters.get(b"transport", b"udp").decode())
    assert named is transport
    return Place(side, named, uri.host.decode(), uri.port or 0) in places


def test_pbx_that_may_not_call_is_warned_of() -> None:
    text = trunk("udp", "udp", "'sip:10.0.0.9', 'sip:10.0.0.8', 'sip:pbx.test'", "udp")
    assert said(complaints(text)) == [
        "warning: listeners.l0.site.to[1]: found 10.0.0.8:5060, which is not in "
        "listeners.l0.site.allow; expected a machine that is; its calls, and its BYE, "
        "would be dropped"
    ]


def test_trunk_that_nobody_could_answer_is_told_what_to_bind() -> None:
    assert said(complaints(trunk("tls", "udp", "'sip:10.0.0.9'", "tls"))) == [
        "listeners.l0.site.to[0]: found 10.0.0.9:5060 over udp; expected an address "
        "udp:// of IPv4 in listeners.l0.site.bind; the PBX sends requests there",
        "listeners.l0.edge.bind: no address tls://, though edge.transport is tls; "
        "expected one tls://, or another edge.transport; the provider sends requests "
        "there",
    ]
    assert complaints(trunk("udp", "udp", "'sip:[::1]:5060'", "udp"))
    assert complaints(trunk("udp", "udp", "'sip:pbx:5060'", "udp")) == []


def test_pbx_that_is_named_twice_or_is_the_router_is_refused() -> None:
    to = "'sip:10.0.0.9', 'sip:10.0.0.9:5060', 'sip:10.0.0.9;transport=udp'"
    assert said(complaints(trunk("udp", "udp", to, "udp"))) == [
        "listeners.l0.site.to[1]: found 10.0.0.9:5060 a second time; "
        "expected each PBX once"
    ]
    found, _ = complaints(trunk("udp tcp", "udp", "'sip:10.0.0.2'", "udp"))
    assert "site.to[0]: found 10.0.0.2:5060, where the router itself listens" in found
    (warning,) = complaints(trunk("tcp", "udp", "'sip:10.0.0.3'", "udp"))
    assert "which is not in" in warning


@pytest.mark.parametrize(
    ("site", "edge", "lacking"),
    [
        ("", TLS, []),
        (TLS, TLS, []),
        (TLS, "", ["edge"]),
        ("", "", ["site", "edge"]),
    ],
)
def test_site_shows_the_certificate_of_the_edge_unless_it_has_its_own(
    site: str, edge: str, lacking: list[str]
) -> None:
    near = f"{{bind: [tls://10.0.0.2:5061], to: [sips:pbx], allow: [10.0.0.9], {site}}}"
    far = f"{{bind: [tls://10.0.0.3:5061], {edge}}}"
    found = said(complaints(listeners(f"{SIP}site: {near}, edge: {far}}}")))
    assert [line.split(":")[0] for line in found] == [
        f"listeners.l0.{side}.tls" for side in lacking
    ]


def test_pbx_of_two_trunks_is_trusted_alike_by_both() -> None:
    def near(port: int, more: str) -> str:
        side = f"bind: [tls://10.0.0.2:{port}], to: [sips:pbx], allow: [10.0.0.9]"
        edge = f"edge: {{bind: [udp://10.0.0.3:{port}], transport: udp}}"
        return f"{SIP}site: {{{side}, {TLS}, {more}}}, {edge}}}"

    one, same, other = near(1, "ca_file: /ca"), near(2, "ca_file: /ca"), near(2, "")
    assert complaints(listeners(one, same)) == []
    assert said(complaints(listeners(one, other))) == [
        "listeners.l1.site.ca_file: found none for pbx:5061; "
        "expected that of listeners.l0.site: /ca"
    ]


def test_listener_open_to_everyone_towards_the_provider_is_warned_of() -> None:
    everyone = CONNECT.replace("10.0.0.0/8", "10.0.0.0/8, '::/0'")
    (found,) = complaints(listeners(everyone + "bind: 127.0.0.1:3128}"))
    assert found.startswith("f:4:")
    assert "warning: listeners.l0.allow[1]: found ::/0, everyone" in found


def test_listener_from_the_provider_is_open_without_warning() -> None:
    line = WEBHOOKS + "bind: 127.0.0.1:443, to: [http://10.0.0.9]}"
    assert complaints(listeners(line)) == []


def test_receiver_that_is_the_router_itself_is_refused() -> None:
    line = WEBHOOKS + "bind: 127.0.0.1:443, to: [http://10.0.0.9, https://127.0.0.1]}"
    (found,) = complaints(listeners(line))
    assert "listeners.l0.to[1]: found 127.0.0.1:443, where the router itself" in found


def test_receiver_of_two_listeners_is_trusted_alike_by_both() -> None:
    to = "to: [https://10.0.0.2, http://10.0.0.3]"
    first = WEBHOOKS + f"bind: 127.0.0.1:1, {to}, ca_file: /ca"
    second = WEBHOOKS + f"bind: 127.0.0.1:2, {to}"
    assert complaints(listeners(first + "}", second + ", ca_file: /ca}")) == []
    assert [
        line.partition(": ")[2]
        for line in complaints(listeners(first + "}", second + "}"))
    ] == [
        "listeners.l1.ca_file: found none for 10.0.0.2:443; "
        "expected that of listeners.l0: /ca"
    ]
