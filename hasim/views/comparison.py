"""Several models with the same luck: what each showed on average, and how they differ from the first, in pairs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hasim.declared import shown
from hasim.errors import ModelError
from hasim.results.comparison import Comparison, difference_texts, mean_text
from hasim.results.estimate import Estimate
from hasim.units import human
from hasim.views.axes import BLUE, GREY, INK, VERMILION, axes_or_new, calm, percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_comparison(comparison: Comparison, ax: Axes | None = None, measure: str | None = None) -> Axes:
    """Draw for each model the mean over runs with its interval, and below it the paired difference to the first model.

    A dot is the estimate, its bar the interval. Differences (squares) are drawn from the first model's mean on, the
    dashed line, so that means and differences have one scale: a bar that keeps off the line is a difference that luck
    does not explain. To the right stand the numbers. Without `measure` it is the first one; without `ax` a new figure.
    Returns the axes; ModelError for what is no Comparison and for an unknown measure.
    """
    given: object = comparison
    if not isinstance(given, Comparison):
        raise ModelError(f"got {shown(given)}; give a Comparison, as ha.compare returns it", "comparison")
    name = comparison.measures[0] if measure is None else measure
    first, *others = comparison.names
    start = comparison.mean(first, name)
    share = comparison.units.get(name, "") == "share"
    ax = axes_or_new(ax, 8.0, 1.5 + 0.75 * len(comparison.names))
    bars = [(comparison.mean(first, name), 0.0, "o", mean_text(start))]
    for row, model in enumerate(others, start=1):
        mean, apart = comparison.mean(model, name), comparison.difference(model, measure=name)
        bars.append((mean, row - 0.17, "o", mean_text(mean)))
        said = difference_texts(apart, comparison.units.get(name, ""))[0].removeprefix("difference ")
        bars.append((_moved(apart.mean, start.value), row + 0.17, "s", said))
    low, high = _limits([bar for bar, *_ in bars])
    ax.set_xlim(low, high)
    ax.axvline(start.value, color=GREY, linewidth=1.0, linestyle=(0, (4, 3)), zorder=1)
    for estimate, at, marker, said in bars:
        _bar(ax, estimate, at, marker, said)
    ax.set_yticks(range(len(comparison.names)), list(comparison.names))
    ax.set_ylim(len(comparison.names) - 0.45, -0.55)
    if share:
        ax.xaxis.set_major_formatter(lambda tick, _: percent(tick, 3))
    ax.set_xlabel(f"{name}, mean over {comparison.runs:,} runs of {human(comparison.over_s)}")
    title = (
        f"{name}: {', '.join(comparison.names) if len(comparison.names) <= 3 else f'{len(comparison.names)} models'}"
    )
    ax.set_title(title, loc="left", color=INK, fontsize=11, pad=24)
    calm(ax, grid="x")
    ax.tick_params(axis="y", length=0)
    _legend(ax, first, comparison.level)
    return ax


def _moved(difference: Estimate, start: float) -> Estimate:
    """The difference as it stands on the axis of the means."""
    value, low, high = (start + end for end in (difference.value, difference.low, difference.high))
    return Estimate(value, min(low, value), max(high, value), difference.level)


def _limits(bars: list[Estimate]) -> tuple[float, float]:
    """From the lowest to the highest end that is one, with some room; at least a little around a single number."""
    ends = [end for bar in bars for end in (bar.low, bar.value, bar.high) if math.isfinite(end)]
    low, high = min(ends), max(ends)
    room = 0.08 * (high - low) or 0.1 * abs(high) or 1.0
    return low - room, high + room


def _bar(ax: Axes, estimate: Estimate, at: float, marker: str, said: str) -> None:
    """An estimate with its interval, cut off at the edges of the axes, and its number to the right of them."""
    left, right = ax.get_xlim()
    colour = BLUE if marker == "o" else VERMILION
    ends = [max(estimate.low, left), min(estimate.high, right)]
    ax.plot(ends, [at, at], color=colour, linewidth=2.4, alpha=0.55, solid_capstyle="butt", zorder=2)
    ax.plot([estimate.value], [at], marker=marker, color=colour, markersize=6 if marker == "o" else 5, zorder=3)
    ax.annotate(
        said, xy=(1.0, at), xycoords=ax.get_yaxis_transform(), xytext=(8, 0), textcoords="offset points",
        va="center", color=colour, fontsize=9, annotation_clip=False,
    )  # fmt: skip


def _legend(ax: Axes, first: str, level: float) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=BLUE, marker="o", linewidth=2.4, label=f"mean with {100 * level:g} % interval"),
        Line2D([], [], color=VERMILION, marker="s", linewidth=2.4, label=f"difference to {first}, in pairs"),
    ]
    ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(-0.01, 0.98), ncols=2, frameon=False, fontsize=9)
