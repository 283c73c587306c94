"""Monit: its loop as a machine, the count of one process against the loop, and both against Monit 5.33 as measured."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from ticking import Target, Ticking

from hasim.errors import ModelError
from hasim.protocols.health import Monit, MonitLoop
from hasim.trace import Fact
from hasim.units import s


def _process(fact: Fact) -> str:
    assert isinstance(fact.detail, dict)
    return str(fact.detail["process"])


class Host:
    """A Monit and its processes, each of which dies as soon after its starts as its list of lives says."""

    def __init__(self, monit: Monit, seed: int = 0, **lives: list[float]) -> None:
        self.ticking = Ticking(seed)
        self.lives = lives
        for name in lives:
            self.ticking.targets[name] = Target()
        self.loop = MonitLoop(monit, list(lives))
        self.ticking.boot("monit", self.loop)
        self.starts: dict[str, list[float]] = {name: [] for name in lives}
        self.deaths: dict[str, list[float]] = {name: [] for name in lives}

    def die(self, name: str, after: float) -> None:
        """This process is gone so many seconds from now."""

        def gone() -> None:
            self.ticking.targets[name].mood = "refused"
            self.deaths[name].append(self.ticking.now)

        self.ticking.at(self.ticking.now + after, gone)

    def restart(self, until: float) -> None:
        """Wait for a restart, and play it: a life of no time at all is over before anybody looks."""
        seen = len(self.ticking.facts)
        self.ticking.run_to("restart", until)
        name = next(_process(fact) for fact in self.ticking.facts[seen:] if fact.kind == "restart")
        self.starts[name].append(self.ticking.now)
        life = self.lives[name].pop(0) if self.lives[name] else math.inf
        self.ticking.targets[name].mood = "well"
        if life < math.inf:
            self.die(name, life)

    def play(self, restarts: int) -> None:
        """So many restarts, or fewer if the loop has given up."""
        for _ in range(restarts):
            try:
                self.restart(self.ticking.now + 1e4)
            except AssertionError:
                return

    def facts(self, kind: str) -> list[float]:
        return [fact.at for fact in self.ticking.facts if fact.kind == kind]


# A process under `set daemon 2` that dies `life` seconds after each start: mean time from start to start, in seconds,
# as Monit 5.33.0 did it over 4 to 11 restarts, to 20 ms. The start timeout was 6 s.
MEASURED = [
    # cycles in a row, life, from start to start
    (1, 1.0, 2.21),
    (3, 1.0, 2.21),  # gone at the next test: no need to fail three times again
    (1, 3.0, 4.21),
    (3, 3.0, 8.21),
    (1, 0.0, 8.22),  # never seen: the start is waited for until it times out
]


@pytest.mark.parametrize(("failures", "life", "apart"), MEASURED)
def test_a_process_that_dies_again_and_again_is_restarted_as_often_as_by_monit(
    failures: int, life: float, apart: float
) -> None:
    monit = Monit(cycle=s(2), failures=failures, start_timeout=s(6))
    host = Host(monit, app=[life] * 9)
    host.die("app", 50.0)
    host.play(10)
    gaps = np.diff(host.starts["app"])
    assert len(gaps) == 9 and np.ptp(gaps) < 1e-9
    assert gaps[0] == pytest.approx(apart, rel=0, abs=0.025)
    assert gaps[0] == pytest.approx(monit.busy(life) + 2.0 * monit.tests_to_restart(life), rel=0, abs=1e-9)


def test_five_restarts_within_five_cycles_are_the_last_as_with_monit() -> None:
    """Measured: five starts 2.21 s apart, and nothing more; with lives that outlast a cycle it went on and on."""
    host = Host(Monit(cycle=s(2), failures=3, restarts=5, within=5), app=[1.0] * 20)
    host.die("app", 50.0)
    host.play(20)
    assert len(host.starts["app"]) == 5
    [unmonitored] = host.facts("unmonitored")
    assert unmonitored == pytest.approx(host.starts["app"][-1] + 2.2, rel=0, abs=1e-9)
    host = Host(Monit(cycle=s(2), restarts=5, within=5), app=[3.0] * 20)
    host.die("app", 50.0)
    host.play(20)
    assert len(host.starts["app"]) == 20 and not host.facts("unmonitored")


LIMITS: list[dict[str, int]] = [
    {},
    {"restarts": 5, "within": 5},
    {"restarts": 2, "within": 9},
    {"restarts": 1, "within": 1},
]


@pytest.mark.parametrize("limit", LIMITS, ids=str)
@pytest.mark.parametrize("failures", [1, 2, 5])
@pytest.mark.parametrize("seed", range(4))
def test_the_count_of_one_process_is_what_the_loop_does(seed: int, failures: int, limit: dict[str, int]) -> None:
    rng = np.random.default_rng(seed)
    lives = rng.choice([0.0, 0.15, 0.3, 1.0, 9.9, 10.5, 25.0, 31.0, 200.0], 60, p=[0.15] * 5 + [0.1, 0.05, 0.05, 0.05])
    monit = Monit(cycle=s(10), failures=failures, **limit)
    host = Host(monit, seed, app=lives.tolist())
    host.die("app", 50.0 + 10.0 * rng.random())
    host.play(60)
    starts, deaths = host.starts["app"], host.deaths["app"]
    count = monit.counting(starts[0])  # the loop looked then, and every cycle before
    started, waited = -1e6, []
    for death, start in zip(deaths, [*starts[1:], math.inf], strict=False):
        waited.append(count.delay(started, death))
        started = starts[len(waited) - 1]
        expected = started - death
        assert waited[-1] == pytest.approx(expected, rel=0, abs=1e-6)
        if start == math.inf:
            break
    if host.facts("unmonitored"):
        assert count.delay(starts[-1], deaths[-1]) == math.inf, "it gives up when the loop does"
        assert count.delay(0.0, 1e9) == math.inf, "for good"
    else:
        assert len(starts) == 60


def test_while_one_process_is_waited_for_nobody_looks_at_the_other() -> None:
    """One serial loop: a start that is never seen takes 30 s, and the other's death waits for that."""
    host = Host(Monit(cycle=s(10)), slow=[0.0], quick=[])
    host.die("slow", 50.0)
    host.restart(100.0)
    first = host.starts["slow"][0]
    host.die("quick", 1.0)
    host.restart(200.0)
    # 100 ms for the program, looks after 0.1, 0.3, 0.7, 1.5, 3.1, 4.1, … s until 30 s are over: 30.2 s in all.
    assert host.starts["quick"] == pytest.approx([first + 30.2], rel=0, abs=1e-9)
    assert host.facts("start failed") == pytest.approx([first + 30.2], rel=0, abs=1e-9)
    host.restart(300.0)
    assert host.starts["slow"][1] == pytest.approx(first + 30.2 + 0.2 + 10.0, rel=0, abs=1e-9)


