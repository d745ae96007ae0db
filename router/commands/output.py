"""What commands print: tables, in colour on a terminal and plain elsewhere."""

import dataclasses
import datetime
from collections.abc import Iterable, Sequence
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

STYLES = {
    "ok": "green",
    "up": "green",
    "alive": "green",
    "starting": "yellow",
    "degraded": "yellow",
    "suspect": "yellow",
    "failed": "bold red",
    "down": "bold red",
}
"Colours of words; all others have none."


@dataclasses.dataclass(frozen=True, slots=True)
class Sheet:
    """A table."""

    columns: tuple[str, ...]
    "The heads of the columns; those that end in # are numbers, and stand right."
    rows: Sequence[Sequence[str]]
    "The cells."


Part = Sheet | str
"A table, or a paragraph."


def console(file: TextIO) -> Console:
    """Where to print: colours only on a terminal, and not with NO_COLOR."""
    return Console(file=file, highlight=False, soft_wrap=not file.isatty())


def show(on: Console, parts: Iterable[Part]) -> None:
    """Print paragraphs and tables; empty tables are left out."""
    on.print(laid_out(parts, terminal=on.is_terminal))


def laid_out(parts: Iterable[Part], *, terminal: bool) -> Group:
    """Paragraphs and tables, with an empty line between them."""
    laid: list[RenderableType] = []
    for part in parts:
        if isinstance(part, Sheet) and not part.rows:
            continue
        if laid:
            laid.append("")
        if isinstance(part, str):
            laid.append(_coloured(part))
        else:
            laid.append(_table(part) if terminal else Text(plain(part)))
    return Group(*laid)


def plain(sheet: Sheet) -> str:
    """A table in columns of equal width, without lines around it."""
    heads = [head.rstrip("#") for head in sheet.columns]
    rows = [heads, *sheet.rows]
    widths = [max(len(row[number]) for row in rows) for number in range(len(heads))]
    lines = []
    for row in rows:
        cells = (
            cell.rjust(width) if head.endswith("#") else cell.ljust(width)
            for head, cell, width in zip(sheet.columns, row, widths, strict=True)
        )
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _table(sheet: Sheet) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for head in sheet.columns:
        if head.endswith("#"):
            table.add_column(head.rstrip("#"), justify="right")
        else:
            table.add_column(head, overflow="fold")
    for row in sheet.rows:
        table.add_row(*(Text(cell, STYLES.get(cell, "")) for cell in row))
    return table


def _coloured(paragraph: str) -> Text:
    """A paragraph whose first word may be a verdict."""
    word, colon, rest = paragraph.partition(":")
    style = STYLES.get(word, "")
    return Text.assemble((word, style), colon + rest) if style else Text(paragraph)


def milliseconds(value: float | None) -> str:
    """A round trip, or a dash where there is none."""
    return "-" if value is None else f"{value:.1f} ms"


def lasting(seconds: float) -> str:
    """How long something has been so, to two digits or so."""
    for unit, size in (("d", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def since(when: str, now: str) -> str:
    """For how long, by two times in ISO 8601."""
    then, today = (datetime.datetime.fromisoformat(one) for one in (when, now))
    return lasting((today - then).total_seconds())
