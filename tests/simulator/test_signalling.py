"""What signalling says, message by message."""

import json
from typing import Any

import pytest

from simulator.signalling import LONGEST, REFUSED, Conversation, Video, Voice


def told(conversation: Conversation, message: Any) -> Any:
    """The one answer to a message."""
    text = message if isinstance(message, str) else json.dumps(message)
    (answer,) = conversation.hear(text)
    return json.loads(answer)


def test_voice_client_that_listens_is_told_its_edge_and_hears_heartbeats() -> None:
    voice = Voice("dublin", heartbeat=3.0)
    assert voice.every == 0.0

    answer = told(voice, {"type": "listen", "payload": {"token": "ey..."}})

    assert answer["type"] == "connected"
    assert answer["payload"]["edge"] == "dublin"
    assert voice.every == 3.0


def test_voice_client_has_to_echo_each_newline() -> None:
    voice = Voice("dublin")
    assert voice.beat() == "\n"
    assert voice.hear("\n") == ()
    assert voice.beat() == "\n"
    assert voice.beat() == ""


@pytest.mark.parametrize(
    ("asked", "answered"), [("register", "ready"), ("invite", "ringing")]
)
def test_voice_request_is_answered(asked: str, answered: str) -> None:
    assert told(Voice("dublin"), {"type": asked, "payload": {}})["type"] == answered


def test_voice_message_is_acknowledged_by_its_name() -> None:
    payload = {"callsid": "CA1", "voiceeventsid": "KX1", "content": "x"}
    answer = told(Voice("dublin"), {"type": "message", "payload": payload})
    assert answer["type"] == "ack"
    assert answer["payload"] == {
        "acktype": "message",
        "callsid": "CA1",
        "voiceeventsid": "KX1",
    }


def test_voice_message_that_needs_no_answer_gets_none() -> None:
    assert Voice("dublin").hear('{"type": "hangup", "payload": {}}') == ()


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "1", '{"type": 1}', "[" * 100_000, '{"payload": {}}']
)
def test_voice_message_that_is_none_is_an_error(text: str) -> None:
    answer = told(Voice("dublin"), text)
    assert (answer["type"], answer["payload"]["error"]["code"]) == ("error", REFUSED)


def test_payload_that_is_no_object_is_taken_for_an_empty_one() -> None:
    answer = told(Voice("dublin"), {"type": "message", "payload": [1]})
    assert answer["payload"]["voiceeventsid"] is None


@pytest.mark.parametrize(
    ("proposed", "every"),
    [(250, 0.25), (5000, 5.0), (5001, LONGEST), (0, LONGEST), (True, LONGEST)],
)
def test_video_client_that_says_hello_is_welcome(proposed: int, every: float) -> None:
    video = Video()
    answer = told(video, {"type": "hello", "timeout": proposed, "version": 2})
    assert answer == {"type": "welcome", "negotiatedTimeout": every * 1000}
    assert video.every == every


def test_video_message_comes_back_after_the_hello_alone() -> None:
    video = Video()
    message = {"type": "msg", "body": {"a": 1}}
    assert told(video, message)["type"] == "bad"
    video.hear('{"type": "hello"}')
    assert told(video, message) == message


def test_video_client_has_to_say_something_between_heartbeats() -> None:
    video = Video()
    assert json.loads(video.beat()) == {"type": "heartbeat"}
    assert video.hear('{"type": "heartbeat"}') == ()
    assert video.beat() != ""
    assert video.beat() == ""


@pytest.mark.parametrize("text", ["no JSON", '{"type": "what"}'])
def test_video_message_that_is_none_is_bad(text: str) -> None:
    assert told(Video(), text)["type"] == "bad"
