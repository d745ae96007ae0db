"""What a provider's SIP is asked to be like."""

import dataclasses

from simulator.sip.digest import Credentials


@dataclasses.dataclass(frozen=True, slots=True)
class SipPlan:
    """The rules of the provider; its times may be made short for tests."""

    t1: float = 0.5
    "Seconds until something unanswered is sent again; all timers follow it."
    options_period: float = 10.0
    "Seconds in which an address bears one OPTIONS from one source."
    ban: float = 60.0
    "Seconds of silence for a source that sent more."
    no_answer: float = 4.0
    "Seconds without any response after which origination tries the next URI."
    patience: float = 60.0
    "Seconds that origination lets a call ring."
    credentials: Credentials | None = None
    "What a caller must know; None if its address suffices."
    nonce_per_edge: bool = True
    "Whether a nonce is good at the edge alone that gave it."
    sources: tuple[str, ...] = ()
    "Addresses that may call; empty for all."
    trunk_rate: int = 0
    "New calls of one trunk within a second; 0 for any number."
    pair_rate: int = 30
    "New calls within a second from one source to one address; 0 for any number."
