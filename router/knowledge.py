"""What the daemon knows of the provider: names, health and preference, kept up to date.

Wires the resolver, the checker and the state file to each other and to the log.
"""

import dataclasses
import functools
import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from protocols.net.tasks import Tasks
from protocols.target import Probe
from router import events, health, policy, state
from router.changes import Change
from router.checker import Checker
from router.config import Loaded
from router.election import Switch
from router.endpoint import Endpoint, Protocol
from router.endpoints import ANYWHERE, endpoints, receivers
from router.exits import Exits
from router.logs import Log
from router.lookup import Sources
from router.names import Answer
from router.outage import Ended, Outage
from router.resolver import Resolver
from router.saved import Saved, dump, parse
from router.scope import Scope
from router.settings import Config
from router.snapshot import Snapshot
from router.status import LinkStatus
from router.table import Table
from router.telling import tell_answer, tell_change, tell_probe, tell_ranking
from router.usage import Usage

OnChange = Callable[[Snapshot, tuple[Change, ...]], None]
"Told of a new snapshot when routes or health changed."

SCORES_LAST = 86_400.0
"Seconds after which saved scores are forgotten: by then the best edge is another."


class Knowledge:
    """The one health checker and the one policy of the daemon, and what feeds them."""

    def __init__(
        self,
        loaded: Loaded,
        probes: Mapping[Protocol, Probe],
        on_change: OnChange,
        *,
        log: Log,
        tasks: Tasks,
        directory: Path | None,
        now: float,
        usage: Usage,
        refit: Callable[[], None],
    ) -> None:
        """`directory` is where knowledge outlives a restart, and so does what links
        carry; None keeps nothing. `refit` has sockets fit the interfaces of links as
        they are now.
        """
        self._log = log
        self._usage = usage
        self._on_change = on_change
        self._directory = directory
        scope = _scope(loaded)
        self._region = loaded.config.provider.region
        table = Table(
            scope.kinds,
            scope.endpoints,
            scope.receivers,
            now=now,
            uniform=random.uniform,
            settings=scope.settings,
            preference=scope.preference,
        )
        self._table = table
        self.checker = Checker(
            table,
            probes,
            tasks=tasks,
            on_change=self._changed,
            on_failure=functools.partial(tell_probe, log),
            look_up=lambda name: self._resolver.hurry(name),
        )
        "Takes reports, holds the snapshot."
        links = loaded.config.provider.links
        self.exits = Exits(links, self.checker, log=log, tasks=tasks, refit=refit)
        "Has private edges used only while they are private."
        self._product = _ranked(scope)
        self._addresses: dict[str, tuple[str, ...]] = {}
        self._outage = Outage()
        self._keeper: state.Keeper | None = None
        saved = self._restore()
        self._resolver = Resolver(
            self._answered,
            _sources(loaded.config),
            known=saved.addresses if saved is not None else {},
        )

    def start(self) -> None:
        """Look names up and probe from now on."""
        if self._keeper is not None:
            # As long as the file does not say that this run has ended, the next one
            # takes it that it crashed. So it is there before the first OPTIONS.
            if not self._keeper.write():
                self.checker.doubt()
            self._keeper.start()
        self._resolver.watch(self._table.names)
        self.exits.watch()
        self.checker.start()

    def change(self, loaded: Loaded, probes: Mapping[Protocol, Probe]) -> None:
        """Go by another configuration; what is known of what stays is kept."""
        scope = _scope(loaded)
        self._region = loaded.config.provider.region
        self._product = _ranked(scope)
        self.checker.change(scope, probes)
        self.exits.change(loaded.config.provider.links)
        self._resolver.watch(self._table.names)
        self._resolver.change(_sources(loaded.config))
        answers = self._resolver.answers
        for name, answer in answers.items():
            if answer.locations or answer.gone:  # new endpoints may share a name
                self.checker.addresses(name, answer.locations)
        self._addresses = {n: a for n, a in self._addresses.items() if n in answers}
        self.exits.watch()
        self._recovered(self._outage.keep(answers, time.monotonic()))

    def links(self) -> tuple[LinkStatus, ...]:
        """How each link stands, and what it carries, in configured order."""
        uses = self._usage.links
        return tuple(
            dataclasses.replace(one, use=uses.get(one.name))
            for one in self.exits.links()
        )

    async def close(self) -> None:
        """Stop, and save what was learnt."""
        self.checker.close()
        await self.exits.close()
        await self._resolver.close()
        if self._keeper is not None:
            await self._keeper.close()

    def _restore(self) -> Saved | None:
        if self._directory is None:
            self.checker.doubt()
            return None
        path = self._directory / "state.json"
        self._keeper = state.Keeper(
            path, self._saved, lambda reason: self._unsaved(path, reason)
        )
        found = state.load(path, parse, now=time.time_ns() / 1e9)
        if found.reason:
            self._log.say(events.STATE_IGNORED, path=str(path), reason=found.reason)
            self.checker.doubt()
        if found.value is None:
            return None
        saved = found.value
        if found.age > SCORES_LAST:
            saved = dataclasses.replace(saved, scores={})
        self.checker.restore(dump(saved), found.age)
        calls = self._resume(path, saved.calls, found.age)
        self._log.say(
            events.STATE_RESTORED,
            path=str(path),
            names=len(found.value.addresses),
            calls=calls or None,
            age_s=round(found.age),
        )
        return found.value

    def _resume(self, path: Path, calls: object, age: float) -> int:
        """Take up the calls on links that were saved, if any were."""
        try:
            return self._usage.restore(calls, age) if calls is not None else 0
        except ValueError as error:
            self._log.say(events.STATE_IGNORED, path=str(path), reason=str(error))
            return 0

    def _saved(self) -> dict[str, object]:
        return {**self.checker.saved(), "calls": self._usage.saved()}

    def _unsaved(self, path: Path, reason: str) -> None:
        self._log.say(events.STATE_UNSAVED, path=str(path), reason=reason)

    def _answered(self, name: str, answer: Answer) -> None:
        before = self._addresses.get(name, ())
        tell_answer(self._log, name, answer, before)
        self._recovered(self._outage.note(name, answer.failed, time.monotonic()))
        if answer.locations or answer.gone:
            self._addresses[name] = answer.addresses
            self.checker.addresses(name, answer.locations)
            self.exits.watch()
            self.save()

    def _recovered(self, ended: Ended | None) -> None:
        if ended is not None:
            self._log.say(
                events.RESOLVER_RECOVERED,
                names=ended.names,
                held_s=round(ended.lasted, 1),
            )

    def _changed(self, snapshot: Snapshot, changes: tuple[Change, ...]) -> None:
        for change in changes:
            tell_change(self._log, change, self._region)
        if self._product and any(isinstance(change, Switch) for change in changes):
            tell_ranking(self._log, snapshot, self._product)
        self.save()
        self._on_change(snapshot, changes)

    def save(self) -> None:
        """Write soon to the disk what is known, if it is kept there."""
        if self._keeper is not None:
            self._keeper.changed()


