"""The picture of the comparison: executions and repeated tasks, as measured and as hasim has them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Final

from hasim.validation.queues.bench import Trial
from hasim.validation.queues.comparing import ours
from hasim.validation.queues.record import recorded
from hasim.validation.queues.report import FITTED, SERIES, SETTINGS
from hasim.validation.verdicts import Z, standard_error
from hasim.views.axes import BLUE, GREY, INK, PALE, VERMILION, axes_or_new, calm

HEADING: Final = "Tasks that are done again: real queues, and hasim"
CAPTION: Final = (
    "beanstalkd 1.12 and NATS JetStream as measured, and the same trials in hasim: 48 tasks and 16 workers (36 and 6), "
    "work of 0.8 s in the median (lognormal, sigma 0.6), a deadline of 1, 2 or 3 s. Bars are two standard errors of "
    "the measured mean. Grey: the share of missed expiries was counted in these trials, so they are a fit."
)
WIDTH, HEIGHT, HEAD = 13.0, 7.4, 0.95
APART: Final = 0.19
"""How far the two series of a configuration lie above and below its line."""
PANELS: Final = (
    ("mean_exec", "executions a task", 1.0),
    ("dup_frac", "tasks executed more than once", 100.0),
)


def picture(trials: Mapping[str, Sequence[Trial]]) -> Any:
    """Draw a line for each configuration: measured points of both series with their errors, and hasim's means."""
    figure: Any = axes_or_new(None, WIDTH, HEIGHT).figure
    figure.clear()
    figure.get_layout_engine().set(rect=(0, 0, 1, 1 - HEAD / HEIGHT))
    panels = figure.subplots(1, len(PANELS), sharey=True)
    for ax, (quantity, said, scale) in zip(panels, PANELS, strict=True):
        _draw(ax, trials, quantity, scale)
        ax.set_xlabel(f"{said}{', %' if scale > 1 else ''}", color=INK, fontsize=11)
    panels[1].legend(loc="lower right", frameon=False, fontsize=10)
    figure.text(0.01, 1 - 0.12 / HEIGHT, HEADING, fontsize=15, color=INK, fontweight="bold", va="top")
    figure.text(0.01, 1 - 0.46 / HEIGHT, "\n".join(textwrap.wrap(CAPTION, 165)), fontsize=10, color=INK, va="top")
    return figure


def _draw(ax: Any, trials: Mapping[str, Sequence[Trial]], quantity: str, scale: float) -> None:
    said = set()
    for line, setting in enumerate(SETTINGS):
        if line % 2:
            ax.axhspan(line - 0.5, line + 0.5, color=PALE, alpha=0.5, linewidth=0)
        for series, y in zip(SERIES, (line - APART, line + APART), strict=True):
            name = f"{series}_{setting}"
            theirs, mine = recorded()[name].column(quantity) * scale, ours(trials[name], quantity) * scale
            color = GREY if name in FITTED else VERMILION
            label = None if color == GREY or series in said else f"real queue, {series} series"
            said.add(series)
            ax.errorbar(
                theirs.mean(), y, xerr=Z * standard_error(theirs), fmt="o", color=color, markersize=6, capsize=3,
                markerfacecolor=color if series == SERIES[0] else "white", linewidth=1.4, label=label,
            )  # fmt: skip
            label = "hasim" if not line and series == SERIES[0] else None
            ax.plot(
                [mine.mean()], [y], marker="|", markersize=15, markeredgewidth=3.2, linestyle="none", color=BLUE,
                label=label, zorder=3,
            )  # fmt: skip
    ax.set_yticks(range(len(SETTINGS)), list(SETTINGS.values()), fontsize=10.5)
    ax.set_ylim(len(SETTINGS) - 0.5, -0.5)
    calm(ax, grid="x")
