"""A lost quorum kills healthy API servers: probes that ask about etcd, kills, a back-off that outlasts the cause."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

import hasim as ha
from hasim.protocols.health import Probe
from hasim.protocols.health.laws import unhealthy

LIVEZ = {"period": "10s", "timeout": "15s", "failures": 8}  # kubeadm's, of kube-apiserver


def control_plane(**serving: object) -> ha.Cluster:
    return ha.Cluster(
        name="control plane",
        parts={
            "etcd": ha.Quorum(members=3, raft={}),
            "apiserver": ha.Pool(
                replicas=3,
                needs="etcd",
                serving={"takes": "5ms", "liveness": LIVEZ, "start_up": {"fixed": "5s"}, **serving},
            ),
            "kcm": ha.Elected(replicas=3, lease={}, needs="apiserver"),
        },
        up="kcm",
    )


def quorum_lost(
    cluster: ha.Cluster, lasting: str, seed: int, over: str = "40m", at: str = "1m", *more: object
) -> ha.Run:
    crashes = [ha.Crash(f"etcd-{i}", at=at, lasting=lasting) for i in (1, 2)]
    return ha.simulate(cluster.during(*crashes, *more), over=over, seed=seed)


def test_a_lost_quorum_kills_every_api_server_and_their_back_off_outlasts_it() -> None:
    run = quorum_lost(control_plane(), "17m", seed=2)
    kills = run.trace.filter("liveness kill", since=60)
    assert {fact.subject for fact in kills} == {"apiserver-1", "apiserver-2", "apiserver-3"}
    quorum_back = run.down("etcd")[-1, 1]
    api_back, leader_back = run.down("apiserver")[-1, 1], run.down("kcm")[-1, 1]
    assert 1080 < quorum_back < 1085
    assert 60 < api_back - quorum_back < 300 + 5 + 60, (
        "no longer than the longest wait, a start, and the jitter of kills"
    )
    assert leader_back >= api_back
    waits = [fact.detail["waits"] for fact in run.trace.filter("back-off", "apiserver-1")]
    assert waits == [0, 10, 20, 40, 80, 160, 300][: len(waits)] and len(waits) >= 6


def test_a_probe_that_does_not_ask_about_etcd_kills_nobody() -> None:
    run = quorum_lost(control_plane(checks_needs=False), "17m", seed=2)
    assert not run.trace.filter("liveness kill")
    assert run.down("apiserver")[-1, 1] == run.down("etcd")[-1, 1]


def test_a_short_loss_of_quorum_kills_nobody() -> None:
    assert not quorum_lost(control_plane(), "60s", seed=3).trace.filter("liveness kill")


@pytest.mark.parametrize("load", [(), (ha.Load(to="apiserver", rate=0.2),)], ids=["quiet", "under load"])
def test_the_first_kill_comes_when_the_closed_form_says(load: tuple[ha.Load, ...]) -> None:
    """Also without a load, where probes sleep while all is well, and are due at any moment when it is not."""
    law = unhealthy(Probe(**LIVEZ), "refused")
    found = []
    for seed in range(60):
        run = quorum_lost(control_plane(), "100s", seed, "4m", "1m", *load)
        for name in ("apiserver-1", "apiserver-2", "apiserver-3"):
            first = run.trace.filter("liveness kill", name)[0]
            found.append(first.at - 60.0)
    assert law.low <= min(found) and max(found) <= law.high
    assert kstest(np.array(found), law.cdf).pvalue > 0.01


def test_a_startup_probe_holds_the_next_kills_back() -> None:
    startup = {"period": "10s", "timeout": "15s", "failures": 24}
    kills = quorum_lost(control_plane(startup=startup), "17m", seed=2).trace.filter("liveness kill", "apiserver-1")
    gaps = np.diff([fact.at for fact in kills])
    assert np.all(gaps > 230), "24 failures of the startup probe, where 8 of liveness took 80 s"


def test_what_is_killed_is_named_in_the_blame_and_counts_as_down() -> None:
    run = quorum_lost(control_plane().replace("services.cluster.up", "apiserver"), "17m", seed=2)
    blamed = {blame.unit: blame.kind for blame in run.services["cluster"].blame}
    assert blamed["apiserver-1 (killed)"] == "kill"
    down = run.down("apiserver-1")
    assert down[-1, 1] - down[-1, 0] > 250


def test_a_killed_server_whose_host_restarts_is_started_with_it() -> None:
    cluster = control_plane()
    run = quorum_lost(cluster, "17m", 2, "40m", "1m", ha.Crash("apiserver-1", at="18m1s", lasting="10s"))
    back = run.down("apiserver-1")
    assert back[-1, 1] == pytest.approx(18 * 60 + 11 + 5)


def test_a_month_of_calm_costs_next_to_nothing() -> None:
    """Probes that would all pass are not made, so that calm can be leapt over."""
    run = ha.simulate(control_plane(), over="30d", seed=1)
    assert run.trace.counts == {"leading": 1}
