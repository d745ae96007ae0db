"""How others choose, played on the same days. Their numbers are their defaults."""

import random
from collections import deque

from benchmarks.replay import Use
from benchmarks.series import EXCHANGES, Series

MS = 0.001


def tailscale(series: Series, chance: random.Random) -> Use:
    """Home relay: best of 5 minutes, moves for 10 ms and a third (tailscale netcheck).

    A report every 20 to 26 s: all edges, three tries each, if the last such one is
    5 minutes old; else the three fastest and home, which gets four tries. The round
    trip of an edge in a report is the least of its tries. Candidates have answered in
    the report. An old home that answered, or was heard within 8 s, is kept unless
    old_now - best_new >= 10 ms and best_new <= 2/3 of old_now.
    """
    use, history = Use(), deque[tuple[float, dict[int, float]]]()
    edges = range(len(series.losses))
    now, home, full, heard = 0.0, 0, -300.0, 0.0
    while now < series.length:
        if now - full >= 300.0:
            full, tries = now, dict.fromkeys(edges, 3)
        else:
            last = sorted(history[-1][1], key=history[-1][1].__getitem__)[:3]
            tries = {edge: 2 if place < 2 else 1 for place, edge in enumerate(last)}
            tries[home] = 4
        report: dict[int, float] = {}
        for edge, count in tries.items():
            use.probes += count
            seen = [series.sample(edge, now, chance) for _ in range(count)]
            answers = [value for value in seen if value is not None]
            if answers:
                report[edge] = min(answers)
        history.append((now, report))
        while history[0][0] < now - 300.0:
            history.popleft()
        if home in report:
            heard = now
        if report:
            best = {
                edge: min(old[edge] for _, old in history if edge in old)
                for edge in report
            }
            winner = min(best, key=best.__getitem__)
            accessible = home in report or now - heard < 8.0
            old_now = report.get(home, 0.0)
            keep = accessible and (
                old_now - best[winner] < 10 * MS or best[winner] > old_now / 3 * 2
            )
            if winner != home and (now == 0.0 or not keep):
                use.switches += now > 0.0
                home = winner
        use.now(now, home)
        now += chance.uniform(20.0, 26.0)
    return use


def kamailio(series: Series, chance: random.Random) -> Use:
    """Dispatcher algorithm 13, priority 30, an OPTIONS every 10 s, one failure is down.

    ADJ = PRIORITY - EST_MS / PRIORITY in integers, round robin over the highest. A new
    sample has a tenth of the weight in the estimate (nine tenths up to version 5.6); a
    time-out never enters it, and a destination never measured counts as 0 ms.
    """
    use, priority, weight = Use(), 30, 0.1
    edges = range(len(series.losses))
    estimate, up = dict.fromkeys(edges, 0.0), dict.fromkeys(edges, True)
    now, turn, home = 0.0, 0, -1
    while now < series.length:
        for edge in edges:
            use.probes += 1
            seen = series.sample(edge, now, chance)
            up[edge] = seen is not None
            if seen is not None:
                old = estimate[edge]
                estimate[edge] = old + weight * (seen - old) if old else seen
        adjusted = {
            edge: priority - int(estimate[edge] / MS) // priority for edge in edges
        }
        usable = [edge for edge in edges if up[edge]] or list(edges)
        top = max(adjusted[edge] for edge in usable)
        best = [edge for edge in usable if adjusted[edge] == top]
        turn += 1
        chosen = best[turn % len(best)]
        use.switches += home not in (-1, chosen)
        home = chosen
        use.now(now, home)
        now += 10.0
    return use


def latest(series: Series, chance: random.Random) -> Use:
    """The lowest of the latest probes, one of each edge every 10 s."""
    use, home, now = Use(), -1, 0.0
    edges = range(len(series.losses))
    while now < series.length:
        use.probes += len(edges)
        seen = {edge: series.sample(edge, now, chance) for edge in edges}
        answers = {edge: value for edge, value in seen.items() if value is not None}
        chosen = min(answers, key=answers.__getitem__) if answers else max(home, 0)
        use.switches += home not in (-1, chosen)
        home = chosen
        use.now(now, home)
        now += 10.0
    return use


def fixed(series: Series, chance: random.Random) -> Use:
    """The order of the first hour, with HAProxy's checks: inter 2 s, fall 3, rise 2.

    A failing server is checked every 250 ms (fastinter) with a time-out of 1 s, one
    check at a time.
    """
    use, home = Use(), -1
    order = sorted(range(len(series.losses)), key=lambda e: series.round_trips[e][0])
    up = dict.fromkeys(order, True)
    count = dict.fromkeys(order, 0)
    due = dict.fromkeys(order, 0.0)
    while (now := min(due.values())) < series.length:
        for edge in order:
            if due[edge] > now:
                continue
            use.probes += 1
            seen = series.sample(edge, now, chance)
            good = seen is not None and EXCHANGES * seen <= 1.0
            count[edge] = count[edge] + 1 if good is not up[edge] else 0
            if count[edge] >= (2 if good else 3):
                up[edge], count[edge] = good, 0
            pause = 0.25 if count[edge] else 2.0
            due[edge] = now + pause + (0.0 if good else 1.0)
        chosen = next((edge for edge in order if up[edge]), order[0])
        use.switches += home not in (-1, chosen)
        home = chosen
        use.now(now, home)
    return use
