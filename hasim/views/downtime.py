"""The distribution of downtime over many histories: how often none at all, and how bad the bad years are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hasim.results import Sample, ServiceFigures
from hasim.results.intervals import quantile_interval
from hasim.units import YEAR, human, share_text
from hasim.views.axes import BLUE, INK, SKY, VERMILION, axes_or_new, calm, log_seconds, percent
from hasim.views.choosing import service_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_downtime(sample: Sample, service: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw how likely a history is to be down for longer than x, on logarithmic axes, and how often it is not at all.

    The dashed line is the downtime that the SLO allows in a history of that length. Without `service` the first one
    of the sample is drawn; without `ax` a new figure. Returns the axes.
    """
    figures = service_of(sample, service)
    ax = axes_or_new(ax)
    down = np.sort(sample.downtime_s[figures.name])
    hit = down[down > 0]
    budget = None if figures.slo is None else (1 - figures.slo[0]) * sample.horizon_s
    _draw_axes(ax, hit, budget, sample)
    if hit.size:
        _draw_curve(ax, down)
    else:
        ax.text(
            0.5,
            0.5,
            f"no downtime in {sample.runs:,} histories",
            ha="center",
            transform=ax.transAxes,
            color=INK,
        )
    if budget is not None:
        _draw_budget(ax, down, budget, figures)
    period = "a year" if sample.horizon_s == YEAR else human(sample.horizon_s)
    ax.set_title(f"{sample.cluster}: downtime of {figures.name} in {period}", loc="left", color=INK, fontsize=11)
    ax.set_xlabel(f"downtime x in {period}")
    ax.set_ylabel("probability of more than x")
    return ax


def _draw_axes(ax: Axes, hit: NDArray[np.float64], budget: float | None, sample: Sample) -> None:
    marks = [*hit[[0, -1]], *([budget] if budget else [])] if hit.size else [budget or 1.0]
    # The fastest per mille may be a crumb of a second cut off by the end of a history: the axis ignores it.
    low = max(min(marks), max(marks) * 1e-7) / 2
    log_seconds(ax, low, max(marks) * 2)
    ax.set_yscale("log")
    ax.set_ylim(0.5 / sample.runs, 1.6)
    exponents = range(0, -int(np.ceil(np.log10(sample.runs))) - 1, -1)
    ticks = [10.0**exponent for exponent in exponents if 10.0**exponent >= 0.5 / sample.runs]
    ax.set_yticks(ticks, [percent(tick) for tick in ticks])
    ax.set_yticks([], minor=True)
    calm(ax)


def _draw_curve(ax: Axes, down: NDArray[np.float64]) -> None:
    runs = down.size
    none = float(np.mean(down == 0))
    low = ax.get_xlim()[0]
    hit = down[down > 0]
    x = np.concatenate([[low], hit, [hit[-1]]])
    # P[downtime > x] just after each observed value; it ends where the last history does.
    survival = np.concatenate([[1 - none], np.arange(hit.size - 1, -1, -1) / runs, [0.0]])
    floor = ax.get_ylim()[0]
    ax.fill_between(x, np.maximum(survival, floor), floor, step="post", color=SKY, alpha=0.25, linewidth=0)
    ax.step(x, np.maximum(survival, floor), where="post", color=BLUE, linewidth=2)
    said = f"{percent(none)} of {runs:,} histories without any downtime" if none else "every history had some downtime"
    ax.text(0.02, 0.04, said, transform=ax.transAxes, color=BLUE, fontsize=10)
    for name, p in (("median", 0.5), ("99 %", 0.99)):
        _mark_quantile(ax, down, name, p)


def _mark_quantile(ax: Axes, down: NDArray[np.float64], name: str, p: float) -> None:
    """A dot on the curve with the interval of the quantile as a bar through it; nothing where that is no downtime."""
    value = float(down[min(down.size, int(np.ceil(p * down.size))) - 1])
    left, right = ax.get_xlim()
    if value <= left:
        return
    low, high = quantile_interval(down, p)
    ax.plot([max(low, left), min(high, right)], [1 - p, 1 - p], color=BLUE, linewidth=1.2)
    ax.plot([value], [1 - p], "o", color=BLUE, markersize=5)
    ax.annotate(
        f"{name}: {human(value)}", xy=(min(high, right), 1 - p), xytext=(6, 0), textcoords="offset points",
        va="center", color=INK, fontsize=9,
    )  # fmt: skip


def _draw_budget(ax: Axes, down: NDArray[np.float64], budget: float, figures: ServiceFigures) -> None:
    assert figures.slo is not None
    over = float(np.mean(down > budget))
    ax.axvline(budget, color=VERMILION, linestyle=(0, (4, 3)), linewidth=1.5)
    exceeded = f"exceeded by {percent(over)}" if over else f"exceeded by none of {down.size:,}"
    ax.annotate(
        f"{share_text(figures.slo[0])} allows {human(budget)}\n{exceeded}",
        xy=(budget, 1.25), xytext=(-6, 0), textcoords="offset points", ha="right", va="top",
        color=VERMILION, fontsize=9,
    )  # fmt: skip
