"""The lines in which tasks wait: groups that block, each by itself, whatever becomes of their first."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from protocols.delivering import BROKER
from protocols.effecting import EffectRig

from hasim.machine import Unlinked
from hasim.protocols.delivery import Delivery
from hasim.protocols.delivery.messages import Ack, Decide, Delivered, Nack, Prepare, Settled, Take, Touch, Vote


def fifo(deadline: float = 1.0, **more: Any) -> EffectRig:
    """The broker of a queue with groups, and workers that are nothing but names."""
    return EffectRig(Delivery(ack_deadline=f"{deadline!r}s", **{"ordered": True, **more}))


def takes(rig: EffectRig, worker: str = "v") -> str | None:
    """The task that a worker gets which asks now."""
    got = rig.says(worker, Take())
    return got.task if isinstance(got, Delivered) else None


def handed(rig: EffectRig) -> list[str]:
    return [task for _, task in rig.times("task delivered")]


def test_of_a_group_one_task_is_out_at_a_time_and_they_go_in_order() -> None:
    rig = fifo(60.0)
    rig.put("a1", "a2", "a3", group="a")
    assert [takes(rig, worker) for worker in "vwx"] == ["a1", None, None]
    rig.says("v", Ack(1))
    assert handed(rig) == ["a1", "a2"]
    rig.says("w", Ack(2))
    assert handed(rig) == ["a1", "a2", "a3"]


def test_groups_do_not_wait_for_one_another() -> None:
    rig = fifo(60.0)
    for group in "abc":
        rig.put(f"{group}1", f"{group}2", group=group)
    assert [takes(rig) for _ in range(4)] == ["a1", "b1", "c1", None]
    rig.says("v", Ack(2))
    assert handed(rig)[3:] == ["b2"]
    rig.says("v", Ack(4))
    takes(rig), takes(rig)
    assert len(handed(rig)) == 4
    rig.says("v", Ack(1))
    rig.says("v", Ack(3))
    assert handed(rig)[4:] == ["a2", "c2"]


def test_what_waited_for_its_group_comes_before_what_was_put_later() -> None:
    rig = fifo(60.0)
    rig.put("a1", "a2", group="a")
    rig.put("b1", group="b")
    assert [takes(rig), takes(rig)] == ["a1", "b1"]
    rig.put("c1", group="c")
    rig.says("v", Ack(1))
    assert [takes(rig), takes(rig)] == ["a2", "c1"]


@pytest.mark.parametrize("more", [{"ordered": False}, {"ordered": True}])
def test_tasks_without_a_group_are_not_ordered(more: dict[str, Any]) -> None:
    rig = fifo(60.0, **more)
    rig.put("x", "y", group="" if more["ordered"] else "a")
    assert [takes(rig), takes(rig)] == ["x", "y"]


def test_when_its_deadline_passes_the_first_of_a_group_comes_again_before_the_second() -> None:
    rig = fifo(1.0)
    rig.put("a1", "a2", group="a")
    rig.put("b1", group="b")
    for worker in "vwx":
        takes(rig, worker)
    rig.to(1.5)
    assert handed(rig) == ["a1", "b1", "a1"]
    takes(rig, "y")
    assert handed(rig) == ["a1", "b1", "a1", "b1"]


@pytest.mark.parametrize("delay", [0.0, 5.0])
def test_a_negative_ack_holds_up_its_group_for_as_long_as_it_says(delay: float) -> None:
    rig = fifo(60.0)
    rig.put("a1", "a2", group="a")
    rig.put("b1", group="b")
    takes(rig)
    rig.says("v", Nack(1, delay))
    takes(rig), takes(rig)
    rig.to(6.0)
    assert rig.times("task delivered")[1:] == ([(0.0, "a1"), (0.0, "b1")] if delay == 0 else [(0.0, "b1"), (5.0, "a1")])


def test_a_dead_letter_lets_the_next_of_its_group_go() -> None:
    rig = fifo(1.0, max_receives=2)
    rig.put("a1", "a2", group="a")
    for _ in range(3):
        takes(rig)
    rig.to(2.5)
    assert rig.times("task delivered") == [(0.0, "a1"), (1.0, "a1"), (2.0, "a2")]
    assert rig.times("dead letter") == [(2.0, "a1")]


@pytest.mark.parametrize("taken", [False, True])
@pytest.mark.parametrize("late_ack", ["accepted", "unless_taken", "rejected"])
def test_a_late_ack_lets_the_next_go_if_it_counts(late_ack: Any, taken: bool) -> None:
    rig = fifo(1.0, late_ack=late_ack)
    rig.put("a1", "a2", group="a")
    takes(rig)
    rig.to(1.5)
    if taken:
        takes(rig, "w")
    answer = rig.says("v", Ack(1))
    counts = late_ack == "accepted" or (late_ack == "unless_taken" and not taken)
    assert answer == Settled(1, counts)
    if counts:
        assert takes(rig, "x") == "a2"  # whoever has a1 is at it in vain
    else:
        assert takes(rig, "x") == (None if taken else "a1")


def test_a_late_ack_of_a_task_that_waits_for_its_delay_lets_the_next_go_and_the_delay_is_over() -> None:
    rig = fifo(1.0)
    rig.put("a1", "a2", group="a")
    takes(rig)
    rig.to(1.5)
    takes(rig, "w")
    rig.says("w", Nack(2, 10.0))
    rig.says("v", Ack(1))
    rig.put("a1", group="a")  # the same id once more, which is another task
    rig.to(2.0)
    assert takes(rig) == "a2"
    rig.says("v", Ack(3))
    assert takes(rig) == "a1"
    rig.says("v", Nack(4, 60.0))
    rig.to(30.0)
    assert takes(rig) is None


def test_order_outlasts_the_broker() -> None:
    rig = fifo(60.0)
    rig.put("a1", "a2", group="a")
    rig.put("b1", group="b")
    rig.put("a3", group="a")
    rig.fall(BROKER, 0.0)
    rig.to(1.0)
    assert [takes(rig), takes(rig)] == ["a1", "b1"]
    first = next(message.receipt for to, message in rig.heard if isinstance(message, Delivered))
    rig.says("v", Ack(first))
    assert takes(rig) == "a2"


def test_a_task_that_is_in_doubt_holds_up_its_group_when_the_broker_is_back() -> None:
    rig = fifo(60.0)
    rig.put("a1", "a2", group="a")
    takes(rig)
    rig.says("v", Prepare(1, "a1"))
    rig.fall(BROKER, 0.0)
    rig.to(1.0)
    assert takes(rig, "w") is None
    rig.says("v", Decide(1, True))
    assert handed(rig)[-1] == "a2"


# ----------------------------------------------------------------------------------- whatever happens

WORKERS = ("v", "w", "x")
numbers = st.integers(0, 30)
STEPS = st.one_of(
    st.tuples(st.just("put"), st.integers(0, 2)),
    st.tuples(st.just("take"), st.sampled_from(WORKERS)),
    st.tuples(st.just("take"), st.sampled_from(WORKERS)),
    st.tuples(st.just("ack"), numbers),
    st.tuples(st.just("nack"), numbers),
    st.tuples(st.just("nack later"), numbers),
    st.tuples(st.just("touch"), numbers),
    st.tuples(st.just("prepare"), numbers),
    st.tuples(st.just("commit"), numbers),
    st.tuples(st.just("abort"), numbers),
    st.tuples(st.just("wait"), st.sampled_from([0.1, 0.6, 1.1])),
    st.tuples(st.just("lost"), st.sampled_from(WORKERS)),
    st.tuples(st.just("restart"), st.just(0)),
)
QUEUES = st.fixed_dictionaries(
    {
        "late_ack": st.sampled_from(["accepted", "unless_taken", "rejected"]),
        "max_receives": st.sampled_from([None, None, 2]),
        "max_pending": st.sampled_from([None, None, 2]),
        "frees_lost": st.booleans(),
        "missed": st.sampled_from([0.0, 0.0, 0.5]),
        "checked_every": st.sampled_from(["0s", "0s", "700ms"]),
    }
)
ENDS = ("task expired", "task freed", "task refused", "task acked")


class Watched:
    """A queue, and what one can know of its groups from outside."""

    def __init__(self, more: dict[str, Any]) -> None:
        self.rig = fifo(1.0, **more)
        self.put: dict[str, list[str]] = {}  # of each group, in order
        self.out: set[str] = set()
        self.over: set[str] = set()
        self.in_doubt: dict[int, str] = {}
        self._facts = 0

    def step(self, what: str, how: Any) -> None:
        rig = self.rig
        given = [(to, message) for to, message in rig.heard if isinstance(message, Delivered)]
        worker, delivered = given[how % len(given)] if given and isinstance(how, int) else ("v", Delivered("", 0, 0))
        receipt = delivered.receipt
        if what == "put":
            group = self.put.setdefault(f"g{how}", [])
            group.append(f"g{how}-{len(group)}")
            rig.put(group[-1], group=f"g{how}")
        elif what == "take":
            rig.says(how, Take())
        elif what == "wait":
            rig.to(rig.now + how)
        elif what == "lost":
            rig.hear(BROKER, Unlinked(how))
        elif what == "restart":
            rig.fall(BROKER, 0.0)
            self._look()
            self.out = set(self.in_doubt.values())
            rig.to(rig.now)
        elif what == "prepare":
            vote = rig.says(worker, Prepare(receipt, delivered.task))
            if isinstance(vote, Vote) and vote.yes:
                self.in_doubt[receipt] = delivered.task
        elif what in ("commit", "abort"):
            self.in_doubt.pop(receipt, None)
            rig.says(worker, Decide(receipt, what == "commit"))
        elif receipt not in self.in_doubt:
            messages = {"ack": Ack(receipt), "nack": Nack(receipt), "nack later": Nack(receipt, 0.9)}
            rig.says(worker, messages.get(what, Touch(receipt)))
        else:
            rig.says(worker, Touch(receipt))
        self._look()

    def _look(self) -> None:
        """Whatever was delivered meanwhile was the first of its group, and all before it were over."""
        new, self._facts = self.rig.facts[self._facts :], len(self.rig.facts)
        for fact in new:
            task = str(fact.detail["task"])  # type: ignore[index,call-overload]
            group = self.put[task.partition("-")[0]]
            if fact.kind == "task delivered":
                assert not self.out.intersection(group), f"{task} is delivered, and {self.out} are out"
                before = group[: group.index(task)]
                assert self.over.issuperset(before) and task not in self.over, f"{task} is out of turn"
                self.out.add(task)
            elif fact.kind in ENDS:
                self.out.discard(task)
            if fact.kind in ("task acked", "dead letter"):
                self.over.add(task)

    def empty(self) -> None:
        """Decide what is in doubt, and let somebody do all that is left."""
        for receipt in list(self.in_doubt):
            self.in_doubt.pop(receipt)
            self.rig.says("v", Decide(receipt, False))
        self.step("restart", 0)
        done = len(self.rig.heard)
        for _ in range(200):
            if self.rig.broker.is_empty:
                break
            self.rig.says("last", Take())
            fresh, done = self.rig.heard[done:], len(self.rig.heard)
            for to, message in fresh:
                if isinstance(message, Delivered):
                    self.rig.says(to, Ack(message.receipt))
            self._look()


@given(QUEUES, st.lists(STEPS, min_size=20, max_size=80))
@settings(max_examples=300, deadline=None)
def test_of_a_group_never_two_are_out_and_none_goes_before_its_time_or_is_forgotten(
    more: dict[str, Any], steps: list[tuple[str, Any]]
) -> None:
    watched = Watched(more)
    for what, how in steps:
        watched.step(what, how)
    watched.empty()
    assert watched.over == {task for tasks in watched.put.values() for task in tasks}
