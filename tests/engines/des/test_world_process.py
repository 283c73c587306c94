from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from world_toys import ToyWorld, ms

from hasim.faults import Always
from hasim.machine import (
    Announce,
    Answer,
    CancelTimer,
    Draw,
    Drawn,
    Effect,
    Event,
    Exit,
    Fired,
    Gone,
    Proposed,
    Received,
    Save,
    Send,
    SetTimer,
    Started,
    Stopping,
)
from hasim.model.laws import Fixed
from hasim.protocols.etcd.requests import CONNECTION_LOST, CONNECTION_REFUSED

TEN = Fixed(value="10ms")


def shown(toys: ToyWorld, name: str) -> float:
    return toys[name].clock.read(toys.env.now)


def events(toys: ToyWorld, name: str, *kinds: type) -> list[tuple[float, Event]]:
    return [(round(at, 6), event) for at, event in toys.heard[name] if isinstance(event, kinds)]


# ------------------------------------------------------------------------------------------------- the disk


def test_a_crash_leaves_what_was_written_and_a_power_failure_only_what_was_synced() -> None:
    for killed, found in (("crash", ["synced", "cached"]), ("power_off", ["synced"])):
        toys = ToyWorld("a")
        toys.tell("a", Save("synced"))
        toys.tell("a", Save("cached", sync=False))
        getattr(toys["a"], killed)()
        toys["a"].start()
        assert toys.saved("a") == found


def test_a_sync_saves_what_was_written_before_without_one() -> None:
    toys = ToyWorld("a")
    toys.tell("a", Save("cached", sync=False))
    toys.tell("a", Save("synced"))
    toys["a"].power_off()
    toys["a"].start()
    assert toys.saved("a") == ["cached", "synced"]


def test_a_record_read_after_a_crash_may_still_be_lost_with_the_power() -> None:
    toys = ToyWorld("a")
    toys.tell("a", Save("synced"))
    toys.tell("a", Save("cached", sync=False))
    toys["a"].crash()
    toys["a"].start()
    assert toys.saved("a") == ["synced", "cached"]
    toys["a"].power_off()
    toys["a"].start()
    assert toys.saved("a") == ["synced"]


@pytest.mark.parametrize(("killed", "found"), [("crash", ["first"]), ("power_off", None)])
def test_of_a_sync_under_way_only_the_power_takes_the_record(killed: str, found: Any) -> None:
    toys = ToyWorld("a", fsync=TEN)
    toys.tell("a", Save("first"))
    toys.at(ms(2), lambda: toys.tell("a", Save("put off")))  # not written yet: lost either way
    toys.at(ms(5), getattr(toys["a"], killed))
    toys.at(ms(6), toys["a"].start)
    toys.run(1.0)
    assert toys.saved("a") == found


def test_a_crash_forgets_what_waited_for_the_disk_and_every_timer() -> None:
    toys = ToyWorld("a", "b", fsync=TEN)
    toys.tell("a", SetTimer("t", 0.1, 0.1), Save("x"), Send("b", "never sent"))
    toys.at(ms(5), toys["a"].crash)
    toys.at(ms(6), toys["a"].start)
    toys.run(1.0)
    assert not toys.messages("b")
    assert not events(toys, "a", Fired)


def test_steps_made_during_a_sync_are_committed_together() -> None:
    toys = ToyWorld("a", "b", fsync=TEN)
    syncs = []
    sync = toys["a"].disk.sync
    toys["a"].disk.sync = lambda done: (syncs.append(toys.env.now), sync(done))[1]  # type: ignore[method-assign]
    toys.tell("a", Send("b", "head 1"), Save(1), Send("b", "tail 1"))
    toys.at(ms(2), lambda: toys.tell("a", Send("b", "head 2"), Save(2), Send("b", "tail 2")))
    toys.at(ms(3), lambda: toys.tell("a", Send("b", "may speak of 2")))
    toys.at(ms(4), lambda: toys.tell("a", Send("b", "head 3"), Save(3), Send("b", "tail 3")))
    toys.run(1.0)
    assert toys.messages("b") == [
        (ms(1), "head 1"),
        (ms(11), "tail 1"),
        (ms(11), "head 2"),
        (ms(11), "head 3"),
        (ms(21), "tail 2"),
        (ms(21), "may speak of 2"),
        (ms(21), "tail 3"),
    ]
    assert [round(at, 6) for at in syncs] == [0.0, ms(10)]


def test_several_records_of_one_step_are_synced_once() -> None:
    toys = ToyWorld("a", "b", fsync=TEN)
    toys.tell("a", Save(1), Send("b", "between"), Save(2), Send("b", "after"))
    toys.run(1.0)
    assert toys.messages("b") == [(ms(11), "between"), (ms(11), "after")]


