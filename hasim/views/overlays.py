"""Distributions laid over one another in small multiples: what was measured as steps, ours as a line with a band."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from hasim.views.axes import BLUE, GREEN, GREY, INK, ORANGE, SKY, VERMILION, calm

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]

BAND: Final = 1.36
"""Kolmogorov's 5 % point: a sample of n strays from the true distribution by more than this over √n once in twenty."""
LINE_POINTS: Final = 2_000
_LETTERS_AN_INCH: Final = 13
_MARKS: Final = {"calibrated": ORANGE, "prediction": GREEN, "regime": GREY}


@dataclass(frozen=True)
class Panel:
    """One pair of distributions of a time, in seconds.

    `theirs` is a sample or, where `levels` are given, quantiles at these levels. `theirs_size` is how many trials are
    behind them, which sets the width of the band. `mark` says how much was fitted: calibrated, prediction or regime.
    """

    title: str
    theirs: Floats
    ours: Floats
    theirs_size: int
    levels: Floats | None = None
    mark: str = ""
    low: float | None = None
    high: float | None = None
    log: bool = False


def plot_overlays(
    panels: Sequence[Panel], title: str, note: str, columns: int = 3, theirs: str = "measured", unit: str = "s"
) -> Figure:
    """Draw each panel as two cumulative distributions: theirs in steps, ours as a line with a band around it.

    If our model is right, their steps stay within the band in 19 of 20 panels. The x axis is in `unit`, s or ms.
    """
    import matplotlib.pyplot as plt

    rows = math.ceil(len(panels) / columns)
    width = 4.3 * columns
    said = textwrap.wrap(note, int(_LETTERS_AN_INCH * width))
    head = 0.6 + 0.2 * len(said)  # inches above the panels
    height = 3.0 * rows + head + 0.4
    figure, grid = plt.subplots(
        rows, columns, figsize=(width, height), layout="constrained", squeeze=False, sharey=True
    )
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.set(rect=(0, 0, 1, 1 - head / height))  # type: ignore[call-arg]
    for place, ax in enumerate(grid.flat):
        if place >= len(panels):
            ax.set_visible(False)
            continue
        _draw(ax, panels[place], 1e3 if unit == "ms" else 1.0)
        if place >= len(panels) - columns:
            ax.set_xlabel(f"time in {unit}", color=INK)
        if place % columns == 0:
            ax.set_ylabel("share of trials", color=INK)
    figure.text(0.01, 1 - 0.12 / height, title, fontsize=15, color=INK, fontweight="bold", va="top")
    figure.text(0.01, 1 - 0.48 / height, "\n".join(said), fontsize=10, color=INK, va="top")
    _legend(figure, theirs, points=any(panel.levels is not None for panel in panels))
    return figure


def _draw(ax: Axes, panel: Panel, scale: float) -> None:
    """One panel; its axis ends where almost all of both distributions is."""
    ours = np.sort(panel.ours) * scale
    levels = np.linspace(0.0, 1.0, min(LINE_POINTS, ours.size))
    line = np.quantile(ours, levels)
    width = BAND * math.sqrt(1 / panel.theirs_size + 1 / ours.size)
    ax.fill_between(
        line, np.clip(levels - width, 0, 1), np.clip(levels + width, 0, 1), color=SKY, alpha=0.28, linewidth=0
    )
    ax.plot(line, levels, color=BLUE, linewidth=2)
    theirs = panel.theirs * scale
    if panel.levels is None:
        steps = np.sort(theirs)
        ax.step(steps, np.arange(1, steps.size + 1) / steps.size, where="post", color=VERMILION, linewidth=1.5)
    else:
        ax.plot(theirs, panel.levels, "o", color=VERMILION, markersize=4.5)
    low = min(line[0], theirs.min()) if panel.low is None else panel.low * scale
    last = theirs.max() if panel.levels is None else np.interp(0.99, panel.levels, theirs)
    high = max(np.quantile(ours, 0.995), last) if panel.high is None else panel.high * scale
    margin = 0.04 * (high - low)
    if panel.log:
        ax.set_xscale("log")
        ax.set_xlim(low, high)
    else:
        ax.set_xlim(low - margin, high + margin)
    ax.set_ylim(0, 1.02)
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "100 %"])
    calm(ax)
    ax.set_title(panel.title, loc="left", fontsize=11, color=INK)
    said = f"n = {panel.theirs_size:,}".replace(",", "\u202f")
    ax.text(0.97, 0.07, said, transform=ax.transAxes, ha="right", color=VERMILION, fontsize=10)
    if panel.mark:
        ax.text(
            0.97, 0.17, panel.mark, transform=ax.transAxes, ha="right", fontsize=10, fontweight="bold",
            color=_MARKS.get(panel.mark, GREY),
        )  # fmt: skip


def _legend(figure: Figure, theirs: str, points: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    style = {"marker": "o", "linestyle": "none", "markersize": 4.5} if points else {"linewidth": 1.5}
    handles = [
        Line2D([], [], color=VERMILION, label=theirs, **style),
        Line2D([], [], color=BLUE, linewidth=2, label="hasim"),
        Patch(color=SKY, alpha=0.28, label="where 95 % of such samples lie if hasim is right"),
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=3, frameon=False, fontsize=10)


def save(figure: Figure, path: str) -> None:
    """Write a picture, and forget it."""
    import matplotlib.pyplot as plt

    figure.savefig(path, dpi=130, metadata={"Software": None})
    plt.close(figure)
