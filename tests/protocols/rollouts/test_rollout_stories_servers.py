"""Stories of servers that are upgraded where they stand, some at a time or all in a window, one instant a line.

`+` a server begins, `-` it is asked to leave, in brackets what people order. They take 10 s to be ready and 5 s to go.
"""

from __future__ import annotations

from typing import Any

from rollout_play import Play, told

from hasim.protocols.rollout import InPlaceRollout, Left, Pause, Ready, Resume, RollBack, WindowRollout


def in_place(*servers: str, **more: Any) -> InPlaceRollout:
    return InPlaceRollout("v1", "v2", servers, **more)


def window(*servers: str, lasting: float = 60.0, **more: Any) -> WindowRollout:
    return WindowRollout("v1", "v2", servers, lasting, **more)


def never(name: str, version: str) -> float | None:
    """Servers of the new version never get ready."""
    return None if version == "v2" else 10.0


def test_in_place() -> None:
    """One after another, each in its place."""
    play = Play(in_place("a", "b")).run()
    assert play.story() == told("""
        0: rollout begun, -a
        5: a gone, +a v2
        15: a ready, -b
        20: b gone, +b v2
        30: b ready, ROLLED OUT
    """)


def test_in_place_with_notice_and_pause() -> None:
    """Checks fail before the server stops, until its successor begins; then there is a pause."""
    play = Play(in_place("a", "b", "c", batch=2, notice=3.0, pause=4.0, min_ready=2.0)).run()
    assert play.story() == told("""
        0: rollout begun, a warned, b warned
        3: -a, -b
        8: a gone, +a v2, a as ever, b gone, +b v2, b as ever
        18: a ready, b ready
        24: c warned
        27: -c
        32: c gone, +c v2, c as ever
        42: c ready
        44: ROLLED OUT
    """)


def test_all_at_once() -> None:
    """Nobody serves in between."""
    play = Play(in_place("a", "b", batch=2)).run()
    assert play.story() == told("""
        0: rollout begun, -a, -b
        5: a gone, +a v2, b gone, +b v2
        15: a ready, b ready, ROLLED OUT
    """)


def test_in_place_of_nothing() -> None:
    """It ends at once, both ways."""
    play = Play(in_place()).order(1, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, ROLLED OUT
        1: [RollBack], rollback begun, ROLLED BACK
    """)


def test_a_rollback_during_the_notice() -> None:
    """The server serves on, and that is all."""
    play = Play(in_place("a", "b", notice=10.0, deadline=30.0)).order(4, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, a warned
        4: [RollBack], rollback begun, a as ever, ROLLED BACK
    """)


def test_a_rollback_while_a_server_stops() -> None:
    """It comes back as it was."""
    play = Play(in_place("a", "b")).order(3, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, -a
        3: [RollBack], rollback begun
        5: a gone, +a v1
        15: a ready, ROLLED BACK
    """)


def test_a_rollback_while_a_server_starts() -> None:
    """It is stopped again, without notice, since it is not ready."""
    play = Play(in_place("a", "b", notice=3.0)).order(12, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, a warned
        3: -a
        8: a gone, +a v2, a as ever
        12: [RollBack], rollback begun, -a
        17: a gone, +a v1
        27: a ready, ROLLED BACK
    """)


def test_a_rollback_in_the_middle_of_a_batch() -> None:
    """Of two servers one is ready, and gets its notice; the other stops at once."""
    play = (
        Play(in_place("a", "b", "c", batch=2, notice=3.0), lambda name, version: 4.0 if name == "a" else 10.0)
        .order(14, RollBack())
        .run()
    )
    assert play.story() == told("""
        0: rollout begun, a warned, b warned
        3: -a, -b
        8: a gone, +a v2, a as ever, b gone, +b v2, b as ever
        12: a ready
        14: [RollBack], rollback begun, -b, a warned
        17: -a
        19: b gone, +b v1
        22: a gone, +a v1, a as ever
        26: a ready
        29: b ready, ROLLED BACK
    """)


def test_a_rollback_in_a_pause() -> None:
    """Back over what was done, the last first."""
    play = Play(in_place("a", "b", "c", pause=30.0)).order(70, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, -a
        5: a gone, +a v2
        15: a ready
        45: -b
        50: b gone, +b v2
        60: b ready
        70: [RollBack], rollback begun, -b
        75: b gone, +b v1
        85: b ready
        115: -a
        120: a gone, +a v1
        130: a ready, ROLLED BACK
    """)


def test_a_rollback_after_the_end() -> None:
    """The last goes first, and a second rollback is none."""
    play = Play(in_place("a", "b")).order(40, RollBack()).order(41, RollBack()).order(90, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, -a
        5: a gone, +a v2
        15: a ready, -b
        20: b gone, +b v2
        30: b ready, ROLLED OUT
        40: [RollBack], rollback begun, -b
        41: [RollBack]
        45: b gone, +b v1
        55: b ready, -a
        60: a gone, +a v1
        70: a ready, ROLLED BACK
        90: [RollBack]
    """)


