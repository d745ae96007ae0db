"""All benchmarks, one after the other: what `make bench` runs.

    python -m benchmarks [--quick | --full] [--python PATH]

Exits 0 whether or not the aims are met, and 1 if something could not be measured.
"""

import sys

from benchmarks import https, policy, sip, websocket

_DAYS = {"--quick": ["--seeds", "1", "--hours", "1"], "--full": []}
"What the policy is tried on; usually one whole day per family."


def main(arguments: list[str]) -> int:
    """Run all; `arguments` are those of `benchmarks.https` and `benchmarks.sip`."""
    print("HTTPS: what does a request cost?", flush=True)
    measured = https.main(arguments)
    print("\n\nWebSocket: what does a message cost?", flush=True)
    measured |= websocket.main(arguments)
    print("\n\nSIP: what does a call cost?", flush=True)
    measured |= sip.main(arguments)
    print("\n\nPolicy: is the right edge chosen?", flush=True)
    days = next((days for flag, days in _DAYS.items() if flag in arguments), None)
    policy.main(["--seeds", "1"] if days is None else days)
    return measured


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
