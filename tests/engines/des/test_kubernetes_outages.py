"""What goes on and what does not while a piece of the control plane is down, row by row; and that all is made up for.

Every row has two columns, and both are looked at.
"""

from __future__ import annotations

import pytest
from kubernetes_toys import WEB, Ending, deployed, facts, play, times, toy

import hasim as ha
from hasim.results.run import Run

SOON = 0.05  # a few round trips and writes
CRASHING = "web: {kind: workload, replicas: 6, required: 1, start: {fixed: 5s}, cpu: 500, crash: {fixed: 4m}}"
SMALL = "node_lifecycle: {grace: 20s}"  # a node is noticed sooner, so that rows are short


def crash(what: str, at: str = "1m", lasting: str = "10m") -> ha.Crash:
    return ha.Crash(what, at=at, lasting=lasting)


def whole(run: Run) -> bool:
    """Whether in the end every pod is ready and in the endpoints, and no node is marked."""
    ending = Ending(run, deployed("web", 6))
    pods_fine = len(ending.ready) == 6 == len(ending.pods) and not ending.going
    return pods_fine and ending.endpoints.get("web", 6) == 6 and not ending.unready and not ending.tainted


# ------------------------------------------------------------------------- 1 of 3 control nodes


def test_one_of_three_control_nodes_down_nothing_is_missed_but_a_takeover() -> None:
    run = play(toy(WEB), crash("cp-1"), crash("n-1", at="2m", lasting="9m"), over="15m")
    assert not len(run.down("apiserver")) and not len(run.down("etcd"))
    for part in ("kcm", "scheduler"):
        ((down, up),) = run.down(part)
        assert down == 60 and 13 <= up - down <= 23.8, "a takeover"
    (noticed,) = times(run, "node not ready")
    assert 160 - SOON <= noticed <= 175 + SOON, "the leader is another by then, and gives a whole grace"
    assert len(facts(run, "pod created")) == len(facts(run, "pod bound")) == 1
    assert whole(run)


# ---------------------------------------------------------------------------- all API servers


def api_down(*more: ha.Crash, web: str = WEB) -> Run:
    return play(toy(web), crash("apiserver"), *more, over="25m")


def test_all_api_servers_down_running_pods_serve_on() -> None:
    run = api_down()
    assert not len(run.down("web"))
    assert whole(run)


def test_all_api_servers_down_kubelets_restart_containers_by_themselves() -> None:
    # They crash after 4 minutes, in the middle of it, and run again 5 s later: the endpoints never knew.
    run = api_down(web=CRASHING)
    crashed = times(run, "container crashed", until=660)
    assert len(crashed) == 12 and all(60 < at < 660 for at in crashed)
    ((down, up),) = [row for row in run.down("web") if row[0] < 300]
    assert up - down == pytest.approx(5, abs=SOON)
    assert not facts(run, "endpoints", since=60, until=660)
    assert not facts(run, "pod unready", since=60, until=660)


def test_all_api_servers_down_nothing_changes() -> None:
    run = api_down(crash("n-1", at="2m", lasting="20m"))
    for kind in ("node not ready", "node tainted", "pod unready", "endpoints", "pod deleted", "pod created"):
        assert not facts(run, kind, since=60, until=660), kind
    # Both leaders have given up, and the next counts the grace of the dead node from when it first looks.
    leading = times(run, "leading", "kcm-1", since=660) + times(run, "leading", "kcm-2", since=660)
    leading += times(run, "leading", "kcm-3", since=660)
    (noticed,) = times(run, "node not ready")
    assert 50 - SOON <= noticed - min(leading) <= 55


def test_all_api_servers_down_leaders_give_up_and_others_lead_afterwards() -> None:
    run = api_down()
    for part in ("kcm", "scheduler"):
        stopped = [fact.at for fact in facts(run, "stopped leading") if fact.subject.startswith(part)]
        assert len(stopped) == 1 and 60 + 10 <= stopped[0] <= 60 + 12 + SOON
        again = [fact.at for fact in facts(run, "leading", since=1) if fact.subject.startswith(part)]
        assert len(again) == 1 and again[0] > 660