def test_somebody_pauses() -> None:
    """The batch at hand is finished, and the next one waits."""
    play = Play(in_place("a", "b")).order(3, Pause()).order(40, Resume()).run()
    assert play.story() == told("""
        0: rollout begun, -a
        3: [Pause]
        5: a gone, +a v2
        15: a ready
        40: [Resume], -b
        45: b gone, +b v2
        55: b ready, ROLLED OUT
    """)


def test_somebody_pauses_in_a_pause() -> None:
    """Who goes on does not cut it short."""
    play = Play(in_place("a", "b", pause=30.0)).order(20, Pause()).order(25, Resume()).run()
    assert play.story() == told("""
        0: rollout begun, -a
        5: a gone, +a v2
        15: a ready
        20: [Pause]
        25: [Resume]
        45: -b
        50: b gone, +b v2
        60: b ready, ROLLED OUT
    """)


def test_somebody_pauses_in_the_last_batch() -> None:
    """Nothing is left to wait for; and who goes on after the end is told nothing."""
    play = Play(in_place("a")).order(3, Pause()).order(40, Resume()).order(50, Pause()).order(60, Resume()).run()
    assert play.story() == told("""
        0: rollout begun, -a
        3: [Pause]
        5: a gone, +a v2
        15: a ready, ROLLED OUT
        40: [Resume]
        50: [Pause]
        60: [Resume]
    """)


def test_a_rollback_ends_a_pause_of_somebody() -> None:
    """It is not waited for."""
    play = Play(in_place("a", "b")).order(3, Pause()).order(30, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, -a
        3: [Pause]
        5: a gone, +a v2
        15: a ready
        30: [RollBack], rollback begun, -a
        35: a gone, +a v1
        45: a ready, ROLLED BACK
    """)


def test_a_server_that_never_gets_ready() -> None:
    """It is told once; the others are let alone."""
    play = Play(in_place("a", "b", deadline=100.0), never).order(300, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, -a
        5: a gone, +a v2
        100: progress deadline exceeded
        300: [RollBack], rollback begun, -a
        305: a gone, +a v1
        315: a ready, ROLLED BACK
    """)


def test_a_server_that_never_gets_ready_in_a_pause() -> None:
    """The deadline does not count, and begins anew."""
    play = Play(in_place("a", "b", deadline=100.0), never).order(50, Pause()).order(200, Resume()).run()
    assert play.story() == told("""
        0: rollout begun, -a
        5: a gone, +a v2
        50: [Pause]
        200: [Resume]
        300: progress deadline exceeded
    """)


def test_a_server_dies_while_it_waits_for_min_ready() -> None:
    """The time begins anew when it is back."""
    play = Play(in_place("a", "b", min_ready=20.0)).crash(20, "a").run(60)
    assert play.story() == told("""
        0: rollout begun, -a
        5: a gone, +a v2
        15: a ready
        20: a dies
        23: a ready
        43: -b
        48: b gone, +b v2
        58: b ready
    """)


def test_a_server_dies_before_its_turn() -> None:
    """It is upgraded all the same, in its turn."""
    play = Play(in_place("a", "b")).crash(2, "b", None).run()
    assert play.story() == told("""
        0: rollout begun, -a
        2: b dies
        5: a gone, +a v2
        15: a ready, -b
        20: b gone, +b v2
        30: b ready, ROLLED OUT
    """)


def test_a_server_dies_while_it_stops() -> None:
    """Then its successor begins the earlier; late news of it is nobody's."""
    play = Play(in_place("a"), drains=60.0).crash(20, "a").say(20, "x", Ready()).say(50, "x", Left()).run()
    assert play.story() == told("""
        0: rollout begun, -a
        20: a dies, a gone, +a v2
        30: a ready, ROLLED OUT
    """)


def test_a_server_dies_during_its_notice() -> None:
    """It is asked to leave when the notice is over."""
    play = Play(in_place("a", notice=10.0)).crash(4, "a").run()
    assert play.story() == told("""
        0: rollout begun, a warned
        4: a dies
        7: a ready
        10: -a
        15: a gone, +a v2, a as ever
        25: a ready, ROLLED OUT
    """)


def test_a_server_dies_in_the_pause() -> None:
    """The next batch comes all the same: nobody looks back."""
    play = Play(in_place("a", "b", pause=30.0)).crash(20, "a", 60.0).run()
    assert play.story() == told("""
        0: rollout begun, -a
        5: a gone, +a v2
        15: a ready
        20: a dies
        45: -b
        50: b gone, +b v2
        60: b ready, ROLLED OUT
        80: a ready
    """)


