"""Whoever is shown the record of each flow before it is logged."""

import json
import tempfile

from protocols.record import FlowRecord
from protocols.sip.records import CallRecord
from router.following import Following
from router.incoming import Incoming
from router.logs import open_log
from router.usage import Usage
from tests.router.test_usage import PRIVATE, loaded


def test_flow_tells_where_it_came_from_and_is_counted_on_the_link() -> None:
    with tempfile.TemporaryFile("w+") as file:
        log = open_log("json", stream=file)
        incoming = Incoming(loaded(), log)
        usage = Usage(loaded(), lambda: (), incoming.edge_of, lambda: 1.0)
        log.follows = Following(incoming, usage, lambda: 1.0)
        record = FlowRecord("hooks", "https", "from_provider", PRIVATE, sent=50_000)
        log.log_flow(record)
        log.log_call("trunk", CallRecord("BYE", "to_provider", "10.0.0.1", "id", "a"))
        log.close()
        file.seek(0)
        flow, call = (json.loads(line) for line in file)
    assert flow["origin"] == "ashburn-ix"
    assert call["event"] == "call.ended"
    usage.look(1.0)
    assert usage.links["ix1"].other > 0
