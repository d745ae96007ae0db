"""Whose fault a failing answer is, and what follows from it.

An edge that fails is left for the next one. What the account may not do, or the callee
does not want, is passed on: asking elsewhere would ring again, or make a limit worse.
"""

import enum

from protocols.target import Result


class Verdict(enum.IntEnum):
    """What a final answer other than 2xx means for the search."""

    PASS = 0
    "It is the answer: nobody else would give another one."
    NEXT = 1
    "Ask the next target."
    MERGED = 2
    "An earlier copy of the request has arrived: its answer is to be waited for."


LIMIT_PHRASES = (b"limit exceeded", b"cps limit", b"call limit", b"limit reached")
"""Parts of reason phrases, in lower case, that make a 503 the account's.

Providers say so when a customer calls too often: "Trunk CPS limit exceeded". All edges
would say the same, and each attempt counts against the limit.
"""

_OF_THE_EDGE = (500, 502, 503)


def judge(status: int, reason: bytes, provisional: bool) -> Verdict:
    """What follows from an answer of 300 to 699.

    `provisional` tells whether the same target had given any sign of life before.
    """
    if status == 503 and is_limit(reason):
        return Verdict.PASS
    if status in _OF_THE_EDGE or status == 504:
        return Verdict.NEXT
    if status == 408:
        # Behind a 100, it is the callee's side that was silent.
        return Verdict.PASS if provisional else Verdict.NEXT
    # RFC 3261 section 8.2.2.2: a request that arrived by two ways is merged.
    return Verdict.MERGED if status == 482 else Verdict.PASS


def finding(status: int, reason: bytes) -> Result:
    """What an answer says about the health of its target.

    A 504 comes from a living edge, which waited for somebody behind it in vain.
    """
    if status in _OF_THE_EDGE and not is_limit(reason):
        return Result.SERVER_ERROR
    return Result.ALIVE


def is_limit(reason: bytes) -> bool:
    """Whether a reason phrase speaks of a limit of the account."""
    text = reason.lower()
    return any(phrase in text for phrase in LIMIT_PHRASES)


def is_better(status: int, than: int) -> bool:
    """Which of two failures to pass on (RFC 3261 section 16.7 step 6).

    6xx before all, then the lowest class; within it, whichever came first.
    """
    return _rank(status) < _rank(than)


def _rank(status: int) -> int:
    return 0 if status >= 600 else status // 100
