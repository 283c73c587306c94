"""One history as a picture: a row for each service, part, host and member, and when it was down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from hasim.declared import shown
from hasim.errors import ModelError
from hasim.results import Run
from hasim.results.phases import fault_spans
from hasim.trace import Fact
from hasim.units import human
from hasim.views.axes import BLUE, GREY, INK, ORANGE, PALE, RED, SKY, axes_or_new, calm, linear_seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROWS_MAX: Final = 30
ABSENT: Final = "absent: "  # how the run calls the emptiness of a place
UPGRADE_LINES_MAX: Final = 3
LETTER: Final = 0.085  # inches, the width of one as labels have it


@dataclass(frozen=True)
class Row:
    """A thing in the picture: its group (services, parts, hosts and members), its name, when it was down."""

    group: str
    name: str
    down: NDArray[np.float64]


def timeline(run: Run, ax: Axes | None = None) -> Axes:
    """Draw when each service, each part and whatever else fell was down, and when a part was failing over.

    Down time is red; orange is the part of it during which a failover was going on. Grey bands are scripted faults,
    blue ones upgrades from their begin to their end. A long run is easier to read in pieces:
    `timeline(run.between("2d", "3d"))`. Without `ax` a new figure is drawn. Returns the axes.
    """
    given: object = run
    if not isinstance(given, Run):
        hint = "; an Etcd is drawn by ha.spacetime" if hasattr(given, "history") else ""
        raise ModelError(f"got {shown(given)}; give a Run, as ha.simulate returns it{hint}", "run")
    rows, left_out = rows_of(run)
    ax = axes_or_new(ax, 9.0, 1.2 + 0.32 * len(rows))
    heights = _heights(rows)
    faults = fault_spans(run.trace, run.end_s)
    for fault in faults:
        ax.axvspan(fault.start_s, fault.end_s, color=PALE, zorder=0)
        ax.annotate(
            fault.text, xy=(fault.start_s, 1), xycoords=("data", "axes fraction"), xytext=(3, 3),
            textcoords="offset points", color=GREY, fontsize=9,
        )  # fmt: skip
    lift = (18 if faults else 6) + 13 * _upgrades(ax, run, 16 if faults else 3)
    for row, y in zip(rows, heights, strict=True):
        ax.hlines(y, run.start_s, run.end_s, color=PALE if row.group != "services" else GREY, linewidth=1, zorder=1)
        _bars(ax, row.down, y, RED)
        _bars(ax, run.gaps.get(row.name, np.empty((0, 2))), y, ORANGE)
    ax.set_yticks(heights, [row.name for row in rows])
    for label, row in zip(ax.get_yticklabels(), rows, strict=True):
        label.set_fontweight("bold" if row.group == "services" else "normal")
    ax.set_ylim(max(heights) + 0.7, -0.7)
    linear_seconds(ax, run.start_s, run.end_s)
    calm(ax, grid="x")
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    seed = "" if run.seed is None else f", seed {run.seed}"
    ax.set_title(f"{run.cluster}: {human(run.horizon_s)}{seed}", loc="left", color=INK, fontsize=11, pad=lift)
    if left_out:
        ax.set_xlabel(f"{left_out} more fell and are left out", color=GREY)
    _legend(ax, run, rows)
    return ax


def rows_of(run: Run, rows_max: int = ROWS_MAX) -> tuple[list[Row], int]:
    """What a picture of a run shows: all services and parts, and of hosts, domains and members those that fell.

    At most `rows_max` rows, and the number of those left out. A unit that goes by the name of its owner, like
    `cp-1 (itself)`, has no row, since the owner has one. A place of a pool that has no pod, since an upgrade has taken
    it away or not yet put one there, is not down.
    """
    known = _parts(run)
    parts = [name for name in run.intervals if name not in run.services and name in known]
    downs = {name: _while_there(run, name) for name in run.intervals}
    fallen = [
        name
        for name, down in downs.items()
        if len(down) and name not in run.services and name not in parts and not _is_shown_by_owner(run, name)
    ]
    groups = {"services": list(run.services), "parts": parts, "hosts and members": fallen}
    rows = [Row(group, name, downs[name]) for group, names in groups.items() for name in names]
    return rows[:rows_max], max(0, len(rows) - rows_max)


def _parts(run: Run) -> set[str]:
    """A run knows things by name only: parts are those with numbered members, with failovers, or noted as parts."""
    numbered = {name.removesuffix("-1") for name in run.intervals if name.endswith("-1")}
    noted = {fact.subject for fact in run.trace if isinstance(fact, Fact) and fact.kind == "part down"}
    return numbered | noted | set(run.gaps)


def _while_there(run: Run, name: str) -> NDArray[np.float64]:
    """When it was down; of a place in a pool that is upgraded, while there was a pod."""
    down = run.intervals[name]
    if name.startswith(ABSENT):
        return np.empty((0, 2))
    away = run.intervals.get(f"{ABSENT}{name} (planned)")
    if away is None:
        return down
    there = np.concatenate([[run.start_s], away.ravel(), [run.end_s]]).reshape(-1, 2)
    cut = [(max(begin, first), min(end, last)) for begin, end in there for first, last in down]
    return np.array([(start, end) for start, end in cut if start < end]).reshape(-1, 2)


def _is_shown_by_owner(run: Run, name: str) -> bool:
    return name.partition(" (")[0] in run.intervals and " (" in name


def _heights(rows: list[Row]) -> list[float]:
    """Where each row stands, with a little air between groups."""
    heights, y = [], 0.0
    for i, row in enumerate(rows):
        if i and row.group != rows[i - 1].group:
            y += 0.45
        heights.append(y)
        y += 1.0
    return heights


def _bars(ax: Axes, spans: NDArray[np.float64], y: float, colour: str) -> None:
    if len(spans):
        bars = [(float(start), float(end - start)) for start, end in spans]
        # An edge of one point keeps the shortest outage visible.
        ax.broken_barh(bars, (y - 0.34, 0.68), facecolors=colour, edgecolors=colour, linewidth=1.0, zorder=2)


def _upgrades(ax: Axes, run: Run, above: int) -> int:
    """Bands from the begin of each upgrade to its end, named from so many points above on; returns how many lines."""
    letter = LETTER / ax.get_window_extent().width * ax.figure.dpi * run.horizon_s
    lines: list[float] = []  # up to when each line of names is taken
    for log in sorted(run.upgrades.values(), key=lambda log: log.began_s):
        start, end = max(log.began_s, run.start_s), min(log.until_s, run.end_s)
        ax.axvspan(start, end, color=SKY, alpha=0.22, linewidth=0, zorder=0.5)
        text = f"{log.name} of {log.part}"
        width = letter * (len(text) + 1)
        flip = start + width > run.end_s
        at = end if flip else start
        left = end - width if flip else start
        line = next((i for i, taken in enumerate(lines) if taken <= left), len(lines))
        if line == UPGRADE_LINES_MAX:
            continue
        lines[line:] = [at if flip else start + width, *lines[line + 1 :]]
        ax.annotate(
            text, xy=(at, 1), xycoords=("data", "axes fraction"), xytext=(-3 if flip else 3, above + 13 * line),
            textcoords="offset points", color=BLUE, fontsize=9, ha="right" if flip else "left",
        )  # fmt: skip
    return len(lines)


def _legend(ax: Axes, run: Run, rows: list[Row]) -> None:
    from matplotlib.patches import Patch

    handles = [Patch(color=RED, label="down")]
    if any(len(run.gaps.get(row.name, ())) for row in rows):
        handles.append(Patch(color=ORANGE, label="failing over"))
    ax.legend(
        handles=handles, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False, fontsize=9, borderaxespad=0.2
    )
