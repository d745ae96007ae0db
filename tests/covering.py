"""A plugin of pytest: each core is covered whole, every branch, by its own twin alone.

By its plain tests, that is: properties and long runs come on top of them. The ordinary
run of a twin is measured while it runs, and its last test, which is added here, says
what it left out. A run of some tests of a twin only has no such last test. What a twin
runs while it is imported does not count.
"""

import functools
import gc
import io
import runpy
from collections.abc import Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Self

import coverage
import pytest

ROOT = Path(__file__).parents[1]

Cache = functools._lru_cache_wrapper

CORES = (
    "protocols/http/answers.py",
    "protocols/http/fields.py",
    "protocols/http/framing.py",
    "protocols/http/head.py",
    "protocols/http/hello.py",
    "protocols/net/admission.py",
    "protocols/net/race.py",
    "protocols/sip/account.py",
    "protocols/sip/answering.py",
    "protocols/sip/branch.py",
    "protocols/sip/cancel.py",
    "protocols/sip/context.py",
    "protocols/sip/failover.py",
    "protocols/sip/fields.py",
    "protocols/sip/guard.py",
    "protocols/sip/headers.py",
    "protocols/sip/machines.py",
    "protocols/sip/message.py",
    "protocols/sip/names.py",
    "protocols/sip/pins.py",
    "protocols/sip/places.py",
    "protocols/sip/proxy.py",
    "protocols/sip/rates.py",
    "protocols/sip/replies.py",
    "protocols/sip/routing.py",
    "protocols/sip/sdp.py",
    "protocols/sip/seals.py",
    "protocols/sip/search.py",
    "protocols/sip/shared.py",
    "protocols/sip/stamp.py",
    "protocols/sip/stream.py",
    "protocols/sip/timers.py",
    "protocols/sip/token.py",
    "protocols/sip/transaction.py",
    "protocols/sip/validity.py",
    "protocols/sip/ways.py",
    "protocols/websocket/frames.py",
    "protocols/websocket/handshake.py",
    "router/advice.py",
    "router/bandwidth.py",
    "router/birdc.py",
    "router/catalogue.py",
    "router/choice.py",
    "router/config.py",
    "router/contradiction.py",
    "router/demo/tally.py",
    "router/descriptions.py",
    "router/dialect.py",
    "router/differences.py",
    "router/document.py",
    "router/egress.py",
    "router/election.py",
    "router/fragment.py",
    "router/health.py",
    "router/linkcheck.py",
    "router/links.py",
    "router/location.py",
    "router/names.py",
    "router/openings.py",
    "router/order.py",
    "router/origins.py",
    "router/policy.py",
    "router/register.py",
    "router/reserved.py",
    "router/rtnetlink.py",
    "router/services.py",
    "router/sessions.py",
    "router/sources.py",
    "router/spacing.py",
    "router/table.py",
    "router/units.py",
    "simulator/console.py",
    "simulator/messages.py",
    "simulator/signalling.py",
)
"Modules that decide and do nothing else, but for those that have no branches."


def twins(cores: Iterable[str]) -> dict[str, str]:
    """Each core by its file of tests; both relative to the root, with slashes."""
    paths = map(Path, cores)
    return {f"tests/{path.parent}/test_{path.name}": str(path) for path in paths}


class Measure:
    """What the plain tests of one twin run of their core."""

    def __init__(self, core: Path, tests: Iterable[str]) -> None:
        self._core = core
        self._awaited = set(tests)
        self.begun = False
        "Whether one of the tests was measured."
        self._coverage = coverage.Coverage(
            data_file=None,
            config_file=str(ROOT / "pyproject.toml"),
            branch=True,
            include=[str(core)],
        )

    def resume(self, test: str) -> None:
        """Measure this test, and all that follows it until the measure rests."""
        self.begun = True
        self._awaited.discard(test)
        self._coverage.start()

    def rest(self) -> None:
        """Do not measure what follows."""
        self._coverage.stop()

    @property
    def whole(self) -> bool:
        """Whether all tests were measured."""
        return not self._awaited

    def left_out(self) -> str:
        """What none of the tests ran, as a table; empty if there is no such thing."""
        with self._coverage.collect():  # the core was imported long ago, unmeasured
            runpy.run_path(str(self._core))
        shown = io.StringIO()
        share = self._coverage.report(show_missing=True, file=shown)
        return "" if share == 100 else shown.getvalue()


_PART = "The twin did not run whole before this test: run the file, or --dist loadfile."


class LastTest(pytest.Item):
    """The test that ends a twin."""

    measure: Measure

    @classmethod
    def after(cls, test: pytest.Item, measure: Measure) -> Self:
        """The last test of the file of this one, which is the last so far."""
        assert test.parent is not None
        last: Self = cls.from_parent(
            test.parent, name="test_core_is_covered_by_its_twin"
        )
        last.measure = measure
        return last

    def runtest(self) -> None:
        if not self.measure.whole:
            pytest.fail(_PART, pytrace=False)
        if left_out := self.measure.left_out():
            pytest.fail(left_out, pytrace=False)

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, self.name


class Covering:
    """The plugin; `cores` by their twins, both relative to `root`."""

    def __init__(self, root: Path, cores: Mapping[str, str]) -> None:
        self._root = root
        self._cores = cores
        self._tests: dict[str, list[pytest.Item | pytest.Collector]] = {}
        "All tests of each twin, whether they shall run or not."
        self._measures: dict[str, Measure] = {}
        "Of twins whose tests shall all run."
        self._caches: list[Cache[object]] = []
        "What modules remember: a twin begins with nothing remembered."

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note which tests a twin has."""
        if report.nodeid in self._cores and report.passed:
            self._tests[report.nodeid] = list(report.result)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Add a last test to each twin of which no test was left out."""
        chosen: dict[str, list[pytest.Item]] = {}
        for item in items:
            if (twin := _twin(item)) in self._tests:
                chosen.setdefault(twin, []).append(item)
        for twin, tests in chosen.items():
            if len(tests) == len(self._tests[twin]):
                plain = (test.nodeid for test in tests if _is_plain(test))
                measure = Measure(self._root / self._cores[twin], plain)
                self._measures[twin] = measure
                place = items.index(tests[-1]) + 1
                items.insert(place, LastTest.after(tests[-1], measure))
        self._caches = list(self._found_caches()) if self._measures else []

    def _found_caches(self) -> "Iterator[Cache[object]]":
        ours = tuple({f"{Path(core).parts[0]}." for core in self._cores.values()})
        for thing in gc.get_objects():
            if isinstance(thing, Cache) and thing.__module__.startswith(ours):
                yield thing

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item
    ) -> Generator[None, object, object]:
        """Measure one test, its fixtures included, if it is a plain one of a twin."""
        measure = self._measures.get(_twin(item))
        if measure is None or not _is_plain(item):
            return (yield)
        if not measure.begun:
            for cache in self._caches:
                cache.cache_clear()
        measure.resume(item.nodeid)
        try:
            return (yield)
        finally:
            measure.rest()


def _twin(test: pytest.Item) -> str:
    return test.nodeid.partition("::")[0]


def _is_plain(test: pytest.Item) -> bool:
    marks = {mark.name for mark in test.iter_markers()}
    return not isinstance(test, LastTest) and marks.isdisjoint({"hypothesis", "long"})
