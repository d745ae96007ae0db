"""Every module has a test file of its own name."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

EXCUSED = {
    "protocols/http/search.py": "an exchange's way to a connection: test_relay.py",
    "protocols/record.py": "fields without behaviour",
    "protocols/sip/records.py": "fields without behaviour",
    "protocols/sip/settings.py": "fields without behaviour",
    "protocols/sip/way.py": "fields without behaviour",
    "protocols/websocket/shared.py": "fields without behaviour",
    "router/__main__.py": "two lines, run by every test that starts the daemon",
    "router/scope.py": "fields without behaviour",
    "router/demo/__main__.py": "two lines, run by tests/router/demo/test_play.py",
    "simulator/sip/plan.py": "fields without behaviour",
}
"Modules without a twin, and why."

MODULES = sorted(
    str(path.relative_to(ROOT))
    for package in ("protocols", "router", "simulator")
    for path in (ROOT / package).rglob("*.py")
    if path.name != "__init__.py"
)


def twin(module: str) -> Path:
    path = Path(module)
    return ROOT / "tests" / path.parent / f"test_{path.stem.strip('_')}.py"


@pytest.mark.parametrize("module", MODULES)
def test_module_has_a_twin_or_an_excuse(module: str) -> None:
    assert twin(module).exists() != (module in EXCUSED)


def test_excused_modules_exist() -> None:
    assert {*EXCUSED} <= {*MODULES}
