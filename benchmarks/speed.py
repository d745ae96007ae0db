"""CPU time per request, requests per second and latency, in alternating rounds."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks import wrk
from benchmarks.contenders import HOME, Certificate, Contender, Start, Work, start_nginx
from benchmarks.processes import Process, free_port

CONNECTIONS = 32
"Keep-alive connections of a loaded round."


@dataclasses.dataclass(frozen=True, slots=True)
class Shape:
    """A kind of requests."""

    name: str
    "What it is called in tables."
    script: Path | None
    "The wrk script that makes them; None for wrk's own GET."


IDENTICAL = Shape("identical requests", None)
"A GET of four header fields, the same each time."
DISTINCT = Shape("distinct requests", Path(__file__).with_name("distinct.lua"))
"As an SDK sends them, no two alike."

# A JSON answer of the size and with the fields of a provider's; no two have the same
# identifier.
_BODY = '{"sid":"SM0123456789abcdef0123456789abcdef","status":"queued",' + (
    '"uri":"/2010-04-01/Accounts/AC0123456789abcdef/Messages/SM0123456789abcdef"}'
)
_ORIGIN = """
  access_log off;
  server {{
    listen {address}:{port} ssl;
    ssl_certificate {certificate.chain};
    ssl_certificate_key {certificate.key};
    location = / {{ default_type text/plain; return 200 "0123456789"; }}
    location / {{
      default_type application/json;
      add_header X-Request-Id $request_id;
      add_header X-Request-Duration 0.0$msec;
      add_header X-Api-Domain api.example.com;
      add_header Vary Origin;
      add_header Strict-Transport-Security max-age=31536000;
      return 200 '{body}';
    }}
  }}"""


@dataclasses.dataclass(frozen=True, slots=True)
class Round:
    """One contender in one round."""

    load: wrk.Load
    "What the client saw."
    cpu: float
    "Microseconds of the proxy's CPU time per request."


@contextlib.contextmanager
def origin(certificate: Certificate, directory: Path) -> Iterator[int]:
    """nginx as the origin, which costs little and is no bottleneck; its port."""
    port = free_port(HOME)
    directory.mkdir()
    text = _ORIGIN.format(address=HOME, port=port, certificate=certificate, body=_BODY)
    with start_nginx(text, directory) as process:
        process.wait_for(HOME, port)
        yield port


@contextlib.contextmanager
def serving(
    starts: Mapping[str, Start], work: Work, directory: Path
) -> Iterator[dict[str, Contender]]:
    """All contenders, ready to serve."""
    with contextlib.ExitStack() as stack:
        contenders = {}
        for number, (name, start) in enumerate(starts.items()):
            place = directory / f"proxy-{number}"
            place.mkdir(parents=True)
            contenders[name] = contender = start(work, place)
            stack.enter_context(contender.process)
        for contender in contenders.values():
            contender.process.wait_for(HOME, contender.port)
        yield contenders


def rounds(
    contenders: Mapping[str, Contender],
    shape: Shape,
    *,
    count: int,
    seconds: int,
    connections: int = CONNECTIONS,
    done: Callable[[], None] = lambda: None,
) -> dict[str, list[Round]]:
    """Load them by turns; a first round, to warm up, does not count.

    The order is turned about every other round. Raises wrk.NoResultError.
    """
    found: dict[str, list[Round]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(count + 1):
        for name in names:
            one = _round(
                contenders[name], shape, seconds=seconds, connections=connections
            )
            if number:
                found[name].append(one)
        names.reverse()
        done()
    return found


def _round(
    contender: Contender, shape: Shape, *, seconds: int, connections: int
) -> Round:
    process: Process = contender.process
    before = process.cpu_seconds()
    load = wrk.run(
        f"https://{HOME}:{contender.port}/",
        connections=connections,
        seconds=seconds,
        script=shape.script,
    )
    spent = process.cpu_seconds() - before
    return Round(load, 1e6 * spent / load.requests)
