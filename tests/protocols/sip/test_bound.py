import pytest

from protocols.net.listen import BindError
from protocols.sip.bound import Wanted, bind
from protocols.sip.peers import Side
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
