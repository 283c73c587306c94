"""Whom a burst hits: the ways it can turn out, with their chances, counting like victims together."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import comb

from hasim.model.system import Shock


def hits(shock: Shock, victims: list[int], groups: list[list[int]]) -> Iterator[tuple[float, list[int]]]:
    """(probability, units struck) for victims still up, in groups of interchangeable ones.

    The first ones of a group stand for any of it. With `share` each is hit independently; with `hits` that many of
    all victims are drawn, those that are down already among them.
    """
    sizes = [len(group) for group in groups]
    down = len(victims) - sum(sizes)
    for counts in product(*(range(size + 1) for size in sizes)):
        struck = [k for group, count in zip(groups, counts, strict=True) for k in group[:count]]
        ways = 1
        for size, count in zip(sizes, counts, strict=True):
            ways *= comb(size, count)
        if shock.share is not None:
            missed = sum(sizes) - len(struck)
            chance = ways * shock.share ** len(struck) * (1 - shock.share) ** missed
        else:
            assert shock.hits is not None
            wasted = shock.hits - len(struck)
            chance = ways * comb(down, wasted) / comb(len(victims), shock.hits) if 0 <= wasted <= down else 0.0
        if chance > 0 and struck:
            yield chance, struck
