"""The kubelet's probes: when they begin, what they conclude, what they wait for, and how long that takes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from ticking import REFUSED, Target, Ticking

from hasim.errors import ModelError
from hasim.machine import Announce, CancelTimer, Effect, Fired, Proposed, Received, Send, SetTimer, Started
from hasim.protocols.health import ContainerDied, ContainerStarted, Ping, Pong, Probe, ProbeWorker
from hasim.protocols.health.laws import Delay, Fault, ready_again, unhealthy
from hasim.units import s

TRIALS = 3000


def said(effects: list[Effect]) -> list[str]:
    return [each.kind for each in effects if isinstance(each, Announce)]


def asked(effects: list[Effect]) -> list[Ping]:
    return [each.message for each in effects if isinstance(each, Send)]


def probed(worker: ProbeWorker, kind: str, now: float, ok: bool) -> list[Effect]:
    """One tick of one probe, answered at once."""
    (ping,) = asked(worker.step(Fired(f"{kind} tick"), now))
    assert ping.about == kind
    return worker.step(Received("pod", Pong(ping.n, ok, "" if ok else REFUSED)), now)


def test_a_container_without_readiness_is_ready_from_its_start() -> None:
    worker = ProbeWorker("pod", liveness=Probe())
    assert worker.step(Started(), 0.0) == [
        SetTimer("liveness tick", 0.0, 10.0),
        Announce("ready", {"container": "pod", "probe": "readiness", "why": "no readiness probe"}),
    ]


def test_readiness_is_asked_at_once_and_takes_its_successes_and_failures() -> None:
    worker = ProbeWorker("pod", readiness=Probe(successes=2, failures=3))
    tick, *asks = worker.step(Started(), 0.0)
    assert tick == SetTimer("readiness tick", 0.0, 10.0)
    assert asks == [Send("pod", Ping(1, "readiness")), SetTimer("readiness timeout", 1.0, 1.0)]
    assert said(worker.step(Received("pod", Pong(1)), 0.1)) == ["probe passed"]
    assert said(probed(worker, "readiness", 5.0, True)) == ["ready"]
    assert worker.ready
    results = [False, False, True, False, False, False, False, True, False, True, True, True]
    told = [said(probed(worker, "readiness", 15.0 + 10 * n, ok)) for n, ok in enumerate(results)]
    failed, passed = ["probe failed"], ["probe passed"]
    assert told[:7] == [failed, failed, passed, failed, failed, [*failed, "unready"], failed]
    assert told[7:] == [passed, failed, passed, ["ready"], []]


def test_a_container_that_fails_its_liveness_is_left_alone_until_a_new_one_runs() -> None:
    worker = ProbeWorker("pod", liveness=Probe(failures=2))
    worker.step(Started(), 0.0)
    assert said(probed(worker, "liveness", 3.0, False)) == ["probe failed"]
    effects = probed(worker, "liveness", 13.0, False)
    detail = {"container": "pod", "probe": "liveness", "why": REFUSED}
    assert effects[-2:] == [Announce("probe failed", detail), Announce("unhealthy", detail)]
    # Held: the ticker goes on, nothing is asked, and it is said once.
    assert worker.step(Fired("liveness tick"), 23.0) == [SetTimer("liveness tick", 10.0, 10.0)]
    assert said(worker.step(Proposed(ContainerDied()), 25.0)) == ["unready"]
    assert asked(worker.step(Fired("liveness tick"), 33.0)) == []
    assert said(worker.step(Proposed(ContainerStarted()), 35.0)) == ["ready"]
    # Nothing is remembered of the old container: it takes two failures again.
    assert said(probed(worker, "liveness", 43.0, False)) == ["probe failed"]
    assert said(probed(worker, "liveness", 53.0, False)) == ["probe failed", "unhealthy"]


def test_the_startup_probe_holds_the_others_back_and_ends_with_its_success() -> None:
    worker = ProbeWorker("pod", Probe(), Probe(), Probe(failures=24))
    assert asked(worker.step(Started(), 0.0)) == []
    for kind in ("liveness", "readiness"):
        assert asked(worker.step(Fired(f"{kind} tick"), 1.0)) == []
    assert said(probed(worker, "startup", 2.0, False)) == ["probe failed"]
    effects = probed(worker, "startup", 12.0, True)
    assert said(effects) == ["probe passed", "startup passed"]
    (ping,) = asked(effects)
    assert ping.about == "readiness"
    assert asked(worker.step(Fired("startup tick"), 22.0)) == []
    assert [each.about for each in asked(worker.step(Fired("liveness tick"), 23.0))] == ["liveness"]


def test_a_startup_probe_that_fails_for_good_has_the_container_killed() -> None:
    worker = ProbeWorker("pod", liveness=Probe(), startup=Probe(failures=3))
    worker.step(Started(), 0.0)
    told = [said(probed(worker, "startup", 10.0 * n, False)) for n in range(3)]
    assert told == [["probe failed"], ["probe failed"], ["probe failed", "unhealthy"]]
    assert asked(worker.step(Fired("startup tick"), 30.0)) == []
    # The new container has to start up, too.
    worker.step(Proposed(ContainerStarted()), 31.0)
    assert asked(worker.step(Fired("liveness tick"), 32.0)) == []
    assert asked(worker.step(Fired("startup tick"), 40.0)) != []


def test_no_probe_comes_before_the_initial_delay() -> None:
    worker = ProbeWorker("pod", Probe(initial_delay=s(15)), Probe(initial_delay=s(5)))
    assert asked(worker.step(Started(), 100.0)) == []
    assert asked(worker.step(Fired("readiness tick"), 104.9)) == []
    assert asked(worker.step(Fired("liveness tick"), 114.9)) == []
    assert [each.about for each in asked(worker.step(Fired("readiness tick"), 105.0))] == ["readiness"]
    assert [each.about for each in asked(worker.step(Fired("liveness tick"), 115.0))] == ["liveness"]


def test_what_a_dead_container_was_asked_no_longer_counts() -> None:
    worker = ProbeWorker("pod", liveness=Probe(failures=1))
    worker.step(Started(), 0.0)
    (ping,) = asked(worker.step(Fired("liveness tick"), 1.0))
    assert CancelTimer("liveness timeout") in worker.step(Proposed(ContainerDied()), 1.5)
    worker.step(Proposed(ContainerStarted()), 2.0)
    assert worker.step(Received("pod", Pong(ping.n, False)), 2.1) == []


@pytest.mark.parametrize("lengths", [(15.0, 0.0, 0.0, 0.0), (25.0, 2.0, 9.0, 0.0), (9.0, 12.0, 12.0, 1.0), (10.5,) * 4])
def test_probes_begin_on_the_ticker_or_when_the_last_one_ends(lengths: tuple[float, ...]) -> None:
    """Against Go's ticker put in numbers: one tick waits while a probe runs, and further ones are lost."""
    ticking = Ticking(2)
    ticking.targets["pod"] = target = Target(takes=list(lengths))
    ticking.boot("kubelet", ProbeWorker("pod", liveness=Probe(timeout=s(60))))
    ticking.run(200.0)
    first = target.starts[0]
    expected = [first]
    for length in lengths:
        ended = expected[-1] + length
        taken = np.floor((expected[-1] - first) / 10 + 1e-9)
        next_tick = first + (taken + 1) * 10
        expected.append(max(ended, next_tick))
    assert target.starts[: len(expected)] == pytest.approx(expected, rel=1e-12, abs=0)