def test_a_step_that_saves_nothing_waits_only_for_a_sync_under_way() -> None:
    toys = ToyWorld("a", "b", fsync=TEN)
    toys.tell("a", Send("b", "idle disk"))
    toys.tell("a", Save(1, sync=False), Send("b", "not synced"))
    toys.tell("a", Save(2))
    toys.tell("a", Save(3))
    toys.tell("a", Send("b", "free of what is saved"), Save(None, sync=False))
    toys.tell("a", Send("b", "bound to it"))
    toys.run(1.0)
    assert toys.messages("b") == [
        (ms(1), "idle disk"),
        (ms(1), "not synced"),
        (ms(11), "free of what is saved"),
        (ms(21), "bound to it"),
    ]
    toys["a"].crash()
    toys["a"].start()
    assert toys.saved("a") == [1, 2, 3]


def test_announcements_and_timers_do_not_wait_for_the_disk() -> None:
    toys = ToyWorld("a", fsync=TEN)
    toys.tell("a", Save(1), Announce("said"), SetTimer("t", ms(12), ms(12)))
    toys.run(1.0)
    assert (0.0, "said", "a") in toys.facts
    assert events(toys, "a", Fired) == [(ms(12), Fired("t"))]


def test_messages_are_heard_during_a_sync_and_timers_after_it() -> None:
    toys = ToyWorld("a", "b", fsync=TEN)
    toys.tell("a", SetTimer("t", ms(3), ms(3)), Save(1))
    toys.tell("b", Send("a", "hello"))
    toys.run(1.0)
    assert events(toys, "a", Received, Fired) == [(ms(1), Received("b", "hello")), (ms(10), Fired("t"))]


def test_timers_may_be_heard_during_a_sync() -> None:
    toys = ToyWorld("a", fsync=TEN)
    toys["a"].timers_wait_for_disk = False
    toys.tell("a", SetTimer("t", ms(3), ms(3)), Save(1))
    toys.run(1.0)
    assert events(toys, "a", Fired) == [(ms(3), Fired("t"))]


def test_a_timer_that_ran_out_unheard_is_void_when_it_is_set_anew_or_cancelled() -> None:
    for change, heard in ((SetTimer("t", ms(20), ms(20)), [(ms(25), Fired("t"))]), (CancelTimer("t"), [])):
        toys = ToyWorld("a", fsync=TEN)
        toys.tell("a", SetTimer("t", ms(3), ms(3)), Save(1))
        toys.at(ms(5), lambda toys=toys, change=change: toys.tell("a", change))  # type: ignore[misc]
        toys.run(1.0)
        assert events(toys, "a", Fired) == heard


def ticking(event: Event, now: float) -> list[Effect]:
    return [SetTimer("tick", 0.1, 0.1)] if isinstance(event, Started | Fired) else []


def test_a_regular_timer_keeps_its_beat_when_it_is_heard_late() -> None:
    toys = ToyWorld("a", fsync=Fixed(value="250ms"), react=ticking)
    toys.at(0.15, lambda: toys.tell("a", Save(1)))
    toys.run(0.65)
    assert [at for at, _ in events(toys, "a", Fired)] == [0.1, 0.4, 0.5, 0.6]  # 0.2 late, 0.3 dropped


def test_a_slow_disk_delays_what_stands_after_the_save_and_nothing_else() -> None:
    toys = ToyWorld("a", "b", fsync=TEN)
    with toys.world.slow_disk("a", Always(ms(50))) as touch:
        assert not touch.touched
        toys.tell("a", Send("b", "before"), Save(1), Send("b", "after"))
        toys.tell("b", Save(1), Send("a", "of another disk"))
        toys.run(0.2)
        assert touch.touched
    toys.tell("a", Save(1), Send("b", "healed"))
    toys.run(1.0)
    assert toys.messages("b") == [(ms(1), "before"), (ms(61), "after"), (ms(211), "healed")]
    assert toys.messages("a") == [(ms(11), "of another disk")]


def test_a_stalled_disk_lets_no_sync_end_before_it_heals() -> None:
    toys = ToyWorld("a", "b", fsync=TEN)
    stall = toys.world.stalled_disk("a")
    touch = stall.__enter__()
    toys.tell("a", Save(1), Send("b", "synced"))
    toys.run(0.5)
    assert touch.touched
    assert not toys.messages("b")
    stall.__exit__(None, None, None)
    toys.run(1.0)
    assert toys.messages("b") == [(ms(501), "synced")]


