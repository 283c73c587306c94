"""One page for a terminal: how available, who is to blame, do the engines agree, what happens in one crash."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from hasim.results import Estimate, Run, Sample, ServiceFigures, Solution
from hasim.results.request_tables import HEADS, request_rows
from hasim.results.tables import nines_text
from hasim.results.tasks import TaskFigures
from hasim.results.upgrade_tables import HEADS as UPGRADE_HEADS
from hasim.results.upgrade_tables import cells as upgrade_cells
from hasim.trace import Fact
from hasim.units import human, share_text
from hasim.views.agreement import Comparison
from hasim.views.axes import percent
from hasim.views.blame import ranked
from hasim.views.timeline import rows_of

if TYPE_CHECKING:
    from rich.console import RenderableType

Result = Solution | Sample | Run
BAR_WIDTH = 34
LANE_WIDTH = 50
BLAME_ROWS_MAX = 8
FACTS_SHOWN_MAX = 16
_WORDS = {"unavailability": "unavailability", "outages_per_year": "outages a year", "mean_outage_s": "mean outage"}
_STORY_KINDS = (
    *("fault begun", "fault ended", "failover ended", "service down", "service up", "burst", "window begun"),
    *("server down", "server up", "server ejected", "server back", "liveness kill"),
    *("rollout begun", "rolled out", "rollback begun", "rolled back", "switched", "window open", "window closed"),
    *("bad release noticed", "progress deadline exceeded"),
)


def figures_table(result: Result, kept_by: Result | None = None) -> Table:
    """A row for each service: availability with its interval, nines, downtime and outages a year, the SLO.

    How often the SLO is kept comes from `kept_by` where the result itself does not know.
    """
    table = _plain_table()
    table.add_column("service", style="bold")
    for head in ("availability", "nines", "down\na year", "outages\na year", "mean\noutage", "SLO"):
        table.add_column(head, justify="right")
    for name, figures in result.services.items():
        table.add_row(
            name,
            _two_lines(figures.availability),
            nines_text(figures),
            _two_lines(figures.downtime_s_per_year),
            _two_lines(figures.outages_per_year),
            _two_lines(figures.mean_outage_s),
            _slo(figures, (kept_by or result).services[name].slo_kept),
        )
    return table


def blame_bars(figures: ServiceFigures) -> RenderableType:
    """Who takes a service down, as bars of text, the guiltiest first."""
    bars = ranked(figures.blame, BLAME_ROWS_MAX)
    if not bars:
        return Text("nobody to blame: no downtime was seen", style="dim")
    widest = max(bar.share for bar in bars)
    table = _plain_table(header=False)
    for bar in bars:
        length = BAR_WIDTH * bar.share / widest
        table.add_row(bar.unit, Text(_bar(length), style="red"), percent(bar.share), Text(bar.kind, style="dim"))
    return table


def agreement_table(comparisons: Sequence[Comparison]) -> Table:
    """A row for each number that several engines gave: the reference, and what the others found."""
    reference = comparisons[0].reference
    engines = list(dict.fromkeys(comparison.engine for comparison in comparisons))
    table = _plain_table()
    table.add_column("service", style="bold")
    table.add_column("")
    table.add_column(reference, justify="right")
    for engine in engines:
        table.add_column(engine, justify="right")
    rows: dict[tuple[str, str], dict[str, Comparison]] = {}
    for comparison in comparisons:
        rows.setdefault((comparison.service, comparison.quantity), {})[comparison.engine] = comparison
    said = ""
    for (service, quantity), by_engine in rows.items():
        cells = [_verdict(by_engine[engine]) if engine in by_engine else Text("–") for engine in engines]
        expected = next(iter(by_engine.values())).expected
        table.add_row("" if service == said else service, _WORDS[quantity], _number(expected), *cells)
        said = service
    return table


def story(run: Run) -> RenderableType:
    """A short run as lanes of text, one for each service and part, and what happened in words."""
    rows, _ = rows_of(run)
    table = _plain_table(header=False)
    for row in rows:
        style = "bold" if row.group == "services" else ""
        table.add_row(Text(row.name, style=style), _lane(row.down, run), _down_for(row.down))
    step = run.horizon_s / 5
    ruler = "".join(human(run.start_s + i * step).ljust(LANE_WIDTH // 5) for i in range(5))
    table.add_row("", Text(ruler + human(run.end_s), style="dim"), "")
    return table


def story_facts(run: Run) -> RenderableType:
    """What happened in a short run, line by line: faults, failovers, and services down and up."""
    facts = [fact for fact in run.trace if isinstance(fact, Fact) and fact.kind in _STORY_KINDS]
    table = _plain_table(header=False)
    for fact in facts[:FACTS_SHOWN_MAX]:
        mark = {"service down": "red", "service up": "green"}.get(fact.kind, "")
        table.add_row(f"{fact.at:.2f} s", Text(fact.kind, style=mark), fact.subject, _detail(fact))
    if len(facts) > FACTS_SHOWN_MAX:
        table.add_row("", Text(f"and {len(facts) - FACTS_SHOWN_MAX} more", style="dim"), "", "")
    return table


def requests_table(run: Run) -> Table | None:
    """What became of the requests of a run: a row for each load and each phase; None where none were played."""
    if run.requests is None:
        return None
    table = _plain_table()
    table.add_column(HEADS[0])
    for head in HEADS[1:]:
        table.add_column(head, justify="right")
    table.add_column("")
    for row in request_rows(run.requests, run.phases()):
        name = Text(f"  {row.name}") if row.is_phase else Text(row.name, style="bold")
        table.add_row(name, *row.cells, Text(row.faults, style="dim"))
    return table


def upgrades_table(run: Run) -> Table | None:
    """What became of the upgrades of a run, and what they cost: a row for each; None where there were none."""
    if not run.upgrades:
        return None
    table = _plain_table()
    for i, head in enumerate(UPGRADE_HEADS):
        table.add_column(head, style="bold" if i == 0 else "", justify="left" if i < 3 else "right")
    for name, log in run.upgrades.items():
        table.add_row(*map(escape, upgrade_cells(name, log, run.requests)))
    return table


def tables(run: Run | None, results: Mapping[str, Result]) -> list[tuple[str, str, Table]]:
    """All that there is to tell in tables: a heading, a note to it, and the table, of each.

    What became of requests and upgrades is of a run, what becomes of tasks of several results.
    """
    requests, upgrades = (None, None) if run is None else (requests_table(run), upgrades_table(run))
    found = [
        ("what clients saw", "requests by when they arrived; latencies of those served", requests),
        ("what became of upgrades", "not served: requests, for whatever reason, meanwhile", upgrades),
        ("what becomes of a task?", "means over tasks; latency from its arrival to its effect", tasks_table(results)),
    ]
    return [(head, note, table) for head, note, table in found if table is not None]


def tasks_table(results: Mapping[str, Result]) -> Table | None:
    """What becomes of a task, a row for each figure of each queue, a column for each of the results, by name.

    None where no tasks were followed.
    """
    known = {
        name: {
            queue: dict((each if isinstance(each, TaskFigures) else each.figures()).quantities())
            for queue, each in result.tasks.items()
        }
        for name, result in results.items()
        if result.tasks
    }
    if not known:
        return None
    table = _plain_table()
    table.add_column("queue", style="bold")
    table.add_column("")
    for name in known:
        table.add_column(name, justify="right")
    for queue in dict.fromkeys(queue for queues in known.values() for queue in queues):
        said = queue
        for field in fields(TaskFigures):
            cells = [queues.get(queue, {}).get(field.name) for queues in known.values()]
            if any(cell is not None for cell in cells):
                words = field.name.removesuffix("_s").replace("_", " ")
                table.add_row(said, words, *map(_two_lines, cells))
                said = ""
    return table


def _plain_table(header: bool = True) -> Table:
    return Table(box=None, show_header=header, header_style="dim", padding=(0, 2, 0, 0), pad_edge=False)


def _two_lines(estimate: Estimate | None) -> Text:
    """A number, and below it, paler, the interval."""
    if estimate is None:
        return Text("–")
    value, bracket, interval = str(estimate).replace(" a year", "").partition(" (")
    low_and_high = interval.removesuffix(")")
    if not bracket or low_and_high == "exact":
        return Text(value)
    return Text.assemble(value, "\n", (low_and_high, "dim"))


def _slo(figures: ServiceFigures, kept_elsewhere: Estimate | None) -> Text:
    if figures.slo is None:
        return Text("best effort", style="dim")
    target, window = figures.slo
    promise = f"{share_text(target)} in {human(window)}"
    often = figures.slo_kept or kept_elsewhere
    if often is not None:
        said = str(often).partition(" (")[0]
        return Text.assemble(promise, "\n", (f"kept in {said}", "dim"))
    if figures.availability is None:
        return Text(promise)
    kept = figures.availability.value >= target
    return Text.assemble(promise, "\n", ("met on average", "green") if kept else ("missed on average", "red"))


def _number(estimate: Estimate) -> Text:
    return Text(str(estimate).replace(" (exact)", "").partition(" (")[0].replace(" a year", ""))


def _verdict(comparison: Comparison) -> Text:
    where = "inside" if comparison.inside else "outside"
    z = "" if comparison.z is None else f"z {comparison.z:+.1f}, "
    # One in twenty intervals misses by right; from 3.5 standard errors on it is no chance.
    wrong = not comparison.inside and (comparison.z is None or abs(comparison.z) > 3.5)
    style = "red" if wrong else "yellow" if not comparison.inside else "green"
    value, _, interval = str(comparison.value).replace(" a year", "").partition(" (")
    between = f"{interval.removesuffix(')')}\n" if interval else ""
    return Text.assemble(f"{value}\n", (between, "dim"), (z + where, style))


def _bar(length: float) -> str:
    """A bar of block characters, to an eighth of a character."""
    whole, rest = divmod(round(8 * length), 8)
    return "█" * whole + (" ▏▎▍▌▋▊▉"[rest] if rest else "" if whole else "▏")


def _lane(down: NDArray[np.float64], run: Run) -> Text:
    """A line of cells: full where down for at least half of the cell, half where down at all."""
    text = Text()
    width = run.horizon_s / LANE_WIDTH
    for cell in range(LANE_WIDTH):
        left = run.start_s + cell * width
        covered = float(np.sum(np.clip(np.minimum(down[:, 1], left + width) - np.maximum(down[:, 0], left), 0, None)))
        if covered == 0:
            text.append("─", style="dim")
        else:
            text.append("█" if covered >= width / 2 else "▌", style="red")
    return text


def _down_for(down: NDArray[np.float64]) -> Text:
    total = float((down[:, 1] - down[:, 0]).sum())
    return Text(f"down {human(total)}" if total > 0 else "up", style="" if total > 0 else "dim")


def _detail(fact: Fact) -> str:
    if isinstance(fact.detail, str):
        return escape(fact.detail)
    said = [
        f"{key} {human(value) if key == 'took' and math.isfinite(value) else value}"
        for key, value in fact.detail.items()
        if key != "why"
    ]
    return escape(", ".join(said))
