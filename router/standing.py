"""How direct links stand: whether they are private, and what BIRD says of them."""

from collections.abc import Iterable

from router.birdc import Evidence
from router.egress import Privacy, Verdict, Way
from router.links import Link
from router.records import Exit
from router.status import BgpStatus, LinkStatus

UNSEEN = Verdict(Privacy.UNKNOWN, "no interface is configured")
UNUSED = Verdict(Privacy.UNKNOWN, "no address of its edges is in use")

_GRAVITY = (Privacy.EXPOSED, Privacy.UNKNOWN, Privacy.PRIVATE)


def way_of(exit_: Exit, link: Link) -> Way:
    """The way to be looked after, of an exit by a link."""
    right = () if exit_.source is not None else link.sources or link.prefixes
    return Way(
        exit_.address, exit_.device, exit_.source, frozenset(str(one) for one in right)
    )


def worst(link: Link, verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict on a link as a whole, by those on all ways over it."""
    if link.interface is None:
        return UNSEEN
    found = sorted(verdicts, key=lambda one: _GRAVITY.index(one.privacy))
    return found[0] if found else UNUSED


def link_status(
    name: str, link: Link, verdict: Verdict, evidence: Evidence | None
) -> LinkStatus:
    """A link, as it is shown."""
    return LinkStatus(
        name=name,
        exchange=link.exchange,
        interface=link.interface,
        privacy=verdict.privacy,
        reason=verdict.reason,
        edges=link.edges,
        bgp=_bgp(link, evidence),
    )


def _bgp(link: Link, evidence: Evidence | None) -> BgpStatus | None:
    if link.bgp is None or evidence is None:
        return None
    session = evidence.sessions.get(link.bgp.session)
    trouble = evidence.trouble
    if not trouble and session is None:
        trouble = "BIRD has no such session"
    return BgpStatus(
        session=link.bgp.session,
        state=session.state or "down" if session is not None else "",
        error=session.error if session is not None else "",
        prefixes=_prefixes(evidence),
        trouble=trouble,
    )


def _prefixes(evidence: Evidence) -> tuple[str, ...]:
    """The best routes to the edges, each once."""
    found = (one.prefix for one in evidence.routes.values() if one is not None)
    return tuple(dict.fromkeys(found))
