"""The status as a page for people: no script, nothing from elsewhere."""

import base64
import datetime
import functools
import hashlib
import html
from collections.abc import Callable, Iterable, Iterator

from router.assessment import moment
from router.election import ms
from router.pictures import picture
from router.status import (
    BgpStatus,
    EdgeStatus,
    FlowCount,
    LinkStatus,
    LinkUse,
    Past,
    ServiceStatus,
    Status,
    Trouble,
    megabits,
)

REFRESH = 5
"Seconds after which a browser asks again."

PAST = 40
"Changes that are shown."

STYLE = """
:root{color-scheme:light dark;--ink:#1b1f24;--soft:#5b6470;--line:#d9dee4;--card:#fff;
--page:#f3f5f7;--up:#1f8a4c;--suspect:#c27a00;--down:#c62f2f;--home:#1d5fbf}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ed;--soft:#9aa4b0;--line:#333a43;
--card:#1d2228;--page:#14181c;--up:#4cc07f;--suspect:#e6a23c;--down:#f06a6a;
--home:#6ea8ff}}
*{box-sizing:border-box}
body{margin:0;padding:1rem;background:var(--page);color:var(--ink);
font:16px/1.45 system-ui,sans-serif}
main{max-width:64rem;margin:auto}
h1{font-size:1rem;margin:0;color:var(--soft);font-weight:600}
h2{font-size:1.05rem;margin:1.6rem 0 .5rem}
p{margin:.25rem 0}
.verdict{border-left:.5rem solid var(--up);background:var(--card);padding:.8rem 1rem;
border-radius:.4rem;margin:.6rem 0;font-size:1.1rem}
.verdict.degraded,.verdict.starting{border-color:var(--suspect)}
.verdict.failed{border-color:var(--down)}
.soft{color:var(--soft);font-size:.9rem}
.edge{background:var(--card);border-radius:.4rem;padding:.7rem 1rem;margin:.5rem 0;
display:grid;grid-template-columns:minmax(11rem,1fr) minmax(10rem,2fr);gap:.2rem 1.2rem}
.edge.home{box-shadow:inset .25rem 0 var(--home)}
.name{font-weight:650}
.tag{font-size:.78rem;border:1px solid;border-radius:1rem;padding:.05rem .5rem;
margin-left:.35rem;font-weight:500;white-space:nowrap}
.tag.up{color:var(--up)}.tag.suspect{color:var(--suspect)}.tag.down{color:var(--down)}
.tag.home{color:var(--home)}.tag.plain{color:var(--soft)}
svg{width:100%;height:3rem;display:block}
.trip{fill:none;stroke:var(--home);stroke-width:1.5;vector-effect:non-scaling-stroke}
rect.up{fill:var(--up)}rect.suspect{fill:var(--suspect)}rect.down{fill:var(--down)}
.wide{grid-column:1/-1}
table{border-collapse:collapse;width:100%;background:var(--card);border-radius:.4rem}
th,td{text-align:left;padding:.35rem .7rem;border-top:1px solid var(--line)}
th{color:var(--soft);font-weight:600;font-size:.85rem;border-top:0}
td.number,th.number{text-align:right;font-variant-numeric:tabular-nums}
ul{list-style:none;margin:0;padding:.3rem 1rem;background:var(--card);
border-radius:.4rem}
li{padding:.25rem 0;border-top:1px solid var(--line)}li:first-child{border-top:0}
time{color:var(--soft);font-variant-numeric:tabular-nums;margin-right:.5rem}
.scroll{overflow-x:auto}
@media(max-width:40rem){body{padding:.6rem}.edge{grid-template-columns:1fr}
th,td{padding:.3rem .45rem}}
"""

_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"What a browser may do with the page: show it."

When = Callable[[float], str]
"A time in Unix seconds as people read it."


def render(status: Status, zone: datetime.tzinfo = datetime.UTC) -> str:
    """The whole page; times are those of `zone`."""
    when = functools.partial(moment, now=status.time, zone=zone)
    home = status.home or status.about.default_edge
    return "".join(
        (
            '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            f'<meta http-equiv="refresh" content="{REFRESH}">',
            f"<title>{_text(f'{status.condition}: {home}')} - edge-router</title>",
            f"<style>{STYLE}</style></head><body><main>",
            *_top(status, when),
            *_troubles(status.troubles, when),
            "<h2>Edges, from best to worst</h2>",
            *(line for edge in status.edges for line in _edge(edge, status, when)),
            *_links(status.links),
            *_receivers(status.receivers, when),
            *_flows(status.flows),
            *_past(status.past, when),
            *_bottom(status, when),
            "</main></body></html>",
        )
    )


def _top(status: Status, when: When) -> Iterator[str]:
    yield f"<h1>edge-router, {_text(status.about.region or 'all regions')}</h1>"
    yield f'<div class="verdict {status.condition.value}">{_text(status.verdict)}'
    if status.home_reason:
        since = when(status.home_since)
        why = f"{status.home} is home since {since}: {status.home_reason}"
        yield f'<p class="soft">{_text(why)}</p>'
    yield "</div>"


def _troubles(troubles: Iterable[Trouble], when: When) -> Iterator[str]:
    lines = [
        f"<li>{_when(one.since, when)}"
        f"{_text(_sentence(f'{one.subject} {one.state}', one.reason))}</li>"
        for one in troubles
    ]
    if lines:
        yield from ("<h2>What is broken, and since when</h2><ul>", *lines, "</ul>")


