"""Minimal cut sets: the smallest groups of things whose failing together takes a service down.

Top-down expansion with absorption (MOCUS; Fussell & Vesely 1972), bounded in the order and the number of cuts.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import comb

from hasim.model.structure import Const, Expr, Var, walk

Cut = frozenset[int]


@dataclass(frozen=True)
class CutList:
    """Minimal cuts, the small ones first; `complete` is false when larger ones were left out."""

    cuts: tuple[Cut, ...]
    complete: bool


def minimal_cuts(expr: Expr, order_max: int = 4, count_max: int = 2000) -> CutList:
    """The minimal cuts of a monotone expression, up to an order, as sets of variables.

    Leaving out cuts of a higher order keeps those that stay minimal: a subset of a kept cut is never left out.
    """
    complete = True
    known: dict[Expr, list[Cut]] = {}
    for node in walk(expr):
        if isinstance(node, Var):
            known[node] = [frozenset((node.index,))]
        elif isinstance(node, Const):
            known[node] = [] if node.value else [frozenset()]
        else:
            families = [known[child] for child in node.children]
            failing = len(families) - node.k + 1  # that many children down take the node down
            known[node], whole = _joined(families, failing, order_max, 4 * count_max)
            complete = complete and whole
    cuts = known[expr]
    return CutList(tuple(cuts[:count_max]), complete and len(cuts) <= count_max)


def _joined(families: list[list[Cut]], failing: int, order_max: int, count_max: int) -> tuple[list[Cut], bool]:
    """Cuts of "at least `failing` of these are down": every choice of children, every choice of a cut of each.

    Each child that must fail adds at least one variable unless two children share it, so choices are built child by
    child and dropped as soon as they are too large.
    """
    if failing == 1:
        return _absorbed([cut for family in families for cut in family], count_max)
    if comb(sum(1 for family in families if family), failing) > 20 * count_max:
        return [], False
    complete = True
    partial: dict[tuple[int, Cut], None] = {(0, frozenset()): None}
    for position, family in enumerate(families):
        left = len(families) - position - 1
        grown: dict[tuple[int, Cut], None] = {}
        for down, cut in partial:
            if down + left >= failing:
                grown[(down, cut)] = None
            for more in family:
                union = cut | more
                if len(union) > order_max:
                    complete = False
                elif down < failing:
                    grown[(min(down + 1, failing), union)] = None
        if len(grown) > 50 * count_max:
            return [], False
        partial = {**grown, **{key: None for key in partial if key[0] == failing}}
    cuts, whole = _absorbed([cut for down, cut in partial if down == failing], count_max)
    return cuts, complete and whole


def _absorbed(cuts: list[Cut], count_max: int) -> tuple[list[Cut], bool]:
    """Without those that contain another, smallest first and then by their variables."""
    kept: dict[Cut, None] = {}
    sizes: set[int] = set()
    for cut in sorted(set(cuts), key=lambda each: (len(each), sorted(each))):
        smaller = (
            frozenset(part) for size in sorted(sizes) if size < len(cut) for part in combinations(sorted(cut), size)
        )
        if cut not in kept and not any(part in kept for part in smaller):
            if len(kept) >= count_max:
                return list(kept), False
            kept[cut] = None
            sizes.add(len(cut))
    return list(kept), True