def test_a_full_disk_ends_the_process_that_writes_until_there_is_room() -> None:
    toys = ToyWorld("a", "b")
    with toys.world.full_disk("a") as touch:
        toys.tell("a", Send("b", "nothing written"))
        assert not touch.touched
        toys.tell("a", Save(1), Send("b", "never sent"))
        assert touch.touched
        assert (0.0, "process exited", "a") in toys.facts
        assert toys["a"].process is None
    assert toys["a"].process is not None
    toys.run(1.0)
    assert toys.messages("b") == [(ms(1), "nothing written")]


# ------------------------------------------------------------------------------------ hearing oneself, chance


def test_a_message_to_oneself_comes_in_the_same_instant_after_the_save_before_it() -> None:
    toys = ToyWorld("a", fsync=TEN)
    toys.tell("a", Send("a", 1), Send("a", 2), Save("x"), Send("a", 3))
    toys.run(1.0)
    assert toys.messages("a") == [(0.0, 1), (0.0, 2), (ms(10), 3)]


def test_a_number_that_was_asked_for_comes_before_anything_else() -> None:
    toys = ToyWorld("a", fsync=TEN)
    toys.tell("a", Send("a", "self"), Draw("x", 10, 19), Draw("y", 5, 5))
    heard = [event for _, event in toys.heard["a"]][2:]
    assert [type(event) for event in heard] == [Drawn, Drawn, Received]
    assert heard[1] == Drawn("y", 5)
    toys.tell("a", Save(1), Draw("z", 0, 1))  # the disk has nothing to do with it
    assert isinstance(toys.heard["a"][-1][1], Drawn)


def test_numbers_drawn_are_spread_evenly_from_low_to_high() -> None:
    toys = ToyWorld("a")
    for _ in range(2000):
        toys.tell("a", Draw("x", 10, 19))
    values = [event.value for _, event in toys.heard["a"] if isinstance(event, Drawn)]
    counts = [values.count(value) for value in range(10, 20)]
    assert sum(counts) == 2000
    squares = sum((count - 200) ** 2 / 200 for count in counts)
    assert squares < 27.9  # chi-square, 9 degrees of freedom, p = 0.001


def test_a_timer_between_two_bounds_is_drawn_between_them() -> None:
    toys = ToyWorld("a")
    for number in range(200):
        toys.tell("a", SetTimer(f"t{number}", 1.0, 2.0))
    toys.run(3.0)
    times = [at for at, _ in events(toys, "a", Fired)]
    assert len(times) == 200
    assert 1.0 <= min(times) < 1.1  # missed with probability 0.9**200
    assert 1.9 < max(times) < 2.0


# ------------------------------------------------------------------------------------------------ timers


def test_a_timer_set_again_runs_out_once_at_the_later_setting_be_it_sooner_or_later() -> None:
    for again in (0.2, 0.8):
        toys = ToyWorld("a")
        toys.tell("a", SetTimer("t", 0.5, 0.5))
        toys.at(0.1, lambda toys=toys, again=again: toys.tell("a", SetTimer("t", again, again)))  # type: ignore[misc]
        toys.run(2.0)
        assert events(toys, "a", Fired) == [(round(0.1 + again, 6), Fired("t"))]


def test_an_entry_that_a_timer_left_behind_does_not_make_it_run_out_twice() -> None:
    toys = ToyWorld("a")
    toys.tell("a", SetTimer("t", 0.5, 0.5))
    toys.tell("a", SetTimer("t", 0.2, 0.2))  # the entry at 0.5 stays
    toys.at(0.3, lambda: toys.tell("a", SetTimer("t", 0.4, 0.4)))
    toys.at(0.55, lambda: toys.tell("a", SetTimer("t", 0.4, 0.4)))
    toys.run(2.0)
    assert events(toys, "a", Fired) == [(0.2, Fired("t")), (0.95, Fired("t"))]
    assert toys.env.peek() == float("inf")  # no entry went on for ever


def test_a_cancelled_timer_does_not_run_out_and_may_be_set_again() -> None:
    toys = ToyWorld("a")
    toys.tell("a", SetTimer("t", 0.5, 0.5), CancelTimer("t"), CancelTimer("never set"))
    toys.at(0.2, lambda: toys.tell("a", SetTimer("t", 0.7, 0.7)))
    toys.run(2.0)
    assert events(toys, "a", Fired) == [(0.9, Fired("t"))]


# --------------------------------------------------------------------------------------- pause and the end


