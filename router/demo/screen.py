"""What the demo shows: headings, tables, and lines of the daemon's log."""

from collections.abc import Iterable, Mapping, Sequence

import rich.box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from router.demo.daemon import Line
from router.demo.tally import Row, Sent, Span

WIDTH = 100
"Columns, where there is no terminal that has another number."

_BORING = ("at", "time", "level", "event", "before", "window_s", "held_s", "result")


def console() -> Console:
    """Standard output: in colour on a terminal, plain elsewhere."""
    screen = Console(highlight=False)
    screen.width = min(screen.width, WIDTH) if screen.is_terminal else WIDTH
    return screen


class Screen:
    """Says one thing after the other."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._chapter = 0

    def say(self, text: str, style: str = "") -> None:
        """A sentence."""
        self._console.print(Text(text, style))

    def chapter(self, title: str, text: str = "") -> None:
        """A heading, and what is going to happen."""
        self._chapter += 1
        self._console.print()
        self._console.print(Text(f"{self._chapter}. {title}", "bold cyan"))
        if text:
            self.say(text)

    def ranking(self, lines: Sequence[Line], distances: dict[str, str]) -> None:
        """The `edge.ranked` lines of one choice of home."""
        table = _table("place", "edge", "kind", "distance", "measured", "why")
        for line in lines:
            table.add_row(
                str(line["place"]),
                Text(line["edge"], "bold" if line["place"] == 1 else ""),
                line["kind"],
                distances[line["edge"]],
                f"{line['score_ms']:.1f} ms" if "score_ms" in line else "-",
                why(line),
            )
        self._console.print(table)

    def commands(self, commands: Mapping[str, str]) -> None:
        """A command for each way in."""
        for way, command in commands.items():
            text = Text.assemble((f"  {way:11}  ", "bold"), (command, "dim"))
            self._console.print(text, soft_wrap=True)

    def visits(self, visits: Iterable[tuple[Sent, str]]) -> None:
        """One request of each kind, and who served it."""
        table = _table("way", "request", "answer", "served by", "took")
        for sent, by in visits:
            table.add_row(
                sent.request.way,
                f"{sent.request.method} {sent.request.path.partition('/Accounts')[0]}",
                str(sent.reply.status),
                by,
                f"{sent.reply.seconds * 1000:.0f} ms",
            )
        self._console.print(table)

    def calls(self, calls: Iterable[tuple[Sent, str, int]]) -> None:
        """Calls, with the edge that each passed and how often it rang."""
        table = _table("call", "edge", "answer", "rung", "took")
        for sent, edge, rung in calls:
            table.add_row(
                sent.request.way,
                edge,
                str(sent.reply.status),
                f"{rung} times" if rung != 1 else "once",
                f"{sent.reply.seconds * 1000:.0f} ms",
            )
        self._console.print(table)

    def events(self, events: Iterable[tuple[float, Text]]) -> None:
        """What happened, one after the other."""
        table = _table("second", "what happened")
        for at, text in events:
            table.add_row(f"{at:+.2f}", text)
        self._console.print(table)

    def spans(
        self, spans: Sequence[Span], events: Sequence[tuple[float, Text]]
    ) -> None:
        """The timeline: each event after the span that it ends."""
        table = _table("second", "what happened")
        for number, span in enumerate(spans):
            if span.count:
                table.add_row("", Text(_told(span)))
            if number < len(events):
                at, text = events[number]
                table.add_row(f"{at:+.2f}", text)
        self._console.print(table)

    def reckoning(self, rows: Iterable[Row]) -> None:
        """The last table."""
        table = _table("", "sent", "answered", "answered twice", "lost", "slowest")
        for row in rows:
            style = "green" if row.fine else "bold red"
            table.add_row(
                row.name,
                str(row.sent),
                Text(str(row.answered), style),
                Text(str(row.twice), style),
                Text(str(row.lost), style),
                f"{row.slowest * 1000:.0f} ms",
            )
        self._console.print(table)


def why(line: Line) -> str:
    """An `edge.ranked` line in words."""
    if line["kind"] == "private" and line["tier"] == 0:
        reason = "private, and not much slower"
    elif "gain_ms" not in line:
        reason = "not measured" if "score_ms" not in line else ""
    elif line["gain_ms"] > 0:
        reason = f"{line['gain_ms']:.1f} ms faster, but public"
    else:
        reason = f"{-line['gain_ms']:.1f} ms slower"
    return f"home: {reason}".removesuffix(": ") if line["place"] == 1 else reason


def logged(line: Line) -> Text:
    """A line of the daemon's log: its event and the fields that say something."""
    fields = " ".join(
        f"{name}={value!r}" if " " in str(value) else f"{name}={value}"
        for name, value in line.items()
        if name not in _BORING
    )
    return Text.assemble((f"{line['event']} ", "yellow"), (fields, "dim"))


def _told(span: Span) -> str:
    edges = ", ".join(
        f"{count} by {edge or 'nobody'}" for edge, count in sorted(span.edges.items())
    )
    noun = "request" if span.count == 1 else "requests"
    return f"{span.count} {noun}, served {edges}; slowest {span.slowest * 1000:.0f} ms"


def _table(*names: str) -> Table:
    table = Table(box=rich.box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    numbers = {"place", "measured", "distance", "took", "slowest", "second"}
    numbers |= {"sent", "answered", "answered twice", "lost"}
    for name in names:
        right = name in numbers
        table.add_column(
            name,
            justify="right" if right else "left",
            no_wrap=right or name in {"edge", "kind", "way", "served by"},
        )
    return table
