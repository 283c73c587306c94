"""When attempts begin that all fail: the closed forms against the counters of each supervisor."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hasim.errors import ModelError
from hasim.protocols.health import CrashLoopBackOff, Monit, Restarts, Schedule, SystemdRestart, schedule
from hasim.protocols.health.schedules import Supervisor, memory
from hasim.units import s

SUPERVISORS: dict[str, Supervisor] = {
    "kubelet": CrashLoopBackOff(),
    "kubelet, faster": CrashLoopBackOff.reduced(),
    "kubelet that forgets at once": CrashLoopBackOff(reset=s(3)),
    "kubelet of one wait": CrashLoopBackOff(first=s(20), cap=s(20)),
    "systemd": SystemdRestart(),
    "systemd of one start": SystemdRestart(burst=1, window=s(60)),
    "systemd with a wide window": SystemdRestart(wait=s(2), burst=7, window=s(100)),
    "the kubelet's unit": SystemdRestart.kubelet(),
    "monit": Monit(),
    "monit of three failures": Monit(failures=3, cycle=s(7)),
    "monit that gives up": Monit(cycle=s(7), restarts=5, within=5),
    "monit that gives up later": Monit(cycle=s(7), failures=2, restarts=3, within=20),
    "monit that never gets so far": Monit(cycle=s(7), restarts=6, within=5),
}
TAKES = [0.0, 0.15, 0.2, 1.0, 7.2, 15.0, 50.0]


def counted(restarts: Restarts, takes: float, attempts: int) -> tuple[list[float], bool]:
    """When attempts begin after a death at 0, and whether the supervisor has given up after them."""
    started, died = -1e9, 0.0
    begun: list[float] = []
    while len(begun) < attempts:
        wait = restarts.delay(started, died)
        if math.isinf(wait):
            return begun, True
        started = died + wait
        died = started + takes
        begun.append(started)
    return begun, False


@pytest.mark.parametrize("takes", TAKES)
@pytest.mark.parametrize("name", SUPERVISORS)
def test_attempts_begin_when_the_counter_says(name: str, takes: float) -> None:
    supervisor = SUPERVISORS[name]
    tries = schedule(supervisor, takes)
    restarts = supervisor.counting(-1000 * supervisor.cycle) if isinstance(supervisor, Monit) else supervisor.counting()
    begun, given_up = counted(restarts, takes, 40)
    assert given_up == (tries.period is None)
    found = [-1.0]
    for _ in begun:  # the schedule, one attempt after another
        found.append(float(tries.next(np.nextafter(found[-1], math.inf))))
    assert found[1:] == pytest.approx(begun, abs=1e-9)
    if given_up:
        assert tries.given_up > begun[-1]
        assert float(tries.next(tries.given_up + 3.0)) == tries.given_up + 3.0, "whoever repairs starts it"


@pytest.mark.parametrize(
    "tries", [Schedule((0.0, 10.0, 30.0), 300.7), Schedule((0.1,), 5.1), Schedule((1.0, 2.0), None, 3.0)]
)
def test_the_last_attempt_begun_and_the_next_are_neighbours(tries: Schedule) -> None:
    """On the starts themselves, just before and just after them, and where quotients are rounded past whole numbers."""
    starts = np.array(tries.starts)
    if tries.period is not None:
        starts = np.concatenate([starts[:-1], starts[-1] + tries.period * np.arange(5000)])
    assert np.array_equal(tries.next(starts), starts) and np.array_equal(tries.begun(starts), starts)
    assert np.array_equal(tries.next(np.nextafter(starts[1:], 0)), starts[1:])
    assert np.array_equal(tries.begun(np.nextafter(starts[1:], 0)), starts[:-1])
    assert np.array_equal(tries.next(np.nextafter(starts[:-1], math.inf)), starts[1:])
    assert tries.begun(starts[0] - 0.001) == -1 and tries.next(-5.0) == starts[0]
    assert tries.next(math.inf) == math.inf


def test_the_schedule_of_the_kubelet_is_the_published_one() -> None:
    tries = schedule(CrashLoopBackOff(), 0.0)
    assert (*tries.starts, tries.starts[-1] + 300) == (0, 10, 30, 70, 150, 310, 610)
    assert tries.period == 300
    assert tries.text() == "at 0 s, 10 s, 30 s, 1m 10s, …, then every 5 m"
    assert schedule(SystemdRestart(), 1.0).text() == "at 100 ms, 1.2 s, 2.3 s, 3.4 s, …, given up after 5"
    assert schedule(Monit(), 1.0).text() == "at 0 s and up to 30 s more, then every 30 s"


def test_scaling_a_schedule_scales_all_its_times() -> None:
    slow = schedule(Monit(restarts=3, within=9), 1.0).scaled(2.0)
    assert slow == Schedule((0.0, 60.4, 120.8), None, 181.2, 60.0)
    assert schedule(CrashLoopBackOff(), 1.0).scaled(0.5).period == 150.5


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        (SystemdRestart(wait=s(0), burst=0), "wait: got 0s with attempts that take no time"),
        (SystemdRestart(restart="on-success"), "restart: got 'on-success'; after it nothing is started again"),
    ],
)
def test_a_row_of_attempts_that_cannot_be_is_refused(declared: SystemdRestart, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        schedule(declared, 0.0)


def test_supervisors_remember_for_so_long() -> None:
    assert memory(CrashLoopBackOff.reduced()) == 600
    assert [memory(SystemdRestart()), memory(SystemdRestart.kubelet())] == [10, 0]
    assert [memory(Monit()), memory(Monit(restarts=5, within=5))] == [30, 180]
