import itertools
import shutil
import socket
import ssl
import subprocess
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.http.hello import LONGEST, Hello, HelloError, HelloReader


def vector(size: int, data: bytes) -> bytes:
    return len(data).to_bytes(size) + data


def extension(kind: int, data: bytes) -> bytes:
    return kind.to_bytes(2) + vector(2, data)


def server_name(name: bytes, kind: int = 0) -> bytes:
    return extension(0, vector(2, bytes([kind]) + vector(2, name)))


def alpn(*names: bytes) -> bytes:
    return extension(16, vector(2, b"".join(vector(1, name) for name in names)))


START = b"\x03\x03" + bytes(32) + vector(1, b"session") + vector(2, b"\x13\x01")
START += vector(1, b"\0")


def message(*extensions: bytes) -> bytes:
    body = START + vector(2, b"".join(extensions))
    return b"\x01" + vector(3, body)


def record(data: bytes, kind: int = 22) -> bytes:
    return bytes([kind]) + b"\x03\x01" + vector(2, data)


FULL = message(
    extension(0x2A2A, b""),
    server_name(b"API.Example.test"),
    alpn(b"h2", b"http/1.1"),
    extension(42, b""),
)
FULL_HELLO = Hello("api.example.test", (b"h2", b"http/1.1"), early_data=True)


def read(data: bytes) -> Hello | None:
    return HelloReader().feed(data)


def refusal(data: bytes) -> str:
    with pytest.raises(HelloError) as caught:
        read(data)
    return str(caught.value)


def test_hello_tells_name_protocols_and_early_data() -> None:
    assert read(record(FULL)) == FULL_HELLO


def test_hello_without_extensions_tells_nothing() -> None:
    assert read(record(b"\x01" + vector(3, START))) == Hello()
    assert read(record(message())) == Hello()


@given(st.lists(st.integers(1, len(FULL) - 1), max_size=20), st.data())
def test_hello_is_the_same_however_it_is_cut(
    cuts: list[int], data: st.DataObject
) -> None:
    """Cut into TLS records, and those into pieces as the network likes."""
    edges = [0, *sorted(set(cuts)), len(FULL)]
    stream = b"".join(record(FULL[a:b]) for a, b in itertools.pairwise(edges))
    stream += b"what follows"
    pieces = sorted(data.draw(st.sets(st.integers(1, len(stream) - 1), max_size=20)))
    reader = HelloReader()
    found = None
    places = [0, *pieces, len(stream)]
    for a, b in itertools.pairwise(places):
        found = reader.feed(stream[a:b])
        if found is not None:
            break
    assert found == FULL_HELLO
    assert stream.startswith(reader.received)
    assert stream[reader.end :] == b"what follows"


def test_hello_byte_by_byte_is_complete_with_its_last_byte() -> None:
    stream = record(FULL)
    reader = HelloReader()
    assert [reader.feed(stream[i : i + 1]) for i in range(len(stream) - 1)] == [
        None
    ] * (len(stream) - 1)
    assert reader.feed(stream[-1:]) == FULL_HELLO
    assert reader.received == stream


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", b"\x16\x02", b"\x80"])
def test_other_protocols_are_refused_by_their_first_bytes(data: bytes) -> None:
    assert refusal(data) == "not a TLS handshake"


@pytest.mark.parametrize("length", [0, 2**14 + 1])
def test_record_of_impossible_length_is_refused_at_its_head(length: int) -> None:
    assert (
        refusal(b"\x16\x03\x01" + length.to_bytes(2)) == "a TLS record of wrong length"
    )


def test_hello_in_crumbs_is_refused() -> None:
    crumbs = b"".join(record(FULL[i : i + 1]) for i in range(len(FULL)))
    assert refusal(crumbs) == "a ClientHello in too many pieces"


def test_hello_above_the_limit_is_refused_at_its_head() -> None:
    long = b"\x01" + (LONGEST + 1).to_bytes(3)
    assert refusal(record(long)) == "a ClientHello that is too long"


def test_hello_of_the_longest_size_is_read() -> None:
    padding = LONGEST - len(message(extension(21, b""))) + 4
    hello = message(extension(21, bytes(padding)))
    assert len(hello) == LONGEST + 4
    assert read(record(hello[: 2**14]) + record(hello[2**14 :])) == Hello()


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (record(b"\x02" + bytes(3)), "the first message is no ClientHello"),
        (record(FULL + b"\0"), "a record with more than the ClientHello"),
        (record(b"\x01" + vector(3, START[:-1])), "a ClientHello that is cut short"),
        (
            record(b"\x01" + vector(3, START + vector(2, b"") + b"\0")),
            "a ClientHello with bytes left over",
        ),
        (
            record(message(extension(42, b""), extension(42, b""))),
            "a ClientHello with an extension twice",
        ),
        (record(message(server_name(b"a", kind=1))), "a server name of unknown type"),
        (record(message(extension(0, b""))), "a ClientHello that is cut short"),
        (
            record(message(extension(0, vector(2, b"\0\0\1a\0\0\1b")))),
            "a ClientHello with bytes left over",
        ),
    ],
)
def test_malformed_hello_is_refused(stream: bytes, reason: str) -> None:
    assert refusal(stream) == reason


@pytest.mark.parametrize(
    "name",
    [
        b"",
        b"a..b",
        b".a",
        b"a.",
        b"a b",
        b"a\0b",
        b"\xff",
        b"a" * 64,
        b"a." * 127 + b"a",
    ],
)
def test_server_name_that_is_no_host_name_is_refused(name: bytes) -> None:
    assert refusal(record(message(server_name(name)))) == (
        "a server name that is no host name"
    )


@given(st.binary(max_size=300), st.booleans())
def test_garbage_is_refused_or_waited_for_and_never_breaks(
    data: bytes, framed: bool
) -> None:
    if framed and data:
        data = record(b"\x01" + vector(3, data))
    try:
        read(data)
    except HelloError:
        pass


@given(st.integers(0, len(FULL) - 1), st.integers(0, 255))
def test_one_changed_byte_never_breaks(place: int, value: int) -> None:
    changed = bytearray(FULL)
    changed[place] = value
    try:
        read(record(bytes(changed)))
    except HelloError:
        pass


def test_hello_of_python_is_read() -> None:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = context.wrap_bio(incoming, outgoing, server_hostname="edge.test")
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    assert read(outgoing.read()) == Hello("edge.test", (b"http/1.1",))


@pytest.mark.parametrize(
    ("command", "hello"),
    [
        (
            ["curl", "-sk", "--http1.1", "--connect-to", "::127.0.0.1:{}",
             "https://edge.test/"],
            Hello("edge.test", (b"http/1.1",)),
        ),
        (
            ["openssl", "s_client", "-connect", "127.0.0.1:{}", "-tls1_2",
             "-servername", "edge.test", "-alpn", "h2"],
            Hello("edge.test", (b"h2",)),
        ),
        (["openssl", "s_client", "-connect", "127.0.0.1:{}", "-noservername"], Hello()),
    ],
    ids=["curl", "openssl-tls1.2", "openssl-nameless"],
)  # fmt: skip
def test_hello_of_a_real_client_is_read(command: Sequence[str], hello: Hello) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is missing")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        client = subprocess.Popen(
            [word.replace("{}", str(port)) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        connection, _ = server.accept()
        reader = HelloReader()
        found = None
        while found is None:
            data = connection.recv(4096)
            assert data
            found = reader.feed(data)
        connection.close()
        client.wait()
    assert found == hello
