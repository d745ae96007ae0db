"""Where a host name leads that a client of a forward proxy asks for. Pure.

The client verifies the far certificate for the name it asked for, and the router does
not see inside. A name without an edge fits every edge; one that names an edge is that
edge's alone, and is not sent to others.
"""

from collections.abc import Callable, Collection, Mapping

from protocols.target import Choose, Target
from router.hosts import HostNames, Refusal, match_host


def forward(
    names: HostNames, region: str, choices: Mapping[str, Choose]
) -> Callable[[str, int], Choose | str]:
    """The chooser for a host and port, or the reason why there is none.

    `choices` has one for each product that `names` lead to.
    """

    def route(host: str, port: int) -> Choose | str:
        match = match_host(names, host, port, region)
        if isinstance(match, Refusal):
            return match.text
        choose = choices[match.product]
        return choose if match.edge is None else at_edge(choose, match.edge)

    return route


def at_edge(choose: Choose, edge: str) -> Choose:
    """The same choice, of one edge's targets only."""

    def chosen(tried: Collection[Target]) -> Target | None:
        passed = list(tried)
        while (target := choose(passed)) is not None and target.label != edge:
            passed.append(target)
        return target

    return chosen
