"""Axes that read well: somewhere to draw, durations and shares as tick labels, the colours of hasim's plots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hasim.units import human

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe & Ito's palette: told apart also by readers who do not see red and green.
BLUE: Final = "#0072B2"
VERMILION: Final = "#D55E00"
RED: Final = "#C62828"
GREEN: Final = "#009E73"
ORANGE: Final = "#E69F00"
SKY: Final = "#56B4E9"
PURPLE: Final = "#CC79A7"
YELLOW: Final = "#F0E442"
INK: Final = "#222222"
GREY: Final = "#8C8C8C"
PALE: Final = "#EDEDED"

_NEAT_SECONDS: Final = (
    *(1e-3, 1e-2, 1e-1, 1.0, 10.0, 60.0, 600.0, 3600.0, 6 * 3600.0, 86400.0),
    *(7 * 86400.0, 30 * 86400.0, 365 * 86400.0, 3650 * 86400.0),
)
_STEPS: Final = (
    *(1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0),
    *(60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 3 * 3600.0, 6 * 3600.0, 12 * 3600.0),
    *(days * 86400.0 for days in (1, 2, 5, 10, 30, 60, 90, 180)),
    *(years * 365 * 86400.0 for years in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000, 100_000)),
)


def axes_or_new(ax: Axes | None, width: float = 8.0, height: float = 4.5) -> Axes:
    """Return the axes given, or those of a new figure of this size in inches."""
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    _, new = plt.subplots(figsize=(width, height), layout="constrained")
    return new


def calm(ax: Axes, grid: str = "both") -> None:
    """Draw no box around the data, and a pale grid behind them along `grid`: x, y or both."""
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(GREY)
    ax.tick_params(which="both", color=GREY, labelcolor=INK)
    ax.set_axisbelow(True)
    ax.grid(True, axis=grid, which="major", color=PALE, linewidth=0.8)  # type: ignore[arg-type]


def log_seconds(ax: Axes, low: float, high: float) -> None:
    """Make x a logarithmic axis of durations from `low` to `high` seconds, ticked at 1 s, 1 m, 1 h, 1 d and so on."""
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    ticks = [tick for tick in _NEAT_SECONDS if low <= tick <= high]
    if len(ticks) < 2:
        ticks = [low, high]
    ax.set_xticks(ticks, [human(tick) for tick in ticks])
    ax.set_xticks([], minor=True)


def linear_seconds(ax: Axes, start: float, end: float, ticks_max: int = 9) -> None:
    """Make x a linear axis of instants from `start` to `end` seconds, ticked at neat durations."""
    step = next((step for step in _STEPS if (end - start) / step <= ticks_max), (end - start) / ticks_max)
    first = int(-(-start // step))
    ticks = [number * step for number in range(first, int(end // step) + 1)]
    ax.set_xlim(start, end)
    ax.set_xticks(ticks, [human(tick) for tick in ticks])


def percent(share: float, digits: int = 2) -> str:
    """Return a share as short percent text with `digits` significant digits: 0.0312 → "3.1 %"."""
    scaled = 100 * share
    if scaled in (0, 100):
        return f"{scaled:.0f} %"
    if scaled >= 99 and scaled < 100:  # what is missing to 100 matters here
        return f"{100 - float(f'{100 - scaled:.{digits}g}'):.10g} %"
    return f"{float(f'{scaled:.{digits}g}'):.10g} %"
