"""What is said on BIRD's control socket. The texts are what BIRD 2.0.12 has said."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.birdc import (
    MAX_REPLY,
    BgpRoute,
    BgpSession,
    BirdError,
    Replies,
    Reply,
    ask_route,
    ask_session,
    route,
    session,
)

GREETING = b"0001 BIRD 2.0.12 ready.\n"
HEAD = b"2002-Name       Proto      Table      State  Since         Info\n"
ESTABLISHED = HEAD + (
    b"1002-link1      BGP        ---        up     17:11:21.651  Established   \n"
    b"1006-  BGP state:          Established\n"
    b"     Neighbor address: 169.254.1.1\n"
    b"   Channel ipv4\n"
    b"     State:          UP\n"
    b" \n"
    b"0000 \n"
)
IDLE = HEAD + (
    b"1002-link1      BGP        ---        start  2026-11-22 17:11:21  Idle   Error\n"
    b"1006-  BGP state:          Idle\n"
    b"     Last error:       Received: Administrative shutdown\n"
    b"0000 \n"
)
ROUTE = (
    b"1007-Table master4:\n"
    b" 208.78.112.0/24      unicast [link1 17:11:21.651] * (100) [AS65002i]\n"
    b" \tvia 169.254.1.1 on link1\n"
    b"0000 \n"
)
SPREAD = (
    b"1007-Table master4:\n"
    b" 208.78.112.0/24      unicast [link1 17:11:21.651 from 169.254.1.1] * (100)\n"
    b" \tvia 169.254.1.1 on link1 weight 1\n"
    b" \tdev link2 weight 1\n"
    b" Table other:\n"
    b" 208.78.112.0/24      unicast [link9 17:11:21.651] * (100)\n"
    b" \tdev link9\n"
    b"0000 \n"
)


def said(data: bytes) -> Reply:
    [reply] = Replies().feed(data)
    return reply


def test_answers_are_put_together_however_they_are_cut() -> None:
    text = GREETING + ESTABLISHED + b"+0016 echo\n" + ROUTE
    whole = Replies().feed(text)
    assert [reply.code for reply in whole] == [1, 0, 0]
    assert whole[0].lines == ((1, "BIRD 2.0.12 ready."),)
    bytewise = Replies()
    cut = [bytewise.feed(text[at : at + 1]) for at in range(len(text))]
    assert [reply for replies in cut for reply in replies] == whole


def test_session_that_is_up_is_established() -> None:
    found = session(said(ESTABLISHED))
    assert found == BgpSession("link1", "Established", "17:11:21.651")
    assert found.established


def test_session_that_is_down_tells_its_last_error() -> None:
    found = session(said(IDLE))
    error = "Received: Administrative shutdown"
    assert found == BgpSession("link1", "Idle", "2026-11-22 17:11:21", error)
    assert not found.established


@pytest.mark.parametrize("data", [b"0000 \n", b"1002-x y\n0000 \n", b"8003 No\n"])
def test_session_that_bird_does_not_have_is_none(data: bytes) -> None:
    assert session(said(data)) is None


def test_route_is_told_with_its_protocol_and_interface() -> None:
    assert route(said(ROUTE)) == BgpRoute("208.78.112.0/24", "link1", ("link1",))


def test_route_of_the_first_table_is_told_with_all_its_hops() -> None:
    found = BgpRoute("208.78.112.0/24", "link1", ("link1", "link2"))
    assert route(said(SPREAD)) == found


def test_route_without_a_prefix_of_its_own_is_told() -> None:
    data = b"1007-Table master4:\n                 unicast [b 1 from c] * (1)\n0000 \n"
    assert route(said(data)) == BgpRoute("", "b", ())


@pytest.mark.parametrize("data", [b"8001 Network not found\n", b"0000 \n"])
def test_address_without_a_route_has_none(data: bytes) -> None:
    assert route(said(data)) is None


@pytest.mark.parametrize("read", [session, route])
def test_refusal_is_an_error_in_the_words_of_bird(
    read: Callable[[Reply], object],
) -> None:
    with pytest.raises(BirdError, match="syntax error"):
        read(said(b"9001 syntax error\n"))


@pytest.mark.parametrize(
    "data",
    [b"HTTP/1.1 400 No\r\n", b" continued\n", b"\n", b"x" * (MAX_REPLY + 1)],
)
def test_what_is_no_answer_is_refused(data: bytes) -> None:
    with pytest.raises(BirdError):
        Replies().feed(data)


@pytest.mark.parametrize("name", ["", 'a" b', "a\nconfigure", "*", "x" * 65])
def test_what_cannot_be_a_name_is_not_asked_for(name: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        ask_session(name)


@pytest.mark.parametrize("address", ["", "edge", "10.0.0.1\nconfigure", "10.0.0.0/8"])
def test_what_is_no_address_is_not_asked_for(address: str) -> None:
    with pytest.raises(ValueError, match="no IP address"):
        ask_route(address)


def test_questions_end_as_lines() -> None:
    assert ask_session("link-1") == b'show protocols all "link-1"\n'
    assert ask_route("2001:db8::1") == b"show route for 2001:db8::1 primary\n"


def test_what_steers_a_terminal_is_not_passed_on() -> None:
    (reply,) = Replies().feed(b"1002-\x1b[2J\x07 BGP\n0000 \n")
    assert reply.lines[0] == (1002, "?[2J? BGP")


LINES = st.sampled_from(
    [*ESTABLISHED.splitlines(), *SPREAD.splitlines(), b"", b"+", b"x"]
)


@given(st.lists(LINES).map(b"\n".join))
def test_no_lines_do_harm(data: bytes) -> None:
    try:
        for reply in Replies().feed(data + b"\n0000 \n"):
            session(reply)
            route(reply)
    except BirdError:
        pass
