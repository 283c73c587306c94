"""Effects held to the promise of one for each task: who keeps it whatever happens, who breaks it, and how."""

from __future__ import annotations

from functools import cache
from math import exp, sqrt
from typing import Any

import numpy as np
import pytest
from protocols.delivering import BROKER
from protocols.effecting import SINK, EffectRig

from hasim.checks.tasks import Effects, effect_once, effects
from hasim.machine import Fired, Received, Save, Send, SetTimer, Started, Stopping, Unlinked
from hasim.protocols.delivery import Delivery, Worker
from hasim.protocols.delivery.messages import Decide, Decided, Delivered, Hello, Inquire, Prepare, Vote
from hasim.protocols.delivery.worker import WORK
from hasim.protocols.effects import Fenced, Keyed, Plain, Sink, Transactional, TwoPhase, finish_of
from hasim.protocols.effects.finish import FINISH, PlainFinish
from hasim.protocols.effects.messages import Told, Write
from hasim.protocols.effects.settings import EffectKind

LATE_ACKS = ("accepted", "unless_taken", "rejected")
TASKS = 300


def stormy(
    kind: EffectKind,
    late_ack: Any = "accepted",
    *,
    seed: int = 1,
    deadline: float = 1.0,
    life: float = 4.0,
    broker_life: float | None = None,
    silent: bool = False,
    **more: Any,
) -> EffectRig:
    """Ten workers that crash at any moment of it, hundreds of tasks, messages that take a while; then a long calm.

    Writes and messages are slow beside the work (20 ms to 400 ms), so that many crashes strike between two of them.
    """
    rng = np.random.default_rng(seed)
    delivery = Delivery(ack_deadline=f"{deadline!r}s", late_ack=late_ack)
    rig = EffectRig(
        delivery,
        kind,
        10,
        lambda task, number: float(rng.exponential(0.4)),
        seed=seed,
        latency=0.02,
        life=life,
        calm=60.0,
        silent=silent,
        **more,
    )
    at = 0.0 if broker_life else 60.0
    while (at := at + float(rng.exponential(broker_life or 1.0))) < 60.0:
        rig.at(at, lambda: rig.fall(BROKER, 0.3) if BROKER in rig.machines else None)
    rig.start(TASKS).to(1000.0)
    assert rig.broker.is_empty, "there are tasks under way"
    return rig


SLOW = {"takes": "50ms"}
ONCE: dict[str, EffectKind] = {
    "key": Keyed(**SLOW),
    "transaction": Transactional(**SLOW),
    "transaction, every so often": Transactional(takes="10ms", every="100ms"),
    "two phases": TwoPhase(takes="20ms", ask="200ms"),
}


# ------------------------------------------------------------------- who keeps it, whatever happens


@pytest.mark.parametrize("late_ack", LATE_ACKS)
@pytest.mark.parametrize("name", ONCE)
def test_these_have_one_effect_of_each_task_whatever_happens(name: str, late_ack: Any) -> None:
    storms: list[dict[str, Any]] = [
        {"life": 2.0},
        {"deadline": 0.3},
        {"broker_life": 3.0},
        {"broker_life": 3.0, "silent": True, "deadline": 0.5},
        {"prefetch": 3, "renew": 0.2, "broker_life": 5.0},
    ]
    deaths = expiries = 0
    for seed, storm in enumerate(storms):
        rig = stormy(ONCE[name], late_ack, seed=seed, **storm)
        assert effect_once(rig.facts) == [] and effects(rig.facts) == Effects(0, TASKS, 0, 0)
        assert not rig.disks[BROKER].tasks and not rig.disks[BROKER].prepared
        deaths += sum(rig._lives[name] for name in rig.names)
        expiries += len(rig.of("task expired"))
    assert deaths > 100 and expiries > 100


def test_what_two_phases_lock_is_free_in_the_end() -> None:
    rig = stormy(ONCE["two phases"], life=1.0, broker_life=2.0)
    assert len(rig.of("prepared")) == len(rig.of("decided")) > TASKS
    aborted = [fact for fact in rig.of("decided") if not fact.detail["commit"]]  # type: ignore[index]
    assert len(aborted) > 10
    assert not any(rig.disks.get(name) for name in rig.names)  # every coordinator has ended what it decided


