"""Brokers over their restarts, ids that were put before, channels that are closed; and the workers beside them."""

from __future__ import annotations

from typing import Any

import pytest
from protocols.delivering import BROKER
from protocols.effecting import EffectRig

from hasim.checks.tasks import Effects, effects
from hasim.machine import Announce, CancelTimer, Exit, Fired, Received, Send, SetTimer, Started, Stopping, Unlinked
from hasim.protocols.delivery import Delivery, Worker
from hasim.protocols.delivery.messages import (
    Ack,
    Closed,
    Decide,
    Decided,
    Delivered,
    Hello,
    Inquire,
    Nack,
    Prepare,
    Settled,
    Stored,
    Take,
    Touch,
    Vote,
)
from hasim.protocols.delivery.worker import RECONNECT, RECONNECT_S, TOUCH, WORK


def queue(deadline: float = 60.0, **more: Any) -> EffectRig:
    """A broker, and workers that are nothing but names."""
    return EffectRig(Delivery(ack_deadline=f"{deadline!r}s", **more))


def restarted(rig: EffectRig) -> EffectRig:
    """The broker dies, and is back at once."""
    rig.fall(BROKER, 0.0)
    return rig.to(rig.now)


def takes(rig: EffectRig, worker: str = "v") -> Delivered:
    got = rig.says(worker, Take())
    assert isinstance(got, Delivered), f"{worker} gets {got}"
    return got


def handed(rig: EffectRig) -> list[tuple[str, int]]:
    return [(fact.detail["task"], fact.detail["number"]) for fact in rig.of("task delivered")]  # type: ignore[index]


# ------------------------------------------------------------------------------------------- restarts


def test_a_durable_broker_keeps_tasks_and_how_often_they_were_delivered() -> None:
    rig = queue()
    rig.put("a", "b", "c")
    rig.says("v", Ack(takes(rig).receipt))
    takes(rig)
    restarted(rig)
    for _ in range(3):
        rig.says("w", Take())
    assert handed(rig) == [("a", 1), ("b", 1), ("b", 2), ("c", 1)]


def test_deliveries_before_a_restart_count_for_dead_letters() -> None:
    rig = queue(1.0, max_receives=3)
    rig.put("a")
    for _ in range(3):
        takes(rig)
        restarted(rig)
    assert handed(rig) == [("a", 1), ("a", 2), ("a", 3)] and len(rig.of("dead letter")) == 1
    assert rig.broker.is_empty and restarted(rig).broker.is_empty


def test_a_broker_in_memory_loses_all() -> None:
    rig = queue(durable=False)
    rig.put("a", "b")
    takes(rig)
    restarted(rig)
    assert rig.broker.is_empty and rig.says("v", Take()) is None
    rig.put("c")
    assert handed(rig) == [("a", 1), ("c", 1)]


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("late_ack", ["accepted", "unless_taken", "rejected"])
def test_receipts_of_before_are_void(late_ack: Any, durable: bool) -> None:
    rig = queue(late_ack=late_ack, durable=durable)
    rig.put("a")
    old = takes(rig).receipt
    restarted(rig)
    if not durable:
        rig.put("a")
    new = takes(rig, "w").receipt
    for message in (Touch(old), Nack(old), Ack(old)):
        assert rig.says("v", message) == Settled(old, False)
    assert new != old and not rig.broker.is_empty
    assert rig.says("w", Ack(new)) == Settled(new, True) and rig.broker.is_empty


def test_receipts_are_never_used_twice() -> None:
    for durable in (True, False):
        rig, seen = queue(durable=durable), set()
        for i in range(5):
            rig.put(f"t-{i}")
            seen.add(takes(rig).receipt)
            restarted(rig)
        assert len(seen) == 5


def test_what_is_over_stays_over() -> None:
    rig = queue(1.0, max_receives=1)
    rig.put("done", "dead")
    rig.says("v", Ack(takes(rig).receipt))
    takes(rig)
    rig.to(2.0)
    assert len(rig.of("dead letter")) == 1
    rig.put("left")
    assert takes(restarted(rig)).task == "left"


# -------------------------------------------------------------------------------------- ids of before


def test_an_id_that_is_put_again_is_dropped_within_the_window_and_not_after() -> None:
    rig = queue(dedup_window="5m")
    for at in (0.0, 1.0, 299.9, 300.0, 599.0):
        rig.to(at)
        rig.put("a")
        assert rig.heard[-1] == ("producer", Stored(1))  # it is stored, whichever it was
    assert [at for at, _ in rig.times("task stored")] == [0.0, 300.0]
    assert [at for at, _ in rig.times("put again")] == [1.0, 299.9, 599.0]


