"""Stories of rollouts that controllers of Kubernetes do, each as it must go, one instant a line.

`+` a pod begins, `-` one is asked to leave, in brackets what people order. Pods take 10 s to be ready and 5 s to go.
"""

from __future__ import annotations

from typing import Any

from rollout_play import Play, told

from hasim.protocols.rollout import (
    DaemonRollout,
    DeploymentRollout,
    Pause,
    Ready,
    Resume,
    Retry,
    RollBack,
    Scale,
    StatefulRollout,
)


def rolling(*pods: str, surge: int | str = 1, unavailable: int | str = 0, **more: Any) -> DeploymentRollout:
    return DeploymentRollout("v1", "v2", pods, surge, unavailable, **more)


def never(name: str, version: str) -> float | None:
    """Pods of the new version never get ready."""
    return None if version == "v2" else 10.0


def test_a_rolling_update() -> None:
    """One on top at a time: the old pod goes when the new one is ready."""
    play = Play(rolling("a", "b", "c")).run()
    assert play.story() == told("""
        0: rollout begun, +app-2-r-1 v2
        10: app-2-r-1 ready, -c, +app-2-r-2 v2
        15: c gone
        20: app-2-r-2 ready, -b, +app-2-r-3 v2
        25: b gone
        30: app-2-r-3 ready, -a, ROLLED OUT
        35: a gone
    """)


def test_a_rolling_update_with_the_defaults() -> None:
    """25 % of 4 on top and 25 % missing: one of each."""
    play = Play(rolling("a", "b", "c", "d", surge="25%", unavailable="25%")).run()
    assert play.story() == told("""
        0: rollout begun, +app-2-r-1 v2, -c, +app-2-r-2 v2
        5: c gone
        10: app-2-r-1 ready, -b, +app-2-r-3 v2, app-2-r-2 ready, -d, +app-2-r-4 v2
        15: b gone, d gone
        20: app-2-r-3 ready, -a, app-2-r-4 ready, ROLLED OUT
        25: a gone
    """)


def test_an_update_of_one_pod() -> None:
    """25 % of one pod: one on top, none missing."""
    play = Play(rolling("a", surge="25%", unavailable="25%")).run()
    assert play.story() == told("""
        0: rollout begun, +app-2-r-1 v2
        10: app-2-r-1 ready, -a, ROLLED OUT
        15: a gone
    """)


def test_an_update_of_no_pods() -> None:
    """It ends at once, and pods that come later are of the new version."""
    play = Play(rolling()).order(5, Scale(1)).run()
    assert play.story() == told("""
        0: rollout begun, ROLLED OUT
        5: [Scale 1], +app-2-r-1 v2
        15: app-2-r-1 ready
    """)


def test_a_rollback_in_the_middle() -> None:
    """Pods on their way go at once, since nobody is served by them."""
    play = Play(rolling("a", "b", "c")).order(12, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, +app-2-r-1 v2
        10: app-2-r-1 ready, -c, +app-2-r-2 v2
        12: [RollBack], rollback begun, -app-2-r-2, +app-1-r-1 v1
        15: c gone
        17: app-2-r-2 gone
        22: app-1-r-1 ready, -app-2-r-1, ROLLED BACK
        27: app-2-r-1 gone
    """)


def test_a_rollback_before_anything_is_ready() -> None:
    """The only new pod goes, and all is as before."""
    play = Play(rolling("a", "b", "c")).order(2, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, +app-2-r-1 v2
        2: [RollBack], rollback begun, -app-2-r-1, ROLLED BACK
        7: app-2-r-1 gone
    """)


def test_a_rollback_after_the_end() -> None:
    """It takes as long as the rollout did."""
    play = Play(rolling("a", "b")).order(40, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, +app-2-r-1 v2
        10: app-2-r-1 ready, -b, +app-2-r-2 v2
        15: b gone
        20: app-2-r-2 ready, -a, ROLLED OUT
        25: a gone
        40: [RollBack], rollback begun, +app-1-r-1 v1
        50: app-1-r-1 ready, -app-2-r-2, +app-1-r-2 v1
        55: app-2-r-2 gone
        60: app-1-r-2 ready, -app-2-r-1, ROLLED BACK
        65: app-2-r-1 gone
    """)


def test_a_second_rollback_is_none() -> None:
    """Nobody can go back further than to the version before."""
    play = Play(rolling("a")).order(2, RollBack()).order(3, RollBack()).order(50, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, +app-2-r-1 v2
        2: [RollBack], rollback begun, -app-2-r-1, ROLLED BACK
        3: [RollBack]
        7: app-2-r-1 gone
        50: [RollBack]
    """)


