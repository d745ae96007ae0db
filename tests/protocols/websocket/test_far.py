"""The far side until it is joined: which answers count, and what is kept of them."""

import asyncio
from collections.abc import Callable

import pytest

from protocols.http.head import HeadError
from protocols.net.dial import DialError, Dialled, dial
from protocols.target import Result, Target, Transport
from protocols.websocket.far import Answer, Far, ask
from protocols.websocket.handshake import Opening
from tests.protocols.http.stage import Origin, Script, Visit
from tests.protocols.websocket.stage import ACCEPTED, OPENING, saying, silent

OFFER = Opening(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", frozenset(), frozenset())


async def asked(script: Script, limit: float = 5.0) -> Dialled:
    """What comes of asking an origin with this script."""

    async def reach(
        target: Target, factory: Callable[[], asyncio.BaseProtocol]
    ) -> Dialled:
        return await dial(
            target, factory, contexts=None, connect_timeout=5, tls_timeout=5
        )

    origin = Origin(script)
    await origin.open("a", 1.0)
    try:
        return await ask(reach, origin.target, OPENING, OFFER, limit)
    finally:
        await origin.end()


def answer_of(dialled: Dialled) -> Answer:
    far = dialled.protocol
    assert isinstance(far, Far)
    dialled.transport.abort()
    answer = far.answered.result()
    assert isinstance(answer, Answer)
    return answer


@pytest.mark.parametrize("rest", [b"", b"\x81\x03one"])
async def test_answer_that_agrees_is_kept_as_it_came(rest: bytes) -> None:
    answer = answer_of(await asked(saying(ACCEPTED + rest)))
    assert (answer.head, answer.accepted, answer.rest) == (ACCEPTED, True, rest)


async def test_interim_answers_are_passed_over() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n"
    answer = answer_of(await asked(saying(hints * 16 + ACCEPTED)))
    assert answer.head == ACCEPTED
    with pytest.raises(DialError) as error:
        await asked(saying(hints * 17 + ACCEPTED))
    assert error.value.result is Result.BAD_ANSWER


async def test_no_is_an_answer() -> None:
    no = b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"
    answer = answer_of(await asked(saying(no)))
    assert (answer.accepted, answer.response.status) == (False, 403)


async def leaving(visit: Visit) -> None:
    """An origin that hangs up."""


@pytest.mark.parametrize(
    ("script", "result"),
    [
        (saying(b"HTTP/1.1 502 Bad\r\n\r\n"), Result.SERVER_ERROR),
        (saying(b"nonsense\r\n\r\n"), Result.BAD_ANSWER),
        (saying(b"x" * 70_000), Result.BAD_ANSWER),
        (leaving, Result.RESET),
        (silent, Result.TIMEOUT),
    ],
)
async def test_fault_of_the_target_is_a_failed_attempt(
    script: Script, result: Result
) -> None:
    with pytest.raises(DialError) as error:
        await asked(script, limit=0.2 if script is silent else 5.0)
    assert error.value.result is result
    assert error.value.phase == "answer"
    assert error.value.detail


async def test_target_that_refuses_is_a_failed_attempt() -> None:
    async def refuse(
        target: Target, factory: Callable[[], asyncio.BaseProtocol]
    ) -> Dialled:
        raise DialError(Result.REFUSED, "no", "connect")

    target = Target("127.0.0.1", 1, Transport.TCP, "a")
    with pytest.raises(DialError):
        await ask(refuse, target, OPENING, OFFER, 1.0)


async def test_connection_lost_before_it_was_asked_is_a_failed_attempt() -> None:
    async def lose(
        target: Target, factory: Callable[[], asyncio.BaseProtocol]
    ) -> Dialled:
        dialled = await dial(
            target, factory, contexts=None, connect_timeout=5, tls_timeout=5
        )
        dialled.transport.abort()
        far = dialled.protocol
        assert isinstance(far, Far)
        assert await far.answered is None
        return dialled

    origin = Origin(silent)
    await origin.open("a", 1.0)
    with pytest.raises(DialError) as error:
        await ask(lose, origin.target, OPENING, OFFER, 1.0)
    assert error.value.result is Result.RESET
    await origin.end()


async def test_what_comes_behind_the_answer_is_kept() -> None:
    far = Far(OFFER)
    loop = asyncio.get_running_loop()
    origin = Origin(silent)
    await origin.open("a", 1.0)
    _, _ = await loop.create_connection(lambda: far, *origin_address(origin))
    far.data_received(ACCEPTED)
    far.data_received(b"one")
    far.data_received(b"two")
    assert far.more == b"onetwo"
    far.transport.abort()
    await origin.end()
    assert not isinstance(far.answered.result(), HeadError)


def origin_address(origin: Origin) -> tuple[str, int]:
    return origin.target.address, origin.target.port
