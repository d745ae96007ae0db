"""The daemon, HAProxy and nginx, each set up by its own means for the same work.

One process or worker and one thread each; the same certificate; TLS 1.2 and 1.3; the
origin's certificate verified; connections to the origin kept and reused; the same
deadlines; a log line per request into a file, or none.
"""

import dataclasses
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import trustme
import yaml

from benchmarks.processes import Process, free_port

ORIGIN_NAME = "origin.test"
"What the origins' certificate is for; they are reached by their addresses."
HOME, OTHER = "127.0.0.1", "127.0.0.2"
"Addresses of the two origins, which share a port."
CONNECT = 1
"Seconds for a connection to an origin, and for the TLS handshake on it."
FIRST_BYTE = 3
"Seconds for the first byte of an answer."
_IDLE = 75  # seconds that a client's idle connection is kept
_CLIENTS = 4_000  # connections at a time


@dataclasses.dataclass(frozen=True, slots=True)
class Certificate:
    """The one certificate of a run, on disk."""

    authority: Path
    "Certificate of the authority."
    chain: Path
    "The certificate."
    key: Path
    "Its key."
    both: Path
    "Key and certificate in one file, as HAProxy wants it."


def issue(directory: Path) -> Certificate:
    """A fresh ECDSA P-256 certificate for the proxies and for the origins."""
    authority = trustme.CA()
    leaf = authority.issue_cert("edge-router.test", ORIGIN_NAME)
    made = Certificate(
        *(directory / name for name in ("ca.pem", "cert.pem", "key.pem", "both.pem"))
    )
    authority.cert_pem.write_to_path(str(made.authority))
    leaf.private_key_pem.write_to_path(str(made.key))
    leaf.cert_chain_pems[0].write_to_path(str(made.chain))
    leaf.private_key_and_cert_chain_pem.write_to_path(str(made.both))
    return made


@dataclasses.dataclass(frozen=True, slots=True)
class Work:
    """What a proxy is to do."""

    certificate: Certificate
    "What it shows to clients, and the authority by which it knows the origin."
    origin_port: int
    "Where the origins listen."
    two_origins: bool = False
    "Whether there is a second origin, and health checks to tell when to use it."
    records: bool = True
    "Whether it writes a line per request."
    websocket: bool = False
    "Whether it is to relay WebSockets, which may be idle for long."
    python: str = sys.executable
    "The interpreter for the daemon."


@dataclasses.dataclass(frozen=True, slots=True)
class Contender:
    """A proxy that serves."""

    name: str
    "What it is called in tables."
    port: int
    "Where it serves, on 127.0.0.1."
    process: Process
    "Its process."


Start = Callable[[Work, Path], Contender]
"Start a proxy, its files in a directory that exists; `wait_for` it before use."


def edge_router(work: Work, directory: Path) -> Contender:
    """The daemon as its operator runs it; records are JSON lines."""
    port = free_port(HOME)
    catalogue = directory / "catalogue.yaml"
    catalogue.write_text(yaml.safe_dump(_catalogue(work)))
    config = directory / "edge-router.yaml"
    config.write_text(yaml.safe_dump(_config(work, catalogue, port, directory)))
    root = str(Path(__file__).resolve().parents[1])
    process = Process.start(
        "edge-router",
        [work.python, "-m", "router", "run", "--config", config],
        directory / "edge-router.log",
        {"PYTHONPATH": root},
    )
    return Contender("edge-router", port, process)


def _catalogue(work: Work) -> dict[str, object]:
    hosts = {"home": HOME, "other": OTHER} if work.two_origins else {"home": HOME}
    return {
        "version": 1,
        "name": "loopback",
        "simulated": True,
        "default_edge": "home",
        "edges": {name: {"kind": "public"} for name in hosts},
        "products": {
            "api": {
                "protocol": "websocket" if work.websocket else "https",
                "transports": {"tls": work.origin_port},
                "hosts": hosts,
                "server_name": ORIGIN_NAME,
            }
        },
    }


def _config(
    work: Work, catalogue: Path, port: int, directory: Path
) -> dict[str, object]:
    certificate = work.certificate
    kind = {"protocol": "https", "mode": "terminate"}
    return {
        "version": 1,
        "provider": {
            "catalogue": str(catalogue),
            "ca_file": str(certificate.authority),
        },
        "listeners": {
            "api": {
                **({"protocol": "websocket"} if work.websocket else kind),
                "direction": "to_provider",
                "product": "api",
                "bind": f"127.0.0.1:{port}",
                "tls": {
                    "certificate": str(certificate.chain),
                    "key": str(certificate.key),
                },
                "allow": ["127.0.0.0/8"],
                "limits": {
                    "connections": _CLIENTS,
                    "connections_per_client": _CLIENTS,
                },
                "deadlines": {
                    "connect": f"{CONNECT}s",
                    "tls": f"{CONNECT}s",
                    "first_byte": f"{FIRST_BYTE}s",
                    **({} if work.websocket else {"idle": f"{_IDLE}s"}),
                },
            }
        },
        "log": {"format": "json", "level": "info" if work.records else "warning"},
        "admin": {"socket": str(directory / "control.sock")},
        "state_directory": str(directory),
    }


