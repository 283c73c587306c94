"""New versions of workloads: the template is written into the API, and the controllers of whoever leads do the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from kubernetes_toys import WEB, Deed, facts, play, times, toy

import hasim as ha
from hasim.engines.des.kubernetes.world import KubernetesWorld
from hasim.protocols.api import Change
from hasim.protocols.reconcile.objects import Deployment, Pod, ReplicaSet
from hasim.protocols.reconcile.rolling import resolve
from hasim.results.pod_upgrades import PodUpgradeLog

DAY = 86400.0
SOON = 0.1
NEVER = ha.Release(bad=1.0, never_ready=1.0)
DB = "web: {kind: workload, controller: stateful_set, replicas: 3, required: 2, start: {fixed: 10s}%s}"
AGENT = "web: {kind: workload, controller: daemon_set, required: 4, start: {fixed: 10s}%s}"


def web(more: str = "", replicas: int = 6, start: str = "5s", required: int = 1) -> str:
    return f"web: {{kind: workload, replicas: {replicas}, required: {required}, start: {{fixed: {start}}}{more}}}"


def only(run: ha.Run) -> PodUpgradeLog:
    """The one upgrade of a run."""
    (log,) = run.upgrades.values()
    assert isinstance(log, PodUpgradeLog)
    return log


def told(log: PodUpgradeLog) -> list[str]:
    return [kind for _, kind in log.facts]


def at_rest(log: PodUpgradeLog) -> tuple[list[int], list[int]]:
    """Pods of the old and the new version at the end: ready, and on their way."""
    return log.ready[-1].tolist(), log.starting[-1].tolist()


def watching(look: Callable[[KubernetesWorld], Any]) -> tuple[Deed, list[Any]]:
    """A deed that notes what the store looks like after every change from the begin on."""
    seen: list[Any] = []

    def begin(kubernetes: KubernetesWorld) -> None:
        def changed(_: Change) -> None:
            seen.append(look(kubernetes))

        kubernetes.listeners.append(changed)

    return Deed(0.0, begin), seen


# ---------------------------------------------------------------------------------- rolling updates


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable"), [(6, "25%", "25%"), (10, "25%", "25%"), (4, 1, 0), (4, 0, 1), (5, 3, 2)]
)
def test_never_fewer_pods_are_available_nor_more_asked_for_than_the_bounds_say(
    replicas: int, surge: int | str, unavailable: int | str
) -> None:
    def look(kubernetes: KubernetesWorld) -> tuple[int, int]:
        store = kubernetes.api.store
        asked = sum(each.replicas for each in store.all(ReplicaSet))
        return sum(pod.serves for pod in store.all(Pod)), asked

    deed, seen = watching(look)
    upgrade = ha.Rolling("web", at="5m", surge=surge, unavailable=unavailable)
    run = play(toy(web(", cpu: 100, stop: {fixed: 3s}", replicas)), deed, upgrade, over="10m")
    most, least = resolve(surge, unavailable, replicas)
    available, asked = np.array(seen).T
    assert available.min() == replicas - least and asked.max() == replicas + most
    log = only(run)
    assert log.outcome == "rolled out" and at_rest(log) == ([0, replicas], [0, 0])
    assert log.min_ready == replicas - least
    # A pod that was told to stop answers for 3 s, and its successors take its place in the endpoints meanwhile.
    assert log.most_pods > replicas


def test_fewer_serve_for_a_moment_than_are_ready_since_endpoints_come_late() -> None:
    # A pod that is ready is not in the endpoints yet, while an old one goes on its account. With many pods, and
    # messages of 20 ms, that happens, though all 60 are ready in the store at any time.
    cluster = toy(
        web(", cpu: 20, surge: 25%, unavailable: 0", 60, required=60),
        more=", latency: {lognormal: {median: 20ms, sigma: 1}}",
    )
    run = play(cluster, ha.Rolling("web", at="5m"), over="10m")
    log = only(run)
    assert log.min_ready == 60 and 55 <= log.min_serving < 60
    lengths = np.diff(run.down("web"), axis=1)
    assert 1 <= len(lengths) < 10 and lengths.max() < 0.5, "as long as some messages take"


def test_a_pod_is_available_only_after_it_has_been_ready_for_long_enough() -> None:
    def took(more: str, **given: Any) -> float:
        return only(
            play(toy(web(", surge: 1, unavailable: 0" + more, 3)), ha.Rolling("web", at="5m", **given))
        ).duration_s

    assert took("") == pytest.approx(3 * 5, abs=SOON)
    assert took(", min_ready: 20s") == pytest.approx(3 * 25, abs=SOON)
    assert took(", min_ready: 20s", min_ready="7s") == pytest.approx(3 * 12, abs=SOON), "what the upgrade says counts"


def test_settings_are_those_of_the_workload_but_for_what_the_upgrade_says() -> None:
    def found(**given: Any) -> tuple[Any, ...]:
        deed = Deed(400, lambda kubernetes: kubernetes.api.store.get(Deployment, "web"))
        play(toy(web(", surge: 2, unavailable: 1, progress_deadline: 5m")), deed, ha.Rolling("web", at="5m", **given))
        (deployment,) = deed.found
        assert isinstance(deployment, Deployment)
        return deployment.surge, deployment.unavailable, deployment.progress_deadline, deployment.template.revision

    assert found() == (2, 1, 300.0, 2)
    assert found(surge="50%") == ("50%", 1, 300.0, 2)


def test_a_version_may_start_more_slowly_than_the_one_before() -> None:
    release = ha.Release(version="v9", start_up={"fixed": "30s"})
    run = play(toy(web(replicas=1)), ha.Rolling("web", at="5m", release=release))
    log = only(run)
    assert (log.old, log.new) == ("v1", "v9") and log.duration_s == pytest.approx(30, abs=SOON)
    assert set(log.spans.versions) == {"v1", "v9"}
    assert log.spans.server_s(0, run.end_s) == pytest.approx(1800 + 30, abs=1)


def test_recreate_costs_what_stopping_and_starting_take() -> None:
    deployment = web(", strategy: Recreate, stop: {fixed: 7s}", 4)
    run = play(toy(deployment), ha.Recreate("web", at="5m"))
    assert run.down("web").tolist() == [pytest.approx([300, 312], abs=SOON)]
    log = only(run)
    assert log.most_pods == 4 and log.min_ready == 0
    assert not ((log.leaving[:, 0] > 0) & ((log.starting + log.ready)[:, 1] > 0)).any()


def test_the_share_of_pods_that_serve_goes_over_to_the_new_version() -> None:
    log = only(play(toy(WEB), ha.Rolling("web", at="5m")))
    assert log.exposure[0] == 0 and log.exposure[-1] == 1 and np.diff(log.exposure).min() > -0.3
    assert log.serving[0].tolist() == [6, 0] and log.serving[-1].tolist() == [0, 6]
    piece = log.between(0.0, 305.0)
    assert isinstance(piece, PodUpgradeLog) and piece.outcome == "under way"
    assert piece.served_at_s.max() < 305 and len(piece.serving) == len(piece.served_at_s)


# --------------------------------------------------------------------------- versions that are bad


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "ready", "starting"),
    [(10, "25%", "25%", [8, 0], [0, 5]), (3, 1, 0, [3, 0], [0, 1]), (1, "25%", "25%", [1, 0], [0, 1])],
)
def test_pods_that_never_get_ready_cost_what_may_be_unavailable_and_stay(
    replicas: int, surge: int | str, unavailable: int | str, ready: list[int], starting: list[int]
) -> None:
    upgrade = ha.Rolling("web", at="5m", release=NEVER, surge=surge, unavailable=unavailable)
    run = play(toy(web(replicas=replicas)), upgrade, over="10d")
    log = only(run)
    assert log.outcome == "under way" and at_rest(log) == (ready, starting)
    assert told(log) == ["rollout begun", "progress deadline exceeded"]
    assert times(run, "progress deadline exceeded") == [pytest.approx(300 + 600, abs=2)]
    assert log.exposure.max() == 0


def test_a_stall_is_rolled_back_if_somebody_minds() -> None:
    detection = ha.Detection(takes="1h", on_stall=True, rollback="human", decide={"fixed": "4m"})
    upgrade = ha.Rolling("web", at="5m", release=NEVER, detection=detection)
    log = only(play(toy(web(replicas=10)), upgrade, over="1h"))
    assert told(log) == [
        "rollout begun", "progress deadline exceeded", "noticed by its stall", "rollback begun", "rolled back",
    ]  # fmt: skip
    stalled, begun, ended = log.when("progress deadline exceeded"), log.when("rollback begun"), log.ended_s
    assert stalled and begun and ended
    assert begun - stalled == pytest.approx(240, abs=SOON) and ended - begun == pytest.approx(5, abs=SOON)
    assert log.outcome == "rolled back" and at_rest(log) == ([10, 0], [0, 0])


def test_a_bad_version_that_is_not_noticed_stays_and_one_that_is_goes() -> None:
    release = ha.Release(bad=1.0, errors=0.0)
    noticed = ha.Detection(takes={"fixed": "3m"})
    upgrade = ha.Rolling("web", at="5m", release=release, detection=noticed)
    log = only(play(toy(WEB), upgrade))
    assert told(log) == ["rollout begun", "rolled out", "noticed by its errors", "rollback begun", "rolled back"]
    begun = log.when("rollback begun")
    assert begun and begun - 305 == pytest.approx(180, abs=SOON), "from the first pod that serves"
    assert at_rest(log) == ([6, 0], [0, 0])


def test_the_next_upgrade_takes_over_from_one_that_hangs() -> None:
    run = play(
        toy(WEB),
        ha.Rolling("web", at="5m", release=NEVER, name="bad"),
        ha.Rolling("web", at="8m", release=ha.Release(version="v3"), name="fix"),
    )
    bad, fix = run.upgrades["bad"], run.upgrades["fix"]
    assert (bad.outcome, fix.outcome) == ("under way", "rolled out")
    assert (fix.old, fix.new) == ("v2", "v3")
    assert bad.ready[-1].tolist() == bad.starting[-1].tolist() == [0, 0], "it tells how the version went"
    assert fix.ready[-1].tolist() == [0, 6]
    assert not facts(run, "progress deadline exceeded")


# ------------------------------------------------------------------------------------ what people order


def test_a_pause_holds_a_rollout_and_stops_its_deadline() -> None:
    orders = (ha.Order(after="3s", do="pause"), ha.Order(after="20m", do="resume"))
    log = only(play(toy(WEB), ha.Rolling("web", at="5m", orders=orders), over="1h"))
    assert told(log) == ["rollout begun", "paused", "resumed", "rolled out"]
    held = (log.at_s > 310) & (log.at_s < 1500)
    assert not held.any() and log.ended_s == pytest.approx(1500 + 5, abs=SOON)


def test_a_scale_in_the_middle_counts_at_once() -> None:
    orders = (ha.Order(after="2s", do="scale", replicas=12),)
    log = only(play(toy(web(start="10s")), ha.Rolling("web", at="5m", orders=orders)))
    assert log.outcome == "rolled out" and at_rest(log) == ([0, 12], [0, 0])


def test_a_rollback_takes_as_long_as_a_rollout_and_a_retry_rolls_out_again() -> None:
    orders = (ha.Order(after="1m", do="roll back"), ha.Order(after="2m", do="retry"))
    log = only(play(toy(WEB), ha.Rolling("web", at="5m", orders=orders)))
    assert told(log) == ["rollout begun", "rolled out", "rollback begun", "rolled back", "rollout begun", "rolled out"]
    ends = [at for at, kind in log.facts if kind in ("rolled out", "rolled back")]
    assert np.subtract(ends, [300, 360, 420]) == pytest.approx([10, 10, 10], abs=SOON)


# -------------------------------------------------------------------------------- faults in the middle


def leader(cluster: ha.Cluster, at: float) -> str:
    """Who runs the control loops at a time of the run with seed 1."""
    deed = Deed(at, lambda kubernetes: next(member for what, member in kubernetes.processes if what == "_controllers"))
    play(cluster, deed, over=f"{at + 1}s")
    (found,) = deed.found
    return str(found)


def test_the_next_leader_goes_on_with_a_rollout() -> None:
    cluster = toy(web(", surge: 1, unavailable: 0", start="30s"))
    upgrade = ha.Rolling("web", at="5m")
    alone = only(play(cluster, upgrade))
    crash = ha.Crash(leader(cluster, 300), at="348s", lasting="20m")
    run = play(cluster, upgrade, crash)
    log = only(run)
    assert log.outcome == "rolled out" and at_rest(log) == ([0, 6], [0, 0]) and log.min_ready == 6
    # The second pod is ready at 360 s, and waits for somebody who leads; all else is as ever.
    (leads,) = times(run, "leading", since=348)
    assert leads > 360 + 2
    assert log.duration_s - alone.duration_s == pytest.approx(leads - 360, abs=SOON)


def test_a_new_leader_begins_to_count_a_deadline_anew() -> None:
    cluster = toy(WEB)
    crash = ha.Crash(leader(cluster, 300), at="600s", lasting="5m")
    run = play(cluster, ha.Rolling("web", at="5m", release=NEVER), crash, over="1h")
    (exceeded,) = times(run, "progress deadline exceeded")
    assert 600 + 600 < exceeded < 600 + 600 + 30


@pytest.mark.parametrize("part", ["apiserver", "etcd"])
def test_while_the_api_is_away_nothing_moves_and_then_it_goes_on(part: str) -> None:
    cluster = toy(web(", surge: 1, unavailable: 0", start="30s"))
    run = play(cluster, ha.Rolling("web", at="5m"), ha.Crash(part, at="320s", lasting="2m"), over="30m")
    log = only(run)
    assert log.outcome == "rolled out" and log.min_ready == 6
    assert not ((log.at_s > 321) & (log.at_s < 440)).any()
    assert log.duration_s > 180 + 90


@pytest.mark.parametrize(("part", "found"), [("apiserver", 5), ("etcd", 12)])
def test_who_meets_no_api_tries_again_every_few_seconds(part: str, found: float) -> None:
    run = play(toy(WEB), ha.Rolling("web", at="5m"), ha.Crash(part, at="290s", lasting="90s"))
    log = only(run)
    assert told(log) == ["request failed", "rollout begun", "rolled out"], "it is told once"
    begun = log.when("rollout begun")
    assert log.began_s == 300 and begun and 380 <= begun <= 380 + found + SOON


# ---------------------------------------------------------------------------------------- StatefulSets


def test_a_stateful_set_changes_from_the_last_to_the_first_and_stops_at_its_partition() -> None:
    run = play(toy(DB % ""), ha.Ordered("web", at="5m"))
    log = only(run)
    assert [fact.subject for fact in facts(run, "pod deleted")] == ["web-2", "web-1", "web-0"]
    assert log.duration_s == pytest.approx(30, abs=SOON) and log.min_ready == 2 and log.most_pods == 3
    for cluster, upgrade in (
        (toy(DB % ", partition: 1"), ha.Ordered("web", at="5m")),
        (toy(DB % ""), ha.Ordered("web", at="5m", partition=1)),
    ):
        run = play(cluster, upgrade)
        assert [fact.subject for fact in facts(run, "pod deleted")] == ["web-2", "web-1"]
        assert only(run).outcome == "rolled out" and at_rest(only(run)) == ([1, 2], [0, 0])


def test_a_pod_of_a_stateful_set_that_never_gets_ready_holds_up_the_way_back_as_well() -> None:
    orders = (ha.Order(after="5m", do="roll back"),)
    upgrade = ha.Ordered("web", at="5m", release=NEVER, orders=orders)
    log = only(play(toy(DB % ""), upgrade, over="10d"))
    assert told(log) == ["rollout begun", "rollback begun"] and at_rest(log) == ([2, 0], [0, 1])
    log = only(play(toy(DB % ""), upgrade.model_copy(update={"repairs": True}), over="1h"))
    assert told(log)[-1] == "rolled back" and at_rest(log) == ([3, 0], [0, 0])
    assert log.duration_s == pytest.approx(300 + 10, abs=SOON)


# ------------------------------------------------------------------------------------------ DaemonSets


def test_each_node_has_a_pod_and_is_changed_by_itself() -> None:
    deed = Deed(60, lambda kubernetes: sorted(pod.node for pod in kubernetes.api.store.all(Pod)))
    run = play(toy(AGENT % ""), deed, ha.PerNode("web", at="5m"))
    assert deed.found == [[f"n-{i}" for i in range(1, 7)]]
    log = only(run)
    assert log.replicas == 6 and log.outcome == "rolled out" and log.min_ready == 5 and log.most_pods == 6
    assert log.duration_s == pytest.approx(6 * 10, abs=SOON) and at_rest(log) == ([0, 6], [0, 0])


def test_a_daemon_set_may_surge_or_take_several_nodes_at_once() -> None:
    log = only(play(toy(AGENT % ', surge: "50%", unavailable: 0'), ha.PerNode("web", at="5m")))
    assert log.min_ready == 6 and log.duration_s == pytest.approx(2 * 10, abs=SOON)
    log = only(play(toy(AGENT % ""), ha.PerNode("web", at="5m", unavailable=3)))
    assert log.min_ready == 3 and log.duration_s == pytest.approx(2 * 10, abs=SOON)
    log = only(play(toy(AGENT % ""), ha.PerNode("web", at="5m", release=NEVER), over="5d"))
    assert told(log) == ["rollout begun"], "a DaemonSet has no progress deadline"
    assert at_rest(log) == ([5, 0], [0, 1])


def test_pods_of_a_daemon_set_stay_with_their_node_and_come_back_with_it() -> None:
    run = play(toy(AGENT % ""), ha.Crash("n-1", at="1m", lasting="20m"), over="40m")
    assert not facts(run, "pod deleted") and not facts(run, "pod created")
    assert len(facts(run, "pod ready")) == 1


# ---------------------------------------------------------------------------------------- long calm


def test_a_rollout_is_the_same_before_and_after_days_of_calm() -> None:
    cluster = toy(web(", surge: 1, unavailable: 0, min_ready: 45s", 3))
    early = only(play(cluster, ha.Rolling("web", at="5m"), over="30m"))
    late = only(play(cluster, ha.Rolling("web", at="15d"), over="30d"))
    assert late.duration_s == pytest.approx(early.duration_s, abs=SOON) == pytest.approx(150, abs=SOON)
    assert late.ready.tolist()[-1] == [0, 3] and late.min_ready == 3
    stuck = play(cluster, ha.Rolling("web", at="15d", release=NEVER), over="30d")
    assert times(stuck, "progress deadline exceeded") == [pytest.approx(15 * DAY + 600, abs=2)]
