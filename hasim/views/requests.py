"""What clients saw of a run: requests served and failed by time, how fast, and how many waited longer than x."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from hasim.errors import ModelError
from hasim.results import Run
from hasim.results.failed_share import requests_of
from hasim.results.fates import CUT_OFF, SERVED
from hasim.results.outcomes import OUTCOMES
from hasim.results.phases import FaultSpan, Phase, fault_spans
from hasim.results.request_log import RequestLog
from hasim.trace import Fact
from hasim.units import human
from hasim.views.axes import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    RED,
    SKY,
    VERMILION,
    YELLOW,
    axes_or_new,
    calm,
    linear_seconds,
    log_seconds,
    percent,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from hasim.results.requests import RequestFigures

Asked = Run | RequestLog

BINS_SHOWN: Final = 150
LABELS_MAX: Final = 6
POINTS_MAX: Final = 2_000
LETTER: Final = 0.085  # inches, the width of one as labels have it
SERVED_COLOUR: Final = "#C9E3F5"  # a tint of SKY: the background against which failures stand out
_COLOURS: Final = {
    "503": RED,
    "timeout": ORANGE,
    "refused": INK,
    "reset": PURPLE,
    "502": YELLOW,
    "504": "#8C5A00",
    "500": BLUE,
    "429": GREEN,
    "expired": "#B0B0B0",
    "not sent": "#5B4B8A",
    "unanswered": GREY,
    "notice": "#9DC3C1",
}
_LINES: Final = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, INK, SKY, GREY)
_MARKS: Final = {
    "server down": ("v", RED, "server taken out"),
    "server ejected": ("v", RED, "server taken out"),
    "server up": ("^", GREEN, "server put back"),
    "server back": ("^", GREEN, "server put back"),
}


def plot_requests(run: Asked, load: str | None = None, ax: Axes | None = None) -> tuple[Axes, Axes]:
    """Draw what became of the requests of a run, second by second: above how many, below how long they took.

    Above, the requests that arrived, per second: the failed ones by outcome from the ground up, the served ones on
    top of them; a dotted line says how often clients asked for these, if not once each. Below, the median and the 99th
    centile of the latency of those served, by when they arrived. Grey bands are scripted faults, triangles servers that
    a balancer took out and put back. `load` chooses one load. Without `ax` a new figure is drawn, otherwise both
    pictures in the place of `ax`. Returns the two axes.
    """
    log = requests_of(run)
    if load is not None:
        log = log.of(load=load)
    above, below, inches = _two_axes(ax)
    letter = LETTER / inches * (log.end_s - log.start_s)
    width = _bin_width(log.end_s - log.start_s)
    rows = log.per(width)
    edges = np.append(rows.index.to_numpy(dtype=np.float64), log.end_s)
    spans = fault_spans(run.trace, run.end_s) if isinstance(run, Run) else []
    for each in (above, below):
        linear_seconds(each, log.start_s, log.end_s)
        calm(each, grid="y")
        for span in spans:
            each.axvspan(span.start_s, span.end_s, color=INK, alpha=0.08, linewidth=0, zorder=1.8)
    lines = _name_faults(above, spans, letter)
    _draw_counts(above, rows, edges)
    _draw_latency(below, rows, edges)
    if isinstance(run, Run):
        _mark_servers(below, run, letter)
    above.tick_params(labelbottom=False)
    _legends(above, below)
    name = log.loads[0] if len(log.loads) == 1 else load or "all loads"
    title = _title(run.cluster if isinstance(run, Run) else name, log.figures(name))
    above.set_title(title, loc="left", color=INK, fontsize=11, pad=8 + 13 * lines)
    return above, below


def plot_latency(runs: Asked | Sequence[Asked] | Mapping[str, Asked], ax: Axes | None = None) -> Axes:
    """Draw the share of requests that were not served within x, of several runs, on logarithmic axes.

    A request that was never served counts as slower than any x, so that a curve levels out at the share that
    failed; those that the end of the run cut off are left out. `runs` is a run or a request log, several of them, or
    a mapping that names them. Of a single run with scripted faults each phase is drawn. Without `ax` a new figure is
    drawn. Returns the axes.
    """
    curves = {name: _decided(log) for name, log in _named(runs).items()}
    curves = {name: waits for name, waits in curves.items() if waits.size}
    finite = [waits[np.isfinite(waits) & (waits > 0)] for waits in curves.values()]
    if not any(each.size for each in finite):
        raise ModelError("no request was served, so there is no latency to draw")
    ax = axes_or_new(ax)
    # The fastest per cent tells nothing: all curves are still at the top.
    low = min(float(each[each.size // 100]) for each in finite if each.size) / 1.5
    high = max(float(each[-1]) for each in finite if each.size) * 1.5
    log_seconds(ax, low, high)
    instants = _decades(low, high)
    ax.set_xticks(instants, [human(tick) for tick in instants])
    floor = 0.5 / max(waits.size for waits in curves.values())
    for i, (name, waits) in enumerate(curves.items()):
        x, share = survival(waits, low, high)
        label = f"{name}, {waits.size:,} requests"
        style = "-" if i < len(_LINES) else "--"
        ax.step(x, share, style, where="post", color=_LINES[i % len(_LINES)], linewidth=2, label=label)
    ax.set_yscale("log", nonpositive="clip")  # where all were served a curve leaves the picture
    ax.set_ylim(floor, 1.5)
    ticks = [10.0**-k for k in range(0, 12) if 10.0**-k >= floor]
    ax.set_yticks(ticks, [percent(tick) for tick in ticks])
    ax.set_yticks([], minor=True)
    calm(ax)
    ax.set_xlabel("x, from the arrival of a request to its answer")
    ax.set_ylabel("share of requests not served within x")
    ax.set_title("How long requests took", loc="left", color=INK, fontsize=11)
    ax.legend(frameon=False, fontsize=9, loc="lower left")
    return ax


# ------------------------------------------------------------------------------------------------ requests


def _two_axes(ax: Axes | None) -> tuple[Axes, Axes, float]:
    """Two axes that share their time, in a new figure or in the place of one given, and their width in inches."""
    if ax is None:
        import matplotlib.pyplot as plt

        figure, (above, below) = plt.subplots(2, 1, figsize=(9.0, 5.6), layout="constrained", sharex=True)
        return above, below, above.get_window_extent().width / figure.dpi
    ax.set_axis_off()
    below = ax.inset_axes((0, 0, 1, 0.46))
    above = ax.inset_axes((0, 0.54, 1, 0.46), sharex=below)
    return above, below, ax.get_window_extent().width / ax.figure.dpi


def _bin_width(length_s: float) -> float:
    """The shortest of 1, 2, 5, 10, 20, 50 … seconds (or parts of one) that makes few enough bins."""
    least = length_s / BINS_SHOWN
    decade = 10.0 ** math.floor(math.log10(least))
    return next(step * decade for step in (1, 2, 5, 10) if step * decade >= least)


def _draw_counts(ax: Axes, rows: pd.DataFrame, edges: NDArray[np.float64]) -> None:
    """Requests per second by outcome, as steps on top of one another; the topmost line is all that arrived."""
    lengths = np.diff(edges)
    ground = np.zeros(len(lengths))
    for outcome in [name for name in OUTCOMES if name in rows.columns]:
        top = ground + rows[outcome].to_numpy() / lengths
        _steps(ax, edges, ground, top, _COLOURS[outcome], outcome)
        ground = top
    arrived = rows["arrived"].to_numpy() / lengths
    _steps(ax, edges, ground, arrived, SERVED_COLOUR, "served")
    ax.stairs(arrived, edges, color=SKY, linewidth=1.2, zorder=2)
    highest = float(arrived.max(initial=0.0))
    if bool((rows["attempts"] != rows["arrived"]).any()):
        attempts = rows["attempts"].to_numpy() / lengths
        ax.stairs(attempts, edges, baseline=None, color=INK, linewidth=1.2, linestyle=":", label="attempts", zorder=2)
        highest = max(highest, float(attempts.max()))
    ax.set_ylim(0, 1.08 * max(highest, 1e-9))
    ax.set_ylabel("requests a second", color=INK)


def _steps(
    ax: Axes, edges: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64], colour: str, label: str
) -> None:
    ax.stairs(high, edges, baseline=low, fill=True, facecolor=colour, edgecolor="none", label=label, zorder=1.5)


def _draw_latency(ax: Axes, rows: pd.DataFrame, edges: NDArray[np.float64]) -> None:
    """The median and the 99th centile as steps on a logarithmic axis; nothing where nothing was served."""
    seen = rows[["p50_s", "p99_s"]].to_numpy()
    ax.set_yscale("log")
    for column, colour, label in ((1, VERMILION, "99th centile"), (0, BLUE, "median")):
        ax.stairs(seen[:, column], edges, baseline=None, color=colour, linewidth=1.6, label=label, zorder=2)
    seen = seen[np.isfinite(seen) & (seen > 0)]
    if seen.size:
        low, high = float(seen.min()) / 1.6, float(seen.max()) * 1.6
        ticks = _decades(low, high)
        ax.set_ylim(min(low, ticks[0]), max(high, ticks[-1]))
        ax.set_yticks(ticks, [human(tick) for tick in ticks])
    ax.set_yticks([], minor=True)
    ax.set_ylabel("latency of the served", color=INK)


def _decades(low: float, high: float) -> list[float]:
    """Ticks at 1, or at 1, 2, 5, of each decade from `low` to `high`: at least two of them."""
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7)):
        ticks = [step * 10.0**exponent for exponent in exponents for step in steps]
        ticks = [tick for tick in ticks if low <= tick <= high]
        if len(ticks) >= 3:
            return ticks
    return [low, high]


def _name_faults(ax: Axes, spans: Sequence[FaultSpan], letter: float) -> int:
    """Write each fault above its band, on a line of its own where it would run into another; returns how many lines.

    A `letter` takes so much time of the axis. A name that would run over the right edge ends at its band instead.
    """
    start, end = ax.get_xlim()
    lines: list[list[tuple[float, float]]] = []  # what is taken, from when to when
    for span in [each for each in spans if start <= each.start_s < end][:LABELS_MAX]:
        width = letter * (len(span.text) + 1)
        flip = span.start_s + width > end
        reach = (span.end_s - width, span.end_s) if flip else (span.start_s, span.start_s + width)
        line = next(
            (i for i, taken in enumerate(lines) if all(reach[1] <= low or reach[0] >= high for low, high in taken)),
            len(lines),
        )
        if line == len(lines):
            lines.append([])
        lines[line].append(reach)
        ax.annotate(
            span.text, xy=(span.end_s if flip else span.start_s, 1), xycoords=("data", "axes fraction"),
            xytext=(-3 if flip else 3, 3 + 13 * line), textcoords="offset points", color=GREY, fontsize=9,
            ha="right" if flip else "left", annotation_clip=False,
        )  # fmt: skip
    return len(lines)


def _mark_servers(ax: Axes, run: Run, letter: float) -> None:
    """Triangles on the upper edge where a balancer took a server out or put it back, named where there is room."""
    facts = [fact for fact in run.trace if isinstance(fact, Fact) and fact.kind in _MARKS]
    facts = [fact for fact in facts if run.start_s <= fact.at <= run.end_s]
    edge = ax.get_xaxis_transform()
    for shape, colour, label in dict.fromkeys(_MARKS.values()):
        times = [fact.at for fact in facts if _MARKS[fact.kind][0] == shape]
        if times:
            ax.plot(
                times, np.ones(len(times)), shape, transform=edge, color=colour, markersize=7, clip_on=False,
                label=label, zorder=3, linestyle="none",
            )  # fmt: skip
    nexts = [*(fact.at for fact in facts), run.end_s][1:]
    for fact, after in zip(facts, nexts, strict=True):
        name = "" if isinstance(fact.detail, str) else str(fact.detail.get("server", ""))
        if name and after - fact.at >= letter * (len(name) + 2):
            ax.annotate(
                name, xy=(fact.at, 1), xycoords=edge, xytext=(6, 0),
                textcoords="offset points", va="center", color=INK, fontsize=8, annotation_clip=False,
            )  # fmt: skip


def _legends(above: Axes, below: Axes) -> None:
    """Beside each picture, so that nothing is hidden; read from top to bottom as the picture is."""
    for ax in (above, below):
        handles, labels = ax.get_legend_handles_labels()
        if ax is above:
            handles, labels = handles[::-1], labels[::-1]
        ax.legend(
            handles, labels, loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=9, borderaxespad=0
        )


def _title(name: str, figures: RequestFigures) -> str:
    if figures.served_share is None:
        return f"{name}: no requests"
    return f"{name}: {figures.requests:,} requests, {percent(figures.served_share, 3)} served"


# ------------------------------------------------------------------------------------------------ latency


def _named(runs: Asked | Sequence[Asked] | Mapping[str, Asked]) -> dict[str, RequestLog]:
    if isinstance(runs, Mapping):
        return {name: requests_of(run) for name, run in runs.items()}
    if isinstance(runs, Run):
        log, phases = requests_of(runs), runs.phases()
        of_phases = {_phase_label(each): log.between(each.start_s, each.end_s) for each in phases}
        return of_phases or {runs.cluster: log}
    if isinstance(runs, RequestLog):
        return {"requests": runs}
    given: object = runs
    if not isinstance(given, Sequence):
        requests_of(given)  # says what is wrong with it
    names = [run.cluster if isinstance(run, Run) else "requests" for run in runs]
    if len(dict.fromkeys(names)) < len(names):
        names = [f"{name} {i}" for i, name in enumerate(names, start=1)]
    return {name: requests_of(run) for name, run in zip(names, runs, strict=True)}


def _phase_label(phase: Phase) -> str:
    return ": ".join(said for said in (phase.name, " and ".join(phase.faults)) if said)


def _decided(log: RequestLog) -> NDArray[np.float64]:
    """Ascending latencies of all requests but those cut off; infinite where a request was not served."""
    waits = np.where(log.fate == SERVED, log.latency_s, np.inf)
    return np.sort(waits[log.fate != CUT_OFF])


def survival(waits: NDArray[np.float64], low: float, high: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return where the share of waits longer than x changes, from `low` to `high`, and the share from there on.

    `waits` ascend, infinite where nothing came. There are no more points than an eye can tell apart, most of them in
    the tail.
    """
    served = int(np.count_nonzero(np.isfinite(waits)))
    n = waits.size
    slowest = np.arange(1, served + 1)
    if served > POINTS_MAX:
        slowest = np.unique(np.geomspace(1, served, POINTS_MAX).astype(np.int64))
    at = served - slowest[::-1]
    at = at[waits[at] > low]
    fast = int(np.searchsorted(waits, low, side="right"))
    x = np.concatenate([[low], waits[at], [high]])
    return x, np.concatenate([[n - fast], n - 1 - at, [n - served]]) / n
