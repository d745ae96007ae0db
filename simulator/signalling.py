"""What the provider's signalling says: to voice clients, and to video clients.

Each conversation is with one client on one WebSocket; messages are JSON, but for the
voice client's heartbeat, a newline.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Protocol

HEARTBEAT = 10.0
"Seconds between two heartbeats to a voice client, which gives up after 15."

LONGEST = 5.0
"Seconds between two heartbeats of a video client at most; it proposes how many."

TTL = 3600
"Seconds for which a token is said to hold. No token is looked at."

REFUSED = 31000
"Error: what came is nothing that signalling knows."


class Conversation(Protocol):
    """What an endpoint knows about one client."""

    every: float
    "Seconds between two heartbeats; 0 as long as there are none."

    def hear(self, text: str) -> tuple[str, ...]:
        """Take a message; gives what to say to it."""

    def beat(self) -> str:
        """The heartbeat to send now; empty if the client missed the last one."""


class Voice:
    """The signalling of a browser's voice client, behind `/signal`."""

    path = "/signal"

    def __init__(self, edge: str, heartbeat: float = HEARTBEAT) -> None:
        """`edge` and its home are told to the client, which comes back there."""
        self.every = 0.0
        self._edge = edge
        self._heartbeat = heartbeat
        self._awaited = False

    def hear(self, text: str) -> tuple[str, ...]:
        """Take a message; gives what to say to it."""
        if text == "\n":
            self._awaited = False
            return ()
        kind, payload = _read(text, "payload")
        match kind:
            case "listen":
                return (self._connected(),)
            case "register":
                return (_say("ready", {}),)
            case "invite":
                return (_say("ringing", {"callsid": _call(payload)}),)
            case "message":
                told = {
                    name: payload.get(name) for name in ("callsid", "voiceeventsid")
                }
                return (_say("ack", {"acktype": "message", **told}),)
            case "":
                error = {"code": REFUSED, "message": "not a signalling message"}
                return (_say("error", {"error": error}),)
            case _:
                return ()  # ringing, answer, dtmf, hangup ...: they expect no answer

    def beat(self) -> str:
        """A newline; empty if the last one was not echoed."""
        if self._awaited:
            return ""
        self._awaited = True
        return "\n"

    def _connected(self) -> str:
        self.every = self._heartbeat
        told = {
            "edge": self._edge,
            "region": self._edge,
            "home": "us1",
            "token": {"ttl": TTL},
        }
        return _say("connected", told)


class Video:
    """The signalling of a video client, behind `/signaling`."""

    path = "/signaling"

    def __init__(self) -> None:
        self.every = 0.0
        self._heard = True

    def hear(self, text: str) -> tuple[str, ...]:
        """Take a message; gives what to say to it."""
        self._heard = True
        kind, body = _read(text, "body")
        if kind == "hello":
            proposed = json.loads(text).get("timeout")  # milliseconds
            fits = type(proposed) is int and 0 < proposed <= LONGEST * 1000
            self.every = proposed / 1000 if fits else LONGEST
            told = {"type": "welcome", "negotiatedTimeout": round(self.every * 1000)}
        elif kind == "msg" and self.every:
            told = {"type": "msg", "body": body}
        elif kind in ("heartbeat", "bye"):
            return ()
        else:
            told = {"type": "bad", "reason": "no message of this protocol, or too soon"}
        return (json.dumps(told),)

    def beat(self) -> str:
        """A heartbeat; empty if nothing came since the last one."""
        if not self._heard:
            return ""
        self._heard = False
        return json.dumps({"type": "heartbeat"})


def _read(text: str, inner: str) -> tuple[str, Mapping[str, Any]]:
    """The type of a message and the object in it; an empty type if there is none."""
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        return "", {}
    if not isinstance(read, dict) or not isinstance(read.get("type"), str):
        return "", {}
    held = read.get(inner)
    return read["type"], held if isinstance(held, dict) else {}


def _say(kind: str, payload: Mapping[str, Any]) -> str:
    return json.dumps({"type": kind, "version": "1.6", "payload": payload})


def _call(payload: Mapping[str, Any]) -> str:
    """The lasting identifier of a call, instead of the one that the client made up."""
    made_up = str(payload.get("callsid")).encode()
    return f"CA{hashlib.sha256(made_up).hexdigest()[:32]}"