def test_a_retry_after_a_rollback() -> None:
    """The set of the new version is found again, and grows anew."""
    play = Play(rolling("a", "b")).order(12, RollBack()).order(40, Retry()).run()
    assert play.story() == told("""
        0: rollout begun, +app-2-r-1 v2
        10: app-2-r-1 ready, -b, +app-2-r-2 v2
        12: [RollBack], rollback begun, -app-2-r-2, +app-1-r-1 v1
        15: b gone
        17: app-2-r-2 gone
        22: app-1-r-1 ready, -app-2-r-1, ROLLED BACK
        27: app-2-r-1 gone
        40: [Retry], rollout begun, +app-2-r-3 v2
        50: app-2-r-3 ready, -app-1-r-1, +app-2-r-4 v2
        55: app-1-r-1 gone
        60: app-2-r-4 ready, -a, ROLLED OUT
        65: a gone
    """)


def test_a_rollout_that_is_paused() -> None:
    """What was begun goes on, and nothing follows until it is resumed."""
    play = Play(rolling("a", "b")).order(5, Pause()).order(30, Resume()).run()
    assert play.story() == told("""
        0: rollout begun, +app-2-r-1 v2
        5: [Pause]
        10: app-2-r-1 ready
        30: [Resume], -b, +app-2-r-2 v2
        35: b gone
        40: app-2-r-2 ready, -a, ROLLED OUT
        45: a gone
    """)


def test_a_rollback_ends_a_pause() -> None:
    """A Deployment that is paused cannot be undone, so whoever undoes it has resumed it first."""
    play = Play(rolling("a", "b")).order(5, Pause()).order(8, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, +app-2-r-1 v2
        5: [Pause]
        8: [RollBack], rollback begun, -app-2-r-1, ROLLED BACK
        13: app-2-r-1 gone
    """)


def test_more_replicas_in_the_middle() -> None:
    """Both sets grow in proportion, and the end counts the new size."""
    play = Play(rolling("a", "b")).order(12, Scale(4)).run()
    assert play.story() == told("""
        0: rollout begun, +app-2-r-1 v2
        10: app-2-r-1 ready, -b, +app-2-r-2 v2
        12: [Scale 4], +app-2-r-3 v2, +app-1-r-1 v1
        15: b gone
        20: app-2-r-2 ready
        22: app-2-r-3 ready, -app-1-r-1, +app-2-r-4 v2
        27: app-1-r-1 gone
        32: app-2-r-4 ready, -a, ROLLED OUT
        37: a gone
    """)


def test_fewer_replicas_in_the_middle() -> None:
    """Both sets shrink."""
    play = Play(rolling("a", "b", "c")).order(12, Scale(1)).run()
    assert play.story() == told("""
        0: rollout begun, +app-2-r-1 v2
        10: app-2-r-1 ready, -c, +app-2-r-2 v2
        12: [Scale 1], -app-2-r-2, -b, -a, ROLLED OUT
        15: c gone
        17: app-2-r-2 gone, b gone, a gone
    """)


def test_pods_that_never_get_ready() -> None:
    """A deadline that passes is told once, and nothing is rolled back."""
    play = Play(rolling("a", "b", deadline=100.0), never).order(500, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, +app-2-r-1 v2
        101: progress deadline exceeded
        500: [RollBack], rollback begun, -app-2-r-1, ROLLED BACK
        505: app-2-r-1 gone
    """)


def test_a_deadline_counts_from_the_last_progress() -> None:
    """The second pod hangs: 100 s and one more after the first was ready and an old one went."""
    play = Play(rolling("a", "b", deadline=100.0), lambda name, version: 90.0 if name.endswith("1") else 200.0).run()
    assert play.story() == told("""
        0: rollout begun, +app-2-r-1 v2
        90: app-2-r-1 ready, -b, +app-2-r-2 v2
        95: b gone
        191: progress deadline exceeded
        290: app-2-r-2 ready, -a, ROLLED OUT
        295: a gone
    """)


def test_a_deadline_does_not_count_in_a_pause() -> None:
    """It begins anew when the rollout goes on."""
    play = Play(rolling("a", "b", deadline=100.0), never).order(50, Pause()).order(300, Resume()).run(800)
    assert play.story() == told("""
        0: rollout begun, +app-2-r-1 v2
        50: [Pause]
        300: [Resume]
        401: progress deadline exceeded
    """)