def test_an_id_is_known_though_its_task_is_done() -> None:
    rig = queue(dedup_window="5m")
    rig.put("a")
    rig.says("v", Ack(takes(rig).receipt))
    rig.put("a")
    assert rig.broker.is_empty and len(rig.of("put again")) == 1


@pytest.mark.parametrize("durable", [True, False])
def test_ids_outlast_a_broker_that_is_durable(durable: bool) -> None:
    rig = queue(dedup_window="5m", durable=durable)
    rig.put("a")
    rig.to(100.0)
    restarted(rig)
    rig.put("a")
    assert len(rig.of("task stored")) == (1 if durable else 2)
    rig.to(301.0)
    rig.put("a")
    assert len(rig.of("task stored")) == 2


def test_ids_that_are_too_old_leave_the_disk() -> None:
    rig = queue(dedup_window="10s")
    for i in range(100):
        rig.to(float(i))
        rig.put(f"t-{i}")
    assert len(rig.disks[BROKER].seen) == 10 and len(rig.disks[BROKER].tasks) == 100


def test_without_a_window_the_same_id_is_as_many_tasks_as_it_was_put() -> None:
    rig = queue()
    rig.put("a", "a", "a")
    restarted(rig)
    rig.put("a")
    for receipt in [takes(rig).receipt for _ in range(4)]:
        assert rig.says("v", Ack(receipt)) == Settled(receipt, True)
    assert handed(rig) == [("a", 1)] * 4 and rig.broker.is_empty and not rig.disks[BROKER].tasks


# --------------------------------------------------------------------------------- channels, and checks

RABBITMQ: dict[str, Any] = {
    "late_ack": "rejected",
    "frees_lost": True,
    "checked_every": "1m",
    "closes_channel": True,
}


def test_one_deadline_that_passes_costs_a_worker_all_it_has_at_the_next_check() -> None:
    rig = queue(1800.0, **RABBITMQ)
    rig.put("a", "b", "c")
    rig.to(10.0)
    late = takes(rig, "v")
    rig.to(1750.0)
    young, other = takes(rig, "v"), takes(rig, "w")
    rig.to(1859.9)
    assert not rig.of("task expired")
    rig.to(1860.0)
    assert rig.times("task expired") == [(1860.0, "a"), (1860.0, "b")]
    assert [to for to, message in rig.heard if isinstance(message, Closed)] == ["v"]
    for receipt in (late.receipt, young.receipt):
        assert rig.says("v", Ack(receipt)) == Settled(receipt, False)
        assert rig.says("v", Touch(receipt)) == Settled(receipt, False)
    assert rig.says("w", Ack(other.receipt)) == Settled(other.receipt, True)
    assert [takes(rig, "w").task, takes(rig, "w").task] == ["a", "b"]


def test_a_channel_that_is_closed_asks_for_nothing() -> None:
    rig = queue(100.0, **RABBITMQ)
    rig.put("a")
    takes(rig, "v")
    rig.says("v", Take())  # there is room for another
    rig.to(120.0)
    assert len(rig.of("task delivered")) == 1 and takes(rig, "w").task == "a"


def test_deadlines_that_are_checked_now_and_then_pass_a_little_late() -> None:
    rig = queue(10.0, checked_every="4s")
    for at in (0.0, 1.0, 2.0, 3.0):
        rig.to(at)
        rig.put(f"t-{at:.0f}")
        takes(rig)
    rig.to(20.0)
    assert [at for at, _ in rig.times("task expired")] == [12.0, 12.0, 12.0, 16.0]


def test_a_broker_checks_after_a_restart_as_before() -> None:
    rig = queue(10.0, checked_every="4s")
    rig.to(101.0)
    restarted(rig)
    rig.put("a")
    takes(rig)
    rig.to(130.0)
    assert [at for at, _ in rig.times("task expired")] == [113.0]


def test_a_touch_in_time_keeps_a_channel_open() -> None:
    rig = queue(100.0, **RABBITMQ)
    rig.put("a")
    receipt = takes(rig).receipt
    for at in (90.0, 180.0, 270.0):
        rig.to(at)
        assert rig.says("v", Touch(receipt)) == Settled(receipt, True)
    rig.to(419.0)
    assert [at for at, _ in rig.times("task expired")] == []
    rig.to(420.0)
    assert [at for at, _ in rig.times("task expired")] == [420.0]


