"""Stories of blue-green and canary rollouts, each as it must go, one instant a line.

`+` a pod begins, `-` one is asked to leave, in brackets what people order. Pods take 10 s to be ready and 5 s to go.
"""

from __future__ import annotations

from typing import Any

from rollout_play import Play, told

from hasim.protocols.rollout import (
    BlueGreenRollout,
    CanaryRollout,
    Left,
    Pause,
    Ready,
    Resume,
    RollBack,
)


def blue_green(*pods: str, **more: Any) -> BlueGreenRollout:
    return BlueGreenRollout("v1", "v2", pods, **more)


def canary(*pods: str, **more: Any) -> CanaryRollout:
    return CanaryRollout("v1", "v2", pods, [(0.1, 60.0), (0.5, 60.0)], surge=1, unavailable=0, **more)


def never(name: str, version: str) -> float | None:
    """Pods of the new version never get ready."""
    return None if version == "v2" else 10.0


def test_blue_green() -> None:
    """Green gets ready, warm, and tested; blue is kept for a while."""
    play = Play(blue_green("a", "b", warm=5.0, tests=6.0, keep=7.0, min_ready=2.0)).run()
    assert play.story() == told("""
        0: rollout begun, requests: v1=1, +v2/1 v2, +v2/2 v2
        10: v2/1 ready, v2/2 ready
        12: green ready
        17: tests begun
        23: tested, requests: v2=1, switched
        30: -a, -b
        35: a gone, b gone, ROLLED OUT
    """)


def test_blue_green_of_no_pods() -> None:
    """There is nothing to switch."""
    play = Play(blue_green(warm=5.0, tests=6.0, keep=7.0)).order(1, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, ROLLED OUT
        1: [RollBack], rollback begun, ROLLED BACK
    """)


def test_blue_green_with_nothing_asked_for() -> None:
    """Green is ready, and blue goes."""
    play = Play(blue_green("a")).run()
    assert play.story() == told("""
        0: rollout begun, requests: v1=1, +v2/1 v2
        10: v2/1 ready, green ready, tested, requests: v2=1, switched, -a
        15: a gone, ROLLED OUT
    """)


def test_a_switch_that_does_not_wait() -> None:
    """Requests go to green before it is ready, and it ends when it is."""
    play = Play(blue_green("a", waits=False)).run()
    assert play.story() == told("""
        0: rollout begun, requests: v1=1, +v2/1 v2, tested, requests: v2=1, switched, -a
        5: a gone
        10: v2/1 ready, ROLLED OUT
    """)


def test_a_switch_that_does_not_wait_and_keeps_blue() -> None:
    """Green is ready before blue goes."""
    play = Play(blue_green("a", waits=False, keep=20.0)).run()
    assert play.story() == told("""
        0: rollout begun, requests: v1=1, +v2/1 v2, tested, requests: v2=1, switched
        10: v2/1 ready
        20: -a
        25: a gone, ROLLED OUT
    """)


def test_a_rollback_before_green_is_ready() -> None:
    """Nobody has seen it."""
    play = Play(blue_green("a")).order(4, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, requests: v1=1, +v2/1 v2
        4: [RollBack], rollback begun, -v2/1
        9: v2/1 gone, ROLLED BACK
    """)


def test_a_rollback_during_the_tests() -> None:
    """As where the tests have found something."""
    play = Play(blue_green("a", warm=5.0, tests=6.0)).order(18, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, requests: v1=1, +v2/1 v2
        10: v2/1 ready, green ready
        15: tests begun
        18: [RollBack], rollback begun, -v2/1
        23: v2/1 gone, ROLLED BACK
    """)


def test_a_rollback_while_blue_is_kept() -> None:
    """It is a switch back, at once."""
    play = Play(blue_green("a", keep=60.0)).order(40, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, requests: v1=1, +v2/1 v2
        10: v2/1 ready, green ready, tested, requests: v2=1, switched
        40: [RollBack], rollback begun, requests: v1=1, switched, -v2/1
        45: v2/1 gone, ROLLED BACK
    """)