PROBES = {
    "defaults": Probe(),
    "apiserver": Probe(timeout=s(15), failures=8),
    "often": Probe(period=s(1), timeout=s(0.6), failures=2),
}


@pytest.mark.parametrize("fault", ["refused", "hung"])
@pytest.mark.parametrize("name", PROBES)
def test_probes_take_as_long_as_the_law_says(name: str, fault: Fault) -> None:
    """Liveness fails for good, readiness comes and goes; KS at 1e-3, and none outside the bounds."""
    probe = PROBES[name]
    rng = np.random.default_rng(13)
    dead, back = [], []
    for _ in range(TRIALS):
        ticking = Ticking(rng)
        ticking.targets["pod"] = target = Target()
        ticking.boot("kubelet", ProbeWorker("pod", probe, probe))
        ticking.run(probe.period * (2 + rng.random()))
        began = ticking.now
        target.mood = fault
        dead.append(ticking.run_to("unhealthy", began + 1e3) - began)
        ticking.run(ticking.now + 3 * max(probe.period, probe.timeout) + probe.period * rng.random())
        began = ticking.now
        assert not ticking.machines["kubelet"].ready  # type: ignore[attr-defined]
        target.heard = [each for each in target.heard if each[1].about == "readiness"]
        ticking.go_on("pod")
        back.append(ticking.run_to("ready", began + 1e3) - began)
    judge(np.array(dead), unhealthy(probe, fault))
    judge(np.array(back), ready_again(probe, fault))


def judge(times: np.ndarray, law: Delay) -> None:
    slack = 1e-9 * max(law.high, 1.0)
    assert law.low - slack <= times.min() <= times.max() <= law.high + slack
    left, right = law.cdf(times - 1e-9), law.cdf(times + 1e-9)
    uniform = left + np.random.default_rng(5).random(len(times)) * (right - left)
    assert stats.kstest(uniform, "uniform").pvalue > 1e-3


def test_several_successes_after_a_hang_come_on_their_ticks() -> None:
    probe = Probe(period=s(10), timeout=s(4), successes=3)
    rng = np.random.default_rng(17)
    back = []
    for _ in range(TRIALS):
        ticking = Ticking(rng)
        ticking.targets["pod"] = Target()
        ticking.boot("kubelet", ProbeWorker("pod", readiness=probe))
        ticking.run(40.0)
        ticking.targets["pod"].mood = "hung"
        ticking.run(100.0 + 10.0 * rng.random())
        began = ticking.now
        ticking.go_on("pod")
        back.append(ticking.run_to("ready", began + 1e3) - began)
    judge(np.array(back), ready_again(probe, "hung"))


def test_only_readiness_may_want_several_successes() -> None:
    with pytest.raises(ModelError, match=r"startup.successes: got 2.*\n?liveness.successes: got 3"):
        ProbeWorker("pod", Probe(successes=3), Probe(successes=4), Probe(successes=2))


def test_a_period_is_a_millisecond_at_least() -> None:
    assert Probe(period="1ms").period == 0.001
    for short in ("0s", "999us"):
        with pytest.raises(ModelError, match=f"^period: got {short}; it is at least 1ms$"):
            Probe(period=short)
