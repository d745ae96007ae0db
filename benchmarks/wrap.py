"""TLS around SIPp, which Debian builds without it: by HAProxy, not counted in CPU."""

from pathlib import Path

from benchmarks.contenders import Certificate
from benchmarks.processes import Process

_HOURS = "timeout connect 5s\n  timeout client 1h\n  timeout server 1h"
Address = tuple[str, int]


def start(
    wrapped: dict[Address, Address],
    unwrapped: dict[Address, Address],
    certificate: Certificate,
    directory: Path,
) -> Process:
    """Take plain TCP at some addresses and TLS at others, and pass on the contrary.

    Both tell where what is taken at an address goes.
    """
    sections = [
        f"  bind {_text(at)}\n  server to {_text(to)} ssl verify none"
        for at, to in wrapped.items()
    ]
    sections += [
        f"  bind {_text(at)} ssl crt {certificate.both}\n  server to {_text(to)}"
        for at, to in unwrapped.items()
    ]
    config = directory / "wrap.cfg"
    config.write_text(
        f"global\n  nbthread 1\ndefaults\n  mode tcp\n  {_HOURS}\n"
        + "".join(
            f"listen section-{number}\n{section}\n"
            for number, section in enumerate(sections)
        )
    )
    return Process.start(
        "HAProxy", ["haproxy", "-db", "-f", config], directory / "wrap.log"
    )


def _text(address: Address) -> str:
    return "{}:{}".format(*address)
