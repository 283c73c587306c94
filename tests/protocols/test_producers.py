"""Producers, by themselves and through an outbox: what is lost, what is put again; and real queues by name."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import pytest
from protocols.delivering import BROKER
from protocols.effecting import PRODUCER, EffectRig
from pydantic import TypeAdapter

from hasim.checks.tasks import Effects, effect_once, effects
from hasim.declared import Declared
from hasim.errors import ModelError
from hasim.machine import (
    CancelTimer,
    Exit,
    Fired,
    Proposed,
    Received,
    Save,
    Send,
    SetTimer,
    Started,
    Stopping,
    Unlinked,
)
from hasim.protocols.delivery import ConsumerGroup, Delivery
from hasim.protocols.delivery.messages import Put, Stored
from hasim.protocols.delivery.producer import AGAIN, POLL, RECONNECT_S, NewTask, Producer, keep_rows
from hasim.protocols.delivery.systems import SYSTEMS, AnyDelivery

WINDOW: dict[str, Any] = {"dedup_window": "5m"}


def producing(again: float | None = None, outbox: float | None = None, workers: int = 0, **more: Any) -> EffectRig:
    """A producer and a broker that answers in no time, or in some of mean `latency`."""
    rest = {name: more.pop(name) for name in ("latency", "seed") if name in more}
    delivery = Delivery(ack_deadline="60s", **more)
    return EffectRig(
        delivery, None, workers, lambda task, number: 0.1, producer=lambda: Producer(BROKER, again, outbox), **rest
    )


def stored(rig: EffectRig) -> list[tuple[float, str]]:
    return rig.times("task stored")


def started(again: float | None = None, outbox: float | None = None, saved: Any = None) -> Producer:
    made = Producer(BROKER, again, outbox)
    made.step(Started(saved), 0.0)
    return made


# ------------------------------------------------------------------------------------------ by itself


def test_a_producer_puts_what_is_proposed_until_it_is_stored() -> None:
    made = started()
    assert made.step(Proposed(NewTask("a", "g")), 0.0) == [Send(BROKER, Put(1, "a", "g"))]
    assert not made.is_idle
    assert made.step(Received(BROKER, Stored(1)), 1.0) == [] and made.is_idle
    assert made.step(Received(BROKER, Stored(1)), 1.0) == []
    assert made.step(Proposed(NewTask("b")), 0.0) == [Send(BROKER, Put(2, "b"))]


def test_what_is_not_answered_is_put_again_and_again() -> None:
    made = started(again=2.0)
    put, timer = Send(BROKER, Put(1, "a")), SetTimer("1", 2.0, 2.0)
    assert made.step(Proposed(NewTask("a")), 0.0) == [put, timer]
    for at in (2.0, 4.0):
        assert made.step(Fired("1"), at) == [put, timer]
    assert made.step(Received(BROKER, Stored(1)), 5.0) == [CancelTimer("1")]
    assert made.step(Fired("1"), 6.0) == []


def test_when_its_broker_is_gone_a_producer_puts_all_again_that_is_not_stored() -> None:
    made = started()
    for task in "abc":
        made.step(Proposed(NewTask(task)), 0.0)
    made.step(Received(BROKER, Stored(2)), 0.0)
    assert made.step(Unlinked(BROKER), 1.0) == [SetTimer(AGAIN, RECONNECT_S, RECONNECT_S)]
    assert made.step(Fired(AGAIN), 2.0) == [Send(BROKER, Put(1, "a")), Send(BROKER, Put(3, "c"))]


@pytest.mark.parametrize("outbox", [None, 0.5])
@pytest.mark.parametrize("latency", [0.0, 0.1])
def test_a_broker_that_is_gone_for_a_while_costs_no_task(outbox: float | None, latency: float) -> None:
    rig = producing(None, outbox, 3, latency=latency, **WINDOW)
    rig.start(0)
    for i in range(200):
        rig.at(0.1 * i, lambda i=i: rig.propose(f"t-{i}"))
    for at, lasting in ((3.03, 0.2), (7.01, 5.0), (15.0, 0.01)):
        rig.at(at, lambda lasting=lasting: rig.fall(BROKER, lasting))
    rig.to(60.0)
    assert {task for _, task in stored(rig)} == {f"t-{i}" for i in range(200)} and len(stored(rig)) == 200
    assert rig.machines[PRODUCER].is_idle and rig.broker.is_empty
    assert effects(rig.facts).lost == 0


@pytest.mark.parametrize(("window", "times"), [("0s", 2), ("5m", 1)])
def test_a_task_that_was_stored_without_an_answer_is_two_unless_the_broker_knows_ids(window: str, times: int) -> None:
    # The broker dies between the two: it has it on its disk, and the producer has not heard so.
    rig = producing(workers=1, dedup_window=window)
    rig.start(0).to(1.0)
    rig._asked.pop((PRODUCER, BROKER), None)
    put = Put(1, "a")
    machine = rig.machines[PRODUCER]
    assert machine.step(Proposed(NewTask("a")), 1.0) == [Send(BROKER, put)]
    rig.broker.step(Received(PRODUCER, put), 1.0)
    rig.disks[BROKER].tasks["a"] = ("", 0)
    if window != "0s":
        rig.disks[BROKER].seen["a"] = 1.0
    rig.fall(BROKER, 0.1)
    rig.to(60.0)
    assert rig.per_task("effect")["a"] == times and machine.is_idle
    assert len(rig.of("put again")) == 2 - times


def test_a_crash_loses_what_was_not_stored() -> None:
    rig = producing(again=3.0, workers=1)
    rig.start(0).to(1.0)
    rig.propose("kept")
    rig.to(1.5)
    rig.fall(BROKER, 10.0)
    rig.propose("lost")
    rig.to(5.0)
    rig.fall(PRODUCER, 0.5)
    rig.at(5.6, lambda: rig.propose("after"))
    rig.to(60.0)
    assert [task for _, task in stored(rig)] == ["kept", "after"]


@pytest.mark.parametrize("window", ["0s", "5m"])
def test_answers_that_are_slow_have_tasks_put_again(window: str) -> None:
    # Exponential ways there and back, of 0.5 s each: the answer takes longer than t with chance (1 + 2t) exp(-2t).
    tasks, again = 2000, 1.0
    rig = producing(again, latency=0.5, seed=6, dedup_window=window)
    rig.start(0)
    for i in range(tasks):
        rig.at(20.0 * i, lambda i=i: rig.propose(f"t-{i}"))
    rig.to(20.0 * tasks)
    late = sum(message == Put(message.n, message.task) for to, message in rig.heard if to == BROKER) - tasks
    chance = [(1 + 2 * again * k) * np.exp(-2 * again * k) for k in range(1, 12)]
    spread = sqrt(sum((2 * k - 1) * p for k, p in enumerate(chance, 1)) - sum(chance) ** 2)
    # What is put again is one of two on its way, which come in order: an answer comes no later for it.
    assert abs(late / tasks - sum(chance)) < 4.5 * spread / sqrt(tasks)
    assert len(stored(rig)) == (tasks if window == "5m" else tasks + late)


def test_asked_to_stop_a_producer_goes() -> None:
    assert started().step(Stopping(), 1.0) == [Exit("asked to stop")]


# ---------------------------------------------------------------------------------- through an outbox


def test_a_row_is_saved_put_at_the_next_look_and_marked() -> None:
    made = started(outbox=4.0)
    assert made.step(Proposed(NewTask("a", "g")), 1.0) == [Save(("row", 1, NewTask("a", "g")))]
    look = made.step(Fired(POLL), 4.0)
    assert look == [Send(BROKER, Put(1, "a", "g")), SetTimer(POLL, 4.0, 4.0)]
    assert made.step(Received(BROKER, Stored(1)), 4.1) == [Save(("sent", 1))] and made.is_idle
    assert made.step(Fired(POLL), 8.0) == [SetTimer(POLL, 4.0, 4.0)]


def test_the_broker_is_asked_at_the_next_look_and_no_earlier_if_it_is_gone() -> None:
    made = started(outbox=4.0)
    made.step(Proposed(NewTask("a")), 1.0)
    assert made.step(Unlinked(BROKER), 2.0) == []
    assert made.step(Fired(POLL), 4.0)[0] == made.step(Fired(POLL), 8.0)[0] == Send(BROKER, Put(1, "a"))


def test_rows_add_up_to_those_that_are_not_marked() -> None:
    saved = None
    for record in (("row", 1, NewTask("a")), ("row", 2, NewTask("b")), ("sent", 1), ("sent", 7)):
        saved = keep_rows(saved, record)
    assert saved == {2: NewTask("b")}
    made = started(outbox=1.0, saved=saved)
    assert not made.is_idle and made.step(Fired(POLL), 0.5)[:-1] == [Send(BROKER, Put(2, "b"))]
    assert made.step(Proposed(NewTask("c")), 1.0) == [Save(("row", 3, NewTask("c")))]
    assert saved == {2: NewTask("b")}  # the disk is not the producer's


@pytest.mark.parametrize(("window", "extra"), [("0s", 1), ("5m", 0)])
def test_what_was_stored_and_not_marked_is_put_again(window: str, extra: int) -> None:
    rig = producing(outbox=2.0, workers=1, dedup_window=window, latency=0.001)
    rig.start(0).to(1.0)
    rig.propose("a")
    while not rig.of("task stored"):
        rig.to(rig.now + 1e-4)
    assert rig.disks[PRODUCER] == {1: NewTask("a")}  # the answer is on its way
    rig.fall(PRODUCER, 1.0)
    rig.to(30.0)
    assert effects(rig.facts) == Effects(0, 1 - extra, extra, extra) and rig.disks[PRODUCER] == {}
    assert len(effect_once(rig.facts)) == extra and len(rig.of("put again")) == 1 - extra


@pytest.mark.parametrize("outbox", [1.0, None])
def test_crashes_of_both_sides_lose_nothing_of_an_outbox(outbox: float | None) -> None:
    rng, tasks = np.random.default_rng(9), 500
    rig = producing(None, outbox, 10, latency=0.2, seed=9, **WINDOW)
    rig.start(0)
    proposed: list[str] = []

    def propose(task: str) -> None:
        if PRODUCER in rig.machines:
            proposed.append(task)
            rig.propose(task)

    for i in range(tasks):
        rig.at(0.1 * i, lambda i=i: propose(f"t-{i}"))
    for name, back in ((PRODUCER, 0.2), (BROKER, 1.0)):
        for at in np.cumsum(rng.exponential(2.0, 30)):
            rig.at(float(at), lambda name=name, back=back: rig.fall(name, back) if name in rig.machines else None)
    rig.to(200.0)
    lost = set(proposed) - {task for _, task in stored(rig)}
    assert len(proposed) > 0.8 * tasks
    if outbox is None:
        assert lost
    else:
        assert not lost and len(rig.of("put again")) > 0 and rig.disks[PRODUCER] == {}
        assert sorted(task for _, task in stored(rig)) == sorted(proposed)


def test_a_task_waits_for_half_of_the_time_between_two_looks() -> None:
    rng, poll, tasks = np.random.default_rng(4), 3.0, 3000
    rig = producing(outbox=poll, seed=4)
    rig.start(0)
    times = np.sort(rng.random(tasks) * 30_000)
    for i, at in enumerate(times):
        rig.at(float(at), lambda i=i: rig.propose(f"t-{i}"))
    rig.to(31_000.0)
    waits = np.array([at - times[int(task.removeprefix("t-"))] for at, task in stored(rig)])
    assert len(waits) == tasks and waits.min() >= 0 and waits.max() <= poll
    assert abs(waits.mean() - poll / 2) < 4.5 * poll / sqrt(12 * tasks)


# --------------------------------------------------------------------------------- real queues by name

AS_DECLARED = TypeAdapter(AnyDelivery)
MORE: dict[str, Any] = {"beanstalkd": {"ack_deadline": "60s"}}


class Holding(Declared):
    """Something with a queue."""

    delivery: AnyDelivery


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_is_settings_with_a_source(name: str) -> None:
    system = SYSTEMS[name]
    made = AS_DECLARED.validate_python({"system": name, **MORE.get(name, {})})
    assert isinstance(made, ConsumerGroup if name == "kafka" else Delivery)
    assert len(system.source) > 20
    if name not in MORE:
        assert AS_DECLARED.validate_python(name) == made
    assert AS_DECLARED.validate_python(made) is made


def test_a_system_is_where_settings_begin() -> None:
    made = Holding(delivery={"system": "rabbitmq", "ack_deadline": "10m"}).delivery
    assert isinstance(made, Delivery)
    assert (made.ack_deadline, made.checked_every, made.closes_channel, made.late_ack) == (
        600.0,
        60.0,
        True,
        "rejected",
    )
    group = Holding(delivery={"system": "kafka", "session_timeout": "10s"}).delivery
    assert isinstance(group, ConsumerGroup) and group.session_timeout == 10.0
    assert Holding(delivery={"ack_deadline": "1s"}).delivery == Delivery(ack_deadline="1s")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("sqss", "did you mean 'sqs'"),
        ({"system": "rabitmq"}, "did you mean 'rabbitmq'"),
        ({"system": "zzz"}, "known are sqs, sqs_fifo"),
        ("beanstalkd", "ack_deadline"),  # each job says its own
        ({"system": "rabbitmq", "late_ack": "accepted"}, "a channel that is closed acks nothing"),
        ({"system": "kafka", "ack_deadline": "1s"}, "unknown key"),
    ],
)
def test_what_is_no_system_is_refused_with_a_hint(given: Any, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        Holding(delivery=given)


def test_the_figures_of_makers() -> None:
    def made(name: str) -> Any:
        return AS_DECLARED.validate_python({"system": name, **MORE.get(name, {})})

    deadlines = {
        "sqs": 30,
        "sqs_fifo": 30,
        "rabbitmq": 1800,
        "rabbitmq_quorum": 1800,
        "jetstream": 30,
        "celery_redis": 3600,
        "celery_pubsub": 240,
        "pubsub": 10,
    }
    assert {name: made(name).ack_deadline for name in deadlines} == deadlines
    assert made("rabbitmq_quorum").max_receives == 20 and made("rabbitmq").max_receives is None
    assert made("jetstream").max_pending == 1000 and made("jetstream").dedup_window == 120.0
    assert made("sqs_fifo").dedup_window == 300.0 and made("sqs_fifo").ordered and not made("sqs").ordered
    assert not made("beanstalkd").durable and made("beanstalkd").frees_lost
