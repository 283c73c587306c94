"""Parts that elect by a lease, in `simulate`: failures at any time and stops on purpose, against laws of takeovers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import kstest

import hasim as ha

SURE = 1e-4
"""The chance that a sound program fails a test of a law."""

OPENSHIFT = {"duration": "137s", "renew_deadline": "107s", "retry_period": "26s"}
REDIS = {"kind": "ttl", "store": "redis", "ttl": "30s", "renew": "10s", "retry": "1s"}
WATCHED = {"kind": "ttl", "store": "etcd", "ttl": "60s", "renew": "20s", "retry": "5s", "watch": True}


def pair(lease: object, **more: Any) -> ha.Cluster:
    worker = {"kind": "elected", "replicas": 2, "on": ["h-1", "h-2"], "lease": lease, "latency": {"fixed": "1ms"}}
    return ha.Cluster(name="pair", topology={"hosts": ["h-1", "h-2"]}, parts={"worker": worker}, up="worker", **more)


@pytest.mark.parametrize("lease", [{}, OPENSHIFT, REDIS, WATCHED], ids=["kubernetes", "openshift", "redis", "etcd"])
def test_failures_at_any_time_meet_the_leader_at_any_moment_of_its_renewals(lease: object) -> None:
    # Weeks of calm are leapt over before each; where the leap ends must say nothing of when the next renewal is due.
    failing = {"process": {"mtbf": "100h", "mttr": {"fixed": "20m"}}}
    run = ha.simulate(pair(lease, failures=failing), over="8y", seed=1)
    law = ha.Takeover(lease=lease, standbys=1, latency="1ms")
    down = np.diff(run.down("worker"), axis=1)[:, 0]
    down = down[down < float(law.quantile(1.0)) + 1]  # both were away in the others
    assert len(down) > 600
    assert kstest(down, lambda t: 1 - law.survival(t)).pvalue > SURE


def stopped(lease: object, seeds: int) -> list[float]:
    """How long nobody leads when the leader is stopped on purpose."""
    found = []
    for seed in range(seeds):
        cluster, at = pair(lease), f"{60 + 0.37 * seed}s"
        calm = ha.simulate(cluster, over=at, seed=seed)
        leader = [fact.subject for fact in calm.trace if fact.kind == "leading"][-1]
        stop = ha.Stop(leader, at=at, lasting="1m")
        ((start, end),) = ha.simulate(cluster.during(stop), over="4m", seed=seed).down("worker")
        found.append(float(end - start))
    return found


@pytest.mark.parametrize(
    ("lease", "after"),
    [({"release": True}, "release"), ({}, "crash"), (REDIS, "release"), ({**REDIS, "release": False}, "crash")],
    ids=["kubernetes releases", "kubernetes keeps", "redis releases", "redis keeps"],
)
def test_a_leader_that_is_stopped_gives_its_lease_back_if_that_says_release(lease: object, after: str) -> None:
    law = ha.Takeover(lease=lease, standbys=1, after=after, latency="1ms")
    assert kstest(stopped(lease, 60), lambda t: 1 - law.survival(t - 0.003)).pvalue > SURE
