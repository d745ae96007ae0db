"""What this machine's kernel says of ways, in networks of our own."""

import errno
import resource
import socket
from collections.abc import Iterator

import pytest

from router.egress import Way, judge
from router.kernel import Kernel
from tests.namespaces import Network

EDGE = "208.78.112.64"
OURS = "203.0.113.10"


@pytest.fixture(scope="module")
def network(lasting_network: Network) -> Network:
    """Two interfaces: eth0 to the Internet, link1 to the edge."""
    network = lasting_network
    network.join("eth0", network.neighbour(), "198.51.100.2/24", "198.51.100.1/24")
    network.join("link1", network.neighbour(), "169.254.1.2/30", "169.254.1.1/30")
    network.ip(f"address add {OURS}/32 dev lo")
    network.ip("route add default via 198.51.100.1")
    network.ip("route add 208.78.112.0/24 via 169.254.1.1")
    return network


@pytest.fixture(scope="module")
def kernel(network: Network) -> Iterator[Kernel]:
    """The kernel, asked within that network."""
    kernel = network.inside(Kernel)
    yield kernel
    kernel.close()


def reason(kernel: Kernel, way: Way) -> str:
    """What is wrong with a way at this moment."""
    kernel.forget()
    return judge(way, kernel.find(way)).reason


WAY = Way(EDGE, "link1", OURS)


def test_route_by_the_link_is_private(kernel: Kernel) -> None:
    assert reason(kernel, WAY) == ""


BACK = "route replace 208.78.112.0/24 via 169.254.1.1"


@pytest.mark.parametrize(
    ("change", "back", "expected"),
    [
        ("link set link1 down", ["link set link1 up", BACK], "link1 is down"),
        ("link set link1 name link2", ["link set link2 name link1"], "no interface"),
        ("route delete 208.78.112.0/24", [BACK], "route leaves by eth0"),
        (
            "route add 208.78.112.64/32 via 198.51.100.1",
            ["route delete 208.78.112.64/32"],
            "route leaves by eth0",
        ),
        ("route replace blackhole 208.78.112.0/24", [BACK], "route is a blackhole"),
        ("route replace unreachable 208.78.112.0/24", [BACK], "route is unreachable"),
        ("route replace prohibit 208.78.112.0/24", [BACK], "route is prohibited"),
        (
            "route replace 208.78.112.0/24 nexthop via 169.254.1.1 "
            "nexthop via 198.51.100.1",
            [BACK],
            "route leaves also by eth0",
        ),
        (
            f"address delete {OURS}/32 dev lo",
            [f"address add {OURS}/32 dev lo"],
            f"{OURS} is not an address of this machine",
        ),
    ],
)
def test_change_of_the_network_is_seen(
    network: Network, kernel: Kernel, change: str, back: list[str], expected: str
) -> None:
    network.ip(change)
    assert reason(kernel, WAY).startswith(expected)
    network.ip_batch(back)
    assert reason(kernel, WAY) == ""


def test_rule_for_the_source_alone_is_seen(network: Network, kernel: Kernel) -> None:
    network.ip("route add default via 198.51.100.1 table 77")
    network.ip(f"rule add from {OURS} table 77")
    assert reason(kernel, WAY) == "route leaves by eth0"
    assert reason(kernel, Way(EDGE, "link1")) == ""
    network.ip(f"rule delete from {OURS} table 77")


def test_lost_carrier_is_seen(network: Network, kernel: Kernel) -> None:
    network.ip("link add veth8 type veth peer name veth9")
    network.ip("link set veth8 up")
    assert reason(kernel, Way(EDGE, "veth8", OURS)) == "veth8 has no carrier"


def test_network_without_a_route_leads_nowhere(kernel: Kernel) -> None:
    assert reason(kernel, Way("2001:db8::1", "link1")) == "no route"


@pytest.mark.parametrize("name", ["nothing", "", "much-too-long-for-a-name"])
def test_interface_that_is_none_is_said_so(kernel: Kernel, name: str) -> None:
    assert reason(kernel, Way(EDGE, name)) == f"no interface {name}"


def test_source_that_the_kernel_picks_is_told(kernel: Kernel) -> None:
    way = Way(EDGE, "link1", sources=frozenset({OURS}))
    assert reason(kernel, way) == "packets would carry the source 169.254.1.2"


def test_ipv6_is_judged_alike(network: Network, kernel: Kernel) -> None:
    network.ip("address add 2001:db8:1::2/64 dev link1 nodad")
    network.ip("address add 2001:db8:2::2/64 dev eth0 nodad")
    way = Way("2001:db8:9::1", "link1", "2001:db8:1::2")
    assert reason(kernel, way) == "no route"
    network.ip("route add 2001:db8:9::/48 via 2001:db8:1::1")
    assert reason(kernel, way) == ""
    network.ip("route add 2001:db8:9::/64 via 2001:db8:2::1")
    assert reason(kernel, way) == "route leaves by eth0"
    both = "nexthop via 2001:db8:1::1 nexthop via 2001:db8:2::1"
    network.ip(f"route replace 2001:db8:9::/64 {both}")
    assert reason(kernel, way) == "route leaves also by eth0"
    foreign = Way("2001:db8:9::1", "link1", "2001:db8:5::2")
    assert reason(kernel, foreign) == "2001:db8:5::2 is not an address of this machine"


def test_lost_notices_do_no_harm(network: Network, kernel: Kernel) -> None:
    hops = [f"192.0.{a}.{b}/32" for a in (2, 3, 4, 5) for b in range(256)]
    network.ip_batch([f"route add {hop} via 198.51.100.1" for hop in hops])
    assert reason(kernel, WAY) == ""


def test_system_without_netlink_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_NETLINK")
    with pytest.raises(OSError, match="no netlink"):
        Kernel()


def test_process_without_descriptors_keeps_none() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as last:
        resource.setrlimit(resource.RLIMIT_NOFILE, (last.fileno() + 2, hard))
        try:
            with pytest.raises(OSError, match="Too many open files") as raised:
                Kernel()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert raised.value.errno == errno.EMFILE
