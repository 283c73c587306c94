"""What an upgrade looked like: which pods there were of which version, and which of them served whose requests."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, permutations
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from hasim.declared import shown
from hasim.errors import ModelError, nearest
from hasim.results import Run
from hasim.results.fates import CUT_OFF, SERVED
from hasim.results.outcomes import NOTICE
from hasim.results.phases import fault_spans
from hasim.results.request_log import RequestLog
from hasim.results.upgrades import UpgradeLog
from hasim.units import human
from hasim.views.axes import BLUE, GREY, INK, ORANGE, PALE, RED, SKY, calm, linear_seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

BINS_MAX: Final = 120
BIN_REQUESTS: Final = 20  # fewer in a bin on average, and a bar shows more chance than rate
COLUMNS_MAX: Final = 5
LABEL_LINES_MAX: Final = 4
ORDERS_MAX: Final = 120  # in which labels are laid out, until all have room
LINE: Final = 12.0  # points from one line of labels to the next
SMALL_LINE: Final = 10.5
_DOTTED: Final = (0, (1, 2))
LETTER: Final = 0.058  # inches, the width of one as labels have it
TINTS: Final = {"old": "#A9D3EE", "new": "#F7D58B"}  # of the versions' own colours, for pods that do not serve

_PODS: Final = (
    # what it is called, which array, which column, colour, whether it is hatched; from the ground up
    ("ready, old", "ready", 0, BLUE, False),
    ("ready, new", "ready", 1, ORANGE, False),
    ("starting, new", "starting", 1, TINTS["new"], False),
    ("starting, old", "starting", 0, TINTS["old"], False),
    ("leaving, old", "leaving", 0, TINTS["old"], True),
    ("leaving, new", "leaving", 1, TINTS["new"], True),
)
_ANSWERS: Final = (
    ("failed", RED, False),
    ("got a notice", GREY, True),
    ("served by the old", BLUE, False),
    ("served by the new", ORANGE, False),
    ("served elsewhere", SKY, False),
    ("open at the end", PALE, False),
)
_MARKS: Final = {
    "noticed by its errors": "noticed", "noticed by its stall": "noticed", "noticed by tests": "found by tests",
    "noticed by analysis": "found by analysis", "rollback begun": "rollback", "rolled back": "rolled back",
    "rolled out": "rolled out", "switched": "switched", "window open": "window open", "window closed": "closed",
    "window overrun": "overrun", "work begun": "work", "bake begun": "bake", "tests begun": "tests",
    "promotion begun": "promoted", "progress deadline exceeded": "stalled",
}  # fmt: skip
_WEIGHTY: Final = ("noticed", "found by", "rolled", "switched", "window", "closed", "stalled", " of ")  # named first


@dataclass(frozen=True)
class _Label:
    """Words at a line: when, what, on which line of text from below, and the time that they cover."""

    at: float
    text: str
    line: int
    reach: tuple[float, float]


@dataclass(frozen=True)
class _Picture:
    """One upgrade in the time that is drawn, `low` to `high` in seconds of its own clock that begins at `zero`."""

    run: Run
    log: UpgradeLog
    low: float
    high: float
    zero: float = 0.0
    small: bool = False

    @property
    def requests(self) -> RequestLog | None:
        return self.run.requests

    @property
    def start_s(self) -> float:
        """Where it begins on the run's clock, or the run does."""
        return max(self.low + self.zero, self.run.start_s)

    @property
    def end_s(self) -> float:
        return min(self.high + self.zero, self.run.end_s)


