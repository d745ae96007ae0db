"""How networks, addresses to listen on and receivers are written in YAML."""

import dataclasses
import ipaddress
import re
from collections.abc import Callable
from typing import Annotated

from protocols.target import Transport, hostport
from router.units import Written, read_text, wrong

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.IGNORECASE)
_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "sip": 5060, "sips": 5061}


@dataclasses.dataclass(frozen=True, slots=True)
class Bind:
    """An address to listen on."""

    address: IPAddress
    "Local address; the unspecified one stands for all of its family."
    port: int
    "Port; 0 lets the system choose a free one."

    transport: Transport = Transport.TCP
    "What is accepted there; TCP for everything above it but TLS of SIP."

    def __str__(self) -> str:
        return hostport(str(self.address), self.port)

    def meets(self, other: "Bind") -> bool:
        """Whether both cannot be listened on at once."""
        if self.port != other.port or not self.port:
            return False
        if (self.transport is Transport.UDP) != (other.transport is Transport.UDP):
            return False
        if self.address.version != other.address.version:
            return False  # listeners for IPv6 are IPV6_V6ONLY
        wide = self.address.is_unspecified or other.address.is_unspecified
        return wide or self.address == other.address


@dataclasses.dataclass(frozen=True, slots=True)
class Receiver:
    """A machine of the site that provider-initiated flows go to."""

    scheme: str
    "What it speaks: http, https, ws, wss, sip or sips."
    host: str
    "Name or IP address, without brackets."
    port: int
    "Port."
    port_given: bool = True
    "Whether that was written down; else it is the one of the scheme."
    transport: Transport | None = None
    "What is to carry SIP without TLS; None where that is not said."

    def __str__(self) -> str:
        named = f";transport={self.transport}" if self.transport else ""
        return hostport(self.host, self.port) + named

    @property
    def tls(self) -> bool:
        """Whether it is spoken to under TLS."""
        return self.scheme in ("https", "wss", "sips")


def host_and_port(text: str, port: int | None = None) -> tuple[str, int] | None:
    """Split `host:port` and `[host]:port`; `port` serves where none is written."""
    match = re.fullmatch(r"(?:\[([^\[\]]*)\]|([^\[\]:]*))(?::([0-9]{1,5}))?", text)
    if match is None:
        return None
    number = int(match[3]) if match[3] else port
    if number is None or number > 65535:
        return None
    return match[1] or match[2] or "", number


def is_host(text: str) -> bool:
    """Whether this is a DNS name or an IP address literal."""
    if _address(text) is not None:
        return True
    # RFC 3696 section 2: a top-level domain is not all digits, so 10.0.0.300 is none.
    numeric = text.rpartition(".")[2].isdigit()
    return len(text) <= 253 and not numeric and _HOST.fullmatch(text) is not None


def version_of(host: str) -> int | None:
    """Version of IP of an address literal; None for a name."""
    found = _address(host)
    return None if found is None else found.version


def _address(text: str) -> IPAddress | None:
    if "%" in text:
        return None  # a zone belongs to one machine, not to a configuration
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def _ip_address(value: object) -> IPAddress:
    expected = "an IP address"
    found = _address(read_text(value, expected))
    if found is None:
        raise wrong(expected)
    return found


def _network(value: object) -> IPNetwork:
    expected = "a network such as 10.0.0.0/8"
    text = read_text(value, expected)
    try:
        loose = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise wrong(expected) from None
    if loose.network_address != ipaddress.ip_interface(text).ip:
        raise wrong(f"{expected}, without host bits", f"did you mean '{loose}'?")
    return loose


def _bind(value: object) -> Bind:
    expected = "an IP address and a port, such as 127.0.0.1:8443 or [::1]:8443"
    if isinstance(value, int) and not isinstance(value, bool):
        raise wrong(expected, f"did you mean '0.0.0.0:{value}'?")
    text = read_text(value, expected)
    found = host_and_port(text)
    if found is None:
        bare = "bracket an IPv6 address, add the port" if text.count(":") > 1 else ""
        raise wrong(expected, bare or ("add the port" if _address(text) else ""))
    host, port = found
    address = _address(host)
    if address is None:
        usual = {"localhost": "127.0.0.1", "*": "0.0.0.0", "": "0.0.0.0"}.get(host)
        raise wrong(expected, f"did you mean '{usual}:{port}'?" if usual else "")
    return Bind(address, port)


