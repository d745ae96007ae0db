"""What the daemon does, in the one line that `systemctl status` shows."""

from collections.abc import Mapping

from router.health import State
from router.snapshot import Edge, Snapshot


def headline(snapshot: Snapshot, default: str, flows: Mapping[str, int]) -> str:
    """Home, how much goes on by kind of flow, and how many edges are up.

    `default` is home as long as none is chosen.
    """
    edges = {name: edge for name, edge in snapshot.edges.items() if edge.used}
    home = snapshot.home.edge or default
    busy = ", ".join(f"{count} {kind}" for kind, count in flows.items() if count)
    up = sum(edge.state is State.UP for edge in edges.values())
    parts = [f"home {_shown(edges[home])}" if home in edges else "no home"]
    parts += [busy or "idle", f"{up}/{len(edges)} edges up"]
    if snapshot.frozen:
        parts.append("own uplink suspected")
    return " | ".join(parts)


def _shown(edge: Edge) -> str:
    score = edge.score
    trip = "not measured" if score is None else f"{1000 * score.round_trip:.1f} ms"
    state = "" if edge.state is State.UP else f", {edge.state.value}"
    return f"{edge.name} {trip} ({edge.kind.value}{state})"