def haproxy(work: Work, directory: Path) -> Contender:
    """HAProxy with `http-reuse always`; its HTTP log goes to its standard output."""
    port = free_port(HOME)
    certificate, origin = work.certificate, work.origin_port
    log = "log stdout format raw local0\n  option httplog" if work.records else ""
    server = (
        f"ssl verify required ca-file {certificate.authority} "
        f"sni str({ORIGIN_NAME}) verifyhost {ORIGIN_NAME}"
    )
    if work.two_origins:
        server += " check inter 2s fastinter 250ms fall 3"
    servers = [f"server home {HOME}:{origin} {server}"]
    if work.two_origins:
        servers.append(f"server other {OTHER}:{origin} {server} backup")
    origins = "\n  ".join(servers)
    config = directory / "haproxy.cfg"
    config.write_text(
        f"""global
  nbthread 1
  maxconn {_CLIENTS}
  ssl-default-bind-options ssl-min-ver TLSv1.2
  ssl-default-server-options ssl-min-ver TLSv1.2
defaults
  mode http
  timeout connect {CONNECT}s
  timeout client {_IDLE}s
  timeout http-keep-alive {_IDLE}s
  timeout http-request 10s
  timeout server {FIRST_BYTE}s
  timeout check {CONNECT}s
  timeout tunnel 1h
  retries 3
  option redispatch
  http-reuse always
  {log}
frontend api
  bind 127.0.0.1:{port} ssl crt {certificate.both} alpn http/1.1
  default_backend origins
backend origins
  {origins}
"""
    )
    process = Process.start(
        "HAProxy", ["haproxy", "-db", "-f", config], directory / "haproxy.log"
    )
    return Contender("HAProxy", port, process)


def nginx(work: Work, directory: Path) -> Contender:
    """nginx with `keepalive` to the origin; a second origin is a `backup`."""
    port = free_port(HOME)
    certificate, origin = work.certificate, work.origin_port
    servers = [f"server {HOME}:{origin};"]
    if work.two_origins:
        servers.append(f"server {OTHER}:{origin} backup;")
    if work.websocket:
        fields = 'Upgrade $http_upgrade; proxy_set_header Connection "upgrade"'
        silence = "1h"
    else:
        fields, silence = 'Connection ""', f"{FIRST_BYTE}s"
    process = start_nginx(
        f"""
  access_log {directory / "access.log" if work.records else "off"};
  keepalive_timeout {_IDLE};
  upstream origins {{ {" ".join(servers)} keepalive 64; }}
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {certificate.chain};
    ssl_certificate_key {certificate.key};
    location / {{
      proxy_pass https://origins;
      proxy_http_version 1.1;
      proxy_set_header {fields};
      proxy_ssl_verify on;
      proxy_ssl_trusted_certificate {certificate.authority};
      proxy_ssl_name {ORIGIN_NAME};
      proxy_ssl_server_name on;
      proxy_ssl_protocols TLSv1.2 TLSv1.3;
      proxy_connect_timeout {CONNECT}s;
      proxy_read_timeout {silence};
    }}
  }}""",
        directory,
    )
    return Contender("nginx", port, process)


def start_nginx(servers: str, directory: Path) -> Process:
    """nginx with one worker, whatever its distribution's own settings are."""
    spools = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    spool = "\n".join(f"  {name}_temp_path {directory / name};" for name in spools)
    config = directory / "nginx.conf"
    config.write_text(
        f"""worker_processes 1;
worker_rlimit_nofile {2 * _CLIENTS};
daemon off;
pid {directory / "nginx.pid"};
error_log stderr;
events {{ worker_connections {_CLIENTS}; }}
http {{
{spool}
  ssl_protocols TLSv1.2 TLSv1.3;
  keepalive_requests 1000000000;
{servers}
}}
"""
    )
    log = directory / "nginx.log"
    return Process.start("nginx", ["nginx", "-e", "stderr", "-c", config], log)


CONTENDERS: dict[str, Start] = {
    "edge-router": edge_router,
    "HAProxy": haproxy,
    "nginx": nginx,
}
"All of them, ours first."


def installed() -> dict[str, Start]:
    """Those that this machine has; the others are named on the screen."""
    found = {}
    for name, start in CONTENDERS.items():
        if name == "edge-router" or shutil.which(name.lower()):
            found[name] = start
        else:
            print(f"{name} is not installed: left out")
    return found
