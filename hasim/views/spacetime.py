"""A Raft run as a picture: a lane for each member, its roles by colour, votes as arrows, and what clients saw below."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, Protocol

from hasim.checks.history import Operation
from hasim.declared import shown
from hasim.errors import ModelError
from hasim.results import Run
from hasim.results.phases import fault_spans
from hasim.trace import Fact, Trace
from hasim.units import human, seconds
from hasim.views.axes import BLUE, GREY, INK, ORANGE, PALE, RED, SKY, YELLOW, axes_or_new, calm, linear_seconds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# A member's role, as it is drawn: colour and height of its bar. A leader that has committed nothing in its term does
# not serve yet.
ROLES: Final[Mapping[str, tuple[str, float]]] = {
    "follower": ("#CFE8F7", 0.36),
    "pre-candidate": (YELLOW, 0.5),
    "candidate": (ORANGE, 0.62),
    "elected": (SKY, 0.62),
    "leader": (BLUE, 0.62),
    "paused": ("#BDBDBD", 0.36),
}
DOWN: Final = "down"
OUTCOMES: Final = {"ok": BLUE, "unknown": ORANGE, "failed": RED}
_BECOMES: Final = {
    "process started": "follower",
    "follower": "follower",
    "pre-candidate": "pre-candidate",
    "candidate": "candidate",
    "leader": "elected",
    "in office": "leader",
    "lost quorum": "follower",
    "process paused": "paused",
    "process crashed": DOWN,
    "process exited": DOWN,
    "power lost": DOWN,
}


class Played(Protocol):
    """A run that can be drawn: an `Etcd` is one."""

    @property
    def now(self) -> float: ...
    @property
    def trace(self) -> Trace: ...
    @property
    def history(self) -> Sequence[Operation]: ...


@dataclass(frozen=True)
class Stretch:
    """A member in one role and term, from when to when in seconds."""

    role: str
    term: int
    start: float
    end: float


def spacetime(
    etcd: Played,
    since: str | float = 0.0,
    until: str | float | None = None,
    clients: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw who had which role when, votes as arrows from voter to candidate, cuts and faults as grey bands.

    Numbers are terms, where they change. With `clients` each client has a lane below: a line for each request, from its
    call to its return, by outcome. `since` and `until` are instants, as "12s" or in seconds as `now` gives them.
    Without `ax` a new figure is drawn. Returns the axes.
    """
    _check(etcd, clients)
    start, end = _instant(since, "since"), etcd.now if until is None else _instant(until, "until")
    if not start < end:
        raise ModelError(f"got {human(start)} to {human(end)}; a picture has a length", "until")
    facts = [fact for fact in etcd.trace if fact.at <= end]
    lanes = stretches(facts, end)
    history = [op for op in etcd.history if op.called < end and op.returned > start] if clients else []
    rows = [*lanes, *sorted({op.client for op in history})]
    ax = axes_or_new(ax, 9.0, 1.3 + 0.5 * len(rows))
    _draw_bands(ax, facts, start, end)
    for y, found in enumerate(lanes.values()):
        _draw_lane(ax, y, found, start, end)
    _draw_votes(ax, facts, list(lanes), start)
    for y, client in enumerate(rows[len(lanes) :], start=len(lanes)):
        _draw_requests(ax, y, [op for op in history if op.client == client], end)
    ax.set_yticks(range(len(rows)), rows)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    linear_seconds(ax, start, end)
    calm(ax, grid="x")
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)
    _legend(ax, lanes, history, start)
    return ax


def stretches(facts: Iterable[Fact], end: float) -> dict[str, list[Stretch]]:
    """The stretches of each member, from its first start to `end` (seconds), in the order in which members started."""
    found: dict[str, list[Stretch]] = {}
    now: dict[str, Stretch] = {}
    paused: dict[str, str] = {}
    for fact in facts:
        name = fact.subject
        if fact.kind == "process started":
            found.setdefault(name, [])
        if name not in found:
            continue
        old = now.get(name)
        detail: Mapping[str, Any] = fact.detail if not isinstance(fact.detail, str) else {}
        term = detail.get("term", old.term if old else 0)
        role = _BECOMES.get(fact.kind)
        if fact.kind == "process paused" and old is not None:
            paused[name] = old.role
        elif fact.kind == "process resumed":
            role = paused.pop(name, "follower")
        if role is None or (old is not None and (old.role, old.term) == (role, term)):
            if fact.kind == "started" and old is not None:
                now[name] = Stretch(old.role, term, old.start, old.end)
            continue
        if old is not None:
            found[name].append(Stretch(old.role, old.term, old.start, fact.at))
        now[name] = Stretch(role, term, fact.at, end)
    for name, last in now.items():
        found[name].append(last)
    return found


