"""The sizes of a rolling update, against the machine that runs the controllers, and against its bounds."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hasim.errors import ModelError
from hasim.machine import Received, Send, Started
from hasim.protocols.rollout import Begin, DeploymentRollout, Leave, Left, Ready, staircase


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "rows"),
    [
        (10, 3, 2, [(10, 0), (10, 3), (8, 3), (8, 5)]),
        (3, 1, 0, [(3, 0), (3, 1)]),
        (1, "25%", "25%", [(1, 0), (1, 1)]),
    ],
)
def test_where_a_rollout_stays_whose_pods_never_get_ready(
    replicas: int, surge: int, unavailable: int, rows: list[tuple[int, int]]
) -> None:
    assert staircase(replicas, surge, unavailable, never_ready=True) == rows


@given(st.integers(0, 40), st.integers(0, 12), st.integers(0, 12))
def test_it_ends_with_new_pods_alone_within_its_bounds(replicas: int, surge: int, unavailable: int) -> None:
    rows = staircase(replicas, surge, unavailable)
    below = min(max(unavailable, 1 if surge == 0 else unavailable), replicas)
    assert rows[-1] == (0, replicas)
    assert all(old + new <= replicas + surge for old, new in rows)
    for (old, new), (later_old, later_new) in pairwise(rows):
        assert (later_old, later_new) != (old, new)
        # Pods that are new since the last move are not ready yet, so only the others count.
        assert later_old + new >= replicas - below


@given(st.integers(1, 12), st.integers(0, 4), st.integers(0, 4))
def test_the_machine_goes_through_the_same_sizes(replicas: int, surge: int, unavailable: int) -> None:
    machine = DeploymentRollout("old", "new", [f"p{n}" for n in range(replicas)], surge, unavailable)
    sizes = [(machine.sizes().get("old", 0), machine.sizes().get("new", 0))]
    asked = [each for each in machine.step(Started(), 1.0) if isinstance(each, Send)]
    now = 1.0
    while asked:
        sizes.append((machine.sizes()["old"], machine.sizes()["new"]))
        now += 1.0
        answers: list[Received] = []
        for each in asked:
            answers.append(Received(each.to, Left() if isinstance(each.message, Leave) else Ready()))
            assert isinstance(each.message, Leave | Begin)
        asked = [said for event in answers for said in machine.step(event, now) if isinstance(said, Send)]
    steps = staircase(replicas, surge, unavailable)
    assert sizes[0] == steps[0]
    assert sizes[-1] == steps[-1]


def test_what_is_no_number_of_pods_is_refused() -> None:
    with pytest.raises(ModelError, match="surge"):
        staircase(3, "a few")