def test_a_new_pod_dies_while_it_waits_for_min_ready() -> None:
    """The time begins anew when it is back."""
    play = Play(rolling("a", min_ready=20.0)).crash(25, "app-2-r-1").run()
    assert play.story() == told("""
        0: rollout begun, +app-2-r-1 v2
        10: app-2-r-1 ready
        25: app-2-r-1 dies
        28: app-2-r-1 ready
        48: -a, ROLLED OUT
        53: a gone
    """)


def test_an_old_pod_dies_in_the_middle() -> None:
    """It is the first to go: nobody is served by it."""
    play = Play(rolling("a", "b", "c", min_ready=5.0)).crash(12, "b", None).run()
    assert play.story() == told("""
        0: rollout begun, +app-2-r-1 v2
        10: app-2-r-1 ready
        12: b dies
        15: -b, +app-2-r-2 v2
        20: b gone
        25: app-2-r-2 ready
        30: -c, +app-2-r-3 v2
        35: c gone
        40: app-2-r-3 ready
        45: -a, ROLLED OUT
        50: a gone
    """)


def test_a_pod_that_leaves_dies() -> None:
    """Then it has left the earlier."""
    play = Play(rolling("a"), drains=60.0).crash(15, "a").say(20, "a", Ready()).run()
    assert play.story() == told("""
        0: rollout begun, +app-2-r-1 v2
        10: app-2-r-1 ready, -a, ROLLED OUT
        15: a dies, a gone
    """)


def test_a_recreation() -> None:
    """All old pods go before the first new one comes."""
    play = Play(rolling("a", "b", recreate=True)).run()
    assert play.story() == told("""
        0: rollout begun, -b, -a
        5: b gone, a gone, +app-2-r-1 v2, +app-2-r-2 v2
        15: app-2-r-1 ready, app-2-r-2 ready, ROLLED OUT
    """)


def test_a_rollback_of_a_recreation() -> None:
    """In both directions there is nobody in between."""
    play = Play(rolling("a", "b", recreate=True)).order(12, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, -b, -a
        5: b gone, a gone, +app-2-r-1 v2, +app-2-r-2 v2
        12: [RollBack], rollback begun, -app-2-r-2, -app-2-r-1
        17: app-2-r-2 gone, app-2-r-1 gone, +app-1-r-1 v1, +app-1-r-2 v1
        27: app-1-r-1 ready, app-1-r-2 ready, ROLLED BACK
    """)


def test_a_recreation_that_never_gets_ready() -> None:
    """Nobody is served until the way back is through."""
    play = Play(rolling("a", recreate=True, deadline=30.0), never).order(60, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, -a
        5: a gone, +app-2-r-1 v2
        36: progress deadline exceeded
        60: [RollBack], rollback begun, -app-2-r-1
        65: app-2-r-1 gone, +app-1-r-1 v1
        75: app-1-r-1 ready, ROLLED BACK
    """)


def test_a_pause_in_a_recreation_lets_two_versions_meet() -> None:
    """A paused Deployment without a pod sizes its newest set, and waits for nobody (sync.go, scale)."""
    play = Play(rolling("a", recreate=True)).order(20, RollBack()).order(22, Pause()).run(60)
    assert play.story() == told("""
        0: rollout begun, -a
        5: a gone, +app-2-r-1 v2
        15: app-2-r-1 ready, ROLLED OUT
        20: [RollBack], rollback begun, -app-2-r-1
        22: [Pause], +app-1-r-1 v1
        25: app-2-r-1 gone
        32: app-1-r-1 ready, ROLLED BACK
    """)


def test_an_ordered_update() -> None:
    """From the last to the first, each when all above it are ready."""
    play = Play(StatefulRollout("v1", "v2", 3)).run()
    assert play.story() == told("""
        0: rollout begun, -app-2
        5: app-2 gone, +app-2 v2
        15: app-2 ready, -app-1
        20: app-1 gone, +app-1 v2
        30: app-1 ready, -app-0
        35: app-0 gone, +app-0 v2
        45: app-0 ready, ROLLED OUT
    """)


def test_an_ordered_update_down_to_a_partition() -> None:
    """Those below keep the old version, and it ends all the same."""
    play = Play(StatefulRollout("v1", "v2", 3, 2)).run()
    assert play.story() == told("""
        0: rollout begun, -app-2
        5: app-2 gone, +app-2 v2
        15: app-2 ready, ROLLED OUT
    """)


