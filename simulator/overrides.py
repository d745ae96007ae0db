"""What a webhook URL's fragment orders: time limits, retries, edges.

`https://site.example/sms#ct=2000&rc=3&rp=5xx,ct&e=ashburn,dublin`. The fragment is
neither sent nor signed. A value that is unknown or out of range leaves the default.
"""

import dataclasses
from collections.abc import Callable
from urllib.parse import parse_qsl, urldefrag

CAP = 15.0
"Seconds that all attempts of one webhook may take, whatever the fragment says."

POLICIES = ("4xx", "5xx", "ct", "rt", "all")
"What may be retried: answers of a class, failed connects, missing answers."


@dataclasses.dataclass(frozen=True, slots=True)
class Overrides:
    """How one webhook is to be delivered."""

    connect_timeout: float = 5.0
    "Seconds to connect, TLS included; `ct`, 100 to 10000 ms."
    read_timeout: float = 15.0
    "Seconds until the answer begins, and between its parts; `rt`, 100 to 15000 ms."
    total_timeout: float = 15.0
    "Seconds for all attempts; `tt`, 100 to 15000 ms."
    retries: int = 1
    "Attempts after the first; `rc`, 0 to 5."
    policies: frozenset[str] = frozenset({"ct"})
    "After what to try again; `rp`."
    server_name: bool = True
    "Whether TLS indicates and checks the name; `sni`, y or n."
    edges: tuple[str, ...] = ("ashburn",)
    "Edges to call from, one after the other; `e`."

    def again(self, failure: str) -> bool:
        """Whether to try again; never after a partial answer, which is no policy."""
        return failure in self.policies or (
            "all" in self.policies and failure in POLICIES
        )


def _milliseconds(low: int, high: int) -> Callable[[str], float | None]:
    def read(text: str) -> float | None:
        number = _count(high)(text)
        return number / 1000 if number is not None and number >= low else None

    return read


def _count(high: int) -> Callable[[str], int | None]:
    def read(text: str) -> int | None:
        if not (text.isascii() and text.isdigit() and len(text) <= 5):
            return None
        return int(text) if int(text) <= high else None

    return read


def _policies(text: str) -> frozenset[str] | None:
    given = frozenset(text.split(","))
    return given if given <= frozenset(POLICIES) else None


def _edges(text: str) -> tuple[str, ...] | None:
    return tuple(one for one in text.split(",") if one) or None


_KEYS: dict[str, tuple[str, Callable[[str], object]]] = {
    "ct": ("connect_timeout", _milliseconds(100, 10_000)),
    "rt": ("read_timeout", _milliseconds(100, 15_000)),
    "tt": ("total_timeout", _milliseconds(100, 15_000)),
    "rc": ("retries", _count(5)),
    "rp": ("policies", _policies),
    "sni": ("server_name", {"y": True, "n": False}.get),
    "e": ("edges", _edges),
}


def ignored(url: str) -> list[str]:
    """The parts of a URL's fragment that would be ignored, for people."""
    given = parse_qsl(urldefrag(url)[1], keep_blank_values=True)
    names = [key for key, _ in given]
    return [
        f"{key}={text}"
        for key, text in given
        if key not in _KEYS or names.count(key) > 1 or _KEYS[key][1](text) is None
    ]


def split(url: str) -> tuple[str, Overrides]:
    """The URL as it is requested and signed, and the overrides of its fragment."""
    bare, fragment = urldefrag(url)
    ordered: dict[str, object] = {}
    for key, text in parse_qsl(fragment, keep_blank_values=True):
        if key in _KEYS:
            field, read = _KEYS[key]
            value = read(text)
            if value is not None:
                ordered[field] = value
    return bare, dataclasses.replace(Overrides(), **ordered)  # type: ignore[arg-type]
