"""Pairs that fail over: what was under way when the active member fell, and what comes meanwhile."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from path_scenes import assert_law, ended, latencies, within
from scipy import stats

import hasim as ha


def pair(**more: Any) -> ha.Cluster:
    """A pair of servers that takes three seconds to fail over."""
    serving = {"takes": {"fixed": "100ms"}, "slots": 100, **more.pop("serving", {})}
    db = {"kind": "standby", "failover": {"takes": {"fixed": "3s"}}, "serving": serving, **more}
    return ha.Cluster(name="pair", parts={"db": db}, services={"web": {"up": ["db"]}})


def played(cluster: ha.Cluster, *faults: Any, over: str = "30s") -> Any:
    load = ha.Load(rate=ha.Paced(rate=100))
    never = ha.Crash("db-2", at="3650d", lasting="1s")
    run = ha.simulate(cluster.during(load, *faults, never), over=over, seed=1)
    assert run.requests is not None
    return run.requests


FALL = ha.Crash("db-1", at="10.005s", lasting="1d")


@pytest.mark.parametrize("discipline", ["fifo", "sharing"])
def test_without_sync_what_was_under_way_is_lost_and_what_comes_meanwhile_is_refused(discipline: str) -> None:
    log = played(pair(serving={"discipline": discipline, "slots": 100}), FALL)
    under_way = within(log, 9.9055, 10.005)
    assert under_way.sum() == 10
    assert np.all(ended(log, "reset")[under_way])
    assert np.all(log.ended_s[under_way] == 10.005)
    assert np.all(ended(log, "refused")[within(log, 10.005, 13.005)])
    assert np.all(ended(log, "ok")[within(log, 13.005, 29.8)])
    assert np.allclose(latencies(log)[within(log, 13.005, 29.8)], 0.1, rtol=0, atol=1e-9)


@pytest.mark.parametrize("discipline", ["fifo", "sharing"])
def test_in_sync_everything_stands_still_and_goes_on(discipline: str) -> None:
    sync = {"fixed": "20ms"}
    log = played(pair(sync=sync, serving={"discipline": discipline, "slots": 600}), FALL)
    assert np.all(ended(log, "ok")[within(log, 0.0, 29.8)])
    calm = within(log, 0.0, 9.8) | within(log, 13.2, 29.8)
    assert np.allclose(latencies(log)[calm], 0.12, rtol=0, atol=1e-6)
    under_way = within(log, 9.8855, 10.005)
    assert np.allclose(latencies(log)[under_way], 3.12, rtol=0, atol=1e-6)
    meanwhile = within(log, 10.005, 13.005)
    assert np.allclose(log.ended_s[meanwhile], 13.125, rtol=0, atol=1e-6)


def test_in_sync_every_request_pays_for_it() -> None:
    cluster = pair(sync="20ms", serving={"takes": "100ms"})
    log = played(cluster, over="200s")
    done = ~ended(log, "unanswered")
    fair = done & within(log, 0.0, 198.0)
    # The sum of two exponential times: P(T ≤ t) = 1 - (a e^(-t/a) - b e^(-t/b))/(a - b).
    a, b = 0.1, 0.02

    class Sum:
        """The law of the sum."""

        def cdf(self, t: Any) -> Any:
            return 1 - (a * np.exp(-t / a) - b * np.exp(-t / b)) / (a - b)

    assert_law(latencies(log)[fair], Sum())


@pytest.mark.parametrize("sync", [None, {"fixed": "20ms"}], ids=["alone", "in sync"])
def test_when_nobody_stands_everything_is_lost_either_way(sync: Any) -> None:
    both = [ha.Crash(f"db-{i}", at="10.005s", lasting="5s") for i in (1, 2)]
    log = played(pair(sync=sync), *both)
    under_way = within(log, 9.9055, 10.005)
    assert np.all(ended(log, "reset")[under_way])
    assert np.all(ended(log, "refused")[within(log, 10.1, 15.0)])
    assert np.all(ended(log, "ok")[within(log, 18.1, 29.8)])


def test_the_fall_of_the_standby_costs_nothing() -> None:
    log = played(pair(), ha.Crash("db-2", at="10s", lasting="5s"))
    assert np.all(ended(log, "ok")[within(log, 0.0, 29.8)])


def test_a_failover_has_the_law_that_was_declared() -> None:
    cluster = pair(failover={"takes": "2s"})
    found = []
    for seed in range(60):
        load = ha.Load(rate=ha.Paced(rate=100))
        run = ha.simulate(cluster.during(load, FALL), over="40s", seed=seed)
        assert run.requests is not None
        bad = run.requests.arrived_s[ended(run.requests, "refused")]
        found.append(0.0 if not len(bad) else bad.max() - 10.0)
    assert_law(np.array(found) + 0.005, stats.expon(scale=2.0))


def test_a_failover_lasts_until_the_standby_works_so_nothing_comes_on_top() -> None:
    log = played(pair(serving={"start_up": {"fixed": "2s"}}), FALL)
    assert np.all(ended(log, "refused")[within(log, 10.005, 13.005)])
    assert np.all(ended(log, "ok")[within(log, 13.005, 29.8)])


def test_a_pair_is_one_server_in_the_log() -> None:
    assert played(pair(), over="1s").servers == ("db",)