def _edge(edge: EdgeStatus, status: Status, when: When) -> Iterator[str]:
    is_home = edge.name == status.home
    yield f'<section class="edge{" home" if is_home else ""}"><div>'
    yield f'<span class="name">{_text(edge.name)}</span>'
    yield _tag(edge.state.value, edge.state.value)
    if is_home:
        yield _tag("home", "home")
    if edge.drained is not None:
        yield _tag(f"drained since {when(edge.drained)}", "suspect")
    if status.pinned is not None and status.pinned.edge == edge.name:
        yield _tag(f"pinned until {when(status.pinned.until)}", "home")
    yield _tag(edge.kind.value, "plain")
    yield f'<p class="soft">since {_text(when(edge.since))}'
    if edge.flips:
        times = "once" if edge.flips == 1 else f"{edge.flips} times"
        yield f", down {times} within the hour"
    yield f"</p></div><div>{picture(edge.samples, status.time, _label(edge))}</div>"
    why = "<br>".join(map(_text, _reasons(edge)))
    yield f'<p class="soft wide">{why}</p></section>'


def _reasons(edge: EdgeStatus) -> Iterator[str]:
    reasons, score = edge.reasons, edge.reasons.score
    if edge.reason:
        yield f"{edge.state.value}: {edge.reason}"
    if score is not None:
        parts = [f"round trip {ms(score.round_trip)}"]
        if score.penalty:
            parts.append(f"{ms(score.penalty)} for {score.lost} lost")
        if not score.fresh:
            parts.append("an old score")
        yield "; ".join([", ".join(parts), reasons.verdict])
    else:
        yield reasons.verdict
    for service in edge.services:
        if service.reason and service.reason != edge.reason:
            yield _sentence(f"{service.product}: {service.state.value}", service.reason)


def _links(links: Iterable[LinkStatus]) -> Iterator[str]:
    links = tuple(links)
    rows = [
        (
            one.name,
            one.exchange,
            one.interface or "-",
            one.privacy.value,
            ", ".join(one.edges),
            _bgp(one.bgp),
            one.reason,
        )
        for one in links
    ]
    names = ("link", "exchange", "interface", "privacy", "edges", "BGP", "why")
    yield from _table("Direct links", names, rows)
    carried = [_use(one.name, one.use) for one in links if one.use is not None]
    names = ("link", "calls", "taken by calls", "other", "room", "of", "spilled")
    yield from _table("What links carry", names, carried)


def _use(name: str, use: LinkUse) -> tuple[object, ...]:
    rates = map(megabits, (use.taken, use.other, use.room, use.bandwidth))
    return (name, use.calls, *rates, use.spilled)


def _bgp(bgp: BgpStatus | None) -> str:
    if bgp is None:
        return "-"
    return bgp.trouble or f"{bgp.state}, {', '.join(bgp.prefixes) or 'no route'}"


def _receivers(receivers: Iterable[ServiceStatus], when: When) -> Iterator[str]:
    rows = [
        (one.product, one.place, one.state.value, when(one.since), one.reason)
        for one in receivers
    ]
    yield from _table("The site", ("for", "machine", "state", "since", "why"), rows)


def _flows(flows: Iterable[FlowCount]) -> Iterator[str]:
    rows = [
        (one.listener, one.protocol, one.edge or "none", one.open, one.ended)
        for one in flows
    ]
    names = ("listener", "protocol", "edge", "open", "ended")
    yield from _table("Flows", names, rows)


def _past(past: tuple[Past, ...], when: When) -> Iterator[str]:
    if past:
        yield "<h2>What changed</h2><ul>"
        for one in past[:PAST]:
            yield f"<li>{_when(one.time, when)}{_text(one.text)}</li>"
        yield "</ul>"


def _bottom(status: Status, when: When) -> Iterator[str]:
    about = status.about
    words = (
        f"edge-router {about.version}, started {when(about.started)}; {about.config} "
        f"read {when(about.loaded)}; this page is of {when(status.time)} and renews "
        f"itself every {REFRESH} s"
    )
    yield f'<p class="soft">{_text(words)}</p>'


def _table(
    title: str, names: Iterable[str], rows: Iterable[tuple[object, ...]]
) -> Iterator[str]:
    rows = list(rows)
    if not rows:
        return
    yield f'<h2>{_text(title)}</h2><div class="scroll"><table><tr>'
    for name, cell in zip(names, rows[0], strict=True):
        yield f"<th{_number(cell)}>{_text(name)}</th>"
    yield "</tr>"
    for row in rows:
        cells = (f"<td{_number(cell)}>{_text(str(cell))}</td>" for cell in row)
        yield f"<tr>{''.join(cells)}</tr>"
    yield "</table></div>"


def _number(cell: object) -> str:
    return ' class="number"' if isinstance(cell, int) else ""


def _label(edge: EdgeStatus) -> str:
    return _text(f"round trips and health of {edge.name} in the last hour")


def _tag(text: str, kind: str) -> str:
    return f'<span class="tag {kind}">{_text(text)}</span>'


def _when(unix: float, when: When) -> str:
    return f"<time>{_text(when(unix))}</time>"


def _sentence(what: str, why: str) -> str:
    return f"{what}: {why}" if why else what


def _text(text: str) -> str:
    """Text as HTML: most of it was never a stranger's, and none is trusted."""
    return html.escape("".join(c if c.isprintable() else "\ufffd" for c in text))
