"""Restarts: the kubelet's published sequence, systemd's table and its limit of starts, and both in closed form."""

from __future__ import annotations

import math
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from hasim.errors import ModelError
from hasim.protocols.health import (
    AnyRestart,
    AnySupervisor,
    CrashLoopBackOff,
    Monit,
    Restarts,
    SystemdRestart,
    restart_times,
)
from hasim.protocols.health.systemd import RESTARTED, Cause
from hasim.units import s

LONG = -1e9  # a process that has run since then is remembered by nobody


def delays(restarts: Restarts, lives: list[float]) -> list[float]:
    """The wait after each of these lives."""
    now, waits = 0.0, []
    for life in lives:
        waits.append(restarts.delay(now, now + life))
        now += life + waits[-1]
    return waits


def counted(restarts: Restarts, runs: list[float]) -> list[float]:
    """When a process is started that ran for long, dies at 0, and then after each of these runs."""
    started, died, begun = LONG, 0.0, []
    for run in [*runs, 0.0]:
        started = died + restarts.delay(started, died)
        if math.isinf(started):
            break
        begun.append(started)
        died = started + run
    return begun


def test_the_kubelet_waits_as_kubernetes_says() -> None:
    waits = delays(CrashLoopBackOff().counting(), [0.0] * 9)
    assert waits == [0, 10, 20, 40, 80, 160, 300, 300, 300]
    assert list(accumulate(waits))[:7] == [0, 10, 30, 70, 150, 310, 610]


@pytest.mark.parametrize(("life", "then"), [(600.0, [40, 80]), (600.1, [0, 10])])
def test_running_for_more_than_ten_minutes_forgets_all(life: float, then: list[float]) -> None:
    assert delays(CrashLoopBackOff().counting(), [1.0, 1.0, 1.0, life, 1.0]) == [0, 10, 20, *then]


def test_the_faster_gate_waits_from_one_second_to_a_minute_and_forgets_no_sooner() -> None:
    fast = CrashLoopBackOff.reduced()
    assert delays(fast.counting(), [0.0] * 9) == [0, 1, 2, 4, 8, 16, 32, 60, 60]
    assert delays(fast.counting(), [0.0, 0.0, 121.0, 601.0]) == [0, 1, 2, 0]
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
def test_a_unit_without_a_limit_is_never_given_up(settings: dict[str, object]) -> None:
    unit = SystemdRestart.model_validate({"wait": "10s", **settings})
    assert delays(unit.counting(), [0.0] * 50) == [10.0] * 50


def test_the_kubelets_own_unit_is_started_every_ten_seconds_for_ever() -> None:
    assert delays(SystemdRestart.kubelet().counting(), [0.0] * 50) == [10.0] * 50


def test_a_first_wait_above_the_cap_is_named() -> None:
    with pytest.raises(ModelError, match=r"first: got first 10m.*at most the cap"):
        CrashLoopBackOff(first="10m")


# --------------------------------------------------------------------------------------- after which ends

MANUAL = """
         no always on-success on-failure on-abnormal on-abort on-watchdog
clean    .  X      X          .          .           .        .
code     .  X      .          X          .           .        .
signal   .  X      .          X          X           X        .
timeout  .  X      .          X          X           .        .
watchdog .  X      .          X          X           .        X
"""  # systemd.service(5), table 1


def test_ends_and_restarts_are_those_of_the_manual() -> None:
    head, *rows = [line.split() for line in MANUAL.strip().splitlines()]
    assert list(RESTARTED) == head
    for cause, *marks in rows:
        assert [cause in causes for causes in RESTARTED.values()] == [mark == "X" for mark in marks]


@pytest.mark.parametrize("cause", ["clean", "code", "signal", "timeout", "watchdog"])
def test_what_is_not_started_again_waits_for_ever_and_counts_for_nothing(cause: Cause) -> None:
    for condition, causes in RESTARTED.items():
        unit = SystemdRestart(restart=condition, burst=2).counting()
        assert unit.delay(0.0, 100.0, cause) == (0.1 if cause in causes else math.inf)
    on_success = SystemdRestart(restart="on-success", burst=1).counting()
    assert on_success.delay(0.0, 100.0, "code") == math.inf
    assert on_success.delay(200.0, 300.0, "clean") == 0.1, "somebody started it, and it left in peace"


@pytest.mark.parametrize("field", [AnyRestart, AnySupervisor])
@pytest.mark.parametrize("condition", ["no", "on-success", "on-abnormal", "on-abort", "on-watchdog"])
def test_a_field_takes_no_systemd_that_leaves_some_failures_alone(field: Any, condition: str) -> None:
    read: TypeAdapter[Any] = TypeAdapter(field)
    with pytest.raises(ValueError, match=rf"got '{condition}'; a failure may be any unclean end"):
        read.validate_python({"kind": "systemd", "restart": condition})
    assert read.validate_python({"kind": "systemd", "restart": "on-failure"}) == SystemdRestart(restart="on-failure")
    assert read.validate_python("crash_loop") == CrashLoopBackOff()


def test_monit_is_a_supervisor_but_polls_too_slowly_to_be_told_of_a_kill() -> None:
    assert TypeAdapter(AnySupervisor).validate_python("monit") == Monit()
    for monit in ("monit", Monit(), {"kind": "monit"}):
        with pytest.raises(ValueError, match="kind=crash_loop"):
            TypeAdapter(AnyRestart).validate_python(monit)


# ------------------------------------------------------------------------------------------ in closed form


def test_restarts_of_a_container_that_dies_at_once_begin_at_the_published_times() -> None:
    assert restart_times(CrashLoopBackOff(), [0.0] * 7) == [0, 10, 30, 70, 150, 310, 610, 910]
    assert restart_times(CrashLoopBackOff(), [2.0] * 3) == [0, 12, 34, 76]
    assert restart_times(CrashLoopBackOff(), []) == [0]


def test_restarts_of_a_unit_end_with_the_last_that_is_allowed() -> None:
    assert restart_times(SystemdRestart(), [0.0] * 20) == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    assert restart_times(SystemdRestart(restart="no"), [0.0]) == []
    assert len(restart_times(SystemdRestart.kubelet(), [0.0] * 20)) == 21


lives = st.sampled_from([0.0, 0.5, 1.75, 3.0, 90.0, 599.0, 601.0])
supervisors = st.one_of(
    st.builds(CrashLoopBackOff, first=st.just(s(7)), cap=st.sampled_from([s(7), s(60), s(3000)])),
    st.just(CrashLoopBackOff.reduced()),
    st.builds(SystemdRestart, burst=st.integers(0, 4), window=st.sampled_from([s(0), s(3.3), s(10)])),
)


@given(supervisors, st.lists(lives, max_size=30))
def test_the_closed_form_of_restarts_is_what_the_counters_count(
    declared: CrashLoopBackOff | SystemdRestart, runs: list[float]
) -> None:
    assert restart_times(declared, runs) == pytest.approx(counted(declared.counting(), runs), abs=1e-9)


def test_waits_that_double_beyond_all_floats_are_capped() -> None:
    assert restart_times(CrashLoopBackOff(), [0.0] * 3000)[-1] == 610 + 300 * (3000 - 6)