# --------------------------------------------------------------------------- who breaks it, and how


@cache
def lost_and_doubled(name: str, late_ack: Any) -> tuple[int, int]:
    """Tasks without an effect, and effects too many, of a few storms."""
    kind = {
        "plain": Plain(**SLOW),
        "effect first": Keyed(order="effect_first", **SLOW),
        "key first": Keyed(order="key_first", **SLOW),
        "short window": Keyed(window="300ms", **SLOW),
        "fence": Fenced(**SLOW),
    }[name]
    found = [effects(stormy(kind, late_ack, seed=seed).facts) for seed in range(4)]
    return sum(one.lost for one in found), sum(one.extra for one in found)


@pytest.mark.parametrize("late_ack", LATE_ACKS)
@pytest.mark.parametrize(
    ("name", "loses", "doubles"),
    [
        ("plain", False, True),
        ("effect first", False, True),
        ("key first", True, False),
        ("short window", False, True),
        ("fence", False, True),
    ],
)
def test_these_break_it_each_in_its_way(name: str, loses: bool, doubles: bool, late_ack: Any) -> None:
    lost, extra = lost_and_doubled(name, late_ack)
    assert (lost > 0) is loses and (extra > 0) is doubles


@pytest.mark.parametrize("late_ack", LATE_ACKS)
def test_half_a_remedy_is_better_than_none(late_ack: Any) -> None:
    for name in ("effect first", "short window", "fence"):
        assert lost_and_doubled(name, late_ack)[1] < lost_and_doubled("plain", late_ack)[1]


def test_an_ack_before_the_effect_loses_what_its_worker_was_at() -> None:
    rig = stormy(Plain(**SLOW), ack_first=True)
    found = effects(rig.facts)
    assert found.duplicated == 0 and found.lost > 10
    assert {violation.what.split(" ", 1)[1] for violation in effect_once(rig.facts)} == {"has no effect"}


def test_without_crashes_and_with_time_enough_all_have_one_effect() -> None:
    kinds = [*ONCE.values(), Plain(), Fenced(), Keyed(order="effect_first"), Keyed(order="key_first")]
    for kind in kinds:
        rig = stormy(kind, deadline=60.0, life=1e9)
        assert effects(rig.facts) == Effects(0, TASKS, 0, 0) and len(rig.of("work begun")) == TASKS


# --------------------------------------------------------------------------------------- planted bugs


class Forgetful(Sink):
    """The key forgotten: a resource that looks for it, and does not store it."""

    def _mark(self, task: str, now: float) -> Any:
        super()._mark(task, now)
        self._at.clear()
        return "done"


class Hasty(PlainFinish):
    """The ack before the effect: it is sent with the result, and nobody waits for the answer."""

    def result(self, now: float) -> list[Any]:
        return [self._ack(), *super().result(now)]


class Dying(EffectRig):
    """A worker that dies as soon as it has sent its first result, which is lost with it; an ack is not."""

    def _send(self, sender: str, send: Send) -> None:
        if isinstance(send.message, Write) and not self._lives[sender]:
            self.at(self.now, lambda: self.fall(sender))
            return
        super()._send(sender, send)


def doubled(rig: EffectRig) -> list[str]:
    assert effects(rig.facts).lost == 0
    return [violation.what for violation in effect_once(rig.facts)]


def test_planted_a_key_that_is_forgotten_is_convicted() -> None:
    for kind, sink in ((Keyed(**SLOW), Forgetful(Keyed(**SLOW))), (Keyed(**SLOW), None)):
        rig = stormy(kind, sink=sink)
        assert bool(effect_once(rig.facts)) is (sink is not None)


def test_planted_a_key_that_expires_too_early_is_convicted() -> None:
    # The second attempt begins at 1.5 s, and ends 2.6 s after the first.
    for window, times in (("2500ms", 2), ("2700ms", 1)):
        kind = Keyed(window=window, takes="0s", lookup="0s")
        rig = EffectRig(Delivery(ack_deadline="1500ms"), kind, 2, lambda task, number: 2.9 if number == 1 else 4.0)
        rig.start(1).to(100.0)
        assert [at for at, _ in rig.times("effect")] == [2.9, 5.5][:times] and len(doubled(rig)) == times - 1


