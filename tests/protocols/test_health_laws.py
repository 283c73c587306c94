"""How long detection takes: the machines against the closed forms, and both against HAProxy 2.6.12 as measured.

The machines are played at random phases and judged by Kolmogorov and Smirnov at the level 1e-3, by their mean within
four standard errors, and by the bounds of the law, which none may leave.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats
from ticking import Target, Ticking

from hasim.errors import ModelError
from hasim.protocols.health import (
    Check,
    HealthCheck,
    Monit,
    MonitLoop,
    Probe,
    ProcessAlive,
    ProcessEnded,
    ProcessReady,
    SystemdRestart,
    SystemdService,
    SystemdUnit,
    kubeadm_probes,
)
from hasim.protocols.health.laws import (
    Delay,
    Fault,
    checks_to_ejection,
    ejection,
    polled,
    readmission,
    readmission_at,
    ready_again,
    takeover,
    unhealthy,
    watchdog,
)
from hasim.protocols.vrrp import Vrrp
from hasim.units import s

TRIALS = 5000
LEVEL = 1e-3
MEASURED = json.loads((Path(__file__).parents[1] / "data" / "haproxy_checks.json").read_text(encoding="utf-8"))
CONFIGS = list(MEASURED["configs"])

CHECKS = {
    "defaults": Check(),
    "fast and down": Check(interval=s(0.5), fast_interval=s(0.1), down_interval=s(1)),
    "a long timeout": Check(interval=s(2), timeout=s(10), fall=2, rise=3, down_interval=s(15)),
    "one of each": Check(fall=1, rise=1, timeout=s(0.5)),
}


def judge(times: npt.NDArray[np.float64], law: Delay) -> None:
    slack = 1e-9 * law.high  # sums of floats
    assert law.low - slack <= times.min() <= times.max() <= law.high + slack
    assert abs(times.mean() - law.mean) <= 4 * np.sqrt(law.variance / len(times))
    # F(X) is uniform; where F jumps, anything within the jump, all alike. A nanosecond is beyond rounding errors.
    left, right = law.cdf(times - 1e-9), law.cdf(times + 1e-9)
    uniform = left + np.random.default_rng(5).random(len(times)) * (right - left)
    assert stats.kstest(uniform, "uniform").pvalue > LEVEL


def times_of(check: Check, fault: Fault, seed: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Times to ejection and, from a random moment of the outage, to readmission, over TRIALS lives of one checker."""
    ticking = Ticking(seed)
    ticking.targets["a"] = target = Target()
    ticking.boot("lb", HealthCheck(check, "a"))
    # Once it is well for good the checker goes round every interval, while it is down every `period`; so a moment is
    # random that is even over one round.
    settles = check.rise * check.fast + check.interval
    out, back = [], []
    for _ in range(TRIALS):
        ticking.run(ticking.now + settles + check.interval * ticking.rng.random())
        began = ticking.now
        target.mood = fault
        out.append(ticking.run_to("server down", began + 1e3) - began)
        period = check.down + (check.longest if fault == "hung" else 0.0)
        ticking.run(ticking.now + period * (1 + ticking.rng.random()))
        began = ticking.now
        ticking.go_on("a")
        back.append(ticking.run_to("server up", began + 1e3) - began)
    return np.array(out), np.array(back)


@pytest.mark.parametrize("fault", ["refused", "hung"])
@pytest.mark.parametrize("name", CHECKS)
def test_checks_take_as_long_as_the_law_says(name: str, fault: Fault) -> None:
    check = CHECKS[name]
    out, back = times_of(check, fault, seed=7)
    judge(out, ejection(check, fault))
    judge(back, readmission(check, fault))


@pytest.mark.parametrize("fault", ["refused", "hung"])
def test_the_readmission_is_known_once_its_phase_is(fault: Fault) -> None:
    check = CHECKS["fast and down"]
    ticking = Ticking(3)
    ticking.targets["a"] = target = Target()
    ticking.boot("lb", HealthCheck(check, "a"))
    for since in np.linspace(0.03, 4.03, 41):
        ticking.run(ticking.now + 5 + ticking.rng.random())
        target.mood = fault
        down = ticking.run_to("server down", ticking.now + 1e3)
        ticking.run(down + since)
        ticking.go_on("a")
        up = ticking.run_to("server up", ticking.now + 1e3)
        assert up - down - since == pytest.approx(readmission_at(check, fault, since), rel=0, abs=1e-9)


