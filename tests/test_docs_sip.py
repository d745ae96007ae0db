"""Every rule in docs/sip.md has its test, and every module named there is one."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROWS = [
    line
    for line in (ROOT / "docs/sip.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith(("| rule", "| the RFC"))
]
TESTS = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(
        r"^(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE
    )
}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[2:50])
def test_rule_is_shown_by_tests_that_exist(row: str) -> None:
    named = re.findall(r"`(test_\w+)`", row)
    assert named or "| not done |" in row
    assert {*named} <= TESTS


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[2:50])
def test_rule_is_kept_by_a_module_that_exists(row: str) -> None:
    _, where, _ = row.strip("| ").split(" | ")
    for name in re.findall(r"`([a-z][\w/.]+)`", where):
        if not name.startswith("test_"):
            path = name if "/" in name else f"protocols/sip/{name}.py"
            assert (ROOT / path).exists(), path