def test_workers_whose_channel_is_closed_go_on_and_do_their_task_again() -> None:
    delivery = Delivery(ack_deadline="30s", **{**RABBITMQ, "checked_every": "10s"})
    slow = {"t-1": 45.0}
    rig = EffectRig(delivery, None, 2, lambda task, number: slow.get(task, 2.0) if number == 1 else 2.0, prefetch=3)
    rig.start(6).to(200.0)
    # The first is lost with the two that wait behind it: they are done meanwhile by the other worker.
    assert [task for _, task in rig.times("task expired")] == ["t-1", "t-2", "t-3"]
    assert effects(rig.facts) == Effects(lost=0, once=5, duplicated=1, extra=1)
    assert rig.broker.is_empty and rig.machines["w-1"].is_idle


def test_no_more_tasks_are_out_than_may_be() -> None:
    rig = queue(10.0, max_pending=2)
    rig.put(*"abcde")
    first, second = takes(rig, "v"), takes(rig, "w")
    for _ in range(3):
        rig.says("x", Take())
    assert len(handed(rig)) == 2
    rig.says("v", Ack(first.receipt))
    assert handed(rig)[2:] == [("c", 1)]
    rig.says("w", Nack(second.receipt, 60.0))
    assert handed(rig)[3:] == [("d", 1)]
    rig.to(10.0)  # both deadlines pass, and only one is asked for
    assert handed(rig)[4:] == [("c", 2)]


def test_a_task_in_doubt_counts_as_out() -> None:
    rig = queue(10.0, max_pending=1)
    rig.put("a", "b")
    receipt = takes(rig).receipt
    rig.says("v", Prepare(receipt, "a"))
    rig.to(100.0)
    rig.says("w", Take())
    assert len(handed(rig)) == 1
    rig.says("v", Decide(receipt, True))
    assert handed(rig)[1:] == [("b", 1)]


def test_hello_voids_what_was_asked_before_and_nothing_else() -> None:
    rig = queue()
    for message in (Take(), Take(), Hello(), Take()):
        rig.says("v", message)
    rig.says("w", Take())
    rig.put("a", "b", "c")
    assert [fact.detail["worker"] for fact in rig.of("task delivered")] == ["v", "w"]  # type: ignore[index]
    assert rig.says("v", Hello()) is None
    assert rig.says("v", Ack(1)) == Settled(1, True)


@pytest.mark.parametrize("how", [Unlinked("v"), Received("v", Hello())])
def test_a_deadline_of_a_worker_that_has_gone_is_not_missed(how: Any) -> None:
    rig = queue(10.0, missed=1.0)
    rig.put("a")
    takes(rig, "v")
    rig.to(1.0)
    rig.hear(BROKER, how)
    rig.says("v", Take())  # its successor asks, and not again while it has nothing
    rig.to(60.0)
    assert rig.times("task delivered") == [(0.0, "a"), (10.0, "a")]


# ----------------------------------------------------------------------------------- two phases, by hand


def prepared(rig: EffectRig) -> int:
    """Put a task, and let a worker prepare it."""
    rig.put("a")
    receipt = takes(rig).receipt
    assert rig.says("v", Prepare(receipt, "a")) == Vote(receipt, True)
    return receipt


def inquiries(rig: EffectRig) -> int:
    return sum(isinstance(message, Inquire) for _, message in rig.heard)


@pytest.mark.parametrize("commit", [True, False])
def test_who_may_commit_keeps_the_task_until_it_says_what_was_decided(commit: bool) -> None:
    rig = queue(10.0, frees_lost=True)
    receipt = prepared(rig)
    rig.says("w", Take())
    rig.hear(BROKER, Unlinked("v"))
    rig.to(3600.0)
    assert len(handed(rig)) == 1 and inquiries(rig) == 3600
    assert rig.says("v", Decide(receipt, commit)) == Decided(receipt)
    assert len(handed(rig)) == (1 if commit else 2) and rig.broker.is_empty is commit
    assert rig.says("v", Decide(receipt, commit)) == Decided(receipt)
    assert len(rig.of("task acked")) == commit and not rig.disks[BROKER].prepared
    before = inquiries(rig)
    rig.to(3605.0)
    assert inquiries(rig) == before


@pytest.mark.parametrize("commit", [True, False])
def test_what_is_prepared_outlasts_a_restart(commit: bool) -> None:
    rig = queue(10.0)
    receipt = prepared(rig)
    rig.to(5.0)
    asked = inquiries(rig)
    restarted(rig)
    assert inquiries(rig) == asked + 1
    rig.to(60.0)
    assert rig.says("w", Take()) is None and inquiries(rig) == asked + 56
    restarted(rig)
    assert rig.says("v", Decide(receipt, commit)) == Decided(receipt)
    assert rig.broker.is_empty is commit and not rig.disks[BROKER].prepared
    assert commit or takes(rig, "w").number == 2