def test_an_outage_of_the_api_makes_no_node_look_dead() -> None:
    """All kubelets were silent for ten minutes, and so was whoever would have noticed."""
    run = api_down()
    assert not facts(run, "node not ready")


# ------------------------------------------------------------------------------- etcd quorum


def quorum_down(*more: ha.Crash, web: str = WEB) -> Run:
    return play(toy(web), crash("etcd-1"), crash("etcd-2"), *more, over="25m")


def test_etcd_quorum_lost_running_pods_serve_on_and_containers_are_restarted() -> None:
    run = quorum_down(web=CRASHING)
    ((down, up),) = [row for row in run.down("web") if row[0] < 300]
    assert up - down == pytest.approx(5, abs=SOON)


def test_etcd_quorum_lost_nothing_is_written() -> None:
    run = quorum_down(crash("n-1", at="2m", lasting="20m"))
    kinds = ("node not ready", "node tainted", "pod unready", "endpoints", "pod deleted", "pod created", "leading")
    for kind in kinds:
        assert not facts(run, kind, since=60, until=660), kind
    assert len(facts(run, "stopped leading", since=60, until=75)) == 2
    assert len(facts(run, "node not ready", since=660)) == 1


def test_etcd_quorum_lost_for_seconds_watches_stay_and_requests_wait() -> None:
    run = play(
        toy(WEB), ha.Crash("etcd-1", at="1m", lasting="4s"), ha.Crash("etcd-2", at="1m", lasting="4s"), over="5m"
    )
    assert not facts(run, "stopped leading") and not facts(run, "node not ready")
    assert whole(run)


# --------------------------------------------------------------------------------- scheduler


def test_scheduler_down_running_pods_serve_on_and_new_ones_wait() -> None:
    run = play(toy(WEB), crash("scheduler", lasting="15m"), crash("n-1", at="2m", lasting="30m"), over="25m")
    (noticed,) = times(run, "node not ready")
    assert 160 <= noticed <= 176, "whoever is not a scheduler goes on"
    (created,) = times(run, "pod created")
    (bound,) = times(run, "pod bound")
    (leads,) = [fact.at for fact in facts(run, "leading", since=1) if fact.subject.startswith("scheduler")]
    assert created < 600 and 960 < leads <= bound < leads + SOON
    ((down, up),) = run.down("web")
    assert down == 120 and up == pytest.approx(bound + 5, abs=SOON), "five of six served on"


# ------------------------------------------------------------------------ controller manager


def test_controller_manager_down_nobody_is_noticed_and_dead_pods_stay_in_the_endpoints() -> None:
    run = play(toy(WEB), crash("kcm", lasting="15m"), crash("n-1", at="2m", lasting="30m"), over="25m")
    for kind in ("node not ready", "node tainted", "pod unready", "endpoints", "pod deleted", "pod created"):
        assert not facts(run, kind, until=960), kind
    assert run.down("web")[0, 0] == 120, "a sixth of the traffic goes to a dead node"
    (leads,) = [fact.at for fact in facts(run, "leading", since=1) if fact.subject.startswith("kcm")]
    (noticed,) = times(run, "node not ready")
    assert 50 - SOON <= noticed - leads <= 50 + SOON


def test_controller_manager_down_a_crashed_container_is_restarted_but_stays_in_the_endpoints() -> None:
    run = play(toy(CRASHING), crash("kcm", lasting="10m"), over="12m")
    assert len(facts(run, "container crashed", until=400)) == 6
    # Its kubelet says so to the API at once, and nobody makes endpoints of it.
    assert len(facts(run, "pod unready", until=400)) == len(facts(run, "pod ready", until=400)) == 6
    assert not facts(run, "endpoints", until=600)


