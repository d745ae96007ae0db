"""How many probes may be sent at all, whatever asks for them: a token bucket.

A provider with many addresses, or a site whose uplink falls, must not turn the checker
into a flood. Part of the tokens is kept for the edges in use and next in line, so that
all the others together cannot take from them.
"""

RATE = 40.0
"Tokens that come in per second; a probe costs one."

BURST = 80.0
"Most tokens that are saved up."

KEPT = BURST / 2
"Tokens that only probes of the edges in use and next in line may take."


class Budget:
    """Tokens for probes. Times in seconds on any one clock."""

    def __init__(self, now: float) -> None:
        """Begin with all that can be saved up."""
        self._tokens = BURST
        self._filled = now

    def take(self, now: float, *, hot: bool) -> bool:
        """Take a token for a probe; whether there was one for it."""
        earned = max(0.0, now - self._filled) * RATE
        self._tokens = min(BURST, self._tokens + earned)
        self._filled = now
        if self._tokens < (1.0 if hot else KEPT + 1.0):
            return False
        self._tokens -= 1.0
        return True