def test_the_law_of_readmission_is_the_mean_over_its_phases() -> None:
    """A midpoint sum over one cycle; its error is at most one step times the jump, here 10 steps of the cycle's 1e5."""
    check = CHECKS["a long timeout"]
    cycle = check.down + check.longest
    phases = (np.arange(100_000) + 0.5) / 100_000 * cycle
    mean = np.mean([readmission_at(check, "hung", float(phase)) for phase in phases])
    assert mean == pytest.approx(readmission(check, "hung").mean, rel=0, abs=cycle / 100_000)


@pytest.mark.parametrize(
    ("law", "low", "high"),
    [
        (ejection(Check(), "refused"), 4, 6),
        (ejection(Check(), "hung"), 10, 12),
        (ejection(Check(interval=s(15), fall=2, timeout=s(30)), "refused"), 15, 30),  # kubespray
        (readmission(Check(), "refused"), 2, 4),
        (unhealthy(Probe(), "refused"), 20, 30),
        (unhealthy(Probe(), "hung"), 21, 31),
        (ready_again(Probe(), "refused"), 0, 10),
        (unhealthy(Probe(timeout=s(15), failures=8), "hung"), 120, 130),  # kubeadm's apiserver
        (takeover(Vrrp()), 2 + 156 / 256, 3 + 156 / 256),
        (takeover(Vrrp(advert=s(0.1))), 0.2 + 15.6 / 256, 0.3 + 15.6 / 256),
        (takeover(Vrrp(), clean=True), 156 / 256, 156 / 256),
    ],
    ids=str.split(
        "refused hung kubespray readmission probe_refused probe_hung probe_ready apiserver vrrp vrrp_fast vrrp_clean"
    ),
)
def test_defaults_take_what_their_manuals_make_of_them(law: Delay, low: float, high: float) -> None:
    assert (law.low, law.high, law.mean) == pytest.approx((low, high, (low + high) / 2), rel=1e-12, abs=0)


def test_a_law_is_a_law() -> None:
    """Its mean and variance are those of its distribution function: E X = ∫ (1 - F), E X² = ∫ 2 t (1 - F)."""
    law = readmission(CHECKS["fast and down"], "hung")
    grid = np.linspace(0.0, law.high, 2_000_001)
    middle, step = (grid[1:] + grid[:-1]) / 2, grid[1]
    tail = 1 - law.cdf(middle)
    mean = float(np.sum(tail) * step)
    assert mean == pytest.approx(law.mean, rel=0, abs=2 * step)
    square = float(np.sum(2 * middle * tail) * step)
    assert square - mean**2 == pytest.approx(law.variance, rel=0, abs=8 * step)
    assert law.cdf([law.low - 1e-9, law.high]).tolist() == [0.0, 1.0]


# ---------------------------------------------------------------------------------------- as measured


def trials(config: str) -> tuple[Check, Fault, npt.NDArray[np.float64]]:
    """The settings, the fault, and the columns first_fail, eject, recover, readmit, lag."""
    found: dict[str, Any] = MEASURED["configs"][config]
    return Check(**found["check"]), found["fault"], np.array(found["trials"]).T


@pytest.mark.parametrize("config", CONFIGS)
def test_haproxy_takes_a_server_out_when_the_law_says(config: str) -> None:
    check, fault, (_, eject, *_) = trials(config)
    assert stats.kstest(ejection(check, fault).cdf(eject), "uniform").pvalue > LEVEL


@pytest.mark.parametrize("config", CONFIGS)
def test_haproxy_keeps_to_the_law_given_its_first_failure(config: str) -> None:
    """No chance is left then; what remains are stalls of the host, of which `lag` is the measure."""
    check, fault, (first_fail, eject, _, _, lag) = trials(config)
    law = ejection(check, fault)
    first = check.longest if fault == "hung" else 0.0  # it had ended when it was seen
    assert abs(np.median(eject - first_fail - (law.low - first))) <= np.median(lag)


@pytest.mark.parametrize("config", CONFIGS)
def test_haproxy_takes_a_server_back_in_when_the_law_says_given_the_phase(config: str) -> None:
    check, fault, (_, eject, recover, readmit, lag) = trials(config)
    expected = [readmission_at(check, fault, since) for since in recover - eject]
    assert np.median(np.abs(readmit - expected)) <= np.median(lag)


def test_the_textbook_form_of_a_hang_is_not_what_haproxy_does() -> None:
    """U(0, I) + (F-1) I + T leaves out the timeouts of all checks but the last; the data must be able to tell."""
    check, _, (_, eject, *_) = trials("stop")
    low = (check.fall - 1) * check.fast + check.longest
    assert eject.min() > low + check.interval


# --------------------------------------------------------------------------------- false alarms