def test_controller_manager_down_pending_pods_are_scheduled() -> None:
    # A pod comes to be while there is no scheduler; when there is one again, there are no controllers.
    run = play(
        toy(WEB),
        crash("n-1", lasting="40m"),
        crash("scheduler", lasting="9m"),
        crash("kcm", at="8m", lasting="20m"),
        over="25m",
    )
    (created,), (bound,), (ready,) = times(run, "pod created"), times(run, "pod bound"), times(run, "pod ready")
    assert created < 480 and 600 < bound < ready < 640
    assert not facts(run, "endpoints", since=480), "no traffic is sent to it: that is the controllers' part"


# ------------------------------------------------------------------------ kube-proxy on a node

PROXIES = "proxy: {kind: pool, replicas: 6, on: ALL_NODES}"


def with_proxies() -> ha.Cluster:
    return toy(WEB, parts=PROXIES, more=f", proxies: proxy, {SMALL}")


def test_kube_proxy_down_its_node_keeps_the_rules_it_has_and_gets_no_others() -> None:
    # proxy-3 is on n-3: members go to the hosts in order
    run = play(with_proxies(), crash("proxy-3", lasting="12m"), crash("n-1", at="2m", lasting="4m"), over="20m")
    (noticed, *_) = times(run, "node not ready")
    written = facts(run, "rules written", since=noticed, until=noticed + 2)
    assert {fact.subject for fact in written} == {"n-2", "n-4", "n-5", "n-6"}
    assert all(fact.detail == {"app": "web", "pods": 5} for fact in written)
    assert all(0 < fact.at - noticed <= 1 + SOON for fact in written), "within a second"
    assert not facts(run, "rules written", "n-3"), "when it is back the rules are again what they were"
    late = play(with_proxies(), crash("proxy-3", lasting="3m"), crash("n-1", at="2m", lasting="4m"), over="8m")
    (first, *_) = facts(late, "rules written", "n-3")
    assert 240 < first.at < 241 + SOON and first.detail["pods"] == 5, "it catches up when it is back"


def test_the_rules_of_a_frozen_node_stay_as_they_are() -> None:
    run = play(with_proxies(), ha.Pause("n-3", at="1m", lasting="3m"), over="8m")
    assert not facts(run, "rules written", "n-3", until=240)
    assert facts(run, "rules written", "n-4", until=240)


# --------------------------------------------------------------------------- kubelet on a node

KUBELETS = "kubelet: {kind: pool, replicas: 6, on: ALL_NODES}"


def with_kubelets(web: str = WEB) -> ha.Cluster:
    return toy(web, parts=KUBELETS, more=", kubelets: kubelet")


def test_kubelet_down_its_pods_run_on_but_leave_the_endpoints() -> None:
    run = play(with_kubelets(), crash("kubelet-1", lasting="4m"), over="15m")
    (noticed,) = times(run, "node not ready")
    assert 100 <= noticed <= 115 + SOON
    ((down, up),) = run.down("web")
    assert noticed <= down < noticed + SOON, "good capacity is taken away, and not before"
    (back,) = times(run, "fault ended")
    assert back < up < back + SOON, "its pods never stopped: they are back at its first word"
    assert not facts(run, "pod deleted")
    assert whole(run)


def test_kubelet_down_for_longer_its_pods_are_evicted_and_run_on_beside_their_successors() -> None:
    run = play(with_kubelets(), crash("kubelet-1", lasting="20m"), over="30m")
    (deleted,) = times(run, "pod deleted")
    (gone,) = times(run, "pod gone")
    (back,) = times(run, "fault ended")
    assert 400 < deleted < 420 and back < gone < back + SOON
    assert whole(run)


def test_kubelet_down_its_containers_are_not_restarted() -> None:
    run = play(with_kubelets(CRASHING), crash("kubelet-1", lasting="4m"), over="20m")
    mine = {fact.subject for fact in facts(run, "container crashed") if fact.detail["node"] == "n-1"}
    (pod,) = mine
    first, second = times(run, "container crashed", pod)[:2]
    (back,) = times(run, "fault ended")
    assert first < back and second == pytest.approx(back + 5 + 240, abs=SOON)


# ------------------------------------------------------------------------------------ CoreDNS


