"""The overview: it samples, it remembers, it knows what is configured."""

import tempfile
from pathlib import Path
from typing import Any

from router.election import Switch
from router.files import read
from router.logs import open_log
from router.overview import Overview

EXAMPLE = Path(__file__).parents[2] / "examples" / "edge-router.yaml"


async def test_status_holds_the_configuration_the_past_and_samples(
    measured: Any,
) -> None:
    loaded = read(EXAMPLE, verify=False)
    with tempfile.TemporaryFile("w+") as stream:
        log = open_log("json", stream=stream)
        overview = Overview(
            loaded, EXAMPLE, measured.checker, log, lambda: iter(()), lambda: ()
        )
        overview.changed([Switch(None, "ashburn", "the first home")])
        overview.start()
        status = overview.status()
        overview.close()
        log.close()
    assert status.home_reason == "the first home"
    assert [len(edge.samples) for edge in status.edges] == [1, 1]
    assert status.about.started <= status.about.loaded <= status.time
    found = {one.name: (one.direction, one.leads_to) for one in status.about.listeners}
    assert found["api"] == ("to_provider", ("api",))
    assert found["webhooks"] == ("from_provider", ("webhooks",))
    assert found["trunk"][0] == "both"
    overview.reloaded(loaded)
    assert overview.about.started == status.about.started
