"""The catalogue file with which a router finds its way around this provider."""

from collections.abc import Sequence

import yaml

from simulator.plan import REGIONS, EdgePlan
from simulator.signalling import Voice
from simulator.zone import REST, Zone


def catalogue(zone: Zone, plans: Sequence[EdgePlan], port: int) -> str:
    """The provider as YAML: its names as in the real one, its port, its edges."""
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
                plan.name: {"kind": "private" if plan.private else "public"}
                for plan in plans
            },
            "regions": {
                region: {"home_edge": edges[0]}
                for region, edges in serving.items()
                if edges
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
