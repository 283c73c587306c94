"""Who believed to lead, and what came of it: a row for each candidate, and every write to what they protect."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf
from typing import TYPE_CHECKING

from hasim.checks.leadership import Reign, effects_once, overlaps, reigns, stale_effects
from hasim.declared import shown
from hasim.errors import ModelError, nearest
from hasim.results import Run
from hasim.trace import Fact
from hasim.units import human
from hasim.views.axes import BLUE, GREY, INK, ORANGE, PALE, RED, SKY, axes_or_new, calm, linear_seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKS_MAX = 4000
"""More writes than that are not drawn one by one: they would be a bar."""


def plot_leaders(run: Run, part: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw who of a part's candidates believed to lead, and what the resource made of their writes.

    A bar is a term of office, pale while its process was frozen. Orange bands are times in which two believed to lead.
    Ticks are writes: accepted, accepted though they were of an old term or done before (red), refused (open). Without
    `part` it is the first part that had a leader. Returns the axes; ModelError if there is nobody to draw.
    """
    given: object = run
    if not isinstance(given, Run):
        raise ModelError(f"got {shown(given)}; give a Run, as ha.simulate returns it", "run")
    facts = [fact for fact in run.trace if isinstance(fact, Fact)]
    parts = dict.fromkeys(_part_of(fact.subject) for fact in facts if fact.kind == "leading")
    if not parts:
        raise ModelError("nobody has led in this run; give a part a `lease`, and play its protocol", "run")
    part = next(iter(parts)) if part is None else part
    if part not in parts:
        raise ModelError(
            f"got {part!r}; nobody of it has led{nearest(part, parts)}; there is {', '.join(parts)}", "part"
        )
    own = [fact for fact in facts if _part_of(fact.subject) == part or fact.subject == f"{part} resource"]
    names = sorted((name for name in run.intervals if _part_of(name) == part and name != part), key=_number)
    row = {name: i for i, name in enumerate(names)}
    ax = axes_or_new(ax, 9.0, 1.6 + 0.5 * len(names))
    _terms(ax, own, row, run)
    _writes(ax, own, row)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    linear_seconds(ax, run.start_s, run.end_s)
    calm(ax, grid="x")
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    ax.set_title(_said(own, part, run), loc="left", color=INK, fontsize=11)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=4, frameon=False, fontsize=9)
    return ax


def _terms(ax: Axes, facts: list[Fact], row: Mapping[str, int], run: Run) -> None:
    for overlap in overlaps(facts, run.end_s):
        ax.axvspan(overlap.start, overlap.end, color=ORANGE, alpha=0.25, zorder=0)
    for name, y in row.items():
        ax.hlines(y, run.start_s, run.end_s, color=PALE, linewidth=1, zorder=1)
        _bars(ax, [reign for reign in reigns(facts) if reign.leader == name], y, run)
    ax.plot([], [], color=BLUE, linewidth=6, label="believes that it leads")
    ax.plot([], [], color=SKY, alpha=0.5, linewidth=6, label="… and sleeps")


def _bars(ax: Axes, terms: Iterable[Reign], y: int, run: Run) -> None:
    for term in terms:
        end = run.end_s if term.end == inf else term.end
        start = max(term.start, run.start_s)
        ax.broken_barh([(start, end - start)], (y - 0.12, 0.24), color=BLUE, linewidth=1, zorder=2)
        for since, until in term.asleep:
            ax.broken_barh([(since, min(until, end) - since)], (y - 0.12, 0.24), color="white", zorder=3)
            ax.broken_barh([(since, min(until, end) - since)], (y - 0.12, 0.24), color=SKY, alpha=0.5, zorder=4)
        ax.text(start, y - 0.16, f" term {term.term}", color=GREY, fontsize=8, va="bottom")


def _writes(ax: Axes, facts: list[Fact], row: Mapping[str, int]) -> None:
    """Ticks below the bars: what was accepted, what should not have been, what was refused."""
    wrong = {id(fact) for violation in (*stale_effects(facts), *effects_once(facts)) for fact in violation.facts[-1:]}
    good: list[tuple[float, int]] = []
    bad: list[tuple[float, int]] = []
    refused: list[tuple[float, int]] = []
    for fact in facts:
        if fact.kind not in ("effect", "write refused") or not isinstance(fact.detail, Mapping):
            continue
        place = (fact.at, row[fact.detail["by"]])
        (refused if fact.kind == "write refused" else bad if id(fact) in wrong else good).append(place)
    for marks, colour, label in (
        (good, INK, "accepted"),
        (refused, GREY, "refused"),
        (bad, RED, "stale or done twice"),
    ):
        if marks and len(marks) <= MARKS_MAX:
            wide = 1.6 if colour == RED else 0.5
            x, y = zip(*marks, strict=True)
            ax.vlines(
                x, [each + 0.16 for each in y], [each + 0.38 for each in y], color=colour, linewidth=wide, label=label
            )


def _said(facts: list[Fact], part: str, run: Run) -> str:
    """What there is to see, in a line."""
    both = sum(overlap.lasting for overlap in overlaps(facts, run.end_s))
    awake = sum(overlap.awake for overlap in overlaps(facts, run.end_s))
    doubled, stale = len(effects_once(facts)), len(stale_effects(facts))
    said = "one leader at a time" if not both else f"two leaders for {human(both)}, {human(awake)} of it awake"
    damage = "" if not (doubled or stale) else f"; {stale} stale writes accepted, {doubled} items done twice"
    return f"{part}: {said}{damage}"


def _part_of(name: str) -> str:
    """scheduler-1 is of scheduler; a single member is its part."""
    stem, _, number = name.rpartition("-")
    return stem if number.isdigit() and stem else name


def _number(name: str) -> tuple[str, int]:
    stem, _, number = name.rpartition("-")
    return (stem, int(number)) if number.isdigit() else (name, 0)
