"""The import rules of docs/architecture.md, read from the source."""

import ast
import functools
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("protocols", "router", "simulator")

CORES = (
    "protocols.http.answers",
    "protocols.http.fields",
    "protocols.http.framing",
    "protocols.http.head",
    "protocols.http.hello",
    "protocols.net.admission",
    "protocols.net.names",
    "protocols.net.race",
    "protocols.record",
    "protocols.sip.account",
    "protocols.sip.answering",
    "protocols.sip.branch",
    "protocols.sip.cancel",
    "protocols.sip.context",
    "protocols.sip.failover",
    "protocols.sip.fields",
    "protocols.sip.guard",
    "protocols.sip.headers",
    "protocols.sip.machines",
    "protocols.sip.message",
    "protocols.sip.names",
    "protocols.sip.peers",
    "protocols.sip.pins",
    "protocols.sip.places",
    "protocols.sip.proxy",
    "protocols.sip.rates",
    "protocols.sip.records",
    "protocols.sip.replies",
    "protocols.sip.routing",
    "protocols.sip.sdp",
    "protocols.sip.seals",
    "protocols.sip.search",
    "protocols.sip.settings",
    "protocols.sip.shared",
    "protocols.sip.stamp",
    "protocols.sip.stream",
    "protocols.sip.timers",
    "protocols.sip.token",
    "protocols.sip.transaction",
    "protocols.sip.validity",
    "protocols.sip.way",
    "protocols.sip.ways",
    "protocols.target",
    "protocols.websocket.frames",
    "protocols.websocket.handshake",
    "router.access",
    "router.addresses",
    "router.advice",
    "router.agenda",
    "router.assessment",
    "router.bandwidth",
    "router.birdc",
    "router.budget",
    "router.catalogue",
    "router.changes",
    "router.choice",
    "router.config",
    "router.consistency",
    "router.contradiction",
    "router.crosscheck",
    "router.demo.tally",
    "router.descriptions",
    "router.dialect",
    "router.differences",
    "router.document",
    "router.egress",
    "router.election",
    "router.endpoint",
    "router.endpoints",
    "router.events",
    "router.explanation",
    "router.flows",
    "router.forwarding",
    "router.fragment",
    "router.headline",
    "router.health",
    "router.history",
    "router.hosts",
    "router.lines",
    "router.linkcheck",
    "router.links",
    "router.listeners",
    "router.location",
    "router.names",
    "router.openings",
    "router.order",
    "router.origins",
    "router.outage",
    "router.policy",
    "router.privacycheck",
    "router.problem",
    "router.records",
    "router.register",
    "router.repeats",
    "router.reserved",
    "router.routes",
    "router.rtnetlink",
    "router.saved",
    "router.scope",
    "router.schedule",
    "router.schema",
    "router.services",
    "router.sessions",
    "router.settings",
    "router.snapshot",
    "router.sources",
    "router.spacing",
    "router.spilling",
    "router.standing",
    "router.status",
    "router.summary",
    "router.table",
    "router.units",
    "router.uplink",
    "router.validation",
    "router.window",
    "simulator.console",
    "simulator.messages",
    "simulator.overrides",
    "simulator.plan",
    "simulator.signalling",
    "simulator.sip.callees",
    "simulator.sip.digest",
    "simulator.sip.framing",
    "simulator.sip.limits",
    "simulator.sip.message",
    "simulator.sip.plan",
    "simulator.zone",
)
"Modules that decide and do nothing else."

DOING = {
    "aiohttp", "asyncio", "dns", "logging", "os", "random", "rich",
    "secrets", "select", "signal", "socket", "ssl", "structlog", "subprocess",
    "threading", "time", "trustme", "uvloop",
}  # fmt: skip
"What has clocks, randomness, input or output."


@functools.cache
def modules() -> dict[str, Path]:
    """Every module of the product, by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = path
    return found


@functools.cache
def tree(name: str) -> ast.Module:
    return ast.parse(modules()[name].read_text(encoding="utf-8"))


def imported(nodes: Iterator[ast.AST] | list[ast.stmt]) -> Iterator[str]:
    """Dotted names of what is imported; for `from a import b` both a and a.b."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@functools.cache