def _check(etcd: object, clients: object) -> None:
    if isinstance(etcd, Run):
        raise ModelError("got a Run, which ha.timeline draws; give an Etcd", "etcd")
    if isinstance(etcd, type) or not all(hasattr(etcd, each) for each in ("now", "trace", "history")):
        raise ModelError(f"got {shown(etcd)}; give an Etcd", "etcd")
    if not isinstance(clients, bool):
        raise ModelError(f"got {shown(clients)}; give True or False", "clients")


def _instant(given: str | float, path: str) -> float:
    if isinstance(given, int | float) and not isinstance(given, bool):
        if not isfinite(given):
            raise ModelError(f"got {given!r}; an instant is a finite number of seconds, or text like '12s'", path)
        return float(given)
    try:
        return seconds(given)
    except (ValueError, TypeError) as error:
        raise ModelError(str(error), path) from None


def _draw_lane(ax: Axes, y: int, lane: Sequence[Stretch], start: float, end: float) -> None:
    ax.hlines(y, max(start, lane[0].start), end, color=PALE, linewidth=1, zorder=1)
    term: int | None = None
    for each in lane:
        left, right = max(each.start, start), min(each.end, end)
        if right < left or (right == left and each.end <= start):
            continue
        if each.role in ROLES:
            colour, height = ROLES[each.role]
            # An edge keeps the shortest role visible.
            ax.broken_barh(
                [(left, right - left)], (y - height / 2, height), facecolors=colour, edgecolors=colour, linewidth=1.2,
                zorder=2 + (each.role != "follower"),
            )  # fmt: skip
        shown = each.role in ("elected", "leader", "follower") and each.term > 1
        if shown and each.term != term and right - left > 0.02 * (end - start):
            colour = "white" if each.role == "leader" else INK
            ax.text(left + 0.006 * (end - start), y, str(each.term), color=colour, fontsize=8, va="center", zorder=5)
            term = each.term


def _draw_votes(ax: Axes, facts: Iterable[Fact], names: Sequence[str], start: float) -> None:
    place = {name: y for y, name in enumerate(names)}
    for fact in facts:
        if fact.kind != "voted" or fact.at < start or isinstance(fact.detail, str):
            continue
        candidate = fact.detail["candidate"]
        if fact.subject in place and candidate in place:
            ax.annotate(
                "", xy=(fact.at, place[candidate]), xytext=(fact.at, place[fact.subject]), zorder=4,
                arrowprops={"arrowstyle": "-|>", "color": INK, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 6},
            )  # fmt: skip


def _draw_requests(ax: Axes, y: int, history: Iterable[Operation], end: float) -> None:
    # Spread over the lane, so that requests at one time lie side by side.
    for number, op in enumerate(history):
        height = y - 0.3 + 0.6 * (number * 0.618034 % 1)
        colour = OUTCOMES[op.outcome]
        ax.plot([op.called, min(op.returned, end)], [height, height], color=colour, linewidth=1.0, zorder=3)
        ax.plot([op.called], [height], "|", color=colour, markersize=4, zorder=3)


def _draw_bands(ax: Axes, facts: Iterable[Fact], start: float, end: float) -> None:
    for text, begun, ended in _bands(facts, end):
        left, right = max(begun, start), min(ended, end)
        if left < right:
            ax.axvspan(left, right, color=PALE, zorder=0, linewidth=0)
            ax.annotate(
                text, xy=(left, 1), xycoords=("data", "axes fraction"), xytext=(3, 3), textcoords="offset points",
                color=GREY, fontsize=9,
            )  # fmt: skip


def _bands(facts: Iterable[Fact], end: float) -> list[tuple[str, float, float]]:
    """What was wrong on purpose: in words, from when to when."""
    facts = list(facts)
    found = [(span.text, span.start_s, span.end_s) for span in fault_spans(facts, end)]
    cuts: list[Fact] = []
    for fact in facts:
        if fact.kind == "partition":
            cuts.append(fact)
        elif fact.kind == "healed":
            found += [(f"{cut.subject} cut off", cut.at, fact.at) for cut in cuts]
            cuts = []
    found += [(f"{cut.subject} cut off", cut.at, end) for cut in cuts]
    return sorted(found, key=lambda band: band[1])


def _legend(ax: Axes, lanes: Mapping[str, Sequence[Stretch]], history: Sequence[Operation], start: float) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    seen = {each.role for lane in lanes.values() for each in lane if each.end >= start}
    handles: list[Any] = [Patch(color=ROLES[role][0], label=role) for role in ROLES if role in seen]
    outcomes = {op.outcome for op in history}
    handles += [Line2D([], [], color=OUTCOMES[each], label=f"request {each}") for each in OUTCOMES if each in outcomes]
    ax.legend(
        handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=len(handles), frameon=False, fontsize=9,
        handlelength=1.2, columnspacing=1.2,
    )  # fmt: skip