def test_a_rollback_while_blue_goes() -> None:
    """Blue begins anew under names of its own, and green serves until it is ready."""
    play = Play(blue_green("a", keep=6.0)).order(18, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, requests: v1=1, +v2/1 v2
        10: v2/1 ready, green ready, tested, requests: v2=1, switched
        16: -a
        18: [RollBack], rollback begun, +v1/1 v1
        21: a gone
        28: v1/1 ready, requests: v1=1, switched, -v2/1
        33: v2/1 gone, ROLLED BACK
    """)


def test_a_rollback_after_blue_is_gone() -> None:
    """Blue begins anew, and has to be ready for long enough, but needs no tests."""
    play = Play(blue_green("a", warm=5.0, tests=6.0, min_ready=3.0)).order(50, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, requests: v1=1, +v2/1 v2
        10: v2/1 ready
        13: green ready
        18: tests begun
        24: tested, requests: v2=1, switched, -a
        29: a gone, ROLLED OUT
        50: [RollBack], rollback begun, +v1/1 v1
        60: v1/1 ready
        63: requests: v1=1, switched, -v2/1
        68: v2/1 gone, ROLLED BACK
    """)


def test_a_rollback_of_a_switch_that_did_not_wait() -> None:
    """Blue is brought back although green never got ready."""
    play = Play(blue_green("a", waits=False), never).order(30, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, requests: v1=1, +v2/1 v2, tested, requests: v2=1, switched, -a
        5: a gone
        30: [RollBack], rollback begun, +v1/1 v1
        40: v1/1 ready, requests: v1=1, switched, -v2/1
        45: v2/1 gone, ROLLED BACK
    """)


def test_a_name_that_still_leaves_is_not_used_again() -> None:
    """A pod that an earlier rollback began is leaving when another one is begun."""
    play = Play(blue_green("v1/1", keep=6.0)).order(18, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, requests: v1=1, +v2/1 v2
        10: v2/1 ready, green ready, tested, requests: v2=1, switched
        16: -v1/1
        18: [RollBack], rollback begun, +v1/2 v1
        21: v1/1 gone
        28: v1/2 ready, requests: v1=1, switched, -v2/1
        33: v2/1 gone, ROLLED BACK
    """)


def test_green_that_never_gets_ready() -> None:
    """It is told once, and blue serves on."""
    play = Play(blue_green("a", deadline=100.0), never).order(500, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, requests: v1=1, +v2/1 v2
        100: progress deadline exceeded
        500: [RollBack], rollback begun, -v2/1
        505: v2/1 gone, ROLLED BACK
    """)


def test_a_green_pod_dies_while_it_waits_for_min_ready() -> None:
    """The time begins anew when it is back."""
    play = Play(blue_green("a", "b", min_ready=20.0)).crash(25, "v2/1").run()
    assert play.story() == told("""
        0: rollout begun, requests: v1=1, +v2/1 v2, +v2/2 v2
        10: v2/1 ready, v2/2 ready
        25: v2/1 dies
        28: v2/1 ready
        48: green ready, tested, requests: v2=1, switched, -a, -b
        53: a gone, b gone, ROLLED OUT
    """)


def test_a_green_pod_dies_while_it_warms_up() -> None:
    """If it is back in time, nothing is lost."""
    play = Play(blue_green("a", "b", warm=20.0)).crash(15, "v2/1").run()
    assert play.story() == told("""
        0: rollout begun, requests: v1=1, +v2/1 v2, +v2/2 v2
        10: v2/1 ready, v2/2 ready, green ready
        15: v2/1 dies
        18: v2/1 ready
        30: tested, requests: v2=1, switched, -a, -b
        35: a gone, b gone, ROLLED OUT
    """)


def test_a_green_pod_is_dead_when_the_tests_are_over() -> None:
    """The switch waits for it."""
    play = Play(blue_green("a", "b", tests=20.0, deadline=30.0)).crash(25, "v2/1", 50.0).run()
    assert play.story() == told("""
        0: rollout begun, requests: v1=1, +v2/1 v2, +v2/2 v2
        10: v2/1 ready, v2/2 ready, green ready, tests begun
        25: v2/1 dies
        30: tested
        60: progress deadline exceeded
        75: v2/1 ready, requests: v2=1, switched, -a, -b
        80: a gone, b gone, ROLLED OUT
    """)


def test_a_rollback_while_the_switch_waits() -> None:
    """Nobody has seen green."""
    play = Play(blue_green("a", tests=20.0)).crash(25, "v2/1", 50.0).order(40, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, requests: v1=1, +v2/1 v2
        10: v2/1 ready, green ready, tests begun
        25: v2/1 dies
        30: tested
        40: [RollBack], rollback begun, -v2/1
        45: v2/1 gone, ROLLED BACK
    """)