def test_planted_an_ack_before_the_effect_is_convicted() -> None:
    for ends, lost in ((Hasty, 1), (PlainFinish, 0)):
        rig = Dying(Delivery(ack_deadline="10s"), Plain(), 1, finish=lambda ends=ends: ends(BROKER, SINK, True))
        rig.start(1).to(100.0)
        assert [violation.what for violation in effect_once(rig.facts)] == ["t-1 has no effect"] * lost


def test_planted_an_effect_before_its_key_is_convicted() -> None:
    # Two attempts at once both look before either has stored the key.
    for order, times in (("effect_first", 2), ("together", 1)):
        kind = Keyed(order=order, takes="1s", lookup="0s")
        rig = EffectRig(Delivery(ack_deadline="1s"), kind, 2, lambda task, number: 0.5)
        rig.start(1).to(100.0)
        assert len(rig.of("effect")) == times and len(doubled(rig)) == times - 1


# ------------------------------------------------------------------------------- keys, by themselves


@pytest.mark.parametrize(
    ("order", "dies", "times"),
    [
        # Written from 2 s on; steps of one second each, a look takes none.
        ("effect_first", 2.5, 2),  # what was asked of the resource happens, whether or not anybody waits for it
        ("effect_first", 3.5, 1),  # the key is on its way
        ("key_first", 1.5, 1),
        ("key_first", 2.5, 0),  # the key is on its way, and nobody comes to have the effect
        ("key_first", 3.5, 1),
        ("together", 2.5, 1),
    ],
)
def test_a_crash_between_key_and_effect(order: Any, dies: float, times: int) -> None:
    kind = Keyed(order=order, takes="1s", lookup="0s")
    rig = EffectRig(Delivery(ack_deadline="60s", frees_lost=True), kind, 1, lambda task, number: 2.0, restart=1.0)
    rig.start(1)
    rig.at(dies, lambda: rig.fall("w-1"))
    rig.to(100.0)
    assert len(rig.of("effect")) == times and rig.broker.is_empty


def test_keys_are_forgotten_when_their_window_has_passed_and_stay_as_old_as_they_are() -> None:
    sink = Sink(Keyed(window="10s", takes="0s", lookup="0s"))

    def writes(at: float) -> list[Any]:
        (timer,) = sink.step(Received("w", Write(1, "t", 1, keyed=True)), at)
        return [effect.message for effect in sink.step(Fired(timer.timer), at) if isinstance(effect, Send)]

    outcomes = [(at, writes(at)[0].outcome) for at in (0.0, 6.0, 9.9, 10.0, 15.0, 20.0)]
    assert [outcome for _, outcome in outcomes] == ["done", "seen", "seen", "done", "seen", "done"]


def test_keys_are_as_many_as_come_in_a_window() -> None:
    sink = Sink(Keyed(window="10s", takes="0s", lookup="0s"))
    for i in range(100):
        (timer,) = sink.step(Received("w", Write(i, f"t-{i}", 1, keyed=True)), float(i))
        sink.step(Fired(timer.timer), float(i))
    assert sink.keys_most == 10
    kind = Keyed(window="10s", bytes=100)
    assert kind.store_bytes(1.0) == sink.keys_most * kind.bytes


@pytest.mark.parametrize(
    ("kind", "steps", "takes"),
    [
        (Plain(takes="1s"), 1, 1.0),
        (Fenced(takes="1s"), 1, 1.0),
        (Keyed(takes="1s", lookup="100ms"), 1, 1.1),
        (Keyed(takes="1s", lookup="100ms", order="effect_first"), 3, 2.1),
        (Keyed(takes="1s", lookup="100ms", order="key_first"), 2, 2.0),
        (Transactional(takes="1s"), 1, 1.0),
        (Transactional(takes="1s", every="3s"), 1, 2.0),  # from 2 s to 3 s, and then its write
        (TwoPhase(takes="1s"), 2, 2.0),
    ],
)
def test_what_each_takes_and_how_often_it_is_asked_for(kind: EffectKind, steps: int, takes: float) -> None:
    rig = EffectRig(Delivery(ack_deadline="60s"), kind, 1, lambda task, number: 2.0).start(1).to(60.0)
    (acked, _), *more = rig.times("task acked")
    assert not more and acked == pytest.approx(2.0 + takes) and kind.round_trips == steps
    asked = [message for to, message in rig.heard if to == SINK and not isinstance(message, Hello)]
    if isinstance(kind, Keyed | Plain):
        assert len(asked) == steps