def plot_upgrade(run: Run, upgrade: str | None = None, ax: Axes | None = None) -> tuple[Axes, Axes]:
    """Draw an upgrade over time: above the pods by version, below what became of the requests meanwhile.

    Above, full colours are pods that are ready, the old version blue and the new one orange; tints are pods that start,
    hatched ones leave; the dashed line is the number of replicas. Below, requests per second by when they arrived, from
    the ground up those that failed, got a notice, and were served by the old or the new version; without requests, the
    share of them that would meet the new version. Lines across are what happened; grey bands are scripted faults.

    Without `upgrade` it is the first of the run. Without `ax` a new figure is drawn, otherwise both pictures in the
    place of `ax`. Returns the two axes; ModelError if there is no such upgrade.
    """
    log = _chosen(run, upgrade, "run")
    above, below, inches = _two_axes(ax)
    low, high = _window(log, run)
    picture = _Picture(run, log, low, high)
    _draw(above, below, picture)
    lines = _mark(above, below, picture, inches)
    above.set_title(_said(picture), loc="left", color=INK, fontsize=11, pad=8 + LINE * lines)
    for each in (above, below):
        handles, labels = each.get_legend_handles_labels()
        each.legend(
            handles[::-1], labels[::-1], loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, fontsize=9,
            borderaxespad=0,
        )  # fmt: skip
    return above, below


def plot_upgrades(runs: Mapping[str, Run]) -> list[tuple[Axes, Axes]]:
    """Draw the first upgrade of each of several runs side by side, on the same axes, to compare strategies.

    `runs` maps names to runs, best of one cluster with one seed. Each is drawn as `plot_upgrade` does it, with the time
    counted from the begin of the upgrade. Returns the two axes of each, in the order of `runs`; ModelError if there is
    nothing to draw.
    """
    given: object = runs
    if not isinstance(given, Mapping) or not given:
        raise ModelError(f"got {shown(given)}; give a mapping of names to runs, like {{'rolling': run}}", "runs")
    logs = {str(name): _chosen(run, None, f"runs.{name}") for name, run in runs.items()}
    windows = [
        (low - log.began_s, high - log.began_s)
        for log, run in zip(logs.values(), runs.values(), strict=True)
        for low, high in [_window(log, run)]
    ]
    low, high = min(each[0] for each in windows), max(each[1] for each in windows)
    figure, places, inches = _grid(len(logs))
    pictures = [
        _Picture(run, log, low, high, log.began_s, small=True)
        for log, run in zip(logs.values(), runs.values(), strict=True)
    ]
    lines = []
    for (above, below), picture in zip(places, pictures, strict=True):
        _draw(above, below, picture)
        lines.append(_mark(above, below, picture, inches))
    columns = _columns(len(logs))
    for i, (name, picture) in enumerate(zip(logs, pictures, strict=True)):
        row = i - i % columns
        _head(places[i][0], name, _said(picture), max(lines[row : row + columns]))
    _share_heights(places)
    _legend_below(figure, [ax for pair in places for ax in pair])
    return places


def _head(ax: Axes, name: str, said: str, lines: int) -> None:
    """The name of a small picture and what there is to see in it, above its lines of labels."""
    up = 5 + SMALL_LINE * lines
    ax.annotate(
        said, xy=(0, 1), xycoords="axes fraction", xytext=(0, up), textcoords="offset points", color=INK, fontsize=9,
        annotation_clip=False,
    )  # fmt: skip
    ax.set_title(name, loc="left", color=INK, fontsize=11, fontweight="bold", pad=up + 13 * (said.count("\n") + 1))


# ------------------------------------------------------------------------------------------- what is drawn


def _chosen(run: object, upgrade: str | None, argument: str) -> UpgradeLog:
    if not isinstance(run, Run):
        raise ModelError(f"got {shown(run)}; give a Run, as ha.simulate returns it", argument)
    if not run.upgrades:
        raise ModelError(
            "no upgrade has begun in this run; give the scenario one, like ha.Rolling('api', at='1m')", argument
        )
    name = next(iter(run.upgrades)) if upgrade is None else upgrade
    if name not in run.upgrades:
        known = ", ".join(run.upgrades)
        raise ModelError(f"got {name!r}; there is {known}{nearest(str(name), run.upgrades)}", "upgrade")
    return run.upgrades[name]