def test_a_broker_in_memory_forgets_what_it_has_promised() -> None:
    rig = queue(10.0, durable=False)
    receipt = prepared(rig)
    restarted(rig)
    assert rig.says("v", Decide(receipt, True)) == Decided(receipt) and not rig.of("task acked")


@pytest.mark.parametrize("more", [{}, {"checked_every": "1s"}, {"missed": 1.0}])
def test_no_touch_brings_the_deadline_of_a_task_back_that_is_prepared(more: dict[str, Any]) -> None:
    rig = queue(10.0, **more)
    receipt = prepared(rig)
    assert rig.says("v", Touch(receipt)) == Settled(receipt, True)
    rig.to(60.0)
    rig.says("v", Take())
    assert len(handed(rig)) == 1 and not rig.of("task expired")


def test_a_task_whose_deadline_was_missed_can_be_prepared_and_is_safe_then() -> None:
    rig = queue(10.0, missed=1.0)
    rig.put("a")
    receipt = takes(rig).receipt
    rig.to(20.0)
    assert rig.says("v", Prepare(receipt, "a")) == Vote(receipt, True)
    rig.says("v", Take())
    assert len(handed(rig)) == 1
    rig.says("v", Decide(receipt, True))
    assert rig.broker.is_empty


def test_who_comes_too_late_to_prepare_hears_no() -> None:
    for late_ack in ("accepted", "unless_taken", "rejected"):
        rig = queue(1.0, late_ack=late_ack)
        rig.put("a")
        old = takes(rig).receipt
        rig.to(2.0)
        assert rig.says("v", Prepare(old, "a")) == Vote(old, False)
        assert rig.says("v", Decide(old, False)) == Decided(old)
        new = takes(rig, "w").receipt
        assert rig.says("w", Prepare(new, "a")) == Vote(new, True)
        assert rig.says("v", Ack(old)) == Settled(old, False)  # whatever late acks are worth: it was promised


# --------------------------------------------------------------------------------------------- workers


def worker(**more: Any) -> Worker:
    made = Worker(BROKER, lambda task, number: 5.0, **more)
    asked = made.step(Started(), 0.0)
    assert asked == [Send(BROKER, Hello()), *[Send(BROKER, Take(made.ack_first))] * made.prefetch]
    return made


def gives(made: Worker, *tasks: str, first: int = 1) -> list[Any]:
    """What a worker asks for that gets these tasks."""
    return [
        effect
        for i, task in enumerate(tasks)
        for effect in made.step(Received(BROKER, Delivered(task, first + i, 1)), 0.0)
    ]


def sent(effects: list[Any]) -> list[Any]:
    return [effect.message for effect in effects if isinstance(effect, Send)]


def test_a_worker_asks_for_as_many_as_it_has_room_for() -> None:
    made = worker(prefetch=3)
    assert gives(made, "a", "b", "c")[0] == SetTimer(WORK, 5.0, 5.0)
    for receipt in (1, 2, 3):
        assert sent(made.step(Fired(WORK), 5.0 * receipt)) == [Ack(receipt), Take()]
    assert made.is_idle


def test_a_worker_with_a_full_buffer_asks_for_no_more() -> None:
    # One came that it had asked for before it connected again.
    made = worker(prefetch=2)
    gives(made, "a", "b", "c")
    assert sent(made.step(Fired(WORK), 5.0)) == [Ack(1)]
    assert sent(made.step(Fired(WORK), 10.0)) == [Ack(2), Take()]


def test_a_worker_touches_all_that_it_has_as_long_as_it_has_any() -> None:
    made = worker(prefetch=3, renew=2.0)
    begun = gives(made, "a", "b")
    assert begun.count(SetTimer(TOUCH, 2.0, 2.0)) == 1
    assert made.step(Fired(TOUCH), 2.0) == [
        Send(BROKER, Touch(1)),
        Send(BROKER, Touch(2)),
        SetTimer(TOUCH, 2.0, 2.0),
    ]
    assert CancelTimer(TOUCH) not in made.step(Fired(WORK), 5.0)
    assert sent(made.step(Fired(TOUCH), 6.0)) == [Touch(2)]
    assert CancelTimer(TOUCH) in made.step(Fired(WORK), 10.0)


