import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.contenders import CONTENDERS, HOME, Work, issue
from benchmarks.failover import Origins
from benchmarks.processes import answers


@pytest.fixture
def origins(tmp_path: Path) -> Iterator[Origins]:
    made = Origins(issue(tmp_path), tmp_path)
    try:
        made.wait()
        yield made
    finally:
        made.end()


@pytest.mark.parametrize("name", CONTENDERS)
def test_a_contender_serves_and_ends_with_its_block(
    name: str, origins: Origins, tmp_path: Path
) -> None:
    if name != "edge-router" and not shutil.which(name.lower()):
        pytest.skip(f"{name} is not installed")
    work = Work(origins.certificate, origins.port, two_origins=True)
    tmp_path.chmod(0o755)
    contender = CONTENDERS[name](work, tmp_path)
    with contender.process:
        contender.process.wait_for(HOME, contender.port)
        assert contender.process.resident() > 0
    assert not answers(HOME, contender.port)