def test_a_paused_process_hears_everything_in_order_when_it_goes_on_and_each_timer_once() -> None:
    toys = ToyWorld("a", "b", react=ticking)
    pause = toys.world.paused("a")
    toys.run(0.05)
    assert pause.__enter__().touched
    toys.at(0.15, lambda: toys.tell("b", Send("a", 1)))
    toys.at(0.16, lambda: toys.tell("b", Send("a", 2)))
    toys.run(0.35)
    assert not events(toys, "a", Fired, Received)
    pause.__exit__(None, None, None)
    toys.run(0.45)
    assert events(toys, "a", Fired, Received) == [
        (0.35, Fired("tick")),
        (0.35, Received("b", 1)),
        (0.35, Received("b", 2)),
        (0.4, Fired("tick")),
    ]
    assert [kind for _, kind, who in toys.facts if who == "a"][1:] == ["process paused", "process resumed"]


def test_a_sync_that_ends_during_a_pause_is_noticed_after_it() -> None:
    toys = ToyWorld("a", "b", fsync=TEN)
    toys.tell("a", Save(1), Send("b", "synced"))
    toys.at(ms(5), toys["a"].pause)
    toys.at(ms(50), toys["a"].resume)
    toys.run(1.0)
    assert toys.messages("b") == [(ms(51), "synced")]


def test_a_crash_during_a_pause_ends_it() -> None:
    toys = ToyWorld("a", "b")
    with toys.world.paused("a"):
        toys["a"].crash()
        toys["a"].start()
    toys.tell("a", Send("b", "alive"))
    toys.run(1.0)
    assert toys.messages("b") == [(ms(1), "alive")]


def test_stopping_lets_the_machine_leave_when_it_is_ready() -> None:
    toys = ToyWorld("a")
    toys["a"].stop()
    assert isinstance(toys.heard["a"][-1][1], Stopping)
    assert toys["a"].process is None
    assert toys.facts[-1] == (0.0, "process exited", "a")


def test_nothing_is_done_after_an_exit() -> None:
    toys = ToyWorld("a", "b")
    toys.tell("a", Send("b", "before"), Exit("done"), Send("b", "after"), Save("x"))
    toys.run(1.0)
    assert [message for _, message in toys.messages("b")] == ["before"]


def test_an_answer_reaches_who_asked_after_the_save_before_it() -> None:
    toys = ToyWorld("a", fsync=TEN)
    answers: list[Any] = []
    toys["a"].propose((Save(1), Answer("r1", "yes")), "r1", lambda *got: answers.append((toys.env.now, *got)))
    assert not answers
    toys.run(1.0)
    assert answers == [(pytest.approx(ms(10)), "r1", "yes")]


def test_answers_given_before_an_exit_arrive_and_what_is_asked_then_does_not() -> None:
    toys = ToyWorld("a")
    answers: list[Any] = []

    def answer(ref: str, result: Any) -> None:
        answers.append((ref, result))
        if ref == "r1":
            toys["a"].propose((), "r2", answer)

    toys["a"].propose((Answer("r1", "yes"), Exit("done")), "r1", answer)
    assert answers == [("r1", "yes"), ("r2", Gone(CONNECTION_LOST))]
    assert sum(isinstance(event, Proposed) for _, event in toys.heard["a"]) == 1


def test_a_client_may_ask_again_from_within_an_answer() -> None:
    toys = ToyWorld("a", "b")
    heard: list[str] = []

    def answer(ref: str, result: Any) -> None:
        heard.append(ref)
        if ref == "r1":
            toys["a"].propose((Answer("r2", "two"),), "r2", answer)

    toys["a"].propose((Answer("r1", "one"), Send("b", "still of the first step")), "r1", answer)
    toys.run(1.0)
    assert heard == ["r1", "r2"]
    assert toys.messages("b") == [(ms(1), "still of the first step")]


def test_who_waits_for_an_answer_learns_that_the_process_is_gone() -> None:
    toys = ToyWorld("a")
    answers: list[Any] = []
    toys["a"].propose((), "r1", lambda *got: answers.append(got))
    toys["a"].crash()
    toys["a"].propose((), "r2", lambda *got: answers.append(got))
    assert answers == [("r1", Gone(CONNECTION_LOST)), ("r2", Gone(CONNECTION_REFUSED))]


def test_faults_that_hold_a_node_down_start_it_again_when_the_last_of_them_ends() -> None:
    toys = ToyWorld("a", "b")
    first, second = toys.world.held_down("a", "test"), toys.world.powered_off(["a"])
    assert first.__enter__().touched
    assert second.__enter__().touched  # the process was gone, the power was not
    first.__exit__(None, None, None)
    assert toys["a"].process is None
    second.__exit__(None, None, None)
    assert toys["a"].process is not None
    assert toys["b"].process is not None