def test_with_commits_every_so_often_each_waits_for_half_of_that_on_average() -> None:
    kind, rng, waits = Transactional(takes="0s", every="2s"), np.random.default_rng(5), []
    for now in rng.random(2000) * 1000:
        finish = finish_of(kind, BROKER, SINK)
        (timer,) = finish.result(float(now))
        assert isinstance(timer, SetTimer) and timer.timer == FINISH
        rest = (now + timer.low) % 2.0
        assert min(rest, 2.0 - rest) < 1e-9
        waits.append(timer.low)
    assert abs(np.mean(waits) - 1.0) < 4.5 * 2.0 / sqrt(12 * len(waits))


# --------------------------------------------------------------------------------------------- fences


@pytest.mark.parametrize("late_ack", LATE_ACKS)
def test_a_fence_with_a_worker_for_everybody_has_one_effect(late_ack: Any) -> None:
    tasks, delivery = 100, Delivery(ack_deadline="1s", late_ack=late_ack)
    for kind, once in ((Fenced(takes="50ms"), True), (Plain(takes="50ms"), False)):
        rng = np.random.default_rng(8)
        rig = EffectRig(delivery, kind, 10 * tasks, lambda *_, rng=rng: float(rng.exponential(0.8)))
        rig.start(tasks).to(400.0)
        assert rig.broker.is_empty and rig.machines[rig.names[-1]].is_idle
        assert (effect_once(rig.facts) == []) is once and bool(rig.of("result refused")) is once


@pytest.mark.parametrize(("late_ack", "times"), [("accepted", 1), ("unless_taken", 1), ("rejected", 2)])
def test_a_fence_lets_a_new_attempt_write_again_that_begins_after_an_old_one_has_written(
    late_ack: Any, times: int
) -> None:
    # The only worker is late: nobody has taken the task since, and the ack of its result may count or not.
    delivery = Delivery(ack_deadline="1s", late_ack=late_ack)
    rig = EffectRig(delivery, Fenced(takes="0s"), 1, lambda task, number: 3.0 if number == 1 else 0.5)
    rig.start(1).to(100.0)
    assert len(rig.of("effect")) == times and rig.broker.is_empty
    assert [violation.what for violation in effect_once(rig.facts)] == ["t-1 has an effect again, by resource"] * (
        times - 1
    )


def test_a_fence_refuses_whoever_is_late_and_has_been_replaced() -> None:
    rig = EffectRig(
        Delivery(ack_deadline="1s"), Fenced(takes="0s"), 2, lambda task, number: 3.0 if number == 1 else 0.5
    )
    rig.start(1).to(100.0)
    assert rig.times("effect", "number") == [(1.5, 2)] and rig.times("result refused", "number") == [(3.0, 1)]


def test_where_all_are_late_a_fence_refuses_all() -> None:
    # Each is replaced before it ends, although its ack would have counted: a deadline must leave time for the work.
    delivery, attempt = Delivery(ack_deadline="1s"), {Fenced: 0, Plain: 1}
    for kind in (Fenced(), Plain()):
        rig = EffectRig(delivery, kind, 5, lambda task, number: 2.5).start(1).to(100.0)
        assert bool(rig.of("effect")) is bool(attempt[type(kind)])
        assert rig.broker.is_empty is bool(attempt[type(kind)])


# ----------------------------------------------------------------------------------------- two phases

RULES: dict[str, Any] = {"ack_deadline": "10s", "frees_lost": True}
SEEN = TwoPhase(takes="500ms", ask="1s")
"""Work of 2 s, votes at once, then a second of writes: decided at 3 s."""


def two_phases(workers: int = 1, **more: Any) -> EffectRig:
    return EffectRig(Delivery(**{**RULES, **more}), SEEN, workers, lambda task, number: 2.0, restart=20.0)


def decisions(rig: EffectRig) -> list[tuple[float, bool]]:
    return rig.times("decided", "commit")


def test_both_vote_before_it_is_decided() -> None:
    rig = two_phases().start(1).to(60.0)
    assert rig.times("prepared") == [(2.0, "t-1")] and decisions(rig) == [(3.0, True)]
    assert rig.times("effect") == rig.times("task acked") == [(3.0, "t-1")]
    assert not rig.disks["w-1"] and rig.disks[BROKER].prepared == {}


