"""Sockets that come from a service manager, and go back to it, as real sockets."""

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from router.files import read
from router.handover import FIRST, Given, Handover, given, place_of, places
from router.notify import Notifier
from tests.manager import Manager

TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM
CONFIG = """\
version: 1
provider: {catalogue: twilio}
listeners:
  api: {protocol: https, direction: to_provider, mode: connect,
        bind: "10.0.0.2:8443", allow: [10.0.0.0/8]}
  trunk: {protocol: sip, product: pstn, host: example.pstn.twilio.com, key_file: key,
          site: {bind: ["udp://10.0.0.2:5060"], to: ["sip:10.0.0.3"],
                 allow: [10.0.0.0/8]},
          edge: {bind: ["tls://10.0.0.2:5061"],
                 tls: {certificate: site.pem, key: site.pem}}}
"""


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    running = Manager(str(tmp_path / "notify"))
    running.serve()
    yield running
    running.close()


@pytest.fixture
def notifier(manager: Manager) -> Notifier:
    return Notifier({"NOTIFY_SOCKET": manager.address})


def passed(sock: socket.socket, name: str = "") -> Given:
    """What comes of a socket that is handed over; it has but one owner."""
    (one,) = given(
        {"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": name},
        1,
        first=sock.detach(),
    )
    return one


def listening(address: str = "127.0.0.1") -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    return socket.create_server((address, 0), family=family)


def test_sockets_go_by_kind_and_address() -> None:
    assert place_of(TCP, "10.0.0.2", 443) == "tcp-10.0.0.2-443"
    assert place_of(UDP, "2001:db8::1", 5060) == "udp-2001_db8__1-5060"


def test_places_are_those_of_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "edge-router.yaml"
    file.write_text(CONFIG)
    assert places(read(file, verify=False)) == {
        "tcp-10.0.0.2-8443",
        "udp-10.0.0.2-5060",
        "tcp-10.0.0.2-5061",
    }


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_FDS": "1", "LISTEN_PID": "2"},
        {"LISTEN_FDS": "0", "LISTEN_PID": "1"},
        {"LISTEN_FDS": "-1", "LISTEN_PID": "1"},
        {"LISTEN_FDS": "many", "LISTEN_PID": "1"},
    ],
)
def test_nothing_is_taken_that_was_not_passed_to_us(environ: dict[str, str]) -> None:
    assert given(environ, 1) == []


def test_descriptors_come_in_order_with_their_names() -> None:
    first = 900
    with listening() as one, listening("::1") as two:
        os.dup2(one.fileno(), first)
        os.dup2(two.fileno(), first + 1)
        os.dup2(sys.__stdin__.fileno() if sys.__stdin__ else 0, first + 2)
        port, other = one.getsockname()[1], two.getsockname()[1]
    environ = {"LISTEN_PID": "7", "LISTEN_FDS": "4", "LISTEN_FDNAMES": "a:b:c"}
    came = given(environ, 7, first=first)
    assert [(each.name, each.place) for each in came] == [
        ("a", f"tcp-127.0.0.1-{port}"),
        ("b", f"tcp-__1-{other}"),
        ("c", ""),
        ("unknown", ""),
    ]
    for sock in [each.sock for each in came if each.sock is not None]:
        assert not sock.get_inheritable()
        sock.close()
    for descriptor in range(first, first + 4):
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def test_descriptors_begin_where_systemd_puts_them() -> None:
    assert FIRST == 3


@pytest.mark.parametrize("kind", [TCP, socket.SOCK_SEQPACKET])
def test_socket_that_does_not_listen_is_no_listener(kind: int) -> None:
    family = socket.AF_INET if kind == TCP else socket.AF_UNIX
    one = passed(socket.socket(family, kind))
    assert one.place == ""
    assert one.sock is not None
    one.sock.close()


def test_socket_for_both_families_is_not_the_one_for_all_of_ipv6() -> None:
    with socket.socket(socket.AF_INET6) as both:
        both.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        both.bind(("::", 0))
        both.listen()
        one = passed(both)
    assert one.place == ""
    assert one.sock is not None
    one.sock.close()


def test_socket_that_came_is_taken_once(notifier: Notifier) -> None:
    one = passed(listening(), "api")
    assert one.sock is not None
    port = one.sock.getsockname()[1]
    handover = Handover(notifier, [one])
    assert handover.leave({one.place}) == []
    assert handover.take(UDP, "127.0.0.1", port) is None
    assert handover.take(TCP, "127.0.0.1", port) is one.sock
    assert handover.take(TCP, "127.0.0.1", port) is None
    one.sock.close()


def test_what_nobody_wants_is_closed_and_forgotten(
    manager: Manager, notifier: Notifier
) -> None:
    one, twin = passed(listening(), "old"), passed(socket.socket(), "odd")
    handover = Handover(notifier, [one, twin])
    left = handover.leave(())
    assert left == [f"old ({one.place})", "odd (not listening)"]
    assert one.sock is not None
    assert one.sock.fileno() < 0
    # All of it was read: that is what the barrier is for.
    forgotten = [told.values for told in manager.told]
    assert [values.get("FDNAME") for values in forgotten] == ["old", "odd", None]
    assert forgotten[2] == {"BARRIER": "1"}
    assert handover.leave(()) == []


def test_socket_that_came_twice_is_taken_once_and_stands(notifier: Notifier) -> None:
    with listening() as sock:
        place = sock.getsockname()
        twice = [passed(sock.dup(), name) for name in ("unit.socket", "stored")]
    handover = Handover(notifier, twice)
    (left,) = handover.leave({twice[0].place})
    assert left.startswith("unit.socket")
    taken = handover.take(TCP, *place)
    assert taken is not None
    with taken:
        socket.create_connection(place, 5).close()


def test_sockets_are_kept_until_they_are_not_among_those_held(
    manager: Manager, notifier: Notifier
) -> None:
    handover = Handover(notifier)
    with listening() as one, listening() as other:
        first, second = (
            f"tcp-127.0.0.1-{sock.getsockname()[1]}" for sock in (one, other)
        )
        handover.hold([one])
        handover.hold([one, other])
        assert notifier.barrier()
        assert manager.names == [first, second]
        one.close()
        handover.hold([other])
        assert notifier.barrier()
        assert manager.names == [second]
        handover.hold([])
        assert notifier.barrier()
        assert manager.names == []
        assert len(manager.told) == 7


def test_socket_that_something_else_took_the_place_of_is_broken(
    notifier: Notifier,
) -> None:
    handover = Handover(notifier)
    sock, other = listening(), socket.socket()
    handover.hold([sock])
    place = f"tcp-127.0.0.1-{sock.getsockname()[1]}"
    assert list(handover.broken()) == []
    os.dup2(other.fileno(), sock.fileno())
    assert list(handover.broken()) == [place]
    descriptor = sock.fileno()
    os.close(descriptor)
    assert list(handover.broken()) == [place]
    sock.detach()
    assert list(handover.broken()) == []  # closed on purpose is not broken
    other.close()