def test_tests_that_time_out_make_cycles_longer_and_a_success_starts_the_count_anew() -> None:
    host = Host(Monit(cycle=s(10), failures=3, timeout=s(5)), app=[])
    host.ticking.run(50.0)
    host.ticking.targets["app"].mood = "hung"
    host.restart(200.0)
    failed = host.facts("test failed")
    assert np.diff(failed) == pytest.approx([15.0, 15.0], rel=0, abs=1e-9) and host.starts["app"] == [failed[-1]]
    host.ticking.targets["app"].mood = "refused"
    host.ticking.run(host.ticking.now + 0.1)
    assert host.ticking.targets["app"].mood == "refused"
    host.ticking.run(host.starts["app"][-1] + 2.0)
    host.ticking.targets["app"].mood = "well"
    host.ticking.run(host.ticking.now + 60.0)
    host.die("app", 0.0)
    before = host.ticking.now
    host.restart(before + 100.0)
    assert 20.0 <= host.starts["app"][-1] - before <= 30.0, "it was well, so it takes three failures again"


def test_a_late_answer_a_lost_connection_and_a_stop() -> None:
    monit = Monit(cycle=s(10), failures=1, timeout=s(5))
    host = Host(monit, app=[])
    host.ticking.targets["app"].takes = [6.0]  # late by a second: the next test is not answered by it
    host.ticking.run_to("test failed", 20.0)
    sent = host.loop._sent
    host.ticking.run(host.ticking.now + 30.0)
    assert len(host.facts("test failed")) == 1 and host.loop._sent > sent
    host.ticking.stop("monit")
    host.ticking.run(host.ticking.now + 100.0)
    assert host.ticking.targets["app"].starts[-1] < host.ticking.now - 60.0, "nobody looks any more"


def test_a_loop_over_nothing_sleeps_and_sleeps() -> None:
    host = Host(Monit(cycle=s(1)))
    host.ticking.run(100.0)
    assert not host.ticking.facts


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"restarts": 5}, "say both of restarts and within"),
        ({"within": 5}, "say both of restarts and within"),
        ({"cycle": "500ms"}, "cycle: got 0.5; give a number of at least 1"),
        ({"failures": 65}, "failures: got 65; give a whole number from 1 to 64"),
    ],
)
def test_settings_that_monit_would_not_take_are_named(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        Monit(**given)