def test_late_news_of_blue() -> None:
    """What has left is nobody's news any more."""
    play = Play(blue_green("a")).say(40, "a", Ready()).say(41, "a", Left()).run()
    assert play.story() == told("""
        0: rollout begun, requests: v1=1, +v2/1 v2
        10: v2/1 ready, green ready, tested, requests: v2=1, switched, -a
        15: a gone, ROLLED OUT
    """)


def test_a_canary() -> None:
    """A tenth of three pods is one, and half of them two; then all the others, and the canaries go."""
    play = Play(canary("a", "b", "c")).run()
    assert play.story() == told("""
        0: rollout begun, +canary/1 v2
        10: canary/1 ready, requests: v1=0.9 v2=0.1, bake begun
        70: +canary/2 v2
        80: canary/2 ready, requests: v1=0.5 v2=0.5, bake begun
        140: requests: all, promotion begun, +app-2-r-1 v2
        150: app-2-r-1 ready, -c, +app-2-r-2 v2
        155: c gone
        160: app-2-r-2 ready, -b, +app-2-r-3 v2
        165: b gone
        170: app-2-r-3 ready, -a, -canary/1, -canary/2
        175: a gone, canary/1 gone, canary/2 gone, ROLLED OUT
    """)


def test_a_canary_of_no_pods() -> None:
    """There is nobody to watch."""
    play = Play(canary()).run()
    assert play.story() == told("""
        0: rollout begun, requests: all, promotion begun, ROLLED OUT
    """)


def test_a_canary_without_weights() -> None:
    """Canaries get what falls to them, and nobody steers requests but the promotion, which sends them to all."""
    play = Play(canary("a", weighted=False)).run()
    assert play.story() == told("""
        0: rollout begun, +canary/1 v2
        10: canary/1 ready, bake begun
        70: bake begun
        130: promotion begun, +app-2-r-1 v2
        140: app-2-r-1 ready, -a, -canary/1
        145: a gone, canary/1 gone, ROLLED OUT
    """)


def test_a_rollback_in_the_first_step() -> None:
    """The canary goes, and requests with it."""
    play = Play(canary("a", "b", "c")).order(30, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, +canary/1 v2
        10: canary/1 ready, requests: v1=0.9 v2=0.1, bake begun
        30: [RollBack], rollback begun, requests: v1=1, -canary/1
        35: canary/1 gone, requests: all, ROLLED BACK
    """)


def test_a_rollback_before_the_canary_is_ready() -> None:
    """It has seen no requests."""
    play = Play(canary("a", "b", "c")).order(3, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, +canary/1 v2
        3: [RollBack], rollback begun, requests: v1=1, -canary/1
        8: canary/1 gone, requests: all, ROLLED BACK
    """)


def test_a_rollback_during_promotion() -> None:
    """Canaries go at once, the others as a rolling update goes back."""
    play = Play(canary("a", "b")).order(155, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, +canary/1 v2
        10: canary/1 ready, requests: v1=0.9 v2=0.1, bake begun
        70: requests: v1=0.5 v2=0.5, bake begun
        130: requests: all, promotion begun, +app-2-r-1 v2
        140: app-2-r-1 ready, -b, +app-2-r-2 v2
        145: b gone
        150: app-2-r-2 ready, -a, -canary/1
        155: [RollBack], rollback begun, +app-1-r-1 v1, a gone, canary/1 gone
        165: app-1-r-1 ready, -app-2-r-2, +app-1-r-2 v1
        170: app-2-r-2 gone
        175: app-1-r-2 ready, -app-2-r-1, ROLLED BACK
        180: app-2-r-1 gone
    """)


def test_a_rollback_when_only_canaries_are_left() -> None:
    """All others have been replaced, and are once more."""
    play = Play(canary("a"), drains=20.0).order(152, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, +canary/1 v2
        10: canary/1 ready, requests: v1=0.9 v2=0.1, bake begun
        70: requests: v1=0.5 v2=0.5, bake begun
        130: requests: all, promotion begun, +app-2-r-1 v2
        140: app-2-r-1 ready, -a, -canary/1
        152: [RollBack], rollback begun, +app-1-r-1 v1
        160: a gone, canary/1 gone
        162: app-1-r-1 ready, -app-2-r-1, ROLLED BACK
        182: app-2-r-1 gone
    """)