@pytest.mark.parametrize(("fall", "q"), [(1, 0.3), (2, 0.4), (3, 0.5)])
def test_false_alarms_come_as_often_as_runs_of_failures(fall: int, q: float) -> None:
    """Checks that fail by chance, of one checker after another; four standard errors."""
    rng = np.random.default_rng(11)
    check = Check(fall=fall, initial="fully-up")
    counts = []
    for _ in range(TRIALS):
        checker = HealthCheck(check, "a")
        while checker.up:
            checker._count(bool(rng.random() >= q))
            checker.sent += 1
        counts.append(checker.sent)
    assert abs(np.mean(counts) - checks_to_ejection(check, q)) <= 4 * np.std(counts) / np.sqrt(TRIALS)


def test_a_law_without_a_closed_form_is_refused() -> None:
    for law in (ejection, readmission):
        with pytest.raises(ModelError, match=r"spread: got 0\.1"):
            law(Check(spread=0.1), "hung")
    with pytest.raises(ModelError, match="timeout: got 15 s"):
        ready_again(Probe(timeout=s(15), successes=2), "hung")
    with pytest.raises(ModelError, match="q: got 0"):
        checks_to_ejection(Check(), 0.0)


# -------------------------------------------------------------------------------------------- supervisors


@pytest.mark.parametrize("fault", ["refused", "hung"])
@pytest.mark.parametrize("monit", [Monit(), Monit(cycle=s(10), failures=3, timeout=s(2))], ids=["defaults", "slower"])
def test_monit_takes_as_long_as_the_law_says(monit: Monit, fault: Fault) -> None:
    ticking = Ticking(11)
    ticking.targets["a"] = target = Target()
    ticking.boot("monit", MonitLoop(monit, ["a"]))
    found = []
    for _ in range(TRIALS):
        ticking.run(ticking.now + monit.cycle * (3 + ticking.rng.random()))  # well again, and in any phase
        began = ticking.now
        target.mood = fault
        found.append(ticking.run_to("restart", began + 1e3) - began)
        target.mood = "well"
    judge(np.array(found), polled(monit, fault))


@pytest.mark.parametrize("deaf", [False, True])
def test_a_watchdog_takes_as_long_as_the_law_says(deaf: bool) -> None:
    service = SystemdService(restart=SystemdRestart.kubelet(), watchdog=s(6), stop_timeout=s(20))
    ticking = Ticking(13)
    ticking.boot("systemd", SystemdUnit(service, "app"))
    found = []
    for _ in range(1000):
        ticking.propose("systemd", ProcessReady())
        for _ in range(3):
            ticking.run(ticking.now + 3.0)
            ticking.propose("systemd", ProcessAlive())
        ticking.run(ticking.now + 3.0 * ticking.rng.random())
        began = ticking.now  # it hangs, and says nothing any more
        killed = ticking.run_to("signal", began + 1e3)
        found.append((ticking.run_to("signal", began + 1e3) if deaf else killed) - began)
        ticking.propose("systemd", ProcessEnded("signal"))
        ticking.run_to("start", ticking.now + 1e3)
    judge(np.array(found), watchdog(service, deaf))


def test_detection_by_supervisors_has_the_published_bounds() -> None:
    assert (polled(Monit(), "refused").low, polled(Monit(), "refused").high) == (0, 30)
    assert polled(Monit(cycle=s(120), failures=3), "refused").mean == 300
    assert (polled(Monit(failures=2), "hung").low, polled(Monit(failures=2), "hung").high) == (40, 70)
    service = SystemdService(watchdog=s(30))
    assert (watchdog(service).low, watchdog(service).high) == (15, 30)
    assert watchdog(service, deaf=True).mean == 22.5 + 90


def test_a_watchdog_that_is_not_there_or_never_kills_is_refused() -> None:
    with pytest.raises(ModelError, match=r"watchdog: is left out"):
        watchdog(SystemdService())
    with pytest.raises(ModelError, match=r"stop_timeout: got 0s"):
        watchdog(SystemdService(watchdog=s(30), stop_timeout=s(0)), deaf=True)


def test_kubeadms_liveness_kills_what_fails_after_70_to_80_seconds_and_what_hangs_after_two_minutes() -> None:
    """Probes of a hung one follow one another, since their timeout of 15 s is longer than their period of 10 s."""
    liveness = kubeadm_probes("kube-apiserver").liveness
    assert liveness is not None
    refused, hung = unhealthy(liveness, "refused"), unhealthy(liveness, "hung")
    assert (refused.low, refused.high) == (70, 80)
    assert (hung.low, hung.high) == (120, 130)
