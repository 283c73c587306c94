"""How a result shows itself: text for a terminal, HTML for a notebook, a pandas frame, data for JSON."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from hasim.results.estimate import Estimate, html_cell, plain_number
from hasim.results.figures import ServiceFigures
from hasim.results.tasks import TaskFigures, TaskLog
from hasim.results.tasks import frame_rows as task_rows
from hasim.units import human, nines

if TYPE_CHECKING:
    import pandas as pd


class Result(Protocol):
    """What a Solution, a Sample and a Run have in common."""

    @property
    def engine(self) -> str: ...
    @property
    def cluster(self) -> str: ...
    @property
    def services(self) -> Mapping[str, ServiceFigures]: ...
    @property
    def warnings(self) -> tuple[str, ...]: ...
    @property
    def seed(self) -> int | None: ...
    @property
    def horizon_s(self) -> float | None: ...
    @property
    def tasks(self) -> Mapping[str, TaskFigures] | Mapping[str, TaskLog]: ...


def to_json(result: Result, extra: Mapping[str, object]) -> dict[str, Any]:
    """Return the result as plain data for JSON, with `extra` keys of its kind at the end.

    The blame is that of the first service, the one the cluster is for.
    """
    first = next(iter(result.services.values()), None)
    return {
        "engine": result.engine,
        "cluster": result.cluster,
        "seed": result.seed,
        "horizon_s": None if result.horizon_s is None else plain_number(result.horizon_s),
        "services": {name: figures.to_json() for name, figures in result.services.items()},
        "blame": [{"unit": blame.unit, "share": blame.share} for blame in first.blame] if first else [],
        "warnings": list(result.warnings),
        **extra,
    }


def to_frame(result: Result) -> pd.DataFrame:
    """Return a frame with a row for each service and quantity, and columns value, low, high, level, method.

    Queues whose tasks are followed come after the services.

    Durations are in seconds, availabilities are shares from 0 to 1; infinity stays infinity.
    """
    import pandas as pd

    rows = [
        (service, quantity, e.value, e.low, e.high, e.level, e.method)
        for service, figures in result.services.items()
        for quantity, e in figures.quantities()
    ]
    rows += [
        (name, quantity, e.value, e.low, e.high, e.level, e.method) for name, quantity, e in task_rows(result.tasks)
    ]
    columns = ["service", "quantity", "value", "low", "high", "level", "method"]
    return pd.DataFrame(rows, columns=columns).set_index(["service", "quantity"])


# ------------------------------------------------------------------------------------------------- text


def to_text(result: Result, how: str, more: Sequence[str] = ()) -> str:
    """Return a line for each service, headed by the cluster and `how` it was obtained; `more` lines; the warnings."""
    lines = [f"{result.cluster} [{', '.join(word for word in (result.engine, how) if word)}]"]
    lines += [f"  {name}: {service_text(figures)}" for name, figures in result.services.items()]
    lines += [f"  {line}" for line in more]
    lines += [f"  warning: {warning}" for warning in result.warnings]
    return "\n".join(lines)


def service_text(figures: ServiceFigures) -> str:
    """Return the figures of a service in a line: availability with interval, downtime, outages, SLO."""
    said = []
    availability = _availability(figures)
    if availability is not None:
        said.append(f"{availability} available, {nines_text(figures)} nines")
    elif figures.interval_unavailability is not None:
        said.append(f"{figures.interval_unavailability.complement()} available over the horizon")
    if figures.downtime_s_per_year is not None:
        said.append(f"down {figures.downtime_s_per_year} a year")
    if figures.outages_per_year is not None:
        said.append(f"{figures.outages_per_year}".replace(" a year", " outages a year", 1))
    if figures.mean_outage_s is not None:
        said.append(f"mean outage {figures.mean_outage_s}")
    if figures.slo is not None and figures.slo_kept is not None:
        said.append(f"{_slo(figures.slo)} kept with probability {figures.slo_kept}")
    line = "; ".join(said) or "nothing known"
    if all(estimate.is_exact for _, estimate in figures.quantities()):
        line = line.replace(" (exact)", "") + " (exact)" * bool(said)  # once is enough
    return line


def how_made(seed: int | None, horizon_s: float | None, runs: int | None = None) -> str:
    """Return how a result was made, in words: `1,000 runs of 1 y, seed 7`."""
    words = []
    if runs is not None:
        words.append(f"{runs:,} {'run' if runs == 1 else 'runs'}")
    if horizon_s is not None:
        words.append(f"{'of' if runs is not None else 'over'} {human(horizon_s)}")
    made = " ".join(words)
    return ", ".join(part for part in (made, f"seed {seed}" if seed is not None else "") if part)


def _availability(figures: ServiceFigures) -> Estimate | None:
    if figures.availability is None and figures.unavailability is not None:
        return figures.unavailability.complement()
    return figures.availability


def nines_text(figures: ServiceFigures) -> str:
    """The number of nines, from the unavailability if it is known: 1 - availability loses digits."""
    down = figures.unavailability
    if down is None and figures.availability is not None:
        down = figures.availability.complement()
    if down is None:
        return "?"
    if down.value == 0 and down.high > 0:  # nothing seen: what the bound leaves
        return f"≥ {_floor(nines(unavailability=down.high))}"
    count = nines(unavailability=down.value)
    return "∞" if math.isinf(count) else _floor(count)


def _floor(count: float) -> str:
    """A decimal, rounded down: 2.98 nines are not 3.0."""
    return f"{math.floor(count * 10 + 1e-9) / 10:.1f}"


def _slo(slo: tuple[float, float]) -> str:
    availability, window_s = slo
    return f"SLO {100 * availability:.10g} % over {human(window_s)}"


# ------------------------------------------------------------------------------------------------- HTML

_HEADS = ("service", "availability", "nines", "downtime a year", "outages a year", "mean outage")


def to_html(result: Result, how: str, more: str = "") -> str:
    """Return a small table: a row for each service, each number above its interval; below, `more` and the warnings."""
    columns = list(_HEADS)
    with_slo = any(figures.slo_kept is not None for figures in result.services.values())
    if with_slo:
        columns.append("SLO kept")
    caption = ", ".join(word for word in (result.cluster, result.engine, how) if word)
    rows = "".join(_row(name, figures, with_slo) for name, figures in result.services.items())
    notes = "".join(f"<li>{html.escape(warning)}</li>" for warning in result.warnings)
    return (
        f"<table><caption>{html.escape(caption)}</caption>"
        f"<thead><tr>{''.join(f'<th>{head}</th>' for head in columns)}</tr></thead>"
        f"<tbody>{rows}</tbody></table>{more}" + (f"<ul>{notes}</ul>" if notes else "")
    )


def _row(name: str, figures: ServiceFigures, with_slo: bool) -> str:
    cells = [
        f"<th>{html.escape(name)}</th>",
        html_cell(_availability(figures)),
        f"<td>{nines_text(figures)}</td>",
        html_cell(figures.downtime_s_per_year),
        html_cell(figures.outages_per_year),
        html_cell(figures.mean_outage_s),
    ]
    if with_slo:
        cells.append(html_cell(figures.slo_kept))
    return f"<tr>{''.join(cells)}</tr>"