def test_coredns_down_whoever_looks_names_up_fails_and_whoever_has_them_does_not() -> None:
    cluster = toy(
        "web: {kind: workload, replicas: 6, required: 6, start: {fixed: 5s}, needs: {dns: hard}}",
        "cached: {kind: workload, replicas: 2, required: 1, start: {fixed: 5s}, needs: {dns: degraded}}",
        parts="dns: {kind: workload, replicas: 2, required: 1, start: {fixed: 5s}}",
        up="[cached]",
    )
    run = play(cluster, crash("dns"), over="15m")
    assert run.down("web").tolist() == [[60, 660]]
    assert not len(run.down("cached"))
    assert not facts(run, "pod deleted") and not facts(run, "pod unready"), "nobody's pods stopped"
    assert not len(run.down("cluster"))


def test_coredns_is_back_when_its_pods_are() -> None:
    cluster = toy(
        "web: {kind: workload, replicas: 2, required: 1, start: {fixed: 5s}, needs: dns}",
        parts="dns: {kind: workload, replicas: 2, required: 1, start: {fixed: 20s}, cpu: 100}",
    )
    run = play(cluster, ha.PowerLoss(*(f"n-{i}" for i in range(1, 7)), at="1m", lasting="5s"), over="10m")
    ((down, up),) = run.down("dns")
    assert down == 60 and up - 65 == pytest.approx(20, abs=SOON)
    assert run.down("web")[-1, 1] == up


# --------------------------------------------------------------------- control planes of another shape

SMALL_PLANE = """
hasim: 1
name: one process does both, behind a balancer, and zones have racks
topology:
  zones:
    a: {racks: {r1: {hosts: [n-1]}, r2: {hosts: [n-2]}}}
    b: {racks: {r3: {hosts: [n-3]}, r4: {hosts: [n-4]}}}
parts:
  etcd: {kind: quorum, members: 3}
  api: {kind: pool, replicas: 2, needs: etcd}
  lb: {kind: balancer, replicas: 2, failover: {takes: {fixed: 2s}}, to: api}
  kcm: {kind: elected, replicas: 2, lease: {}, needs: lb}
  web: {kind: workload, replicas: 4, required: 4, start: {fixed: 5s}, spread: zone, must_spread: true}
kubernetes: {api: lb, controllers: kcm, scheduler: kcm, nodes: [a, b]}
up: [web]
"""


def test_racks_are_no_zones_to_pods() -> None:
    run = play(ha.loads(SMALL_PLANE), ha.Crash("r1", at="1m", lasting="20m"))
    (bound,) = facts(run, "pod bound")
    assert bound.detail["node"] == "n-2" and bound.at < 430, "the zone has another rack"
    run = play(ha.loads(SMALL_PLANE), ha.Crash("a", at="1m", lasting="20m"))
    tainted = times(run, "node tainted")
    assert tainted[1] - tainted[0] == pytest.approx(10, abs=SOON), "one zone, one rate"
    assert min(times(run, "pod bound")) > 1260


def test_a_failover_of_the_balancer_before_the_api_costs_nobody_anything() -> None:
    run = play(ha.loads(SMALL_PLANE), ha.Crash("lb-1", at="1m", lasting="10m"))
    assert run.down("lb").tolist() == [[60, 62]]
    assert not facts(run, "stopped leading") and not facts(run, "node not ready") and not len(run.down("web"))


def test_one_process_may_control_and_schedule() -> None:
    run = play(ha.loads(SMALL_PLANE), ha.Crash("kcm-1", at="1m", lasting="10m"), ha.Crash("n-1", at="1m", lasting="8m"))
    (leads,) = times(run, "leading", since=1)
    (bound,) = times(run, "pod bound")
    assert bound > leads + 50 + 300
    assert run.down("web")[-1, 1] == pytest.approx(bound + 5, abs=SOON)


def test_a_history_may_begin_in_the_long_run() -> None:
    cluster = toy(WEB).replace("failures", {"host": {"mtbf": "100d", "mttr": "4h"}})
    run = ha.simulate(cluster, over="20d", seed=1, start="steady")
    assert facts(run, "node not ready")