def imports(name: str) -> frozenset[str]:
    """What a module imports, of ours as modules, of others as top-level packages."""
    ours = modules()
    found = set()
    for target in imported(ast.walk(tree(name))):
        if target.partition(".")[0] not in PACKAGES:
            found.add(target.partition(".")[0])
        elif target in ours:
            found.add(target)
    # `from a.b import c` names the package a.b, too; what is meant is the module in it.
    packages = {n for n, path in ours.items() if path.name == "__init__.py"}
    return frozenset(found - packages)


def package(name: str) -> str:
    return name.partition(".")[0]


def layer(name: str) -> str:
    """`protocols.http.head` is of the layer `protocols.http`."""
    return ".".join(name.split(".")[:2])


ALL = pytest.mark.parametrize("name", modules())


def named(prefix: str) -> pytest.MarkDecorator:
    names = [name for name in modules() if name.startswith(prefix)]
    assert names, prefix
    return pytest.mark.parametrize("name", names)


@named("protocols")
def test_protocols_know_neither_router_nor_simulator(name: str) -> None:
    assert {package(other) for other in imports(name)}.isdisjoint(
        {"router", "simulator"}
    )


@named("router")
def test_router_knows_no_simulator_but_in_the_demo(name: str) -> None:
    if name != "router.demo.stage":
        assert "simulator" not in {package(other) for other in imports(name)}


@named("router")
def test_nothing_in_the_daemon_knows_the_demo(name: str) -> None:
    if not name.startswith("router.demo"):
        assert not [o for o in imports(name) if o.startswith("router.demo")]


@named("simulator")
def test_simulator_knows_neither_protocols_nor_router(name: str) -> None:
    assert {package(other) for other in imports(name)}.isdisjoint(
        {"protocols", "router"}
    )


@named("protocols")
def test_protocol_packages_do_not_know_each_other(name: str) -> None:
    allowed = {layer(name), "protocols.net", "protocols.target", "protocols.record"}
    if layer(name) == "protocols.net":
        allowed.discard("protocols.http")
    others = {layer(o) for o in imports(name) if package(o) == "protocols"}
    if layer(name) == "protocols.websocket":
        others.discard("protocols.http")  # its opening handshake is HTTP
    assert others <= allowed


@pytest.mark.parametrize("name", CORES)
def test_core_imports_nothing_that_acts(name: str) -> None:
    assert not imports(name) & DOING


@pytest.mark.parametrize("name", CORES)
def test_core_imports_cores_only(name: str) -> None:
    ours = {other for other in imports(name) if package(other) in PACKAGES}
    assert ours <= {*CORES, "router.demo.clients"}, name


COMPOSERS = {
    "router.admin",
    "router.app",
    "router.asked",
    "router.https",
    "router.keyring",
    "router.opened",
    "router.probes",
    "router.relays",
    "router.reloads",
    "router.sockets",
    "router.trunks",
}


@named("router")
def test_shells_of_protocols_are_imported_by_composers_alone(name: str) -> None:
    # Tasks need an owner, and files a careful reader, everywhere.
    common = {"protocols.net.tasks", "protocols.net.reading"}
    shells = {o for o in imports(name) if package(o) == "protocols"} - {*CORES} - common
    assert name in COMPOSERS or not shells


def test_no_cycle_in_the_imports() -> None:
    graph = {
        name: {other for other in imports(name) if package(other) in PACKAGES}
        for name in modules()
    }
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError


@ALL
def test_no_import_inside_a_function(name: str) -> None:
    inside = [
        node
        for node in ast.walk(tree(name))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    ]
    assert not [t for function in inside for t in imported(ast.walk(function))]


@ALL
def test_tasks_are_created_by_their_owner_alone(name: str) -> None:
    if name in ("protocols.net.tasks", "simulator.tasks"):
        return
    called = [
        node.func.attr
        for node in ast.walk(tree(name))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    ]
    assert not {"create_task", "ensure_future"} & {*called}
