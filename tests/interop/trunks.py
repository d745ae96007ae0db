"""A daemon with a trunk for each transport, and an edge that is not ours to write."""

import asyncio
import contextlib
import dataclasses
import ssl
from collections.abc import AsyncIterator, Awaitable, Mapping
from pathlib import Path
from typing import TypeVar

import yaml

from tests import stage
from tests.stage import Daemon, Settings, Site

WAYS = ("udp", "tcp", "tls")
EDGE = "127.30.0.41"
"The provider's only edge."
EDGE_NAME = "edge.trunk.test"
"Name in its certificate."
OUTSIDE = "127.30.0.2"
"Where the provider reaches the daemon."
TELEPHONE = "127.0.0.1"
"The PBX of the site: baresip binds nothing for its connections, so they are from here."
NUMBER = "+15551234567"

Address = tuple[str, int]
T = TypeVar("T")


async def soon(awaited: Awaitable[T]) -> T:
    """Its result, which is there within five seconds."""
    return await asyncio.wait_for(awaited, 5.0)


@dataclasses.dataclass(frozen=True, slots=True)
class Trunk:
    """One listener of the daemon."""

    way: str
    "Transport on both sides."
    site: Address
    "Where the site reaches the daemon."
    outside: Address
    "Where the provider does."

    @property
    def host(self) -> str:
        """By what name the provider knows it."""
        return f"{self.way}.trunk.test"

    def settings(self, place: Site, to: str) -> Settings:
        """The listener; the site's calls go to this URI."""
        return {
            "protocol": "sip",
            "product": "trunk",
            "host": self.host,
            "site": {
                "bind": ["{}://{}:{}".format(self.way, *self.site)],
                "to": [to],
                "allow": ["127.0.0.0/8"],
                "ca_file": str(place.ca_file),
            },
            "edge": {
                "bind": ["{}://{}:{}".format(self.way, *self.outside)],
                "transport": self.way,
                "tls": place.tls,
            },
        }


def site(directory: Path) -> Site:
    """One certificate for the daemon, the edge and the telephone."""
    return stage.site(directory, OUTSIDE, TELEPHONE, EDGE_NAME)


def contexts(place: Site) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """What a peer connects with, and what it listens with."""
    serves = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serves.load_cert_chain(place.certificate, place.key)
    return place.trust(), serves


@contextlib.asynccontextmanager
async def running(
    directory: Path, place: Site, ports: Mapping[str, int], to: Mapping[str, int]
) -> AsyncIterator[tuple[Daemon, dict[str, Trunk]]]:
    """The daemon with a trunk for each transport.

    They are those of `to`, port of the telephone; `ports` are those of the edge.
    """
    trunks = {
        way: Trunk(
            way,
            (stage.HERE, stage.free_port()),
            (OUTSIDE, stage.free_port(OUTSIDE)),
        )
        for way in to
    }
    catalogue = directory / "catalogue.yaml"
    catalogue.write_text(yaml.safe_dump(_catalogue(ports)), encoding="utf-8")
    listeners = {}
    for way, trunk in trunks.items():
        scheme = "sips" if way == "tls" else "sip"
        uri = f"{scheme}:{TELEPHONE}:{to[way]}"
        listeners[way] = trunk.settings(place, uri)
    settings: Settings = {
        "version": 1,
        "provider": {"catalogue": str(catalogue), "ca_file": str(place.ca_file)},
        "log": {"format": "json"},
        "listeners": listeners,
        "state_directory": stage.state_directory(directory),
    }
    async with stage.running(settings, directory) as daemon:
        yield daemon, trunks


def _catalogue(ports: Mapping[str, int]) -> Settings:
    return {
        "version": 1,
        "name": "interop",
        "simulated": True,
        "default_edge": "home",
        "edges": {
            "home": {
                "kind": "public",
                "legacy_id": EDGE.rpartition(".")[2],
                "networks": {"sip_signalling": [f"{EDGE}/32"]},
            }
        },
        "products": {
            "trunk": {
                "protocol": "sip",
                "transports": dict(ports),
                "host": "{tenant}.trunk.test",
                "next_hop": "127.30.0.{legacy_id}",
                "server_name": EDGE_NAME,
                "failover": {"advance": ["5xx"]},
            }
        },
    }