def test_a_rollback_of_an_ordered_update() -> None:
    """A pod that is not ready yet is waited for, and then goes back."""
    play = Play(StatefulRollout("v1", "v2", 3)).order(22, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, -app-2
        5: app-2 gone, +app-2 v2
        15: app-2 ready, -app-1
        20: app-1 gone, +app-1 v2
        22: [RollBack], rollback begun
        30: app-1 ready, -app-2
        35: app-2 gone, +app-2 v1
        45: app-2 ready, -app-1
        50: app-1 gone, +app-1 v1
        60: app-1 ready, ROLLED BACK
    """)


def test_an_ordered_update_that_hangs() -> None:
    """A pod that never gets ready holds up its own replacement."""
    play = Play(StatefulRollout("v1", "v2", 2), never).order(50, RollBack()).run(500)
    assert play.story() == told("""
        0: rollout begun, -app-1
        5: app-1 gone, +app-1 v2
        50: [RollBack], rollback begun
    """)


def test_an_ordered_update_that_somebody_repairs() -> None:
    """Somebody deletes the pod that is not ready, and the rollback goes on."""
    play = Play(StatefulRollout("v1", "v2", 2, repairs=True), never).order(50, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, -app-1
        5: app-1 gone, +app-1 v2
        50: [RollBack], rollback begun, -app-1
        55: app-1 gone, +app-1 v1
        65: app-1 ready, ROLLED BACK
    """)


def test_a_daemon_set() -> None:
    """Node by node: a pod comes back where the last one was."""
    play = Play(DaemonRollout("v1", "v2", ("n1", "n2"))).run()
    assert play.story() == told("""
        0: rollout begun, -n1
        5: n1 gone, +n1 v2
        15: n1 ready, -n2
        20: n2 gone, +n2 v2
        30: n2 ready, ROLLED OUT
    """)


def test_a_daemon_set_with_surge() -> None:
    """The new pod stands beside the old one until it is ready."""
    play = Play(DaemonRollout("v1", "v2", ("n1", "n2"), 0, 1)).run()
    assert play.story() == told("""
        0: rollout begun, +n1/2 v2
        10: n1/2 ready, -n1, +n2/2 v2
        15: n1 gone
        20: n2/2 ready, -n2, ROLLED OUT
        25: n2 gone
    """)


def test_a_rollback_of_a_daemon_set() -> None:
    """The pod that is not ready goes at once."""
    play = Play(DaemonRollout("v1", "v2", ("n1", "n2", "n3"))).order(22, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, -n1
        5: n1 gone, +n1 v2
        15: n1 ready, -n2
        20: n2 gone, +n2 v2
        22: [RollBack], rollback begun, -n2
        27: n2 gone, +n2 v1
        37: n2 ready, -n1
        42: n1 gone, +n1 v1
        52: n1 ready, ROLLED BACK
    """)


def test_a_rollback_of_a_daemon_set_with_surge() -> None:
    """Names of places are free again when their pods are gone."""
    play = Play(DaemonRollout("v1", "v2", ("n1", "n2"), 0, 1)).order(12, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, +n1/2 v2
        10: n1/2 ready, -n1, +n2/2 v2
        12: [RollBack], rollback begun, -n2/2, +n1/3 v1
        15: n1 gone
        17: n2/2 gone
        22: n1/3 ready, -n1/2, ROLLED BACK
        27: n1/2 gone
    """)


def test_a_daemon_set_whose_pods_never_get_ready() -> None:
    """One node stays without a pod, and after a rollback it is the first to get one."""
    play = Play(DaemonRollout("v1", "v2", ("n1", "n2")), never).order(100, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, -n1
        5: n1 gone, +n1 v2
        100: [RollBack], rollback begun, -n1
        105: n1 gone, +n1 v1
        115: n1 ready, ROLLED BACK
    """)


def test_an_old_pod_of_a_daemon_set_dies() -> None:
    """It counts as the one that may be missing, and goes first."""
    play = Play(DaemonRollout("v1", "v2", ("n1", "n2", "n3"))).crash(1, "n3", None).run()
    assert play.story() == told("""
        0: rollout begun, -n1
        1: n3 dies, -n3
        5: n1 gone, +n1 v2
        6: n3 gone, +n3 v2
        15: n1 ready
        16: n3 ready, -n2
        21: n2 gone, +n2 v2
        31: n2 ready, ROLLED OUT
    """)