def _host_name(value: object) -> str:
    expected = "a host name"
    text = read_text(value, expected)
    if not is_host(text):
        raise wrong(expected)
    return text


def _sip_bind(value: object) -> Bind:
    expected = "udp://, tcp:// or tls:// with an IP address and a port"
    scheme, found, rest = read_text(value, expected).partition("://")
    if not found or scheme not in list(Transport):
        raise wrong(expected)
    return dataclasses.replace(_bind(rest), transport=Transport(scheme))


def everyone() -> tuple[IPNetwork, ...]:
    """All of IPv4 and all of IPv6."""
    return ipaddress.IPv4Network("0.0.0.0/0"), ipaddress.IPv6Network("::/0")


def _nameserver(value: object) -> Bind:
    expected = "an IP address, with a port if it is not 53"
    text = read_text(value, expected)
    address = _address(text)
    if address is not None:
        return Bind(address, 53)
    host, port = host_and_port(text, 53) or ("", 0)
    address = _address(host)
    if address is None or not port:
        raise wrong(expected)
    return Bind(address, port)


def receiver(*schemes: str) -> Callable[[object], Receiver]:
    """A reader of receivers that speak one of these schemes."""
    separator = ":" if "sip" in schemes else "://"
    expected = f"{schemes[0]}{separator}host:port"
    if len(schemes) > 1:
        expected += f" or {schemes[1]}{separator}host:port"

    def read(value: object) -> Receiver:
        text = read_text(value, expected)
        scheme, found, rest = text.partition(separator)
        if not found or scheme not in schemes:
            raise wrong(expected)
        if "@" in rest:
            raise wrong(expected, "no user or password here")
        bare = rest.removesuffix("/")
        split = host_and_port(bare, _PORTS[scheme])
        if split is None or not split[1] or not is_host(split[0]):
            extra = re.search(r"[/?#;]", bare)
            hint = "the path of each request is kept as it comes" if extra else ""
            raise wrong(expected, hint)
        given = host_and_port(bare) is not None
        return Receiver(scheme, split[0].lower(), split[1], given)

    return read


_plain_sip_receiver = receiver("sip", "sips")


def _sip_receiver(value: object) -> Receiver:
    """As in a SIP URI (RFC 3261 section 19.1.1), `;transport=` may say what carries it.

    With TLS, `sip:` is the same as `sips:` here.
    """
    uri, more, parameter = read_text(value, "sip:host:port").partition(";")
    if not more:
        return _plain_sip_receiver(uri)
    name, _, transport = parameter.lower().partition("=")
    scheme = uri.partition(":")[0]
    if name != "transport" or (scheme, transport) not in _CARRIED:
        expected = (
            "sip:host:port or sips:host:port, with ;transport= and udp, tcp or tls"
        )
        raise wrong(expected, "sips: goes over TLS" if scheme == "sips" else "")
    if transport == Transport.TLS:
        uri = "sips" + uri.removeprefix(scheme)
    found = _plain_sip_receiver(uri)
    return (
        found
        if found.tls
        else dataclasses.replace(found, transport=Transport(transport))
    )


_CARRIED = {
    *(("sip", str(transport)) for transport in Transport),
    ("sips", "tcp"),
    ("sips", "tls"),
}

Network = Annotated[IPNetwork, Written(_network)]
"A network; a bare address is a network of one."
Address = Annotated[IPAddress, Written(_ip_address)]
"An IP address."
HostName = Annotated[str, Written(_host_name)]
"A DNS name or an IP address literal."
BindAddress = Annotated[Bind, Written(_bind)]
"An address to listen on."
SipBind = Annotated[Bind, Written(_sip_bind)]
"An address to listen on for SIP, with its transport."
Nameserver = Annotated[Bind, Written(_nameserver)]
"A DNS server."
HttpReceiver = Annotated[Receiver, Written(receiver("http", "https"))]
"A receiver of webhooks."
WebsocketReceiver = Annotated[Receiver, Written(receiver("ws", "wss"))]
"A receiver of WebSockets."
SipReceiver = Annotated[Receiver, Written(_sip_receiver)]
"A receiver of calls."