@pytest.mark.parametrize(("dies", "commit"), [(1.9, None), (2.5, False), (3.0, True), (10.0, True)])
def test_a_coordinator_that_dies_is_waited_for_if_it_has_asked_for_votes(dies: float, commit: bool | None) -> None:
    rig = two_phases(2).start(1)
    rig.at(dies, lambda: rig.fall("w-1"))
    rig.to(dies + 19.0)
    if commit is None:  # nobody is in doubt: the other one has done it
        assert rig.times("effect") == [(dies + 3.0, "t-1")] and len(rig.of("prepared")) == 1
    if commit is False:  # locked, and not delivered to anybody else
        assert len(rig.of("task delivered")) == 1 and not decisions(rig) and not rig.of("task expired")
    rig.to(200.0)
    assert effects(rig.facts) == Effects(0, 1, 0, 0) and rig.broker.is_empty
    if commit is False:  # its successor knows of nothing: presumed abort, when it is asked
        (back, aborted), (_, committed) = decisions(rig)
        assert 22.5 <= back <= 23.5 and not aborted and committed


def test_what_is_in_the_log_of_a_coordinator_is_told_again_by_its_successor() -> None:
    rig = two_phases(2, frees_lost=False).start(1)
    # It dies with the decision on its disk, before anybody has heard of it.
    rig.to(2.999)
    machine = rig.machines["w-1"]
    asked = machine.step(Fired(FINISH), 3.0)
    assert isinstance(asked[0], Save) and [type(effect) for effect in asked[1:3]] == [Send, Send]
    rig.disks["w-1"] = {asked[0].record[1]}
    rig.fall("w-1")
    rig.to(22.9)
    assert not rig.of("effect") and len(rig.of("task delivered")) == 1
    rig.to(23.1)
    assert decisions(rig) == [(pytest.approx(22.999), True)] and effects(rig.facts) == Effects(0, 1, 0, 0)
    assert not rig.disks["w-1"] and rig.broker.is_empty


def test_while_the_coordinator_is_down_who_is_in_doubt_asks_and_others_hear_no() -> None:
    rig = two_phases(2).start(1)
    rig.at(2.5, lambda: rig.fall("w-1"))
    rig.to(20.0)
    assert rig.sink is not None
    answers = rig.sink.step(Received("w-2", Prepare(99, "t-1")), 20.0)
    assert answers == [Send("w-2", Vote(99, False))]
    assert sum(isinstance(message, Inquire) for to, message in rig.heard if to == "w-1") == 2 * 18
    assert rig.disks[BROKER].prepared == {1: ("t-1", "w-1")}


@pytest.mark.parametrize(
    ("dies", "back", "again"),
    [
        (1.0, 0.5, True),  # the receipt is void
        (1.0, 60.0, True),
        (2.5, 0.2, False),  # it has voted, and what it has voted is on its disk
        (2.5, 60.0, False),
        (3.0, 60.0, False),
    ],
)
def test_a_broker_that_dies_meanwhile_knows_what_it_has_voted(dies: float, back: float, again: bool) -> None:
    rig = two_phases().start(1)
    rig.at(dies, lambda: rig.fall(BROKER, back))
    rig.to(300.0)
    assert effects(rig.facts) == Effects(0, 1, 0, 0) and rig.broker.is_empty
    assert len(rig.of("work begun")) == (2 if again else 1)
    assert (False in [commit for _, commit in decisions(rig)]) is again


def test_without_the_vote_of_the_broker_it_is_no() -> None:
    made = finish_of(SEEN, BROKER, SINK)
    made.attempt(Delivered("t", 7, 1))
    made.result(0.0)
    assert made.hear(SINK, Vote(7, True)) == ([], False)
    effects_, through = made.lost()
    assert through and effects_ == [Send(BROKER, Decide(7, False)), Send(SINK, Decide(7, False))]
    assert made.hear(BROKER, Inquire(7)) == ([Send(BROKER, Decide(7, False))], False)


