"""What became of the tasks of a queue: how many came, how much was worked at, how much of it counted, what waited."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from hasim.declared import shown
from hasim.errors import ModelError, nearest
from hasim.results import Run
from hasim.results.phases import fault_spans
from hasim.results.tasks import TaskLog
from hasim.views.axes import BLUE, GREY, INK, ORANGE, VERMILION, calm, linear_seconds, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BINS: Final = 120
STEPS: Final = (1e-3, 1e-2, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 3600.0, 6 * 3600.0, 86400.0)


def plot_tasks(run: Run, queue: str | None = None) -> tuple[Axes, Axes]:
    """Draw the tasks of a queue over time: above how many came, were begun and had their effect, below what waited.

    Above, per second: tasks that came (grey line), attempts that began (orange area) and first effects (blue area in
    front): orange that shows is work in vain. Below, the tasks that have no effect and may still get one. Grey bands
    are scripted faults. Without `queue` it is the first that had tasks. Returns the two axes; ModelError if there is
    nothing to draw.
    """
    given: object = run
    if not isinstance(given, Run):
        raise ModelError(f"got {shown(given)}; give a Run, as ha.simulate returns it", "run")
    if not run.tasks:
        raise ModelError(
            "no tasks came in this run; give a queue `delivery` and `work`, and a load that goes there", "run"
        )
    queue = next(iter(run.tasks)) if queue is None else queue
    if queue not in run.tasks:
        raise ModelError(
            f"got {queue!r}; tasks came to {', '.join(run.tasks)}{nearest(str(queue), run.tasks)}", "queue"
        )
    import matplotlib.pyplot as plt

    log = run.tasks[queue]
    _, (above, below) = plt.subplots(2, 1, figsize=(9.0, 5.4), layout="constrained", sharex=True, height_ratios=(3, 2))
    edges = _edges(run.start_s, run.end_s)
    _rates(above, log, edges)
    _backlog(below, log, edges)
    for ax in (above, below):
        for start, end in _bands(run):
            ax.axvspan(start, end, color=INK, alpha=0.08, linewidth=0, zorder=0.5)
        linear_seconds(ax, run.start_s, run.end_s)
        calm(ax, grid="y")
    above.tick_params(labelbottom=False)
    above.set_title(_said(queue, log), loc="left", color=INK, fontsize=11, pad=26)
    return above, below


def _bands(run: Run) -> list[tuple[float, float]]:
    """The times of the scripted faults, those together that overlap."""
    bands: list[tuple[float, float]] = []
    for span in sorted(fault_spans(run.trace, run.end_s), key=lambda span: span.start_s):
        if bands and span.start_s <= bands[-1][1]:
            bands[-1] = bands[-1][0], max(bands[-1][1], span.end_s)
        else:
            bands.append((span.start_s, span.end_s))
    return bands


def _edges(start: float, end: float) -> NDArray[np.float64]:
    width = next((step for step in STEPS if (end - start) / step <= BINS), (end - start) / BINS)
    return np.append(np.arange(start, end, width), end)


def _per_second(times: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.histogram(times[~np.isnan(times)], edges)[0] / np.diff(edges))


def _rates(ax: Axes, log: TaskLog, edges: NDArray[np.float64]) -> None:
    attempts, effects = _per_second(log.attempts_s, edges), _per_second(log.effect_s, edges)
    ax.stairs(attempts, edges, fill=True, color=ORANGE, alpha=0.85, label="attempts begun")
    ax.stairs(effects, edges, fill=True, color=BLUE, label="first effects")
    ax.stairs(
        _per_second(log.arrived_s, edges), edges, color=INK, linewidth=1.4, baseline=None, label="tasks that came"
    )
    ax.set_ylabel("a second")
    ax.set_ylim(bottom=0)
    ax.legend(loc="lower left", bbox_to_anchor=(0.0, 0.98), ncols=3, frameon=False, fontsize=9)


def _backlog(ax: Axes, log: TaskLog, edges: NDArray[np.float64]) -> None:
    ends = np.fmin(np.fmin(log.effect_s, log.done_s), np.fmin(log.dead_s, log.gone_s))
    come = np.searchsorted(np.sort(log.arrived_s), edges, side="right")
    gone = np.searchsorted(np.sort(ends[~np.isnan(ends)]), edges, side="right")
    ax.fill_between(edges, come - gone, color=GREY, alpha=0.35, linewidth=0)
    ax.plot(edges, come - gone, color=VERMILION, linewidth=1.6)
    ax.set_ylabel("tasks without effect")
    ax.set_ylim(bottom=0)


def _said(queue: str, log: TaskLog) -> str:
    figures = log.figures()
    said = [f"{queue}: {len(log):,} tasks"]
    if figures.executions is not None:
        said.append(f"{figures.executions.value:.2f} executions each")
    for name, estimate in (("duplicated", figures.duplicated), ("lost", figures.lost)):
        if estimate is not None:
            said.append(f"{percent(estimate.value)} {name}")
    return ", ".join(said)
