"""Remedies at work: their detection by its law, their limits, the storm and what prevents it, and full disks."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

import hasim as ha
from hasim.protocols.reconcile.remedy import Remedy, detection

STORM = "self-healing-storm"
HEAL = "remedies.restart-the-overloaded"


def spike_share(cluster: ha.Cluster, seed: int = 1) -> float:
    """Share of the requests in the spike that failed."""
    return ha.failed_share(ha.simulate(cluster, over="5m", seed=seed).between("2m", "5m"))


def lost_by_a_full_server(load: float, places: int) -> float:
    """M/M/1/K: the share that finds all places taken."""
    return (1 - load) * load**places / (1 - load ** (places + 1))


def test_unlimited_healing_makes_a_spike_an_outage_and_a_limit_prevents_it() -> None:
    storm = ha.load(STORM)
    alone = spike_share(storm.replace("remedies", {}))
    limited = spike_share(storm.replace(f"{HEAL}.remedy.stop_above", "45%"))
    unlimited = spike_share(storm)
    # Ten servers, each with a tenth of 600 a second and 50 a second to serve. The queues fill in half a minute.
    full = lost_by_a_full_server(1.2, 40)
    assert full - 0.03 < alone < full
    assert alone <= limited < full + 0.02
    assert unlimited > 0.7


@pytest.mark.parametrize(
    ("limit", "value"), [("at_once", 1), ("at_once", "20%"), ("spacing", "2m"), ("per_hour", 2)], ids=str
)
def test_every_limit_bounds_the_storm(limit: str, value: object) -> None:
    limited = ha.load(STORM).replace(f"{HEAL}.remedy.{limit}", value)
    run = ha.simulate(limited, over="5m", seed=1)
    assert ha.failed_share(run.between("2m", "5m")) < 0.4
    begun = len(run.trace.filter("remedy begun"))
    assert begun <= {"at_once": 2 * 4, "spacing": 3, "per_hour": 3}[limit]
    assert limit in {fact.detail["limit"] for fact in run.trace.filter("remedy held back")}


def test_restarts_by_a_remedy_are_down_time() -> None:
    run = ha.simulate(ha.load(STORM), over="5m", seed=1)
    begun = [fact for fact in run.trace.filter("remedy begun", "web-1") if fact.at < 240]
    down = run.down("web-1")
    assert begun and down[: len(begun), 0] == pytest.approx([fact.at for fact in begun])
    assert down[: len(begun), 1] - down[: len(begun), 0] == pytest.approx(60.0)
    assert {blame.kind for blame in run.services["web"].blame} == {"kill"}


def hanging(**remedy: object) -> ha.Cluster:
    settings = {"symptom": "hangs", "action": "restart", "check": "10s", "after": "20s", **remedy}
    return ha.Cluster(
        name="hangs",
        parts={"web": ha.Pool(replicas=3, serving={"takes": "10ms"})},
        remedies={"heal": {"of": "web", "remedy": settings, "takes": {"fixed": "30s"}}},
        up="web",
    )


def test_a_server_that_hangs_is_restarted_when_the_law_says() -> None:
    law, found = detection(Remedy(symptom="hangs", action="restart", check="10s", after="20s")), []
    for seed in range(100):
        run = ha.simulate(hanging().during(ha.Pause("web-2", at="1m", lasting="10m")), over="3m", seed=seed)
        begun, worked = run.trace.filter("remedy begun"), run.trace.filter("remedy worked")
        assert [fact.subject for fact in begun] == ["web-2"] and len(worked) == 1
        found.append(begun[0].at - 60.0)
    assert law.low <= min(found) and max(found) <= law.high
    assert kstest(np.array(found), law.cdf).pvalue > 0.01


def test_false_alarms_come_at_the_rate_of_their_chance() -> None:
    run = ha.simulate(hanging(false_positive=0.05, after="0s"), over="8h", seed=1)
    begun = run.trace.filter("remedy begun")
    # While one is treated nobody looks at it: three checks of it, and the one at the end, are left out.
    checks = 3 * 8 * 360 - 3 * len(begun)
    expected, error = 0.05 * checks, (0.05 * 0.95 * checks) ** 0.5
    assert abs(len(begun) - expected) < 4 * error
    assert not any(fact.detail["sick"] for fact in begun)


def test_a_treatment_that_does_not_work_is_tried_again() -> None:
    cluster = hanging().replace("remedies.heal.works", "50%")
    run = ha.simulate(cluster.during(ha.Pause("web-2", at="1m", lasting="10m")), over="1h", seed=4)
    failed, worked = run.trace.filter("remedy failed"), run.trace.filter("remedy worked")
    assert len(worked) + len(failed) == len(run.trace.filter("remedy begun"))


def test_a_full_disk_is_cleared() -> None:
    cluster = ha.Cluster(
        name="disk",
        parts={"etcd": ha.Quorum(members=3, raft={})},
        remedies={
            "room": {
                "of": "etcd",
                "remedy": {"symptom": "disk full", "action": "clear disk", "check": "10s"},
                "takes": {"fixed": "5s"},
            }
        },
        up="etcd",
    )
    fault = ha.DiskFull("etcd-2", at="1m", lasting="30m")
    run = ha.simulate(cluster.during(fault, ha.Crash("etcd-1", at="2m", lasting="1m")), over="40m", seed=1)
    worked = run.trace.filter("remedy worked")
    assert len(worked) == 1 and 65 <= worked[0].at <= 75
    assert not run.trace.filter("process exited", since=80)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"of": "wob"}, "did you mean 'web'"),
        ({"of": "nodes"}, "nothing is called 'nodes'"),
        ({"remedy": {"symptom": "sad", "action": "restart", "check": "10s"}}, "symptoms are overloaded"),
        ({"remedy": {"symptom": "hangs", "action": "delete pod", "check": "10s"}}, "what helps against 'hangs'"),
        ({"in_flight": 3}, "`in_flight`"),
        ({"remedy": {"symptom": "disk full", "action": "clear disk", "check": "10s"}}, "of a quorum with `raft`"),
        ({"remedy": {"symptom": "node not ready", "action": "drain and replace", "check": "1m"}}, "of 'nodes'"),
    ],
)
def test_wrong_remedies_are_refused_by_name(change: dict[str, object], said: str) -> None:
    plain = hanging().to_plain()
    plain["remedies"]["heal"].update(change)
    with pytest.raises(ha.ModelError, match=said.replace("?", r"\?")):
        ha.Cluster(**plain)


@pytest.mark.parametrize("ask", [ha.solve, ha.estimate, lambda c: ha.simulate(c, protocols=False)])
def test_whoever_cannot_play_a_remedy_says_so(ask: object) -> None:
    with pytest.raises(ha.CannotModel, match=r"remedies\.heal"):
        ask(hanging())  # type: ignore[operator]


def database(**more: object) -> ha.Cluster:
    hosts = ["n-1", "n-2", "n-3", "n-4"]
    return ha.Cluster(
        name="database",
        topology={"zones": {"a": {"hosts": hosts}}},
        parts={
            "api": {"kind": "pool", "replicas": 3},
            "kcm": {"kind": "elected", "replicas": 3, "lease": {}, "needs": "api"},
            "db": {
                "kind": "workload",
                "controller": "stateful_set",
                "replicas": 3,
                "required": 3,
                "apart": True,
                "start": {"fixed": "10s"},
            },
        },
        kubernetes={"api": "api", "controllers": "kcm", "scheduler": "kcm", "nodes": hosts},
        up="db",
        **more,
    )


def test_a_remedy_that_goes_through_the_api_waits_for_it() -> None:
    remedy = {"symptom": "node not ready", "action": "drain and replace", "check": "10s", "after": "1m"}
    healed = database(remedies={"nodes": {"of": "nodes", "remedy": remedy, "takes": {"fixed": "2m"}}})
    lost, away = ha.Crash("n-1", at="1m", lasting="1h"), ha.Crash("api", at="2m", lasting="20m")
    run = ha.simulate(healed.during(lost, away), over="40m", seed=3)
    begun = [fact.at for fact in run.trace if fact.kind == "remedy begun"]
    assert len(begun) == 1 and 22 * 60 <= begun[0] <= 22 * 60 + 70
    assert not [fact for fact in run.trace if fact.kind == "pod gone" and fact.at < 22 * 60]


def test_a_node_that_is_replaced_sets_its_stateful_pods_free() -> None:
    """Kubernetes replaces no pod of a stateful set while its node may be alive; whoever deletes the node vouches."""
    crash = ha.Crash("n-1", at="1m", lasting="1h")
    alone = ha.simulate(database().during(crash), over="90m", seed=3)
    ((start, end),) = alone.down("db")
    assert start == 60 and end > 60 + 3600
    remedy = {"symptom": "node not ready", "action": "drain and replace", "check": "30s", "after": "5m"}
    healed = database(remedies={"nodes": {"of": "nodes", "remedy": remedy, "takes": {"fixed": "2m"}}})
    ((start, end),) = ha.simulate(healed.during(crash), over="90m", seed=3).down("db")
    # 40 to 55 s until the node is given up, five minutes and up to two checks until the remedy acts, and a start.
    assert 60 + 40 + 300 <= end <= 60 + 55 + 300 + 60 + 10 + 1
