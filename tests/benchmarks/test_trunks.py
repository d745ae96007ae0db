import shutil
from pathlib import Path

import pytest

from benchmarks import sipp
from benchmarks.contenders import issue
from benchmarks.processes import free_port
from benchmarks.trunks import EDGES, Start, Work, edge_router, kamailio


@pytest.mark.skipif(shutil.which("sipp") is None, reason="sipp is not installed")
@pytest.mark.parametrize("start", [edge_router, kamailio])
def test_a_trunk_carries_calls_and_ends_with_its_block(
    start: Start, tmp_path: Path
) -> None:
    if start is kamailio and not shutil.which("kamailio"):
        pytest.skip("kamailio is not installed")
    port = free_port(*EDGES)
    with sipp.edge("udp", (EDGES[0], port), tmp_path / "edge.log"):
        trunk = start(Work("udp", issue(tmp_path), port), tmp_path)
        with trunk.process:
            trunk.process.wait_until(trunk.serves)
            assert trunk.process.resident() > 0
        assert not trunk.serves()
