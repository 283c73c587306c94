"""Restarts: the kubelet's published sequence, and systemd's limit against a count of starts in the window."""

from __future__ import annotations

import math
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hasim.errors import ModelError
from hasim.protocols.health import CrashLoopBackOff, Restarts, SystemdRestart
from hasim.units import s


def delays(restarts: Restarts, lives: list[float]) -> list[float]:
    """The wait after each of these lives."""
    now, waits = 0.0, []
    for life in lives:
        waits.append(restarts.delay(now, now + life))
        now += life + waits[-1]
    return waits


def test_the_kubelet_waits_as_kubernetes_says() -> None:
    waits = delays(CrashLoopBackOff().counting(), [0.0] * 9)
    assert waits == [0, 10, 20, 40, 80, 160, 300, 300, 300]
    assert list(accumulate(waits))[:7] == [0, 10, 30, 70, 150, 310, 610]


@pytest.mark.parametrize(("life", "then"), [(600.0, [40, 80]), (600.1, [0, 10])])
def test_running_for_more_than_ten_minutes_forgets_all(life: float, then: list[float]) -> None:
    assert delays(CrashLoopBackOff().counting(), [1.0, 1.0, 1.0, life, 1.0]) == [0, 10, 20, *then]


def test_a_lower_cap_resets_sooner() -> None:
    """The setting of a node, and the faster gate of KEP-4603: 1 s to 60 s."""
    fast = CrashLoopBackOff(first=s(1), cap=s(60))
    assert delays(fast.counting(), [0.0] * 9) == [0, 1, 2, 4, 8, 16, 32, 60, 60]
    assert delays(fast.counting(), [0.0, 0.0, 121.0]) == [0, 1, 0]
    assert delays(CrashLoopBackOff(reset=s(5)).counting(), [0.0, 0.0, 6.0]) == [0, 10, 0]


def test_two_containers_count_by_themselves() -> None:
    declared = CrashLoopBackOff()
    one, two = declared.counting(), declared.counting()
    assert delays(one, [0.0] * 3) == [0, 10, 20]
    assert delays(two, [0.0] * 2) == [0, 10]


def test_systemd_gives_up_a_unit_that_dies_at_once_after_five_starts() -> None:
    waits = delays(SystemdRestart().counting(), [0.0] * 5)
    assert waits == [0.1, 0.1, 0.1, 0.1, math.inf]


def test_a_unit_that_was_given_up_stays_so() -> None:
    restarts = SystemdRestart().counting()
    delays(restarts, [0.0] * 5)
    assert restarts.delay(100.0, 200.0) == math.inf


@given(st.floats(0.0, 5.0), st.integers(1, 7))
def test_systemd_gives_up_exactly_when_one_start_too_many_falls_into_the_window(life: float, burst: int) -> None:
    """With equal lives starts come every life + wait; the window holds start number burst + 1, or it does not."""
    span = burst * (life + 0.1)
    if abs(span - 10.0) < 1e-6:
        return
    waits = delays(SystemdRestart(burst=burst).counting(), [life] * 30)
    assert (math.inf in waits) == (span < 10.0)
    if span < 10.0:
        assert waits.index(math.inf) == burst - 1


@pytest.mark.parametrize("settings", [{"window": "0s"}, {"burst": 0}])
def test_the_kubelets_unit_is_never_given_up(settings: dict[str, object]) -> None:
    unit = SystemdRestart.model_validate({"wait": "10s", **settings})
    assert delays(unit.counting(), [0.0] * 50) == [10.0] * 50


def test_a_first_wait_above_the_cap_is_named() -> None:
    with pytest.raises(ModelError, match=r"first: got first 10m.*at most the cap"):
        CrashLoopBackOff(first="10m")
