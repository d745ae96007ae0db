"""`python -m simulator`: a provider on loopback, until SIGTERM or SIGINT."""

import argparse
import asyncio
import contextlib
import json
import os
import resource
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import uvloop

from simulator.commands import HELP, CommandError, obey
from simulator.plan import EdgePlan, read_edge, read_edges
from simulator.provider import Provider

_LINE = 4096
"""Bytes of a command beyond which it is taken as one."""

_EPILOG = f"""\
When all is ready, one line of JSON says where: `dns` (address and port), `port` (HTTPS,
on all edges), `sip` (its ports, on all edges), `ca_file`, `catalogue`, `ledger` (one
JSON object per event and line), `account` (SID, and a token per region), and `edges`
with their addresses.

{HELP}
example:
  python -m simulator --edges ashburn=20ms,dublin=90ms \\
      --private ashburn-ix=5ms@127.0.0.9
  dig @127.20.0.53 -p DNS_PORT api.ashburn.us1.twilio.com
  curl --cacert CA_FILE --resolve api.ashburn.us1.twilio.com:PORT:127.20.1.1 \\
       https://api.ashburn.us1.twilio.com:PORT/hello
"""


def main(arguments: list[str] | None = None) -> int:
    """Run; 0 after a signal, 1 if a port or file cannot be had, 2 for wrong usage."""
    given = _parser().parse_args(arguments)
    # Each connection takes three descriptors: its own, and a pair within.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with contextlib.ExitStack() as stack:
        directory = given.directory
        if directory is None:
            temporary = tempfile.TemporaryDirectory(prefix="simulator-")
            directory = Path(stack.enter_context(temporary))
        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        try:
            directory.mkdir(parents=True, exist_ok=True)
            stack.enter_context(runner).run(_run(given, directory))
        except (OSError, ValueError) as error:
            print(f"simulator: {error}", file=sys.stderr)
            return 1
    return 0


async def _run(given: argparse.Namespace, directory: Path) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    ledger, catalogue = directory / "ledger.jsonl", directory / "catalogue.yaml"
    async with Provider.start(
        [*given.edges, *given.private],
        directory=directory,
        port=given.rest_port,
        dns_port=given.dns_port,
        sip_port=given.sip_port,
        cdn=given.cdn,
        ttl=given.ttl,
        ledger_file=ledger,
        seed=given.seed,
    ) as provider:
        catalogue.write_text(provider.catalogue(), encoding="utf-8")
        _say(
            {
                "dns": "{}:{}".format(*provider.dns_address),
                "port": provider.port,
                "sip": provider.sip.ports,
                "ca_file": str(provider.ca_file),
                "catalogue": str(catalogue),
                "ledger": str(ledger),
                "account": {
                    "sid": provider.account.sid,
                    "tokens": dict(provider.account.tokens),
                },
                "edges": {
                    edge.name: [address.address for address in edge.addresses]
                    for edge in provider.edges.values()
                },
            }
        )

        def take(line: str) -> None:
            try:
                obey(provider, line)
            except CommandError as error:
                _say({"error": str(error)})
            else:
                _say({"done": line})

        # A thread, since standard input may be a file, which no event loop can await.
        # It ends with the process: nothing can interrupt its read.
        threading.Thread(target=_listen, args=(loop, take), daemon=True).start()
        await ended.wait()


def _listen(loop: asyncio.AbstractEventLoop, take: Callable[[str], None]) -> None:
    for line in _lines():
        try:
            loop.call_soon_threadsafe(take, line)
        except RuntimeError:
            return  # the loop is closed: the end


def _lines() -> Iterator[str]:
    """Commands from standard input, read past the interpreter's own buffers.

    Those would be locked by this thread when the interpreter ends.
    """
    rest = b""
    while chunk := os.read(0, _LINE):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LINE:
            lines, rest = [*lines, rest], b""
        yield from (text for one in lines if (text := one.decode(errors="replace")))


def _say(what: dict[str, object]) -> None:
    print(json.dumps(what), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m simulator",
        description="A communications provider on loopback: DNS, edges with their "
        "distance and faults, TLS, REST, and a ledger of all that arrived.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    option = parser.add_argument
    option(
        "--edges",
        type=_edges,
        metavar="NAME=TIME,...",
        default="ashburn=20ms,umatilla=60ms,dublin=90ms,frankfurt=100ms",
        help="public edges and their round trips, with jitter as 20ms~2ms "
        "(default: %(default)s)",
    )
    option(
        "--private",
        type=_private,
        metavar="NAME=TIME@SOURCE",
        action="append",
        default=[],
        help="a private edge and the source addresses that it answers, joined by "
        "commas; may be given again",
    )
    option("--rest-port", type=_port, default=0, help="HTTPS port; default: a free one")
    option(
        "--sip-port",
        type=_port,
        default=0,
        help="port of SIP over UDP and TCP, with TLS on the next; default: a free one",
    )
    option("--dns-port", type=_port, default=0, help="DNS port; default: a free one")
    option(
        "--directory",
        type=Path,
        help="for files, made if need be; default: a temporary one",
    )
    option(
        "--cdn",
        metavar="EDGE",
        help="lead all public REST names to this edge, whatever their label, as a "
        "content network does",
    )
    option("--ttl", type=int, default=600, help="seconds that DNS answers hold")
    option("--seed", type=int, help="repeatable jitter and order of addresses")
    return parser


def _edges(text: str) -> tuple[EdgePlan, ...]:
    try:
        return read_edges(text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _private(text: str) -> EdgePlan:
    try:
        plan = read_edge(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not plan.private:
        raise argparse.ArgumentTypeError(f"{text} lacks @SOURCE")
    return plan


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"not a port: {text}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