def test_while_votes_are_counted_nobody_hears_a_decision() -> None:
    made = finish_of(SEEN, BROKER, SINK)
    made.attempt(Delivered("t", 7, 1))
    made.result(0.0)
    for sender in (SINK, BROKER):
        made.hear(sender, Vote(7, True))
        assert made.hear(SINK, Inquire(7)) == ([], False)
    assert made.lost() == ([], False)  # the broker waits for the decision
    effects_, through = made.fired()
    assert through and effects_[0] == Save(("commit", 7))
    assert made.hear(SINK, Inquire(7)) == ([Send(SINK, Decide(7, True))], False)
    assert made.hear(SINK, Decided(7)) == ([], False)
    assert made.hear(BROKER, Decided(7)) == ([Save(("end", 7), sync=False)], False)


def test_a_coordinator_that_is_asked_to_stop_stays_until_its_decisions_have_come() -> None:
    rig = two_phases().start(2).to(2.5)
    rig.hear("w-1", Stopping())
    rig.fall(BROKER, 10.0)
    rig.to(12.0)
    assert rig.times("effect") == [(3.0, "t-1")] and rig.left == []
    rig.to(14.0)
    assert rig.left == ["w-1"] and rig.times("task acked") == [(12.5, "t-1")] and not rig.disks["w-1"]
    idle = two_phases().start(0).to(1.0)
    idle.hear("w-1", Stopping())
    assert idle.left == ["w-1"]


def test_a_resource_carries_a_decision_out_once() -> None:
    sink = Sink(SEEN)
    assert sink.step(Received("w", Prepare(1, "t")), 0.0)[0] == Send("w", Vote(1, True))
    first, again = (sink.step(Received("w", Decide(1, True)), at) for at in (1.0, 2.0))
    assert [getattr(effect, "kind", "") for effect in first][:2] == ["effect", "decided"]
    assert again == [Send("w", Decided(1))]


def test_an_abort_that_comes_right_after_a_question_is_not_overtaken_by_it() -> None:
    sink = Sink(SEEN)
    sink.step(Received("w", Prepare(1, "t")), 0.0)
    sink.step(Received("w", Decide(1, False)), 0.0)
    assert sink.step(Received("v", Prepare(2, "t")), 0.0)[0] == Send("v", Vote(2, True))


# ---------------------------------------------------------------------------------------- at the worker


def test_a_worker_does_not_wait_for_a_transaction_whose_broker_is_gone() -> None:
    delivery = Delivery(ack_deadline="10s")
    for kind in (Transactional(takes="1s"), SEEN, Keyed(takes="1s"), Plain(takes="1s")):
        for dies in (1.0, 2.0, 2.5, 3.0):
            rig = EffectRig(delivery, kind, 1, lambda task, number: 2.0)
            rig.start(3)
            rig.at(dies, lambda rig=rig: rig.fall(BROKER, 5.0))
            rig.to(100.0)
            assert rig.broker.is_empty and rig.machines["w-1"].is_idle
            assert isinstance(kind, Plain) or effect_once(rig.facts) == []


def test_an_answer_to_an_earlier_attempt_ends_nothing() -> None:
    made = Worker(BROKER, lambda task, number: 1.0, finish=finish_of(Plain(), BROKER, SINK))
    made.step(Started(), 0.0)
    made.step(Received(BROKER, Delivered("a", 5, 1)), 0.0)
    made.step(Fired(WORK), 1.0)
    assert made.step(Received(SINK, Told(4, "done")), 1.1) == [] and not made.is_idle
    made.step(Received(SINK, Told(5, "done")), 1.2)
    assert made.is_idle
    assert made.step(Unlinked(SINK), 2.0) == []


def test_a_plain_effect_is_as_often_as_attempts_end() -> None:
    # With a worker for everybody and exponential work of mean V: E[N] = sum of exp(-n (n + 1) / 2).
    rng, tasks = np.random.default_rng(12), 500
    rig = EffectRig(Delivery(ack_deadline="1s"), Plain(takes="0s"), 4 * tasks, lambda *_: float(rng.exponential()))
    rig.start(tasks).to(60.0)
    times = np.array([rig.per_task("effect")[f"t-{i + 1}"] for i in range(tasks)])
    expected = sum(exp(-n * (n + 1) / 2) for n in range(20))
    assert abs(times.mean() - expected) < 4.5 * times.std() / sqrt(tasks)