def _window(log: UpgradeLog, run: Run) -> tuple[float, float]:
    """From when to when an upgrade is worth looking at, in seconds of the run's clock, with some air around it.

    Of a bad version that stayed only the beginning of its time is shown: the rest is more of the same.
    """
    length = max(log.duration_s, 1e-3)
    end = min(log.over_s, log.until_s + 2 * length) if log.cut_off else log.over_s
    end = max(end, log.noticed_s or 0.0)
    air = 0.15 * (end - log.began_s) or 0.01 * run.horizon_s
    low, high = max(log.began_s - air, run.start_s), min(end + air, run.end_s)
    return (low, high) if low < high else (run.start_s, run.end_s)


def _two_axes(ax: Axes | None) -> tuple[Axes, Axes, float]:
    """Two axes that share their time, in a new figure or in the place of one given, and their width in inches."""
    if ax is None:
        import matplotlib.pyplot as plt

        _, (above, below) = plt.subplots(2, 1, figsize=(9.0, 5.6), layout="constrained", sharex=True)
        return above, below, 7.0
    ax.set_axis_off()
    # The legends stay in the place given, on its right, and what is written above it as well.
    below = ax.inset_axes((0, 0, 0.76, 0.42))
    above = ax.inset_axes((0, 0.48, 0.76, 0.42), sharex=below)
    return above, below, 0.76 * ax.get_window_extent().width / ax.figure.dpi


def _columns(count: int) -> int:
    rows = math.ceil(count / COLUMNS_MAX)
    return math.ceil(count / rows)


