"""Edges die, stall and heal at random under load; the provider's ledger is the judge.

A failure prints the seed; EDGE_ROUTER_SEED=... begins the same storm again, which then
goes the same way as far as the timing of two processes allows.
"""

import asyncio
import os
import random
from pathlib import Path

import pytest

from simulator.faults import Fault
from simulator.provider import Provider
from tests import stage
from tests.stage import HUSH, Site
from tests.wire import BrokenError, Caller

EDGES = ("ashburn=2ms", "umatilla=6ms", "dublin=10ms", "frankfurt=14ms", "tokyo=18ms")
CALLERS = 8
REQUESTS = 1_200
FAULTS = (Fault.KILL, Fault.RESET, Fault.FREEZE, Fault.BLACKHOLE, Fault.STALL)
IDEMPOTENT = ("GET", "DELETE")


class Storm:
    """Requests under way, and the faults that strike after random numbers of them."""

    def __init__(self, provider: Provider, chance: random.Random) -> None:
        self._provider = provider
        self._chance = chance
        self._until_next = 30
        self.left = REQUESTS
        self.served: list[str] = []
        self.failed: list[str] = []
        self.faults: list[str] = []

    async def call(self, caller: Caller) -> None:
        """Ask for one thing after the other."""
        async with caller:
            while self.left:
                self.left -= 1
                method = self._chance.choice((*IDEMPOTENT, "POST", "POST"))
                await self._ask(caller, method, f"{method} {self.left}")

    async def _ask(self, caller: Caller, method: str, marker: str) -> None:
        body = b"x" * self._chance.choice((1, 300, 40_000)) if method == "POST" else b""
        headers = {"Idempotency-Key": marker}
        target = f"/storm?{HUSH}"
        # Whoever posts to an edge that stands still gives up and goes on elsewhere.
        patience = 0.5 if method == "POST" else None
        try:
            async with asyncio.timeout(patience):
                answer = await caller.ask(method, target, body=body, headers=headers)
        except (BrokenError, OSError) as error:
            self.failed.append(f"{marker}: {error!r}")
            caller.close()
            return
        if answer.status != 200:
            self.failed.append(f"{marker}: {answer.status} {answer.body!r}")
            return
        self.served.append(marker)
        self._until_next -= 1
        if not self._until_next:
            self._until_next = self._chance.randrange(30, 100)
            self._strike(*answer.headers["x-simulator-edge"].split())

    def _strike(self, name: str, address: str) -> None:
        """Something happens to the edge that served last, or to its one address."""
        self._provider.heal()
        edge = self._provider.edges[name]
        place = next(one for one in edge.addresses if one.address == address)
        fault = self._chance.choice(FAULTS)
        self._chance.choice((edge, place)).fail(fault)
        self.faults.append(f"{fault} {name} after {len(self.served)} served")


@pytest.mark.timeout(90)
async def test_storm_of_faults_fails_no_idempotent_request_and_doubles_no_post(
    site: Site, directory: Path
) -> None:
    seed = int(os.environ.get("EDGE_ROUTER_SEED") or random.randrange(1 << 32))
    chance = random.Random(seed)
    async with Provider.start(EDGES, seed=seed) as provider:
        health = stage.SOON | {"recovery": "0s"}
        listeners = {"api": stage.terminate(site)}
        settings = stage.configuration(provider, directory, listeners, health=health)
        async with stage.running(settings, directory) as daemon:
            storm, trust = Storm(provider, chance), site.trust()
            callers = [Caller(daemon.ports["api"], trust) for _ in range(CALLERS)]
            await asyncio.gather(*(storm.call(caller) for caller in callers))
            provider.heal()
    told = f"EDGE_ROUTER_SEED={seed}\n" + "\n".join((*storm.faults, *storm.failed))
    ledger = provider.ledger
    received = ledger.markers()
    assert len(storm.faults) >= 10, told
    assert len(storm.served) + len(storm.failed) == REQUESTS, told
    assert all(failed.startswith("POST") for failed in storm.failed), told
    assert all(received[marker] for marker in storm.served), told
    assert not {m for m in ledger.duplicates() if m.startswith("POST")}, told
