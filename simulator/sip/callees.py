"""How the person at the other end behaves: the dialled number says it.

`+1555` is followed by three digits that say what, five that say after how many
milliseconds, and, if wanted, three that say after how many tenths of a second an
answered call is hung up at that end: `+155520001500` rings, and answers after 1.5 s;
`+155548600000` is busy at once; `+155520000000020` hangs up after 2 s.
"""

import dataclasses
import re

_NUMBER = re.compile(r"\+1555(\d{3})(\d{5})(\d{3})?")
_E164 = re.compile(r"\+[1-9]\d{6,14}")


@dataclasses.dataclass(frozen=True, slots=True)
class Callee:
    """What becomes of a call."""

    first: int = 180
    "Provisional status sent at once; 0 for none, 100 for what the edge sends."
    final: int = 200
    "Final status; 0 for none, ever."
    after: float = 0.0
    "Seconds until the final status."
    phrase: str = ""
    "Its reason phrase, if not the usual one."
    hangs_up: float = 0.0
    "Seconds after which an answered call is hung up; 0 for never."
    silent: bool = False
    "Whether not even the edge answers."


def valid(number: str) -> bool:
    """Whether it is a number in E.164 form with its plus."""
    return _E164.fullmatch(number) is not None


def callee(number: str) -> Callee:
    """The callee behind a number; whoever is not in the plan answers at once."""
    match = _NUMBER.fullmatch(number)
    if match is None:
        return Callee()
    what, after = int(match[1]), int(match[2]) / 1000
    if what == 0:
        return Callee(first=0, final=0, silent=True)
    if what == 100:
        return Callee(first=0, final=0)
    if what == 180:
        return Callee(final=0)
    if what == 183:
        return Callee(first=183, after=after, hangs_up=int(match[3] or 0) / 10)
    if what == 200:
        return Callee(after=after, hangs_up=int(match[3] or 0) / 10)
    if 300 <= what < 700:
        return Callee(first=180 if after else 0, final=what, after=after)
    return Callee()