def _scope(loaded: Loaded) -> Scope:
    config, catalogue = loaded.config, loaded.catalogue
    ranked: list[Endpoint] = []
    # What has no edge in its name has nothing to choose: it is kept in health like a
    # receiver of the site, and takes no part in the ranking.
    fixed: list[Endpoint] = list(receivers(config))
    for endpoint in endpoints(catalogue, config):
        (fixed if endpoint.edge == ANYWHERE else ranked).append(endpoint)
    return Scope(
        {name: catalogue.edges[name].kind for name in config.provider.edges},
        tuple(ranked),
        tuple(fixed),
        _health(config),
        _preference(config),
    )


def _ranked(scope: Scope) -> str:
    """A product that is ranked: preference is per edge, so one tells that of all."""
    return next((endpoint.product for endpoint in scope.endpoints), "")


def _sources(config: Config) -> Sources:
    given = config.resolver.nameservers
    return Sources(nameservers=[(str(ns.address), ns.port) for ns in given])


def _health(config: Config) -> health.Settings:
    chosen = config.health
    return health.Settings(
        interval=chosen.interval,
        fast_interval=chosen.fast_interval,
        timeout=chosen.timeout,
        fall=chosen.fall,
        rise=chosen.rise,
        recovery=chosen.recovery,
        sip_options_interval=chosen.sip_options_interval,
    )


def _preference(config: Config) -> policy.Settings:
    chosen = config.policy
    return policy.Settings(
        default_edge=chosen.default_edge,
        private_max_extra=chosen.prefer_private.max_extra,
        min_gain=chosen.switch.min_gain,
        min_gain_ratio=chosen.switch.min_gain_ratio,
        dwell=chosen.switch.dwell,
        window=chosen.window,
    )
