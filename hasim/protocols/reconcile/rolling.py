"""The arithmetic of a rolling update: how large the old and the new sets of pods may be next.

It counts what is asked for (`replicas` of the sets) and what is available, never pods that are going: while those drain
there are more pods than replicas and surge together. Source: k/k pkg/controller/deployment/rolling.go, sync.go and
util/deployment_util.go.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from numbers import Integral
from typing import NamedTuple

from hasim.errors import ModelError


class Size(NamedTuple):
    """How many pods a set should have, and how many of its pods are available."""

    replicas: int
    available: int


def resolve(surge: str | int, unavailable: str | int, replicas: int) -> tuple[int, int]:
    """The two bounds of a rolling update in whole pods, from numbers or from shares of the replicas like "25%".

    A share of surge is rounded up, one of unavailable down. If both come to nothing, one pod may be unavailable; never
    more than there are (ResolveFenceposts, MaxUnavailable). Anything else than these two forms is a ModelError.
    """
    number: object = replicas  # whatever it is said to be
    if isinstance(number, bool) or not isinstance(number, Integral) or replicas < 0:
        raise ModelError(f"got {replicas!r}; it is a whole number of at least 0", "replicas")
    above = _pods(surge, "surge", replicas, up=True)
    below = _pods(unavailable, "unavailable", replicas, up=False)
    if above == below == 0:
        below = 1
    return above, min(below, replicas)


def _pods(given: str | int, field: str, replicas: int, up: bool) -> int:
    if isinstance(given, int) and not isinstance(given, bool) and given >= 0:
        return given
    percent = re.fullmatch(r"([0-9]{1,9})%", given, re.ASCII) if isinstance(given, str) else None
    if percent is None:
        raise ModelError(f"got {given!r}; it is a whole number of pods of at least 0, or a share like '25%'", field)
    hundredths = int(percent[1]) * replicas
    return -(-hundredths // 100) if up else hundredths // 100


def new_replicas(replicas: int, surge: int, new: int, total: int) -> int:
    """How many replicas the new set gets next: what the surge leaves room for beside the `total` of all sets."""
    return min(replicas, new + max(0, replicas + surge - total))


def old_replicas(replicas: int, unavailable: int, new: Size, olds: Sequence[Size]) -> list[int]:
    """How many replicas the old sets, the oldest first, keep next.

    First go pods that are not available, as far as the new set's own unavailable pods leave room; then available ones,
    down to `replicas - unavailable` in all. A set with more available pods than replicas is still being scaled down;
    nothing is decided from there on (cleanupUnhealthyReplicas gives up with an error).
    """
    kept = [old.replicas for old in olds]
    total = new.replicas + sum(kept)
    least = replicas - unavailable
    room = total - least - (new.replicas - new.available)
    if room <= 0:
        return kept
    active = [number for number, old in enumerate(olds) if old.replicas > 0]
    for number in active:
        broken = kept[number] - olds[number].available
        if room <= 0:
            break
        if broken < 0:
            return kept
        gone = min(room, broken)
        kept[number], room = kept[number] - gone, room - gone
    spare = new.available + sum(olds[number].available for number in active) - least
    for number in active:
        gone = max(min(kept[number], spare), 0)
        kept[number], spare = kept[number] - gone, spare - gone
    return kept


def proportions(replicas: int, surge: int, sizes: Sequence[tuple[int, int]]) -> list[int]:
    """How many replicas each set gets when the deployment is scaled while several sets have pods.

    `sizes` has, the newest set first, each one's replicas and the most pods that the deployment might have when it was
    last scaled. Each grows or shrinks as that bound does, rounded; what the rounding leaves goes to the largest set.
    (sync.go, scale; GetProportion.)
    """
    most = replicas + surge if replicas > 0 else 0
    to_add = most - sum(size for size, _ in sizes)
    if to_add == 0:
        return [size for size, _ in sizes]
    # The largest comes first; of equal ones the newest if pods are added, the oldest if they are taken away.
    sign = 1 if to_add > 0 else -1
    order = sorted(range(len(sizes)), key=lambda number: (-sizes[number][0], sign * number))
    result, added = [size for size, _ in sizes], 0
    for number in order:
        size, most_before = sizes[number]
        if added == to_add:
            break
        share = math.floor(size * most / most_before + 0.5) - size
        share = min(share, to_add - added) if to_add > 0 else max(share, to_add - added)
        result[number], added = size + share, added + share
    largest = order[0]
    result[largest] = max(result[largest] + to_add - added, 0)
    return result
