"""What pyproject.toml promises."""

import itertools
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
LOCKED = dict(
    re.findall(r"^([\w-]+)==([\w.]+)", (ROOT / "requirements.lock").read_text(), re.M)
)
RELIED_ON = [
    *PROJECT["project"]["dependencies"],
    *itertools.chain(*PROJECT["project"]["optional-dependencies"].values()),
    *itertools.chain(*PROJECT["dependency-groups"].values()),
]


@pytest.mark.parametrize("wanted", RELIED_ON)
def test_dependency_has_a_lower_bound_and_is_locked(wanted: str) -> None:
    found = re.fullmatch(r"([\w-]+)>=[0-9.]+", wanted)
    assert found is not None
    assert found[1].lower() in LOCKED
