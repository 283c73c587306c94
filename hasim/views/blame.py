"""Who is to blame for the downtime of a service, as bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hasim.results import Blame
from hasim.views.axes import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    VERMILION,
    YELLOW,
    axes_or_new,
    calm,
    percent,
)
from hasim.views.choosing import Result, service_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BARS_MAX: Final = 12
_COLOURS: Final = {
    "region": INK,
    "zone": BLUE,
    "rack": SKY,
    "host": GREEN,
    "process": ORANGE,
    "whole": ORANGE,
    "common cause": PURPLE,
    "burst": YELLOW,
    "failover": VERMILION,
    "planned": PURPLE,
    "upgrade": PURPLE,
}


def plot_blame(result: Result, service: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw what caused the downtime of a service as horizontal bars, the guiltiest on top, coloured by kind.

    A bar is a unit's share of all blame (its criticality, normalised). Without `service` the first one of the
    result is drawn; without `ax` a new figure. Returns the axes.
    """
    figures = service_of(result, service)
    bars = ranked(figures.blame)
    ax = axes_or_new(ax, 8.0, 1.4 + 0.34 * max(3, len(bars)))
    ax.set_title(f"{result.cluster}: who takes {figures.name} down", loc="left", color=INK, fontsize=11)
    if not bars:
        ax.text(0.5, 0.5, "nobody to blame: no downtime was seen", ha="center", transform=ax.transAxes, color=INK)
        ax.set_axis_off()
        return ax
    rows = range(len(bars))
    colours = [_COLOURS.get(bar.kind, GREY) for bar in bars]
    ax.barh(rows, [bar.share for bar in bars], color=colours, height=0.7)
    ax.set_yticks(rows, [bar.unit for bar in bars])
    ax.invert_yaxis()
    widest = max(bar.share for bar in bars)
    ax.set_xlim(0, widest * 1.14)
    for row, bar in zip(rows, bars, strict=True):
        ax.annotate(
            percent(bar.share), xy=(bar.share, row), xytext=(4, 0), textcoords="offset points",
            va="center", color=INK, fontsize=9,
        )  # fmt: skip
    ax.xaxis.set_major_formatter(lambda share, _: percent(share))
    ax.set_xlabel("share of the blame for the downtime")
    calm(ax, grid="x")
    ax.tick_params(axis="y", length=0)
    _legend(ax, bars)
    return ax


def ranked(blame: tuple[Blame, ...], bars_max: int = BARS_MAX) -> list[Blame]:
    """The guiltiest units, at most `bars_max`, the rest of them as one; those without guilt left out."""
    guilty = [each for each in blame if each.share > 0]
    if len(guilty) <= bars_max:
        return guilty
    kept, rest = guilty[: bars_max - 1], guilty[bars_max - 1 :]
    return [*kept, Blame(unit=f"{len(rest)} others", share=sum(each.share for each in rest))]


def _legend(ax: Axes, bars: list[Blame]) -> None:
    from matplotlib.patches import Patch

    kinds = [kind for kind in _COLOURS if any(bar.kind == kind for bar in bars)]
    if len(kinds) > 1:
        patches = [Patch(color=_COLOURS[kind], label=kind) for kind in kinds]
        ax.legend(handles=patches, loc="lower right", frameon=False, fontsize=9)
