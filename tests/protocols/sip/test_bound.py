import pytest

from protocols.net.listen import BindError
from protocols.sip.bound import Wanted, bind
from protocols.sip.peers import Side
from protocols.target import Transport
from tests.protocols.sip.peers import HERE, TCP, TLS, UDP


def test_sockets_come_in_the_order_that_was_asked_for() -> None:
    wanted = [Wanted(Side.EDGE, kind, HERE, 0) for kind in (TLS, UDP, TCP)]
    bound = bind(wanted)
    assert [(one.side, one.transport) for one in bound] == [
        (one.side, one.transport) for one in wanted
    ]
    assert len({one.sock.getsockname() for one in bound}) == 3
    for one in bound:
        one.sock.close()


def test_address_that_is_taken_leaves_nothing_bound() -> None:
    (taken,) = bind([Wanted(Side.SITE, TCP, HERE, 0)])
    port = taken.sock.getsockname()[1]
    wanted = [Wanted(Side.SITE, UDP, HERE, port), Wanted(Side.EDGE, TCP, HERE, port)]
    with pytest.raises(BindError, match=f"{HERE}:{port}"):
        bind(wanted)
    for one in bind(wanted[:1]):
        one.sock.close()
    taken.sock.close()


@pytest.mark.parametrize("kind", [UDP, TCP])
def test_socket_for_an_interface_is_bound_beside_the_one_that_it_replaces(
    kind: Transport,
) -> None:
    (free,) = bind([Wanted(Side.EDGE, kind, HERE, 0)])
    place = (kind, HERE, free.sock.getsockname()[1])
    (fresh,) = bind([Wanted(Side.EDGE, *place, "lo")], held={place: free.sock})
    assert (free.is_true, fresh.is_true, fresh.device) == (True, True, "lo")
    assert fresh.sock.getsockname() == free.sock.getsockname()
    assert not fresh._replace(device=None).is_true
    for one in (free, fresh):
        one.sock.close()


@pytest.mark.parametrize("kind", [UDP, TCP])
def test_socket_that_came_for_another_interface_is_replaced(kind: Transport) -> None:
    (came,) = bind([Wanted(Side.EDGE, kind, HERE, 0)])
    wanted = Wanted(Side.EDGE, kind, HERE, came.sock.getsockname()[1])
    (kept,) = bind([wanted], lambda *_: came.sock)
    assert kept.sock is came.sock
    (fresh,) = bind([wanted._replace(device="lo")], lambda *_: came.sock)
    assert came.sock.fileno() == -1
    assert fresh.is_true
    fresh.sock.close()
