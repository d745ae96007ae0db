"""Asking BIRD. What stands in for it here misbehaves; the real one is in interop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from router.bird import Bird, Questions, look
from router.birdc import MAX_REPLY, BgpRoute, BgpSession, Evidence

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

ANSWERS = {
    b"": b"0001 BIRD 2.0.12 ready.\n",
    b"restrict\n": b"0016 Access restricted\n",
    b'show protocols all "link1"\n': (
        b"1002-link1  BGP  ---  up  17:11:21.651  Established\n"
        b"1006-  BGP state:          Established\n0000 \n"
    ),
    b'show protocols all "link2"\n': b"8003 No protocols match\n",
    b"show route for 208.78.112.64 primary\n": (
        b"1007-Table master4:\n 208.78.112.0/24  unicast [link1 17:11:21.651] * (100)\n"
        b" \tvia 169.254.1.1 on link1\n0000 \n"
    ),
    b"show route for 192.0.2.1 primary\n": b"8001 Network not found\n",
}


@asynccontextmanager
async def serving(path: str, serve: Serve) -> AsyncIterator[None]:
    async def once(r: asyncio.StreamReader, w: asyncio.StreamWriter) -> None:
        try:
            await serve(r, w)
        except ConnectionError:
            pass
        finally:
            w.close()

    server = await asyncio.start_unix_server(once, path)
    async with server:
        yield


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    question = b""
    while True:
        writer.write(ANSWERS[question])
        question = await reader.readline()
        if not question:
            return


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "bird.ctl")


def asked(path: str) -> Questions:
    return Questions(path, ["link1", "link2"], ["208.78.112.64", "192.0.2.1"])


async def test_evidence_tells_sessions_and_routes(path: str) -> None:
    async with serving(path, answer):
        assert await look(asked(path)) == Evidence(
            {
                "link1": BgpSession("link1", "Established", "17:11:21.651"),
                "link2": None,
            },
            {
                "208.78.112.64": BgpRoute("208.78.112.0/24", "link1", ("link1",)),
                "192.0.2.1": None,
            },
        )


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def gone(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    pass


async def other(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 mail.example.com ESMTP\n\n")


async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"1007-x\n" * MAX_REPLY)


@pytest.mark.parametrize(
    ("serve", "trouble"),
    [
        (gone, "hung up"),
        (other, "a line that is none of BIRD's"),
        (endless, f"an answer of more than {MAX_REPLY} bytes"),
    ],
)
async def test_bird_that_misbehaves_is_evidence_of_nothing(
    path: str, serve: Serve, trouble: str
) -> None:
    async with serving(path, serve):
        assert await look(asked(path)) == Evidence(trouble=trouble)


async def test_bird_that_is_silent_is_left_in_time(path: str) -> None:
    async with serving(path, silent):
        found = await look(asked(path), timeout=0.02)
    assert found == Evidence(trouble="no answer within 0.02 s")


async def test_bird_that_cannot_be_restricted_is_asked_nothing(path: str) -> None:
    async def refuse(r: asyncio.StreamReader, w: asyncio.StreamWriter) -> None:
        w.write(ANSWERS[b""])
        await r.readline()
        w.write(b"9001 syntax error\n")
        assert not await r.read()

    async with serving(path, refuse):
        found = await look(asked(path))
    assert found.trouble == "does not know the command 'restrict'"


async def test_socket_that_is_not_there_is_told(path: str) -> None:
    assert (await look(asked(path))).trouble == "No such file or directory"


async def test_trouble_is_told_once_and_that_it_is_over(path: str) -> None:
    told: asyncio.Queue[str] = asyncio.Queue()
    questions = Questions(path, ["link1"])
    bird = Bird(questions, told.put_nowait, interval=0.005)
    assert bird.evidence.trouble == "not yet asked"
    bird.start()
    assert await told.get() == "No such file or directory"
    async with serving(path, answer):
        assert await told.get() == ""
        assert bird.evidence.sessions["link1"] is not None
    await bird.close()
    assert told.empty()


@pytest.mark.parametrize(
    ("sessions", "addresses"), [(["a b"], []), ([], ["edge.example.com"])]
)
def test_questions_that_cannot_be_asked_are_refused(
    sessions: list[str], addresses: list[str]
) -> None:
    with pytest.raises(ValueError, match="no "):
        Questions("/run/bird/bird.ctl", sessions, addresses)