def test_a_node_that_was_down_before_a_fault_stays_down_after_it() -> None:
    toys = ToyWorld("a", start=False)
    with toys.world.held_down("a", "test") as touch:
        pass
    assert not touch.touched
    assert toys["a"].process is None


def test_a_paused_process_is_sent_no_more_than_buffers_hold() -> None:
    toys = ToyWorld("a", "b", "c", react=ticking)
    toys["a"].pause()
    for _ in range(4):
        toys.tell("b", *[Send("a", 1)] * 1500)
        toys.run(toys.env.now + 1.0)
    toys.tell("c", Send("a", 2))
    toys.run(5.0)
    toys["a"].resume()
    assert len(toys.messages("a")) == 4096 + 1
    assert len(events(toys, "a", Fired)) == 1
    toys["a"].pause()
    toys.tell("b", Send("a", 3))
    toys.run(6.0)
    toys["a"].resume()
    assert toys.messages("a")[-1] == (6.0, 3)


# ------------------------------------------------------------------------------------------------- clocks


def test_a_fast_clock_runs_timers_out_sooner_and_shows_more() -> None:
    toys = ToyWorld("a")
    toys["a"].set_rate(1.25)
    toys.tell("a", SetTimer("t", 1.0, 1.0))
    toys.run(2.0)
    assert events(toys, "a", Fired) == [(1.0, Fired("t"))]  # at 1.0 of its own clock
    assert shown(toys, "a") == pytest.approx(2.5)


def test_a_change_of_rate_moves_what_is_pending() -> None:
    toys = ToyWorld("a")
    toys.tell("a", SetTimer("t", 1.0, 1.0))
    toys.run(0.5)
    with toys.world.clock_rate("a", 0.5) as touch:
        assert touch.touched
        toys.run(0.7)  # 0.1 s of the timer
    assert shown(toys, "a") == pytest.approx(0.6)
    fired: list[float] = []
    toys.at(1.1 - 1e-6, lambda: fired.append(len(events(toys, "a", Fired))))
    toys.at(1.1 + 1e-6, lambda: fired.append(len(events(toys, "a", Fired))))
    toys.run(2.0)
    assert fired == [0, 1]  # 0.4 s were left
    assert events(toys, "a", Fired) == [(1.0, Fired("t"))]


def test_faults_of_one_clock_multiply_and_leave_it_exactly_right() -> None:
    toys = ToyWorld("a")
    with toys.world.clock_rate("a", 1.1), toys.world.clock_rate("a", 0.7):
        assert toys["a"].clock.rate == pytest.approx(0.77)
    assert toys["a"].clock.rate == 1.0


@pytest.mark.parametrize(("follow", "by", "fires"), [(False, 0.3, 1.0), (True, 0.3, 0.7), (True, -0.3, 1.3)])
def test_a_jump_of_the_clock_moves_timers_only_if_they_follow_it(follow: bool, by: float, fires: float) -> None:
    toys = ToyWorld("a")
    toys["a"].clock.timers_follow_jumps = follow
    toys.tell("a", SetTimer("t", 1.0, 1.0))
    toys.run(0.5)
    toys["a"].jump(by)
    assert shown(toys, "a") == pytest.approx(0.5 + by)
    toys.run(3.0)
    at, _ = events(toys, "a", Fired)[0]
    assert at - by == pytest.approx(fires)  # it tells its own time


def test_a_jump_is_put_right_when_the_fault_ends() -> None:
    toys = ToyWorld("a")
    with toys.world.jump_clock("a", -5.0):
        toys.run(1.0)
        assert shown(toys, "a") == pytest.approx(-4.0)
    assert shown(toys, "a") == pytest.approx(1.0)


def test_a_timer_that_is_set_anew_all_the_time_does_not_fill_the_event_loop() -> None:
    toys = ToyWorld("a")
    for step in range(1, 1000):
        toys.at(step * ms(1), lambda: toys.tell("a", SetTimer("t", 1.0, 1.0)))
    toys.run(1.0)
    assert len(toys.env._queue) <= 2  # the timer's, and what ended the run
    toys.run(3.0)
    assert events(toys, "a", Fired) == [(1.999, Fired("t"))]


def test_the_order_of_events_does_not_go_back() -> None:
    toys = ToyWorld("a", "b", react=ticking, fsync=TEN)
    for step in range(50):
        toys.at(step * ms(7), lambda: toys.tell("a", Save(1), Send("b", "x"), Send("a", "y")))
    toys.run(1.0)
    for heard in toys.heard.values():
        assert all(one <= other for (one, _), (other, _) in pairwise(heard))