def _grid(count: int) -> tuple[Figure, list[tuple[Axes, Axes]], float]:
    """Pairs of axes in a new figure, side by side, and the width of one in inches."""
    import matplotlib.pyplot as plt

    columns = _columns(count)
    rows = math.ceil(count / columns)
    width = max(13.0 / columns, 2.7) if columns > 1 else 8.0
    figure, grid = plt.subplots(
        2 * rows, columns, figsize=(width * columns, 5.0 * rows + 0.5), layout="constrained", squeeze=False
    )
    places = [(grid[2 * (i // columns), i % columns], grid[2 * (i // columns) + 1, i % columns]) for i in range(count)]
    for i in range(count, rows * columns):
        for line in (0, 1):
            grid[2 * (i // columns) + line, i % columns].set_visible(False)
    for i, (above, below) in enumerate(places):
        if i % columns:
            for ax in (above, below):
                ax.tick_params(labelleft=False)
    return figure, places, width - 0.35


def _share_heights(places: Sequence[tuple[Axes, Axes]]) -> None:
    for line in (0, 1):
        highest = max(pair[line].get_ylim()[1] for pair in places)
        for pair in places:
            pair[line].set_ylim(0, highest)
    for i, (above, below) in enumerate(places):
        if i % _columns(len(places)):
            above.set_ylabel("")
            below.set_ylabel("")
        below.set_xlabel("since its begin", color=GREY, fontsize=9)


def _legend_below(figure: Figure, axes: Sequence[Axes]) -> None:
    """One legend for all, in the order in which things are stacked."""
    known: dict[str, Any] = {}
    for ax in axes:
        known |= {label: handle for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    pods = [label for label in [*(row[0] for row in _PODS), "replicas"] if label in known]
    answers = [label for label in known if label not in pods]
    answers.sort(key=[row[0] for row in _ANSWERS].index if "failed" in answers else str)
    from matplotlib.lines import Line2D

    nothing = Line2D([], [], linestyle="none")
    columns = max(len(pods), len(answers))
    handles, labels = [], []
    for place in range(columns):  # legends are filled column by column: pods in the first row, requests in the second
        for row in (pods, answers):
            there = place < len(row)
            handles.append(known[row[place]] if there else nothing)
            labels.append(row[place] if there else "")
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)


# ------------------------------------------------------------------------------------------- drawing


def _draw(above: Axes, below: Axes, picture: _Picture) -> None:
    _draw_pods(above, picture)
    if picture.requests is None:
        _draw_exposure(below, picture)
    else:
        _draw_requests(below, picture, picture.requests)
    for ax in (above, below):
        linear_seconds(ax, picture.low, picture.high, 4 if picture.small else 9)
        calm(ax, grid="y")
        for span in fault_spans(picture.run.trace, picture.run.end_s):
            start, end = span.start_s - picture.zero, span.end_s - picture.zero
            if start < picture.high and end > picture.low:
                ax.axvspan(start, end, color=INK, alpha=0.08, linewidth=0, zorder=0.5)
    above.tick_params(labelbottom=False)


def _steps(picture: _Picture) -> tuple[Floats, NDArray[np.intp]]:
    """Edges of the steps within the picture, on its clock, and which row stands between them; -1: before the first."""
    at = picture.log.at_s
    inside = np.flatnonzero((at > picture.start_s) & (at < picture.end_s))
    first = int(np.searchsorted(at, picture.start_s, side="right")) - 1
    edges = np.concatenate([[picture.start_s], at[inside], [picture.end_s]]) - picture.zero
    return edges, np.concatenate([[first], inside]).astype(np.intp)


def _draw_pods(ax: Axes, picture: _Picture) -> None:
    """Pods as steps on top of one another: those that are ready below, up to the dashed line if there are enough."""
    from matplotlib.ticker import MaxNLocator

    log = picture.log
    edges, rows = _steps(picture)
    ground = np.zeros(len(rows))
    for label, state, column, colour, hatched in _PODS:
        counts = getattr(log, state)[:, column].astype(np.float64) if len(log.at_s) else np.zeros(1)
        before = float(log.replicas) if (state, column) == ("ready", 0) else 0.0
        height = np.where(rows >= 0, counts[np.maximum(rows, 0)], before)
        if height.any():
            _fill(ax, edges, ground, ground + height, colour, label, hatched)
        ground = ground + height
    ax.axhline(log.replicas, color=INK, linewidth=1.3, linestyle=(0, (4, 3)), label="replicas", zorder=3)
    ax.set_ylim(0, 1.08 * max(float(ground.max(initial=0.0)), log.replicas, 1.0))
    ax.yaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
    ax.set_ylabel("pods", color=INK)


def _fill(ax: Axes, edges: Floats, low: Floats, high: Floats, colour: str, label: str, hatched: bool) -> None:
    hatch = {"hatch": "////", "edgecolor": GREY} if hatched else {"edgecolor": "none"}
    ax.stairs(high, edges, baseline=low, fill=True, facecolor=colour, linewidth=0, label=label, zorder=1.5, **hatch)  # type: ignore[arg-type]


def _draw_requests(ax: Axes, picture: _Picture, log: RequestLog) -> None:
    """Requests per second by what became of them, as steps on top of one another."""
    first, last = np.searchsorted(log.arrived_s, [picture.start_s, picture.end_s])
    rows = slice(int(first), int(last))
    edges = _edges(picture, int(last - first))
    arrived = log.arrived_s[rows] - picture.zero
    kinds = _kinds(picture.log, log, rows)
    ground = np.zeros(len(edges) - 1)
    for kind, (label, colour, hatched) in enumerate(_ANSWERS):
        height = np.histogram(arrived[kinds == kind], edges)[0] / np.diff(edges)
        if height.any():
            _fill(ax, edges, ground, ground + height, colour, label, hatched)
        ground = ground + height
    ax.set_ylim(0, 1.08 * max(float(ground.max(initial=0.0)), 1e-9))
    ax.set_ylabel("requests a second", color=INK)


def _kinds(upgrade: UpgradeLog, log: RequestLog, rows: slice) -> NDArray[np.int64]:
    """What became of each request, as places in _ANSWERS."""
    fate, version, names = log.fate[rows], upgrade.spans.version_of(log, rows), upgrade.spans.names
    old, new = (names.index(name) if name in names else len(names) for name in (upgrade.old, upgrade.new))
    return np.select(
        [fate == CUT_OFF, log.outcome[rows] == NOTICE, fate != SERVED, version == old, version == new],
        [5, 1, 0, 2, 3],
        4,
    )


def _edges(picture: _Picture, requests: int) -> Floats:
    """Edges of bins, so narrow that steps of the upgrade show, and so wide that rates do."""
    length = picture.end_s - picture.start_s
    least = max(length / BINS_MAX, min(BIN_REQUESTS * length / max(requests, 1), length / 20))
    decade = 10.0 ** math.floor(math.log10(least))
    width = next(step * decade for step in (1, 2, 5, 10) if step * decade >= least * (1 - 1e-9))
    inner = np.arange(math.floor(picture.start_s / width) + 1, math.ceil(picture.end_s / width)) * width
    inner = inner[(inner - picture.start_s > width / 2) & (picture.end_s - inner > width / 2)]
    return np.concatenate([[picture.start_s], inner, [picture.end_s]]) - picture.zero


def _draw_exposure(ax: Axes, picture: _Picture) -> None:
    edges, rows = _steps(picture)
    shares = picture.log.exposure if len(picture.log.at_s) else np.zeros(1)
    met = np.where(rows >= 0, shares[np.maximum(rows, 0)], 0.0)
    _fill(ax, edges, np.zeros(len(met)), met, ORANGE, "would meet the new", False)
    ax.set_ylim(0, 1.08)
    ax.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    ax.set_ylabel("share of requests", color=INK)


# ------------------------------------------------------------------------------------------- words


def _mark(above: Axes, below: Axes, picture: _Picture, inches: float) -> int:
    """Lines across both pictures where something happened, named above them; returns how many lines of text that took.

    A name that would run into another goes a line up; where there are too many, bakes and the like go without.
    """
    letter = LETTER / inches * (picture.high - picture.low) * (0.93 if picture.small else 1.0)
    step = SMALL_LINE if picture.small else LINE
    marks = _happened(picture)
    for at, _ in marks:
        for ax in (above, below):
            ax.axvline(at, color=INK, linewidth=0.9, linestyle=_DOTTED, zorder=2.5)
    labels = _laid_out([(at, text, letter * (len(text) + 0.8)) for at, text in marks], picture)
    for label in labels:
        flip = label.reach[1] == label.at
        above.annotate(
            label.text, xy=(label.at, 1), xycoords=("data", "axes fraction"),
            xytext=(-2 if flip else 2, 3 + step * label.line), textcoords="offset points", color=INK,
            fontsize=8 if picture.small else 8.5, annotation_clip=False, ha="right" if flip else "left",
        )  # fmt: skip
        line = {"arrowstyle": "-", "color": INK, "linewidth": 0.9, "linestyle": _DOTTED, "shrinkA": 0, "shrinkB": 0}
        above.annotate(
            "", xy=(label.at, 1), xycoords=("data", "axes fraction"), xytext=(0, 3 + step * (label.line + 0.75)),
            textcoords="offset points", annotation_clip=False, arrowprops=line,
        )  # fmt: skip
    return max((label.line + 1 for label in labels), default=0)


def _laid_out(marks: Sequence[tuple[float, str, float]], picture: _Picture) -> list[_Label]:
    """Labels beside their lines, as many as there is room for and the weighty before others, on few lines of text.

    `marks` are when, what and how wide. They are laid out in some orders, one after another; the best result counts.
    """

    def light(mark: tuple[float, str, float]) -> bool:
        return not any(word in mark[1] for word in _WEIGHTY)

    best: tuple[float, list[_Label]] = (-1.0, [])
    # From right to left nothing is in the way of what follows, but for labels that stand on the left of their lines.
    first = sorted(marks, key=lambda mark: (light(mark), -mark[0]))
    for shortened in ((), *((mark,) for mark in marks if ", " in mark[1]), marks):
        told = [_short(mark) if mark in shortened else mark for mark in first]
        for order in islice(permutations(told), ORDERS_MAX):
            labels: list[_Label] = []
            for at, text, width in order:
                label = _placed(at, text, width, labels, picture)
                labels += [] if label is None else [label]
            named = sum(1 if light((label.at, label.text, 0.0)) else 10 for label in labels)
            letters = sum(len(label.text) for label in labels)
            worth = named + 0.01 * letters - 0.1 * max((label.line for label in labels), default=0)
            best = max(best, (worth, labels), key=lambda each: each[0])
            if len(labels) == len(marks):
                return labels
    return best[1]


def _short(mark: tuple[float, str, float]) -> tuple[float, str, float]:
    """Of what happened at once, only the first."""
    at, text, width = mark
    first = text.partition(", ")[0]
    return at, first, width * (len(first) + 1) / (len(text) + 1)


def _placed(at: float, text: str, width: float, labels: Sequence[_Label], picture: _Picture) -> _Label | None:
    """Where a label has room, beside its line on either side; None if nowhere. Lines may not cross labels, nor they."""
    for reach in ((at, at + width), (at - width, at)):
        if reach[1] > picture.high or reach[0] < picture.low:
            continue
        for line in range(LABEL_LINES_MAX):
            if all(_apart(at, line, reach, other) for other in labels):
                return _Label(at, text, line, reach)
    return None


def _apart(at: float, line: int, reach: tuple[float, float], other: _Label) -> bool:
    if other.line == line:
        return reach[1] <= other.reach[0] or other.reach[1] <= reach[0]
    if other.line < line:
        return not other.reach[0] < at < other.reach[1]
    return not reach[0] < other.at < reach[1]


def _happened(picture: _Picture) -> list[tuple[float, str]]:
    """What happened in the picture, on its clock; what came at about one time together."""
    told = [(at - picture.zero, _MARKS[kind]) for at, kind in picture.log.facts if kind in _MARKS]
    told += [(span.start_s - picture.zero, span.text) for span in fault_spans(picture.run.trace, picture.run.end_s)]
    marks: list[tuple[float, list[str]]] = []
    for at, text in sorted(told, key=lambda each: each[0]):
        if not picture.low <= at <= picture.high:
            continue
        if marks and at - marks[-1][0] < 0.004 * (picture.high - picture.low):
            marks[-1][1].append(text)
        else:
            marks.append((at, [text]))
    return [(at, ", ".join(dict.fromkeys(_without_echo(texts)))) for at, texts in marks]


def _without_echo(texts: Sequence[str]) -> list[str]:
    """Of what came at once, only what carries weight: a rollback at the instant of the notice goes without saying."""
    return [text for text in texts if any(word in text for word in _WEIGHTY)] or list(texts)


def _said(picture: _Picture) -> str:
    """Strategy, outcome and failed requests in a line, or in two where room is scarce."""
    log, requests = picture.log, picture.requests
    lasting = f"{log.outcome} {'for' if log.outcome == 'under way' else 'in'} {human(log.duration_s)}"
    if log.cut_off and log.outcome != "under way":
        lasting += ", bad and still met"
    name = log.name if log.name == log.strategy else f"{log.name} ({log.strategy})"
    said = lasting if picture.small else f"{name} of {log.part}, {log.old} to {log.new}: {lasting}"
    if requests is None:
        return f"{said}, no requests played"
    failed, met = log.failed(requests), len(log.met(requests))
    return f"{said}{chr(10) if picture.small else ', '}{failed:,} of {met:,} requests failed"