def test_a_rollback_after_the_canary() -> None:
    """All pods are replaced once more."""
    play = Play(canary("a")).order(200, RollBack()).order(300, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, +canary/1 v2
        10: canary/1 ready, requests: v1=0.9 v2=0.1, bake begun
        70: requests: v1=0.5 v2=0.5, bake begun
        130: requests: all, promotion begun, +app-2-r-1 v2
        140: app-2-r-1 ready, -a, -canary/1
        145: a gone, canary/1 gone, ROLLED OUT
        200: [RollBack], rollback begun, +app-1-r-1 v1
        210: app-1-r-1 ready, -app-2-r-1, ROLLED BACK
        215: app-2-r-1 gone
        300: [RollBack]
    """)


def test_a_canary_that_is_paused() -> None:
    """Its bake time runs on, and the next step waits."""
    play = Play(canary("a")).order(30, Pause()).order(100, Resume()).run()
    assert play.story() == told("""
        0: rollout begun, +canary/1 v2
        10: canary/1 ready, requests: v1=0.9 v2=0.1, bake begun
        30: [Pause]
        100: [Resume], requests: v1=0.5 v2=0.5, bake begun
        160: requests: all, promotion begun, +app-2-r-1 v2
        170: app-2-r-1 ready, -a, -canary/1
        175: a gone, canary/1 gone, ROLLED OUT
    """)


def test_a_promotion_that_is_paused() -> None:
    """The rolling update is what is paused."""
    play = Play(canary("a", "b")).order(135, Pause()).order(200, Resume()).run()
    assert play.story() == told("""
        0: rollout begun, +canary/1 v2
        10: canary/1 ready, requests: v1=0.9 v2=0.1, bake begun
        70: requests: v1=0.5 v2=0.5, bake begun
        130: requests: all, promotion begun, +app-2-r-1 v2
        135: [Pause]
        140: app-2-r-1 ready
        200: [Resume], -b, +app-2-r-2 v2
        205: b gone
        210: app-2-r-2 ready, -a, -canary/1
        215: a gone, canary/1 gone, ROLLED OUT
    """)


def test_a_rollback_of_a_paused_promotion() -> None:
    """It goes back without being resumed."""
    play = Play(canary("a", "b")).order(135, Pause()).order(155, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, +canary/1 v2
        10: canary/1 ready, requests: v1=0.9 v2=0.1, bake begun
        70: requests: v1=0.5 v2=0.5, bake begun
        130: requests: all, promotion begun, +app-2-r-1 v2
        135: [Pause]
        140: app-2-r-1 ready
        155: [RollBack], rollback begun, -canary/1, -app-2-r-1
        160: canary/1 gone, ROLLED BACK, app-2-r-1 gone
    """)


def test_a_canary_that_never_gets_ready() -> None:
    """It is told once."""
    play = Play(canary("a", deadline=100.0), never).order(300, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, +canary/1 v2
        100: progress deadline exceeded
        300: [RollBack], rollback begun, requests: v1=1, -canary/1
        305: canary/1 gone, requests: all, ROLLED BACK
    """)


def test_a_canary_that_never_gets_ready_in_a_pause() -> None:
    """The deadline does not count."""
    play = Play(canary("a", deadline=100.0), never).order(50, Pause()).order(200, Resume()).run(350)
    assert play.story() == told("""
        0: rollout begun, +canary/1 v2
        50: [Pause]
        200: [Resume]
        300: progress deadline exceeded
    """)


def test_a_canary_dies_and_comes_back() -> None:
    """Bake time begins when it has been ready for long enough, and does not begin anew."""
    play = Play(canary("a", min_ready=5.0)).crash(12, "canary/1").crash(40, "canary/1", 10.0).run(75)
    assert play.story() == told("""
        0: rollout begun, +canary/1 v2
        10: canary/1 ready
        12: canary/1 dies
        15: canary/1 ready
        20: requests: v1=0.9 v2=0.1, bake begun
        40: canary/1 dies
        50: canary/1 ready
    """)


def test_an_old_pod_dies_beside_a_canary() -> None:
    """That is none of the canary's business; the update begins with it."""
    play = Play(canary("a", "b")).crash(30, "b", None).run()
    assert play.story() == told("""
        0: rollout begun, +canary/1 v2
        10: canary/1 ready, requests: v1=0.9 v2=0.1, bake begun
        30: b dies
        70: requests: v1=0.5 v2=0.5, bake begun
        130: requests: all, promotion begun, +app-2-r-1 v2
        140: app-2-r-1 ready, -b, +app-2-r-2 v2
        145: b gone
        150: app-2-r-2 ready, -a, -canary/1
        155: a gone, canary/1 gone, ROLLED OUT
    """)