def test_renewed_tasks_keep_their_worker_for_as_long_as_it_takes() -> None:
    delivery = Delivery(ack_deadline="1s", late_ack="rejected")
    for renew, done in ((0.4, 4), (None, 0)):
        rig = EffectRig(delivery, None, 1, lambda task, number: 3.5, prefetch=4, renew=renew)
        rig.start(4).to(60.0)
        assert len(rig.of("task acked")) == done and bool(rig.of("task expired")) is (renew is None)


def test_who_acks_first_has_nothing_to_renew() -> None:
    made = worker(renew=2.0, ack_first=True)
    begun = gives(made, "a")
    assert sent(begun) == [] and not any(isinstance(e, SetTimer) and e.timer == TOUCH for e in begun)
    assert sent(made.step(Fired(WORK), 5.0)) == [Take(auto_ack=True)]


def test_what_was_acked_as_it_was_delivered_is_nobody_elses() -> None:
    for leaves in (Closed(), Unlinked(BROKER), Stopping()):
        made = worker(prefetch=3, ack_first=True)
        gives(made, "a", "b")
        made.step(Received(BROKER, leaves) if isinstance(leaves, Closed) else leaves, 1.0)
        done = [made.step(Fired(WORK), at) for at in (5.0, 10.0)]
        assert [effect.kind for step in done for effect in step if isinstance(effect, Announce)].count("effect") == 2


def test_asked_to_stop_a_worker_ends_its_task_and_gives_back_the_rest() -> None:
    made = worker(prefetch=3, renew=2.0)
    gives(made, "a", "b", "c")
    stopping = made.step(Stopping(), 1.0)
    assert sorted(sent(stopping)) == [Nack(2), Nack(3)] and not any(isinstance(e, Exit) for e in stopping)
    assert sent(made.step(Fired(TOUCH), 2.0)) == [Touch(1)]
    assert sent(gives(made, "d", first=4)) == [Nack(4)]  # it was on its way
    last = made.step(Fired(WORK), 5.0)
    assert sent(last) == [Ack(1)] and last[-1] == Exit("asked to stop")


def test_asked_to_stop_an_idle_worker_goes_at_once() -> None:
    assert worker().step(Stopping(), 1.0)[-1] == Exit("asked to stop")


def test_a_worker_that_stops_costs_no_task_any_time() -> None:
    rig = EffectRig(Delivery(ack_deadline="60s", frees_lost=True), None, 2, lambda task, number: 2.0, prefetch=4)
    rig.start(10).to(3.0)
    rig.hear("w-1", Stopping())
    rig.to(30.0)
    assert rig.left == ["w-1"] and effects(rig.facts) == Effects(lost=0, once=10, duplicated=0, extra=0)
    assert max(at for at, _ in rig.times("task acked")) == 2.0 * 8  # the other does what is left


def test_who_stops_while_the_broker_is_away_does_not_come_again() -> None:
    made = worker()
    gives(made, "a")
    made.step(Unlinked(BROKER), 1.0)
    assert CancelTimer(RECONNECT) in made.step(Stopping(), 1.5)
    assert made.step(Fired(WORK), 5.0)[-1] == Exit("asked to stop")


@pytest.mark.parametrize("event", [Unlinked(BROKER), Received(BROKER, Closed())])
def test_a_worker_forgets_what_it_has_not_begun_and_asks_anew(event: Any) -> None:
    made = worker(prefetch=3)
    gives(made, "a", "b")
    asked = made.step(event, 1.0)
    if isinstance(event, Unlinked):
        assert asked == [SetTimer(RECONNECT, RECONNECT_S, RECONNECT_S)]
        asked = made.step(Fired(RECONNECT), 2.0)
    assert sent(asked) == [Hello(), Take(), Take()]
    assert sent(made.step(Fired(WORK), 5.0)) == [Ack(1), Take()] and made.is_idle


def test_news_of_others_does_not_part_a_worker_from_its_broker() -> None:
    made = worker()
    gives(made, "a")
    assert made.step(Unlinked("resource"), 1.0) == [] and not made.is_idle


def test_workers_find_a_broker_again_that_was_away() -> None:
    rig = EffectRig(Delivery(ack_deadline="5s"), None, 3, lambda task, number: 0.5, prefetch=2, latency=0.01)
    rig.start(50).to(1.2)
    rig.fall(BROKER, 7.3)
    rig.to(60.0)
    assert rig.broker.is_empty and effects(rig.facts).lost == 0
    assert all(rig.machines[name].is_idle for name in rig.names)
    # At most what each was at is done again: its ack did not count.
    assert effects(rig.facts).extra <= 3
