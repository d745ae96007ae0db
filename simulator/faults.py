"""Faults, and the places that can have one: an address, an edge, a region."""

import dataclasses
import enum

from simulator.ledger import Ledger
from simulator.plan import seconds


class Fault(enum.StrEnum):
    """How a place misbehaves. One at a time: a new one replaces the former."""

    REFUSE = "refuse"
    "New connections are refused by the kernel; established ones live on."
    RESET = "reset"
    "Established connections are reset now, new ones as soon as they are accepted."
    KILL = "kill"
    "Refuse and reset together: the process behind the address has died."
    BLACKHOLE = "blackhole"
    "The answer to a SYN never comes; established connections stand still."
    FREEZE = "freeze"
    "New connections are accepted, and all of them stand still: a stopped process."
    MUTE = "mute"
    "Everything arrives and is obeyed, and no answer gets out."
    STALL = "stall"
    "New connections are accepted and read, their ClientHello is never answered."
    EXPIRED = "expired"
    "New handshakes get a certificate that expired yesterday."
    WRONG_NAME = "wrong-name"
    "New handshakes get a certificate for another name."
    UNKNOWN_CA = "unknown-ca"
    "New handshakes get a certificate of an authority that nobody trusts."
    STATUS = "status"
    "Every request is answered with the given status; 503 if none is given."
    SLOW_FIRST_BYTE = "slow-first-byte"
    "The answer begins the given time late; 1 s if none is given."
    SLOW_BODY = "slow-body"
    "The body comes in ten parts, each the given time late; 0.2 s if none is given."
    CUT_BODY = "cut-body"
    "The connection is closed after half of the body."


CERTIFICATES = frozenset({Fault.EXPIRED, Fault.WRONG_NAME, Fault.UNKNOWN_CA})
"Faults of the TLS handshake."

ANSWERS = frozenset(
    {Fault.STATUS, Fault.SLOW_FIRST_BYTE, Fault.SLOW_BODY, Fault.CUT_BODY}
)
"Faults of the answer to a request; the only ones that a region can have."

_DEFAULTS = {Fault.STATUS: 503.0, Fault.SLOW_FIRST_BYTE: 1.0, Fault.SLOW_BODY: 0.2}


@dataclasses.dataclass(frozen=True, slots=True)
class Active:
    """A fault at work."""

    fault: Fault
    "Its kind."
    value: float = 0.0
    "HTTP status, or seconds; unused for the other kinds."

    def __str__(self) -> str:
        return f"{self.fault}={self.value:g}" if self.value else str(self.fault)


def make(fault: Fault, value: float | None = None) -> Active:
    """A fault with its value checked; raises ValueError."""
    if value is None:
        return Active(fault, _DEFAULTS.get(fault, 0.0))
    if fault not in _DEFAULTS:
        raise ValueError(f"{fault} takes no value")
    if fault is Fault.STATUS and value not in range(200, 600):
        raise ValueError(f"not a final HTTP status: {value:g}")
    if not 0 < value <= 3600:
        raise ValueError(f"{fault} takes more than 0 s and at most an hour")
    return Active(fault, value)


def parse(text: str) -> Active:
    """Read `refuse`, `status=503`, `slow-body=200ms`; raises ValueError."""
    name, given, value = text.partition("=")
    if name not in tuple(Fault):
        raise ValueError(f"no fault {name!r}; there are {', '.join(Fault)}")
    fault = Fault(name)
    if not given:
        return make(fault)
    if fault is not Fault.STATUS:
        return make(fault, seconds(value))
    if not (value.isascii() and value.isdigit()):
        raise ValueError(f"not an HTTP status: {value!r}")
    return make(fault, float(value))


class Place:
    """Something that can have a fault."""

    def __init__(self, name: str, ledger: Ledger) -> None:
        self.name = name
        self.active: Active | None = None
        self._ledger = ledger

    def fail(self, fault: Fault, value: float | None = None) -> None:
        """Have this fault from now on, in place of any other; raises ValueError."""
        self.set(make(fault, value))

    def set(self, active: Active | None) -> None:
        """Have this fault, or none."""
        self.active = active
        self._ledger.record("fault", detail=f"{self.name} {active or 'healed'}")
        self.changed()

    def heal(self) -> None:
        """Have no fault."""
        self.set(None)

    def refuse(self) -> None:
        """Refuse new connections."""
        self.fail(Fault.REFUSE)

    def reset(self) -> None:
        """Reset every connection."""
        self.fail(Fault.RESET)

    def kill(self) -> None:
        """Refuse new connections and reset the established ones."""
        self.fail(Fault.KILL)

    def blackhole(self) -> None:
        """Answer nothing, not even a SYN."""
        self.fail(Fault.BLACKHOLE)

    def freeze(self) -> None:
        """Accept, and stand still."""
        self.fail(Fault.FREEZE)

    def mute(self) -> None:
        """Obey, and let no answer out."""
        self.fail(Fault.MUTE)

    def changed(self) -> None:
        """Put the fault into effect."""


class Region(Place):
    """Where requests are processed, behind all edges."""

    def set(self, active: Active | None) -> None:
        """Have this fault of the answer; raises ValueError for one of the network."""
        if active is not None and active.fault not in ANSWERS:
            raise ValueError(
                f"a region has no network of its own: {active.fault} is for an edge"
            )
        super().set(active)
