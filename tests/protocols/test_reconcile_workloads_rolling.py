"""The arithmetic of rolling updates: bounds in whole pods, the next sizes of old and new sets, and proportions."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hasim.errors import ModelError
from hasim.protocols.reconcile.rolling import Size, new_replicas, old_replicas, proportions, resolve

# --------------------------------------------------------------------------------------- the bounds


@pytest.mark.parametrize(
    ("surge", "unavailable", "replicas", "bounds"),
    [
        ("25%", "25%", 10, (3, 2)),
        ("25%", "25%", 1, (1, 0)),
        ("25%", "25%", 4, (1, 1)),
        ("25%", "25%", 0, (0, 0)),
        (0, 0, 3, (0, 1)),
        (0, "25%", 3, (0, 1)),
        ("0%", "0%", 5, (0, 1)),
        (0, 9, 3, (0, 3)),
        (9, 0, 3, (9, 0)),
        ("200%", "100%", 3, (6, 3)),
        (1, 0, 0, (1, 0)),
    ],
)
def test_bounds_are_resolved_as_kubernetes_does(
    surge: str | int, unavailable: str | int, replicas: int, bounds: tuple[int, int]
) -> None:
    assert resolve(surge, unavailable, replicas) == bounds


@given(st.integers(0, 300), st.integers(0, 100), st.integers(0, 10**6))
def test_shares_are_exact_whatever_the_size(surge: int, unavailable: int, replicas: int) -> None:
    above, below = resolve(f"{surge}%", f"{unavailable}%", replicas)
    assert above == ceil(Fraction(surge * replicas, 100))
    assert below == (floor(Fraction(unavailable * replicas, 100)) or (min(1, replicas) if above == 0 else 0))


@pytest.mark.parametrize("given", [-1, True, "3", "25", "-5%", "2.5%", "٢%", "", 1.5, None])
def test_a_bound_that_is_neither_is_named(given: Any) -> None:
    with pytest.raises(ModelError, match=r"^surge: got .*whole number of pods of at least 0, or a share like '25%'"):
        resolve(given, 1, 3)
    with pytest.raises(ModelError, match=r"^unavailable: got "):
        resolve(1, given, 3)


def test_fewer_than_no_replicas_are_refused() -> None:
    with pytest.raises(ModelError, match=r"^replicas: got -1"):
        resolve(1, 1, -1)


# --------------------------------------------------------------------------------- the arithmetic


def sizes_of_sets() -> st.SearchStrategy[Size]:
    return st.integers(0, 12).flatmap(lambda most: st.builds(Size, st.just(most), st.integers(0, most)))


@settings(max_examples=400)
@given(
    st.integers(0, 15), st.integers(0, 6), st.integers(0, 15), sizes_of_sets(), st.lists(sizes_of_sets(), max_size=4)
)
def test_no_move_takes_an_available_pod_too_many_or_makes_a_pod_too_many(
    replicas: int, surge: int, unavailable: int, new: Size, olds: list[Size]
) -> None:
    """In any state at all. Of a set that shrinks, the pods that are not available go first."""
    total = new.replicas + sum(old.replicas for old in olds)
    target = new_replicas(replicas, surge, new.replicas, total)
    assert min(new.replicas, replicas) <= target <= replicas
    assert target <= new.replicas or total - new.replicas + target <= replicas + surge
    kept = old_replicas(replicas, unavailable, new, olds)
    assert all(0 <= keep <= old.replicas for keep, old in zip(kept, olds, strict=True))
    before = new.available + sum(old.available for old in olds)
    after = new.available + sum(min(old.available, keep) for keep, old in zip(kept, olds, strict=True))
    assert after >= min(before, replicas - unavailable)


@settings(max_examples=300)
@given(st.integers(1, 15), st.integers(0, 6), st.integers(0, 6), st.lists(sizes_of_sets(), max_size=4))
def test_a_rollout_whose_new_pods_come_up_always_has_a_next_move(
    replicas: int, surge: int, unavailable: int, olds: list[Size]
) -> None:
    """From any old sets, broken ones among them, if each new pod is available by the next move."""
    surge, unavailable = resolve(surge, unavailable, replicas)
    new = Size(0, 0)
    moves = 0
    while (new.replicas, sum(old.replicas for old in olds)) != (replicas, 0):
        before = (new, olds)
        target = new_replicas(replicas, surge, new.replicas, new.replicas + sum(old.replicas for old in olds))
        if target != new.replicas:
            new = Size(target, target)
        else:
            kept = old_replicas(replicas, unavailable, new, olds)
            olds = [Size(keep, min(keep, old.available)) for keep, old in zip(kept, olds, strict=True)]
        moves += 1
        assert (new, olds) != before, "it stands still"
    assert moves <= 2 * (replicas + 48)


@pytest.mark.parametrize(
    ("unavailable", "new", "olds", "expected"),
    [
        (2, Size(3, 0), [Size(10, 5)], [8]),  # 13 - 8 - 3: two of the broken ones
        (2, Size(5, 0), [Size(8, 8)], [8]),
        (2, Size(0, 0), [Size(3, 1), Size(10, 5)], [1, 7]),  # 13 - 8: two of the older set, three of the other
        (2, Size(3, 3), [Size(4, 4), Size(6, 6)], [0, 5]),  # 13 available, 8 needed
        (0, Size(1, 1), [Size(0, 0), Size(10, 10)], [0, 9]),
        (10, Size(0, 0), [Size(10, 10)], [0]),
    ],
)
def test_broken_pods_go_first_and_then_the_oldest_sets(
    unavailable: int, new: Size, olds: list[Size], expected: list[int]
) -> None:
    assert old_replicas(10, unavailable, new, olds) == expected


def test_nothing_is_scaled_down_from_a_set_on_that_still_has_surplus_pods() -> None:
    olds = [Size(3, 2), Size(3, 5), Size(3, 1)]
    assert old_replicas(10, 5, Size(10, 10), olds) == [2, 3, 3]


@pytest.mark.parametrize(
    ("replicas", "surge", "sizes", "expected"),
    [
        (15, 3, [(5, 13), (8, 13)], [7, 11]),  # the example of the Kubernetes documentation
        (5, 3, [(5, 13), (8, 13)], [3, 5]),
        (20, 0, [(5, 10), (5, 10)], [10, 10]),
        (11, 0, [(5, 10), (5, 10)], [6, 5]),  # one more: the newest of equal ones
        (9, 0, [(5, 10), (5, 10)], [5, 4]),  # one fewer: the oldest
        (0, 1, [(3, 4), (1, 4)], [0, 0]),
        (10, 3, [(5, 13), (8, 13)], [5, 8]),
        (12, 0, [(1, 10), (1, 10), (8, 10)], [1, 1, 10]),
        (10, 0, [(3, 30), (5, 5)], [3, 7]),  # written at other times: the largest takes all there is to add
    ],
)
def test_a_rollout_is_scaled_in_proportion(
    replicas: int, surge: int, sizes: list[tuple[int, int]], expected: list[int]
) -> None:
    assert proportions(replicas, surge, sizes) == expected


@given(st.integers(0, 40), st.integers(0, 9), st.lists(st.integers(1, 20), min_size=1, max_size=5), st.integers(0, 9))
def test_scaling_in_proportion_adds_up(replicas: int, surge: int, sizes: list[int], spare: int) -> None:
    after = proportions(replicas, surge, [(size, sum(sizes) + spare) for size in sizes])
    most = replicas + surge if replicas else 0
    assert min(after) >= 0
    assert sum(after) == most
    if most >= sum(sizes) + spare:
        assert all(new >= old for new, old in zip(after, sizes, strict=True))
