"""How a run shows its requests: a row for each load and each phase, as text, HTML or data for JSON."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from hasim.results.phases import Phase, phase_figures
from hasim.results.request_log import RequestLog
from hasim.results.requests import RequestFigures
from hasim.units import human

HEADS: Final = ("requests", "number", "served", "failed", "unknown", "p50", "p99", "attempts")
"""What the columns of such a table are called; `attempts` is per request."""

PHASES_MAX: Final = 9
"""Phases shown of a load; a run with more of them is better read as a frame."""


@dataclass(frozen=True)
class RequestRow:
    """A row of the table: a load with all its requests, or (`is_phase`) those of one phase; `cells` are the texts.

    `faults` says what was wrong in that phase.
    """

    name: str
    is_phase: bool
    cells: tuple[str, ...]
    faults: str = ""


def request_rows(log: RequestLog, phases: Sequence[Phase]) -> list[RequestRow]:
    """Return a row for each load, followed by its phases unless there are too many of them to be read."""
    rows = []
    shown = phases if len(phases) <= PHASES_MAX else ()
    for load in log.loads:
        part = log if len(log.loads) == 1 else log.of(load=load)
        rows.append(RequestRow(load, False, cells(part.figures(load))))
        rows += [
            RequestRow(phase.name, True, cells(figures), " and ".join(phase.faults))
            for phase, figures in zip(shown, phase_figures(part, shown), strict=True)
        ]
    return rows


def cells(figures: RequestFigures) -> tuple[str, ...]:
    """Return the texts under HEADS[1:]; a dash where nothing is known."""
    share, attempts = figures.served_share, figures.attempts_per_request
    latencies = (figures.latency_p50_s, figures.latency_p99_s)
    return (
        f"{figures.requests:,}",
        "–" if share is None else served_text(share),
        f"{figures.failed:,}",
        f"{figures.unknown:,}",
        *("–" if latency is None else human(latency) for latency in latencies),
        "–" if attempts is None else f"{attempts:.2f}",
    )


def served_text(share: float) -> str:
    """Return a share as percent with two digits of what is missing to all: 0.99957 → "99.957 %"."""
    missing = 100 * (1 - share)
    if share in (0, 1):
        return f"{100 * share:.0f} %"
    return f"{100 - float(f'{missing:.2g}'):.10g} %" if missing <= 50 else f"{100 * share:.2g} %"


def to_lines(log: RequestLog, phases: Sequence[Phase]) -> list[str]:
    """Return the table as aligned lines of text, its heads first."""
    rows = request_rows(log, phases)
    names = [HEADS[0], *("  " * row.is_phase + row.name for row in rows)]
    columns = [[name.ljust(max(map(len, names))) for name in names]]
    for i, head in enumerate(HEADS[1:]):
        texts = [head, *(row.cells[i] for row in rows)]
        columns.append([text.rjust(max(map(len, texts))) for text in texts])
    columns.append(["", *(row.faults for row in rows)])
    return ["  ".join(line).rstrip() for line in zip(*columns, strict=True)]


def to_html(log: RequestLog, phases: Sequence[Phase]) -> str:
    """Return the table as HTML, phases indented below their load."""
    rows = [
        f"<tr><th>{'&emsp;' * row.is_phase}{html.escape(row.name)}</th>"
        f"{''.join(f'<td>{html.escape(cell)}</td>' for cell in (*row.cells, row.faults))}</tr>"
        for row in request_rows(log, phases)
    ]
    heads = "".join(f"<th>{head}</th>" for head in (*HEADS, ""))
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def to_json(log: RequestLog, phases: Sequence[Phase]) -> dict[str, Any]:
    """Return the figures of each load as plain data, each with those of its phases."""
    found: dict[str, Any] = {}
    for load in log.loads:
        part = log if len(log.loads) == 1 else log.of(load=load)
        found[load] = part.figures(load).to_json()
        found[load]["phases"] = [
            {**figures.to_json(), "faults": list(phase.faults)}
            for phase, figures in zip(phases, phase_figures(part, phases), strict=True)
        ]
    return found
