"""Failures with a supervisor: what they mean, what they refuse, and that all three engines find the same of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import hasim as ha
from hasim.errors import CannotModel, ModelError
from hasim.model.failures import Failure
from hasim.model.laws import Attempts, Exponential, Fixed, Mixture, Total, Uniform
from hasim.protocols.health import CrashLoopBackOff, Monit, SystemdRestart, schedule
from hasim.units import s

SUPERVISORS: dict[str, Any] = {
    "kubelet": "crash_loop",
    "systemd": {"kind": "systemd", "restart": "on-failure"},
    "monit": {"kind": "monit", "cycle": "2m", "failures": 2, "restarts": 5, "within": 5},
}


def failure(**changes: Any) -> Failure:
    """A process that dies every other hour; most deaths are transient, the others are repaired in half an hour."""
    fields = {
        "mtbf": "2h",
        "mttr": "30m",
        "restart": {"takes": {"fixed": "5s"}, "works": "60%"},
        "supervisor": "crash_loop",
        **changes,
    }
    return Failure(**{name: value for name, value in fields.items() if value is not None})


def pair(failed: Failure) -> ha.Cluster:
    """A pool of two whose processes fail like that; it is up while one of them is."""
    return ha.Cluster(
        name="pair", failures={"process": failed}, parts={"api": ha.Pool(replicas=2)}, services={"web": {"up": ["api"]}}
    )


# ------------------------------------------------------------------------------------------ what it means


def test_a_transient_failure_is_over_after_the_first_delay_and_an_attempt() -> None:
    works = {"takes": {"fixed": "5s"}, "works": "100%"}
    assert failure(restart=works).down == Fixed(value="5s")
    assert failure(restart=works, supervisor="systemd").down == Fixed(value=s(5.1))
    assert failure(restart=works, supervisor=Monit(failures=3)).down == Uniform(low="65s", high="95s")
    found = failure(restart=works, detect={"fixed": "20s"}).down
    assert found == Total(laws=(Fixed(value="20s"), Fixed(value="5s")))


def test_a_permanent_failure_lasts_until_the_first_attempt_after_its_repair() -> None:
    never = {"takes": {"fixed": "5s"}, "works": 0}
    down = failure(restart=never, mttr={"fixed": "10m"}).down  # attempts at 0, 15, 40, 85, 170, 335, 640 s
    assert (down.mean, down.scv) == (645.0, 0.0)
    down = failure(restart=never, mttr={"fixed": "10m"}, supervisor="systemd").down  # one every 5.1 s for ever
    assert down.mean == pytest.approx(0.1 + 118 * 5.1 + 5)
    quick = {"takes": {"fixed": "1s"}, "works": 0}  # five starts in 10 s, then whoever repairs it starts it
    down = failure(restart=quick, mttr={"fixed": "10m"}, supervisor="systemd").down
    assert down.mean == pytest.approx(601.0)
    assert failure(restart=quick, mttr={"fixed": "5s"}, supervisor="systemd").down.mean == pytest.approx(5.6 + 1)


def test_shares_of_both_kinds_make_a_mixture() -> None:
    down = failure().down
    assert isinstance(down, Mixture)
    (share, transient), (rest, permanent) = down.parts
    assert (share, transient) == (0.6, Fixed(value="5s")) and rest == pytest.approx(0.4)
    attempts = Attempts(schedule=schedule(CrashLoopBackOff(), 5.0), repair=Exponential(mean="30m"))
    assert permanent == Total(laws=(attempts, Fixed(value="5s")))


def test_under_the_kubelet_repairs_of_half_an_hour_show_some_minutes_later() -> None:
    """E = 5 s + Σ gap · exp(-start / 30 min), by hand: the waits and 5 s for each attempt."""
    gaps = [15.0, 25.0, 45.0, 85.0, 165.0] + [305.0] * 2000
    starts = np.concatenate([[0.0], np.cumsum(gaps)[:-1]])
    permanent = 5.0 + float(np.sum(np.array(gaps) * np.exp(-starts / 1800.0)))
    assert failure().down.mean == pytest.approx(0.6 * 5.0 + 0.4 * permanent, rel=1e-12)
    assert 100 < permanent - 1800 < 160


def test_with_detection_the_attempts_and_the_repair_begin_when_it_has_ended() -> None:
    late, restart, repair = failure(detect="1m").way_back
    assert late == Exponential(mean="1m") and restart is None and repair == failure().down
    assert failure(detect="1m").down == Total(laws=(Exponential(mean="1m"), failure().down))


def test_without_a_supervisor_nothing_is_new() -> None:
    plain = failure(supervisor=None)
    assert plain.way_back == (None, plain.restart, plain.mttr) and not plain.assumptions()
    assert plain.down.mean == 5.0 + 0.4 * 1800.0


# -------------------------------------------------------------------------------------- what it is written as


@pytest.mark.parametrize(
    "given", [*SUPERVISORS.values(), "systemd", "monit", SystemdRestart.kubelet(), CrashLoopBackOff()]
)
def test_a_file_gives_back_the_same_failure(given: Any) -> None:
    cluster = pair(failure(supervisor=given))
    again = ha.loads(cluster.to_yaml())
    assert again == cluster
    assert again.failures["process"][0].supervisor == failure(supervisor=given).supervisor
    assert again.failures["process"][0].down == cluster.failures["process"][0].down


def test_a_supervisor_is_replaced_by_its_path() -> None:
    cluster = pair(failure()).replace("failures.process.supervisor.cap", "60s")
    assert cluster.failures["process"][0].supervisor == CrashLoopBackOff(cap="60s")
    cluster = cluster.replace("failures.process.supervisor", {"kind": "systemd", "burst": 3})
    assert cluster.failures["process"][0].supervisor == SystemdRestart(burst=3)


# --------------------------------------------------------------------------------------- what it refuses


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"crew": "night"}, r"crew: got 'night'; with a supervisor nobody waits for crew"),
        ({"spares": "shelf"}, r"spares: got 'shelf'; with a supervisor nobody waits for spares"),
        ({"restart": None}, r"restart: is missing; beside a supervisor it says how long an attempt takes"),
        (
            {"restart": {"takes": "5s"}},
            r"restart\.takes: got exponential, mean 5s; every attempt .* write \{fixed: 5s\}",
        ),
        ({"supervisor": "monit", "detect": "1m"}, r"detect: got exponential, mean 1m; Monit finds out by itself"),
        ({"mttr": {"total": ["5m", "10m"]}}, r"mttr: got .*a sum of several random durations has no closed form here"),
        ({"supervisor": "runit"}, r"supervisor\.kind: got 'runit'; kinds are crash_loop, systemd, monit"),
        ({"supervisor": {"kind": "systemd", "restart": "no"}}, r"supervisor\.restart: got 'no'; a failure may be any"),
        (
            {"supervisor": {"kind": "systemd", "wait": "0s", "burst": 0}, "restart": {"takes": {"fixed": "0s"}}},
            r"supervisor\.wait: got 0s with attempts that take no time",
        ),
        ({"restart": {"takes": {"fixed": "0s"}, "works": "60%"}}, "some failures would be over at once"),
    ],
)
def test_what_contradicts_a_supervisor_is_named(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        failure(**changes)


def test_attempts_of_no_time_are_fine_where_something_else_takes_time() -> None:
    nothing = {"takes": {"fixed": "0s"}}
    assert failure(restart=nothing, supervisor="systemd").down == Fixed(value=s(0.1))
    assert failure(restart=nothing, supervisor="monit").down == Uniform(low="0s", high="30s")
    assert failure(restart={**nothing, "works": 0}).down.mean > 1800
    half = Mixture(parts=((0.5, Fixed(value="0s")), (0.5, "1h")))
    with pytest.raises(ModelError, match="some failures would be over at once"):
        failure(restart={**nothing, "works": 0}, mttr=half)


def test_lives_that_a_supervisor_remembers_are_noted() -> None:
    [note] = failure(mtbf="2h").assumptions()
    assert note == (
        "its mean up time is 2 h, not long against the 10 m that its supervisor remembers; "
        "every failure is taken as the first"
    )
    assert not failure(mtbf="17h").assumptions()
    assert not failure(mtbf="20m", supervisor="systemd").assumptions()
    assert failure(mtbf="16m", supervisor="systemd").assumptions()


def test_where_stages_are_needed_the_law_is_refused_by_name() -> None:
    cluster = ha.Cluster(
        name="waits",
        failures={"process": failure()},
        parts={"db": ha.Standby(members=2, failover={"takes": "30s"})},
        services={"web": {"up": ["db"]}},
    )
    with pytest.raises(CannotModel, match=r"the repair of db-1 .*next attempt"):
        ha.solve(cluster)


# ------------------------------------------------------------------------------------ what the engines find

BATCHES = 12


def unavailability(result: Any) -> float:
    return float(result.services["web"].unavailability.value)


def batches(cluster: ha.Cluster, over: str, runs: int) -> tuple[np.ndarray, np.ndarray]:
    """The unavailability in batches of `estimate`, and in batches of `simulate` of a year each."""
    sampled = [unavailability(ha.estimate(cluster, over=over, runs=runs, seed=n)) for n in range(BATCHES)]
    played = [unavailability(ha.simulate(cluster, over="1y", seed=n, start="steady")) for n in range(BATCHES)]
    return np.array(sampled), np.array(played)


@pytest.mark.parametrize("name", SUPERVISORS)
def test_three_engines_find_the_same_unavailability(name: str) -> None:
    cluster = pair(failure(supervisor=SUPERVISORS[name]))
    exact = unavailability(ha.solve(cluster))
    down = cluster.failures["process"][0].down.mean
    assert exact == pytest.approx((down / (down + 7200.0)) ** 2, rel=1e-12), "two independent processes"
    for found in batches(cluster, "1y", 20):
        error = found.std(ddof=1) / math.sqrt(BATCHES)
        assert abs(found.mean() - exact) <= 4 * error
        assert 4 * error < 0.12 * exact, "the waits of the kubelet add 13 % to what there is without a supervisor"


def test_beside_failures_that_wait_for_a_crew_both_random_engines_find_the_same() -> None:
    """Here `estimate` plays all histories side by side, and draws what belongs to each law from a stream of its own."""
    other = Failure(mtbf="1d", mttr="1h", crew="ops", name="other")
    cluster = ha.Cluster(
        name="pair",
        crews={"ops": {"size": 1}},
        failures={"process": [failure(name="crash", detect="10s"), other]},
        parts={"api": ha.Pool(replicas=2)},
        services={"web": {"up": ["api"]}},
    )
    sampled, played = batches(cluster, "5d", 100)
    error = math.sqrt((sampled.var(ddof=1) + played.var(ddof=1)) / BATCHES)
    assert abs(sampled.mean() - played.mean()) <= 4 * error
    assert 4 * error < 0.12 * sampled.mean()
