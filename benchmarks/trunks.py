"""The daemon and Kamailio, each set up by its own means as the proxy of one trunk.

Both have one socket towards the PBX and one towards the provider, one process that
works for each (the daemon: one for both), record-route on both sides, try the second
edge when the first one fails, and ask the edges every ten seconds whether they live.
"""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

from benchmarks.caller import Caller
from benchmarks.contenders import Certificate
from benchmarks.processes import Process, free_port

PROXY = "127.0.0.1"
"Where the proxies are."
PBX = "127.0.0.1"
"Where calls come from."
EDGES = ("127.0.0.2", "127.0.0.3")
"The edges, home first; they share their ports. The second one is never needed."
EDGE_NAMES = ("home", "other")
HOST = "a.trunk.test"
"What the provider is called in calls."
LINK = {
    "exchange": "here",
    "edges": [EDGE_NAMES[0]],
    "interface": "lo",
    "prefixes": ["127.0.0.0/29"],
    "bandwidth": "1Gbit/s",
}
"A link with room for all calls."
EDGE_NAME = "origin.test"
"What the certificate of the edges is for."
_CONFIG = Path(__file__).with_name("kamailio.cfg")
_ROOT = Path(__file__).resolve().parents[1]


@dataclasses.dataclass(frozen=True, slots=True)
class Work:
    """What a proxy is to do."""

    way: str
    "Transport on both sides: udp, tcp or tls."
    certificate: Certificate
    "What it shows, and the authority by which it knows the edges."
    edge_port: int
    "Where the edges listen."
    records: bool = False
    "Whether the daemon writes a line per INVITE and BYE; Kamailio never does."
    linked: bool = False
    "Whether the daemon reaches home by a direct link, and counts the calls on it."
    python: str = sys.executable
    "The interpreter for the daemon."


@dataclasses.dataclass(frozen=True, slots=True)
class Trunk:
    """A proxy at work."""

    way: str
    "Transport on both sides."
    port: int
    "Where it takes calls, on PROXY."
    process: Process
    "Its process."

    @property
    def at(self) -> tuple[str, int]:
        """Address and port where it takes calls."""
        return PROXY, self.port

    def caller(self) -> Caller:
        """A telephone that calls through it; raises OSError."""
        return Caller(self.way, self.at, HOST, PBX)

    def serves(self) -> bool:
        """Whether a call through it is answered."""
        try:
            with self.caller() as caller:
                caller.hang_up(caller.call())
        except OSError:
            return False
        return True


Start = Callable[[Work, Path], Trunk]
"Start a proxy, its files in a directory that exists."


def edge_router(work: Work, directory: Path) -> Trunk:
    """The daemon as its operator runs it."""
    port = free_port(PROXY)
    catalogue = directory / "catalogue.yaml"
    catalogue.write_text(yaml.safe_dump(_catalogue(work)))
    config = directory / "edge-router.yaml"
    config.write_text(yaml.safe_dump(_settings(work, catalogue, port, directory)))
    process = Process.start(
        "edge-router",
        [work.python, "-m", "router", "run", "--config", config],
        directory / "edge-router.log",
        {"PYTHONPATH": str(_ROOT)},
    )
    return Trunk(work.way, port, process)


def _catalogue(work: Work) -> dict[str, object]:
    return {
        "version": 1,
        "name": "loopback",
        "simulated": True,
        "default_edge": EDGE_NAMES[1 if work.linked else 0],
        "edges": {
            name: {
                "kind": "private" if work.linked and name == "home" else "public",
                "legacy_id": address.rpartition(".")[2],
                "networks": {"sip_signalling": [f"{address}/32"]},
            }
            for name, address in zip(EDGE_NAMES, EDGES, strict=True)
        },
        "products": {
            "calls": {
                "protocol": "sip",
                "transports": {work.way: work.edge_port},
                "host": "{tenant}.trunk.test",
                "next_hop": "127.0.0.{legacy_id}",
                "server_name": EDGE_NAME,
                "min_probe_interval": "10s",
                "failover": {"advance": ["5xx"]},
            }
        },
    }


def _settings(
    work: Work, catalogue: Path, port: int, directory: Path
) -> dict[str, object]:
    certificate = work.certificate
    tls = {"certificate": str(certificate.chain), "key": str(certificate.key)}
    edge: dict[str, object] = {
        "bind": [f"{work.way}://{PROXY}:{free_port(PROXY)}"],
        "transport": work.way,
    }
    return {
        "version": 1,
        "provider": {
            "catalogue": str(catalogue),
            "ca_file": str(certificate.authority),
            "links": {"link": LINK} if work.linked else {},
        },
        "listeners": {
            "trunk": {
                "protocol": "sip",
                "product": "calls",
                "host": HOST,
                "site": {
                    "bind": [f"{work.way}://{PROXY}:{port}"],
                    "to": [f"{'sips' if work.way == 'tls' else 'sip'}:{PBX}:9"],
                    "allow": [f"{PBX}/32"],
                    "ca_file": str(certificate.authority),
                },
                "edge": edge | ({"tls": tls} if work.way == "tls" else {}),
            }
        },
        "log": {"format": "json", "level": "info" if work.records else "warning"},
        "state_directory": str(directory),
    }


def kamailio(work: Work, directory: Path) -> Trunk:
    """Kamailio with one worker per socket; its dispatcher has a failure route."""
    port, outer = free_port(PROXY), free_port(PROXY)
    here = f"{work.way}:{PROXY}:"
    lines = [
        f"1 sip:{address}:{work.edge_port};transport={work.way} 0 {priority} "
        f"socket={here}{outer}\n"
        for priority, address in zip((10, 5), EDGES, strict=True)
    ]
    (directory / "dispatcher.list").write_text("".join(lines))
    certificate = work.certificate
    shown = f"certificate={certificate.chain}\nprivate_key={certificate.key}\n"
    (directory / "tls.cfg").write_text(
        f"[server:default]\nmethod=TLSv1.2+\nverify_certificate=no\n{shown}"
        f"[client:default]\nmethod=TLSv1.2+\nverify_certificate=yes\n"
        f"ca_list={certificate.authority}\n{shown}"
    )
    defined = [
        f"SITE={here}{port}",
        f"EDGE={here}{outer}",
        f'DIRECTORY="{directory}"',
        *(["WITH_TLS"] if work.way == "tls" else []),
    ]
    process = Process.start(
        "Kamailio",
        [
            *("kamailio", "-DD", "-E", "-f", _CONFIG, "-Y", directory),
            # It keeps 30 KB of each call for seconds: its usual 64 MB fill in no time.
            *("-m", "1024"),
            *("-P", directory / "kamailio.pid"),
            *(word for one in defined for word in ("-A", one)),
        ],
        directory / "kamailio.log",
    )
    return Trunk(work.way, port, process)
