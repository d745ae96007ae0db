"""The catalogue file with which a router finds its way around this provider."""

from collections.abc import Sequence

import yaml

from simulator.plan import REGIONS, EdgePlan, addresses
from simulator.signalling import Voice
from simulator.zone import REST, Zone

FINAL = ["400", "404", "408", "415", "422", "480", "486", "504"]
"Failures of a call that are the callee's or the caller's."

ACCOUNT = ["403", "407", "603", "503 Trunk CPS limit exceeded"]
"Failures of a call that are the account's."


def catalogue(
    zone: Zone,
    plans: Sequence[EdgePlan],
    port: int,
    options_period: float = 10.0,
) -> str:
    """The provider as YAML: its names as in the real one, its ports, its edges.

    The zone knows the ports of SIP. `options_period` is the least time in seconds
    between two OPTIONS, to which half is added.
    """
    at = addresses(plans)
    serving = {
        region: [plan.name for plan in plans if region in plan.served]
        for region in REGIONS
    }
    return yaml.safe_dump(
        {
            "version": 1,
            "name": "simulated",
            "simulated": True,
            "default_edge": next(plan.name for plan in plans if not plan.private),
            "default_region": REGIONS[0],
            "edges": {
                plan.name: {
                    "kind": "private" if plan.private else "public",
                    "networks": {"sip_signalling": [f"{one}/32" for one in own]},
                }
                for plan, own in ((plan, at[plan.name]) for plan in plans)
            },
            "regions": {
                region: {"home_edge": edges[0]}
                for region, edges in serving.items()
                if edges
            },
            "dialect": {
                "edge_parameter": "edge",
                "webhook_edges": [plan.name for plan in plans],
                "environment": {"TWILIO_EDGE": "{edge}", "TWILIO_REGION": "{region}"},
            },
            "products": {
                "rest": {
                    "names": list(REST),
                    "protocol": "https",
                    "transports": {"tls": port},
                    "host": f"{{product}}.{{edge}}.{{region}}.{zone.domain}",
                    "also": [f"{{product}}.{zone.domain}"],
                    "edges_in_region": {
                        region: edges for region, edges in serving.items() if edges
                    },
                },
                "pstn": {
                    "protocol": "sip",
                    "transports": {
                        way: zone.ports[way] for way in ("tls", "tcp", "udp")
                    },
                    "host": f"{{tenant}}.pstn.{zone.domain}",
                    "next_hop": f"pstn.{{edge}}.{zone.domain}",
                    "server_name": f"pstn.{{edge}}.{zone.domain}",
                    "region_from": "account",
                    "also": [f"{{tenant}}.pstn.{{edge}}.{zone.domain}"],
                    "min_probe_interval": f"{options_period * 1500:.0f}ms",
                    "failover": {
                        "advance": ["5xx"],
                        "final": FINAL,
                        "account": ACCOUNT,
                    },
                },
                "voice-js": {
                    "protocol": "websocket",
                    "transports": {"tls": port},
                    "host": f"voice-js.{{edge}}.{zone.domain}",
                    "region_from": "token",
                    "probe_path": Voice.path,
                },
                "vss": {
                    "protocol": "websocket",
                    "transports": {"tls": port},
                    "host": f"{{region}}.vss.{zone.domain}",
                    "also": [f"global.vss.{zone.domain}"],
                },
            },
        },
        sort_keys=False,
    )