def test_a_window() -> None:
    """It lasts as long as it was announced."""
    play = Play(window("a", "b", work=5.0)).run()
    assert play.story() == told("""
        0: rollout begun, notice up, window open, -a, -b
        5: a gone, b gone, work begun
        10: +a v2, +b v2
        20: a ready, b ready
        60: notice down, window closed, ROLLED OUT
    """)


def test_a_window_without_work() -> None:
    """Servers begin when the last one is gone."""
    play = Play(window("a", "b"), drains=lambda name, version: 5.0 if name == "a" else 8.0).run()
    assert play.story() == told("""
        0: rollout begun, notice up, window open, -a, -b
        5: a gone
        8: b gone, work begun, +a v2, +b v2
        18: a ready, b ready
        60: notice down, window closed, ROLLED OUT
    """)


def test_a_window_of_nothing() -> None:
    """Nobody needs a notice."""
    play = Play(window()).order(1, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, ROLLED OUT
        1: [RollBack], rollback begun, ROLLED BACK
    """)


def test_a_window_that_is_overrun() -> None:
    """The notice stays until servers are ready."""
    play = Play(window("a", lasting=20.0, work=15.0, min_ready=5.0)).run()
    assert play.story() == told("""
        0: rollout begun, notice up, window open, -a
        5: a gone, work begun
        20: window overrun, +a v2
        30: a ready
        35: notice down, window closed, ROLLED OUT
    """)


def test_a_rollback_during_the_work() -> None:
    """The window is prolonged, and the old version started."""
    play = Play(window("a", work=20.0)).order(10, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, notice up, window open, -a
        5: a gone, work begun
        10: [RollBack], rollback begun, work begun
        30: +a v1
        40: a ready
        70: notice down, window closed, ROLLED BACK
    """)


def test_a_rollback_while_servers_stop() -> None:
    """Nobody is stopped twice."""
    play = Play(window("a", work=20.0)).order(2, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, notice up, window open, -a
        2: [RollBack], rollback begun
        5: a gone, work begun
        25: +a v1
        35: a ready
        62: notice down, window closed, ROLLED BACK
    """)


def test_a_rollback_while_servers_start() -> None:
    """They are stopped once more."""
    play = Play(window("a")).order(10, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, notice up, window open, -a
        5: a gone, work begun, +a v2
        10: [RollBack], rollback begun, -a
        15: a gone, work begun, +a v1
        25: a ready
        70: notice down, window closed, ROLLED BACK
    """)


def test_a_rollback_when_the_window_is_nearly_over() -> None:
    """Servers are ready, and the notice is still up."""
    play = Play(window("a")).order(50, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, notice up, window open, -a
        5: a gone, work begun, +a v2
        15: a ready
        50: [RollBack], rollback begun, -a
        55: a gone, work begun, +a v1
        65: a ready
        110: notice down, window closed, ROLLED BACK
    """)


def test_a_rollback_after_the_window() -> None:
    """It is another window."""
    play = Play(window("a")).order(100, RollBack()).order(200, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, notice up, window open, -a
        5: a gone, work begun, +a v2
        15: a ready
        60: notice down, window closed, ROLLED OUT
        100: [RollBack], rollback begun, notice up, window open, -a
        105: a gone, work begun, +a v1
        115: a ready
        160: notice down, window closed, ROLLED BACK
        200: [RollBack]
    """)


def test_a_window_whose_servers_never_get_ready() -> None:
    """The notice is up until the rollback is through."""
    play = Play(window("a"), never).order(200, RollBack()).run()
    assert play.story() == told("""
        0: rollout begun, notice up, window open, -a
        5: a gone, work begun, +a v2
        60: window overrun
        200: [RollBack], rollback begun, -a
        205: a gone, work begun, +a v1
        215: a ready
        260: notice down, window closed, ROLLED BACK
    """)


def test_a_server_dies_in_the_window() -> None:
    """The window waits for it."""
    play = Play(window("a", "b")).crash(55, "a", 30.0).run()
    assert play.story() == told("""
        0: rollout begun, notice up, window open, -a, -b
        5: a gone, b gone, work begun, +a v2, +b v2
        15: a ready, b ready
        55: a dies
        60: window overrun
        85: a ready, notice down, window closed, ROLLED OUT
    """)


def test_a_server_that_stops_in_the_window_dies() -> None:
    """The work begins the earlier."""
    play = Play(window("a"), drains=30.0).crash(7, "a").run()
    assert play.story() == told("""
        0: rollout begun, notice up, window open, -a
        7: a dies, a gone, work begun, +a v2
        17: a ready
        60: notice down, window closed, ROLLED OUT
    """)


def test_a_server_dies_after_the_window() -> None:
    """That is no part of the upgrade."""
    play = Play(window("a")).crash(100, "a").run()
    assert play.story() == told("""
        0: rollout begun, notice up, window open, -a
        5: a gone, work begun, +a v2
        15: a ready
        60: notice down, window closed, ROLLED OUT
        100: a dies
        103: a ready
    """)
