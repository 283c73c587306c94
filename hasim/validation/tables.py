"""Rows of a comparison as a table for a terminal, and as tables in Markdown, under a heading for each experiment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Final

from hasim.validation.verdicts import Row

if TYPE_CHECKING:
    from rich.table import Table

HEADS: Final = ("| quantity | measured | hasim | verdict | rule |", "|---|---|---|---|---|")
STYLES: Final = {"agrees": "green", "differs": "bold red", "shape only": "dim"}


def terminal(rows: Sequence[Row], note: str | None = None) -> Table:
    """All rows as a table for a terminal, with a note below it."""
    from rich.table import Table
    from rich.text import Text

    heads = ("quantity", "measured", "hasim", "bound", "verdict")
    shown = Table(*heads, box=None, padding=(0, 2, 0, 0), pad_edge=False, caption=note)
    for experiment, group in _by_experiment(rows):
        shown.add_row(Text(experiment, style="bold"))
        for row in group:
            verdict = Text(row.verdict, style=STYLES[row.verdict])
            shown.add_row(Text("  " + row.quantity), Text(row.theirs), Text(row.ours), Text(row.how), verdict)
    return shown


def counted(rows: Sequence[Row]) -> str:
    """How many of the rows that have a verdict agree, as a sentence."""
    judged = [row for row in rows if row.verdict != "shape only"]
    return f"Of {len(judged)} comparisons {sum(row.verdict == 'agrees' for row in judged)} agree."


def markdown(rows: Sequence[Row]) -> list[str]:
    """All rows as lines of Markdown."""
    lines: list[str] = []
    for experiment, group in _by_experiment(rows):
        lines += ["", f"### {experiment}", "", *HEADS]
        for row in group:
            verdict = "**differs**" if row.verdict == "differs" else row.verdict
            lines.append(f"| {row.quantity} | {row.theirs} | {row.ours} | {verdict} | {row.how} |")
    return lines


def _by_experiment(rows: Sequence[Row]) -> Iterator[tuple[str, Iterator[Row]]]:
    return groupby(rows, key=lambda row: row.experiment)
