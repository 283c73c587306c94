"""Consumer groups: each rule by itself, closed forms of what is done again, and the traps that Kafka's users know."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from protocols.delivering import BROKER, Rig

from hasim.checks.tasks import Effects, effect_once, effects
from hasim.errors import ModelError
from hasim.machine import (
    Announce,
    CancelTimer,
    Exit,
    Fired,
    Linked,
    Received,
    Send,
    SetTimer,
    Started,
    Stopping,
    Unlinked,
)
from hasim.protocols.delivery.group_broker import GroupBroker
from hasim.protocols.delivery.group_messages import (
    Assigned,
    Beat,
    Beaten,
    Commit,
    Committed,
    Fetch,
    Fetched,
    Join,
    Leave,
    Named,
    Record,
    Span,
)
from hasim.protocols.delivery.group_settings import ConsumerGroup
from hasim.protocols.delivery.group_worker import HEARTBEAT, POLL, REQUEST, GroupWorker
from hasim.protocols.delivery.messages import Put, Stored
from hasim.protocols.delivery.settings import Delivery
from hasim.protocols.delivery.worker import WORK
from hasim.trace import Fact


def quick(**more: Any) -> ConsumerGroup:
    """A group that notices crashes after a second or so, and begins at once."""
    return ConsumerGroup(**{"session_timeout": "1s", "heartbeat": "300ms", "rebalance_delay": "0s", **more})


class GroupRig(Rig):
    """The rig with a group: messages arrive at once; all that the broker says is kept in `said`."""

    def __init__(
        self,
        settings: ConsumerGroup,
        workers: int = 0,
        lasting: Callable[[str, int], float] = lambda task, number: 1.0,
        **more: Any,
    ) -> None:
        super().__init__(Delivery(ack_deadline="1s"), workers, lasting, **{"restart": math.inf, **more})
        self.machines[BROKER] = GroupBroker(settings)
        self._make = lambda: GroupWorker(BROKER, settings, lasting)  # type: ignore[assignment,return-value]
        self.said: list[tuple[float, str, Any]] = []
        self.falls = 0
        self.cut: set[str] = set()  # workers whose messages, and messages to whom, are lost
        self.stored = 0

    def put(self, tasks: int) -> GroupRig:
        for _ in range(tasks):
            self.stored += 1
            self.hear(BROKER, Received("producer", Put(self.stored, f"t-{self.stored}")))
        return self

    def start(self, tasks: int) -> GroupRig:
        super().start(tasks)
        self.stored = tasks
        return self

    def to(self, when: float) -> GroupRig:
        super().to(when)
        return self

    def fall(self, name: str) -> None:
        self.falls += 1
        super().fall(name)

    def leave(self, name: str) -> None:
        """A worker is asked to stop."""
        self.hear(name, Stopping())
        self._lives[name] += 1
        del self.machines[name]
        self._timers = {key: number for key, number in self._timers.items() if key[0] != name}

    def _send(self, sender: str, send: Send) -> None:
        if {sender, send.to} & self.cut:
            return
        if sender == BROKER:
            self.said.append((self.now, send.to, send.message))
        super()._send(sender, send)

    def says(self, worker: str, message: object) -> Any:
        """What a worker that is nothing but a name says, and what it hears last."""
        self.hear(BROKER, Received(worker, message))
        heard = [heard for _, name, heard in self.said if name == worker]
        return heard[-1] if heard else None

    def assigned(self) -> dict[str, list[int]]:
        """The partitions that each worker got last."""
        found = {name: heard.positions for _, name, heard in self.said if isinstance(heard, Assigned)}
        return {name: [partition for partition, _ in positions] for name, positions in found.items()}

    def times(self, kind: str) -> list[float]:
        return [fact.at for fact in self.of(kind)]

    def tasks(self, kind: str, subject: str | None = None) -> list[int]:
        """The numbers of the tasks of these facts, in order."""
        found = [fact for fact in self.of(kind) if subject is None or fact.subject == subject]
        return [int(get(fact, "task").removeprefix("t-")) for fact in found]


def get(fact: Fact, key: str) -> Any:
    return fact.detail[key]  # type: ignore[index]


def by_hand(settings: ConsumerGroup, *members: str) -> GroupRig:
    """A broker with members that are nothing but names, in their first generation."""
    rig = GroupRig(settings)
    for member in members:
        rig.says(member.split("/")[0], Join(1, member))
    return rig.to(settings.rebalance_delay * min(2, len(members)))


# ------------------------------------------------------------------------------------------- declared


def test_the_defaults_are_those_of_kafka() -> None:
    group = ConsumerGroup()
    found = (group.session_timeout, group.heartbeat, group.max_poll_interval, group.max_poll_records)
    assert found == (45.0, 3.0, 300.0, 500) and group.rebalance_delay == 3.0 and group.commit == "batch"


@pytest.mark.parametrize("heartbeat", ["10s", "11s"])
def test_a_heartbeat_is_shorter_than_the_session(heartbeat: str) -> None:
    with pytest.raises(ModelError, match="heartbeat is shorter"):
        ConsumerGroup(session_timeout="10s", heartbeat=heartbeat)


# ------------------------------------------------------------------------------------- the broker alone


def test_tasks_go_to_the_partitions_in_turn() -> None:
    rig = by_hand(quick(partitions=3), "v/1").put(7)
    fetched = rig.says("v", Fetch(5, ((0, 0), (1, 0), (2, 0)), 500))
    places = [(record.partition, record.offset, record.task) for record in fetched.records]
    assert [task for _, _, task in places] == ["t-1", "t-4", "t-7", "t-2", "t-5", "t-3", "t-6"]
    assert places[:3] == [(0, 0, "t-1"), (0, 1, "t-4"), (0, 2, "t-7")]
    assert isinstance([heard for _, name, heard in rig.said if name == "producer"][-1], Stored)


def test_a_batch_has_no_more_records_than_asked_for() -> None:
    rig = by_hand(quick(partitions=2), "v/1").put(10)
    fetched = rig.says("v", Fetch(5, ((0, 3), (1, 0)), 4))
    assert [(record.partition, record.offset) for record in fetched.records] == [(0, 3), (0, 4), (1, 0), (1, 1)]


def test_a_newcomer_is_given_a_name_of_its_own_each_time() -> None:
    rig = by_hand(quick())
    names = [rig.says("v", Join(n)) for n in (1, 2)]
    assert names == [Named(1, "v/1"), Named(2, "v/2")] and not rig.of("rebalance begun")


@pytest.mark.parametrize(
    ("partitions", "members", "shares"),
    [
        (7, 3, [[0, 1, 2], [3, 4], [5, 6]]),
        (6, 3, [[0, 1], [2, 3], [4, 5]]),
        (2, 4, [[0], [1], [], []]),
    ],
)
def test_partitions_are_shared_out_in_ranges(partitions: int, members: int, shares: list[list[int]]) -> None:
    names = [f"w{i}/1" for i in range(members)]
    rig = by_hand(ConsumerGroup(partitions=partitions), *reversed(names)).to(60.0)
    assert list(dict(sorted(rig.assigned().items())).values()) == shares


def test_an_empty_group_waits_for_more_members_as_long_as_they_keep_coming() -> None:
    rig = GroupRig(ConsumerGroup(max_poll_interval="10s"))
    rig.says("a", Join(1, "a/1"))
    rig.to(2.0).says("b", Join(1, "b/1"))  # at 3 s it waits for 3 s more
    rig.to(5.0).says("c", Join(1, "c/1"))  # and at 6 s again
    rig.to(20.0)
    assert rig.times("rebalance ended") == [9.0]
    assert get(rig.of("rebalance ended")[0], "members") == ("a/1", "b/1", "c/1")
    # However many keep coming, it never waits for longer than the longest poll interval.
    rig = GroupRig(ConsumerGroup(max_poll_interval="10s"))
    for i in range(10):
        rig.to(float(i)).says(f"m{i}", Join(1, f"m{i}/1"))
    assert rig.to(30.0).times("rebalance ended")[:1] == [10.0]


def test_a_group_that_has_become_empty_waits_once() -> None:
    rig = by_hand(ConsumerGroup(), "a/1")
    rig.to(10.0).says("a", Leave("a/1"))
    rig.to(20.0).says("a", Join(1, "a/2"))
    rig.to(22.0).says("b", Join(1, "b/3"))
    rig.to(40.0)
    assert rig.times("rebalance ended") == [3.0, 10.0, 23.0]
    assert [get(fact, "members") for fact in rig.of("rebalance ended")] == [("a/1",), (), ("a/2", "b/3")]
    assert [get(fact, "generation") for fact in rig.of("rebalance ended")] == [1, 2, 3]


def test_a_rebalance_waits_for_all_members_and_ends_with_the_last() -> None:
    rig = by_hand(ConsumerGroup(partitions=3), "a/1", "b/2")
    rig.to(10.0).says("c", Join(1, "c/3"))
    assert rig.says("a", Beat("a/1", 1)) == Beaten(1, "rebalancing")
    rig.to(11.0).says("a", Join(2, "a/1"))
    assert len(rig.of("rebalance ended")) == 1
    rig.to(12.0).says("b", Join(2, "b/2"))
    assert rig.times("rebalance ended") == [6.0, 12.0]
    assert rig.assigned() == {"a": [0], "b": [1], "c": [2]}
    assert rig.says("a", Beat("a/1", 2)) == Beaten(2, "ok")
    begun = rig.of("rebalance begun")[-1].detail
    assert begun == {"generation": 1, "members": ("a/1", "b/2"), "why": "joined"}


def test_who_does_not_rejoin_within_the_longest_poll_interval_is_thrown_out() -> None:
    rig = by_hand(ConsumerGroup(max_poll_interval="60s"), "a/1").put(3)
    rig.to(10.0).says("b", Join(1, "b/2"))
    for at in range(13, 73, 3):  # it beats all the time
        rig.to(float(at))
        status = rig.says("a", Beat("a/1", 1)).status
        assert status == ("rebalancing" if at < 70 else "unknown")
    assert rig.times("rebalance ended") == [3.0, 70.0]
    assert get(rig.of("rebalance ended")[-1], "members") == ("b/2",)
    assert rig.says("a", Commit(9, "a/1", 1, (Span(0, 0, 2),))) == Committed(9, "unknown")
    assert rig.tasks("ack refused") == [1, 2] and not rig.of("task acked")


def test_a_member_is_missed_after_the_session_timeout_and_each_heartbeat_begins_it_anew() -> None:
    rig = by_hand(ConsumerGroup(), "a/1")
    for at in (20.0, 60.0):
        rig.to(at).says("a", Beat("a/1", 1))
    rig.to(200.0)
    assert rig.times("rebalance begun") == [0.0, 105.0] and rig.times("rebalance ended") == [3.0, 105.0]
    assert rig.says("a", Beat("a/1", 1)) == Beaten(1, "unknown")


def test_a_commit_is_a_sign_of_life_too() -> None:
    rig = by_hand(ConsumerGroup(), "a/1").put(1)
    rig.to(40.0).says("a", Commit(1, "a/1", 1, (Span(0, 0, 1),)))
    assert rig.to(200.0).times("rebalance begun") == [0.0, 85.0]


def test_a_member_that_waits_to_be_assigned_is_not_missed_until_it_is() -> None:
    rig = by_hand(ConsumerGroup(), "a/1", "b/2")
    rig.to(10.0).says("c", Join(1, "c/3"))
    rig.says("a", Join(2, "a/1"))
    rig.says("a", Beat("a/1", 1))  # sent before
    for at in range(12, 300, 3):
        rig.to(float(at)).says("b", Beat("b/2", 1))
    assert rig.times("rebalance ended") == [6.0]
    rig.says("b", Join(2, "b/2"))
    assert get(rig.of("rebalance ended")[-1], "members") == ("a/1", "b/2", "c/3")
    assert rig.to(400.0).times("rebalance begun")[-1] == rig.times("rebalance ended")[1] + 45.0


def test_a_broken_connection_frees_nothing_and_a_member_that_leaves_frees_all() -> None:
    rig = by_hand(ConsumerGroup(partitions=2), "a/1", "b/2")
    rig.hear(BROKER, Unlinked("a"))
    rig.says("b", Beat("b/2", 1))
    assert rig.to(10.0).times("rebalance begun") == [0.0]
    rig.says("a", Leave("a/1"))
    assert rig.says("b", Beat("b/2", 1)) == Beaten(1, "rebalancing")
    rig.says("b", Join(2, "b/2"))
    assert rig.times("rebalance ended") == [6.0, 10.0] and rig.assigned()["b"] == [0, 1]
    assert get(rig.of("rebalance begun")[-1], "why") == "left"


def test_commits_count_until_the_rebalance_has_ended() -> None:
    rig = by_hand(quick(), "a/1").put(4)
    rig.says("b", Join(1, "b/2"))
    assert rig.says("a", Commit(1, "a/1", 1, (Span(0, 0, 2),))) == Committed(1, "ok")
    rig.says("a", Join(2, "a/1"))
    assert [heard for _, name, heard in rig.said if name == "a"][-1] == Assigned(2, 2, ((0, 2),))
    assert rig.says("a", Commit(3, "a/1", 1, (Span(0, 2, 4),))) == Committed(3, "old")
    assert rig.tasks("task acked") == [1, 2] and rig.tasks("ack refused") == [3, 4]


def test_a_task_is_acked_once_however_often_it_is_committed() -> None:
    rig = by_hand(quick(), "a/1").put(4)
    for end in (2, 2, 3, 1, 3):
        assert rig.says("a", Commit(1, "a/1", 1, (Span(0, 0, end),))).status == "ok"
    assert rig.tasks("task acked") == [1, 2, 3]


def test_a_fetch_that_finds_nothing_waits_for_a_task_in_its_partitions() -> None:
    rig = by_hand(ConsumerGroup(partitions=2), "a/1")
    rig.says("a", Fetch(7, ((1, 0),), 500))
    assert not rig.put(1).of("task delivered")
    rig.put(1)
    assert rig.said[-2][2] == Stored(2) and rig.said[-1][2] == Fetched(7, (Record(1, 0, "t-2", 1),))
    assert len(rig.put(4).of("task delivered")) == 1  # it was one fetch, and has its answer


@pytest.mark.parametrize("end", ["unlinked", "asked anew", "joined", "left"])
def test_a_fetch_that_waits_ends_with_its_connection_its_successor_and_its_membership(end: str) -> None:
    rig = by_hand(quick(), "a/1")
    rig.says("a", Fetch(7, ((0, 0),), 500))
    if end == "unlinked":
        rig.hear(BROKER, Unlinked("a"))
    elif end == "asked anew":
        rig.says("a", Fetch(8, ((0, 0),), 500))
    else:
        rig.says("a", Join(8, "a/1") if end == "joined" else Leave("a/1"))
    rig.put(1)
    fetched = [heard.n for _, _, heard in rig.said if isinstance(heard, Fetched)]
    assert fetched == ([8] if end == "asked anew" else [])


def test_who_asks_again_after_its_assignment_was_lost_gets_the_same_one() -> None:
    rig = by_hand(quick(partitions=2), "a/1")
    assert rig.says("a", Join(5, "a/1")) == Assigned(5, 1, ((0, 0), (1, 0)))
    assert len(rig.of("rebalance begun")) == 1


# ------------------------------------------------------------------------------------- the worker alone


def lone(settings: ConsumerGroup | None = None) -> tuple[GroupWorker, Callable[[Any], list[Any]]]:
    """A worker, and what it sends in answer to an event."""
    worker = GroupWorker(BROKER, settings or quick(), lambda task, number: 1.0)

    def hears(event: Any) -> list[Any]:
        return [effect.message for effect in worker.step(event, 0.0) if isinstance(effect, Send)]

    return worker, hears


def test_a_request_without_an_answer_is_sent_again_and_late_answers_are_not_heard() -> None:
    _, hears = lone()
    assert hears(Started()) == [Join(1)]
    assert hears(Received(BROKER, Named(1, "a/1"))) == [Join(2, "a/1")]
    assert hears(Fired(REQUEST)) == [Join(3, "a/1")]
    assert hears(Received(BROKER, Assigned(2, 1, ((0, 4),)))) == []
    assert hears(Received(BROKER, Assigned(3, 1, ((0, 4),)))) == [Fetch(4, ((0, 4),), 500)]
    assert hears(Linked(BROKER)) == []  # nothing was cut
    hears(Unlinked(BROKER))
    assert hears(Linked(BROKER)) == [Fetch(5, ((0, 4),), 500)]
    assert hears(Received(BROKER, Fetched(4, (Record(0, 4, "t", 1),)))) == []
    hears(Received(BROKER, Fetched(5, (Record(0, 4, "t", 1),))))
    assert hears(Fired(WORK)) == [Commit(6, "a/1", 1, (Span(0, 4, 5),))]
    assert hears(Fired(REQUEST)) == [Commit(7, "a/1", 1, (Span(0, 4, 5),))]
    assert hears(Received(BROKER, Committed(7, "ok"))) == [Fetch(8, ((0, 5),), 500)]


def test_partitions_take_turns() -> None:
    _, hears = lone()
    hears(Started())
    hears(Received(BROKER, Named(1, "a/1")))
    hears(Received(BROKER, Assigned(2, 1, ((0, 0), (1, 0), (2, 0)))))
    hears(Received(BROKER, Fetched(3, (Record(0, 0, "t-1", 1), Record(0, 1, "t-4", 1)))))
    hears(Fired(WORK))
    assert hears(Fired(WORK)) == [Commit(4, "a/1", 1, (Span(0, 0, 2),))]
    assert hears(Received(BROKER, Committed(4, "ok"))) == [Fetch(5, ((1, 0), (2, 0), (0, 2)), 500)]


def at_work(settings: ConsumerGroup | None = None) -> tuple[GroupWorker, Callable[[Any], list[Any]]]:
    """A worker in the middle of its first batch, of two: the next request is its fourth."""
    worker, hears = lone(settings)
    hears(Started())
    hears(Received(BROKER, Named(1, "a/1")))
    hears(Received(BROKER, Assigned(2, 1, ((0, 0),))))
    hears(Received(BROKER, Fetched(3, (Record(0, 0, "t-1", 1), Record(0, 1, "t-2", 1)))))
    hears(Fired(WORK))
    return worker, hears


def test_who_waits_for_tasks_joins_a_rebalance_at_once_and_stops_its_heartbeat() -> None:
    worker, hears = lone(ConsumerGroup())
    hears(Started())
    hears(Received(BROKER, Named(1, "a/1")))
    hears(Received(BROKER, Assigned(2, 1, ((0, 0),))))
    effects = worker.step(Received(BROKER, Beaten(1, "rebalancing")), 0.0)
    assert CancelTimer(HEARTBEAT) in effects and Send(BROKER, Join(4, "a/1")) in effects
    assert SetTimer(REQUEST, 305.0, 305.0) in effects  # it may take as long as the slowest member
    assert hears(Received(BROKER, Beaten(1, "rebalancing"))) == []  # it has joined already
    assert hears(Received(BROKER, Fetched(3, (Record(0, 0, "t-1", 1),)))) == []  # no partition of its own any more
    assert hears(Received(BROKER, Assigned(4, 2, ((0, 0),)))) == [Fetch(5, ((0, 0),), 500)]
    assert hears(Received(BROKER, Beaten(1, "old"))) == []  # of the generation before
    assert hears(Received(BROKER, Beaten(2, "unknown"))) == [Join(6)]


@pytest.mark.parametrize(("status", "member"), [("rebalancing", "a/1"), ("old", "a/1"), ("unknown", "")])
@pytest.mark.parametrize("committing", [False, True])
def test_who_is_at_work_joins_a_rebalance_after_its_commit(status: Any, member: str, committing: bool) -> None:
    _, hears = at_work()
    commit = Commit(4, "a/1", 1, (Span(0, 0, 2),))
    if committing:
        assert hears(Fired(WORK)) == [commit]
        assert hears(Received(BROKER, Beaten(1, status))) == []
    else:
        assert hears(Received(BROKER, Beaten(1, status))) == []
        assert hears(Fired(WORK)) == [commit]
    assert hears(Received(BROKER, Committed(4, "ok"))) == [Join(5, member)]


@pytest.mark.parametrize(("status", "member"), [("old", "a/1"), ("unknown", "")])
def test_who_learns_of_its_end_by_its_commit_gives_up_the_rest_and_joins(status: Any, member: str) -> None:
    worker, hears = lone(quick(commit="record"))
    hears(Started())
    hears(Received(BROKER, Named(1, "a/1")))
    hears(Received(BROKER, Assigned(2, 1, ((0, 0),))))
    hears(Received(BROKER, Fetched(3, (Record(0, 0, "t-1", 1), Record(0, 1, "t-2", 1)))))
    assert hears(Fired(WORK)) == [Commit(4, "a/1", 1, (Span(0, 0, 1),))]
    effects = worker.step(Received(BROKER, Committed(4, status)), 0.0)
    assert [effect.message for effect in effects if isinstance(effect, Send)] == [Join(5, member)]
    assert not [effect for effect in effects if isinstance(effect, Announce)]


def test_who_is_too_long_without_a_poll_leaves_by_itself_and_joins_anew() -> None:
    worker, hears = at_work()
    effects = worker.step(Fired(POLL), 0.0)
    assert Send(BROKER, Leave("a/1")) in effects and CancelTimer(HEARTBEAT) in effects
    assert hears(Fired(WORK)) == [Commit(4, "a/1", 1, (Span(0, 0, 2),))]
    assert hears(Received(BROKER, Committed(4, "unknown"))) == [Join(5)]
    # Even if its commit was faster than that, and it has left meanwhile.
    worker, hears = at_work()
    hears(Fired(WORK))
    hears(Fired(POLL))
    assert hears(Received(BROKER, Committed(4, "ok"))) == [Join(5)]
    worker, hears = at_work()
    hears(Fired(POLL))
    assert hears(Stopping()) == []  # it is no member


@pytest.mark.parametrize("when", ["joining", "waiting", "working"])
def test_who_is_asked_to_stop_leaves_the_group_and_commits_nothing(when: str) -> None:
    worker, hears = lone()
    hears(Started())
    hears(Received(BROKER, Named(1, "a/1")))
    if when != "joining":
        hears(Received(BROKER, Assigned(2, 1, ((0, 0),))))
    if when == "working":
        hears(Received(BROKER, Fetched(3, (Record(0, 0, "t-1", 1), Record(0, 1, "t-2", 1)))))
        hears(Fired(WORK))
    last = list(worker.step(Stopping(), 0.0))
    assert [effect.message for effect in last if isinstance(effect, Send)] == [Leave("a/1")]
    assert isinstance(last[-1], Exit) and CancelTimer(WORK) in last


# -------------------------------------------------------------------------------------------- together


@pytest.mark.parametrize("commit", ["batch", "record"])
@pytest.mark.parametrize(("partitions", "workers", "most"), [(1, 1, 500), (7, 3, 5), (3, 5, 4)])
def test_everything_is_done_once_when_nothing_fails(commit: Any, partitions: int, workers: int, most: int) -> None:
    settings = ConsumerGroup(partitions=partitions, commit=commit, max_poll_records=most)
    rig = GroupRig(settings, workers).start(100).to(60.0).put(50).to(400.0)
    assert effects(rig.facts) == Effects(lost=0, once=150, duplicated=0, extra=0) and effect_once(rig.facts) == []
    for kind in ("task delivered", "task acked", "work begun"):
        assert sorted(rig.tasks(kind)) == list(range(1, 151))
    assert rig.times("rebalance ended")[0] in (3.0, 6.0) and len(rig.of("rebalance ended")) == 1
    assert not rig.of("ack refused")


def test_one_partition_keeps_the_order() -> None:
    rig = GroupRig(ConsumerGroup(max_poll_records=7), 3).start(50).to(20.0).put(50).to(400.0)
    assert rig.tasks("effect") == list(range(1, 101))
    # After a crash the order begins again where the last commit stands: no task comes before the one before it.
    rig = GroupRig(quick(max_poll_records=7), 3, crash=0.1, restart=0.5, seed=3).start(100).to(2000.0)
    seen = rig.tasks("effect")
    assert len(seen) > 100 and [*dict.fromkeys(seen)] == list(range(1, 101))
    assert all(later <= earlier + 1 for earlier, later in pairwise(seen))


def test_members_without_a_partition_are_idle_until_one_falls() -> None:
    rig = GroupRig(ConsumerGroup(partitions=3, max_poll_records=10), 5).start(600).to(60.0)
    names = {fact.subject for fact in rig.of("effect")}
    assert names == {"w-1", "w-2", "w-3"} and rig.assigned()["w-4"] == rig.assigned()["w-5"] == []
    rig.fall("w-2")
    rig.to(200.0)
    assert {fact.subject for fact in rig.of("effect") if fact.at > 130.0} == {"w-1", "w-3", "w-4"}
    assert rig.assigned()["w-5"] == []


def test_the_partitions_of_a_crashed_member_go_to_the_others_after_the_session_timeout() -> None:
    rig = GroupRig(ConsumerGroup(partitions=2, max_poll_records=20), 2).start(400).to(36.5)
    # Batches of 20 s from 6 s on; it beats at 36 s; the first batch is committed, half of the second is done.
    rig.fall("w-2")
    done = rig.tasks("effect", "w-2")
    again = done[len([task for task in rig.tasks("task acked") if task % 2 == 0]) :]
    assert len(done) == 30 and len(again) == 10
    rig.to(86.0)
    begun = rig.of("rebalance begun")[-1]
    assert begun.at == pytest.approx(36.0 + 45.0) and get(begun, "why") == "session timeout"
    # The other one works on until its batch is done (86 s), rejoins, and then has both.
    rig.to(86.5)
    assert rig.times("rebalance ended")[-1] == 86.0 and rig.assigned()["w-1"] == [0, 1]
    rig.to(1000.0)
    assert effects(rig.facts) == Effects(lost=0, once=390, duplicated=10, extra=10)
    assert sorted(task for task, count in Counter(rig.tasks("effect")).items() if count == 2) == again
    numbers = {get(fact, "task"): get(fact, "number") for fact in rig.of("effect")}
    assert numbers[f"t-{again[0]}"] == 2 and sorted(rig.tasks("task acked")) == list(range(1, 401))


def test_a_member_that_is_back_soon_stops_all_others_until_its_former_self_is_missed() -> None:
    # The newcomer begins a rebalance, and that waits for the member whose process is gone.
    rig = GroupRig(ConsumerGroup(partitions=3, max_poll_records=1), 3, restart=2.0).start(900).to(49.5)
    rig.fall("w-1")
    rig.to(120.0)
    assert rig.times("rebalance begun")[1:] == [51.5]
    assert rig.times("rebalance ended")[1:] == [49.0 + 45.0]  # since its last commit
    # The others learn of it from their next heartbeat, and stand still after the task in hand.
    assert not [fact for fact in rig.of("work begun") if 51.5 + 3.0 < fact.at < 94.0]
    # A member that leaves is not waited for.
    rig = GroupRig(ConsumerGroup(partitions=3, max_poll_records=1), 3).start(900).to(49.5)
    rig.leave("w-1")
    rig.to(120.0)
    assert rig.times("rebalance begun")[1:] == [49.5]
    assert 49.5 < rig.times("rebalance ended")[1] <= 49.5 + 3.0 + 1.0


def test_a_rebalance_stops_the_world_until_the_slowest_member_polls() -> None:
    # Tasks of partition 1 take 50 s, of the others 1 s; batches of one.
    def lasting(task: str, number: int) -> float:
        return 50.0 if int(task.removeprefix("t-")) % 3 == 2 else 1.0

    rig = GroupRig(ConsumerGroup(partitions=3, max_poll_records=1), 3, lasting).start(900).to(20.0)
    rig.rise("w-4")
    rig.to(100.0)
    slow = rig.times("effect")[rig.tasks("effect").index(2)]
    assert slow == 56.0 and rig.times("rebalance begun")[1:] == [20.0] and rig.times("rebalance ended")[1:] == [slow]
    quiet = [fact for fact in rig.of("work begun") if 20.0 + 3.0 < fact.at < slow]
    assert not quiet and [fact for fact in rig.of("work begun") if fact.at < 20.0]
    # Nothing is done twice: whoever polls in time has committed its batch.
    assert effect_once([fact for fact in rig.facts if fact.kind == "effect"]) == []


def test_a_batch_longer_than_the_poll_interval_is_done_for_ever_unless_batches_are_smaller() -> None:
    settings = {"max_poll_interval": "30s", "partitions": 2}
    rig = GroupRig(ConsumerGroup(**settings), 2, lambda task, number: 5.0).start(20).to(1000.0)
    assert not rig.of("task acked") and len(rig.of("effect")) > 100
    assert set(rig.per_task("effect")) == {f"t-{i}" for i in range(1, 21)}
    # Each effect is of a batch whose commit was refused, but for batches that are still at work.
    refused, done = rig.per_task("ack refused"), rig.per_task("effect")
    assert all(done[task] - refused[task] in (0, 1) for task in done)
    assert {get(fact, "why") for fact in rig.of("rebalance begun")} == {"joined", "left"}
    # Both leave 30 s after their polls, are done after 50 s, and wait 3 s for one another before it begins anew.
    assert [fact.at for fact in rig.of("rebalance begun") if get(fact, "why") == "left"][:3] == [36.0, 89.0, 142.0]
    assert get(rig.of("rebalance ended")[1], "members") == () and rig.times("ack refused")[0] == 56.0
    rig = GroupRig(ConsumerGroup(**settings, max_poll_records=5), 2, lambda task, number: 5.0).start(20).to(1000.0)
    assert effects(rig.facts) == Effects(lost=0, once=20, duplicated=0, extra=0) and len(rig.of("task acked")) == 20


def test_commits_of_each_task_get_on_though_the_batch_is_too_long() -> None:
    settings = ConsumerGroup(max_poll_interval="28s", commit="record")
    rig = GroupRig(settings, 1, lambda task, number: 5.0).start(20).to(1000.0)
    # Of each batch five tasks count; the sixth is done when the worker has left, and then it gives up the rest.
    assert effects(rig.facts) == Effects(lost=0, once=17, duplicated=3, extra=3)
    assert rig.tasks("ack refused") == [6, 11, 16] and rig.tasks("task acked") == list(range(1, 21))


def test_a_zombie_has_effects_and_its_commit_is_refused() -> None:
    # One worker is slow at its first try of everything; the other takes over while it is still at it.
    rig = GroupRig(
        ConsumerGroup(max_poll_interval="30s", max_poll_records=4), 2, lambda task, number: 20.0 if number == 1 else 1.0
    )
    rig.start(4).to(400.0)
    assert rig.tasks("effect", "w-1") == [1, 2, 3, 4] and rig.tasks("effect", "w-2") == [1, 2, 3, 4]
    assert rig.tasks("ack refused") == [1, 2, 3, 4] and rig.tasks("task acked") == [1, 2, 3, 4]
    # The first has left at 36 s, the second has all of it done by 42 s or so, and the first ends at 86 s.
    assert max(rig.times("task acked")) < 44.0 and min(rig.times("ack refused")) == 86.0


@pytest.mark.parametrize("at", [20.5, 22.0])
def test_who_is_cut_off_loses_its_partition_and_is_back_when_it_can_be_heard(at: float) -> None:
    rig = GroupRig(ConsumerGroup(partitions=2, max_poll_records=4), 2).start(400).to(at)
    rig.cut.add("w-1")
    rig.to(150.0)
    assert {fact.subject for fact in rig.of("effect") if fact.at > 100.0} == {"w-2"} and rig.assigned()["w-2"] == [0, 1]
    rig.cut.clear()
    rig.to(1000.0)
    assert rig.assigned() == {"w-1": [0], "w-2": [1]}
    assert sorted(rig.tasks("task acked")) == list(range(1, 401)) and effects(rig.facts).lost == 0
    refused = rig.tasks("ack refused")
    begun = 4 * int((at - 6.0) // 4.0)  # batches of four seconds from 6 s on
    assert effects(rig.facts).extra == 4 and refused == rig.tasks("effect", "w-1")[begun : begun + 4]


# --------------------------------------------------------------------------- closed forms of what comes again


@pytest.mark.parametrize("commit", ["batch", "record"])
def test_a_crash_at_any_moment_of_a_batch_brings_back_half_of_it_on_average(commit: Any) -> None:
    # Tasks are alike, so each of the B of a batch is as likely to be the one in hand: what was done and comes again
    # is uniform on 0 … B−1, whatever the law of their durations; what is begun again is one more.
    size, rounds, rng = 10, 400, np.random.default_rng(5)
    again, begun = np.zeros(rounds), np.zeros(rounds)
    for i in range(rounds):
        takes = rng.exponential(size=size)

        def lasting(task: str, number: int, takes: Any = takes) -> float:
            return float(takes[int(task.removeprefix("t-")) - 1])

        rig = GroupRig(quick(max_poll_records=size, commit=commit), 1, lasting, restart=0.5).start(size)
        rig.to(float(rng.random() * takes.sum()))
        rig.fall("w-1")
        rig.to(100.0)
        assert effects(rig.facts).lost == 0 and len(rig.of("task acked")) == size
        again[i], begun[i] = effects(rig.facts).extra, len(rig.of("work begun")) - size
    if commit == "record":
        assert not again.any() and (begun == 1).all()
        return
    assert (begun == again + 1).all()
    variance = (size**2 - 1) / 12
    assert abs(again.mean() - (size - 1) / 2) < 4.5 * np.sqrt(variance / rounds)
    counts = np.bincount(again.astype(int), minlength=size)
    assert counts.size == size and ((counts - rounds / size) ** 2).sum() / (rounds / size) < 33.7  # chi², 9 df: 1e-4


@pytest.mark.parametrize("size", [1, 5, 20])
def test_what_comes_again_with_crashes_of_executions_is_the_closed_form(size: int) -> None:
    # Each execution ends in a crash with probability c. Batches end in a crash or in their commit, and both begin a
    # new one, so that a crash finds k done with probability proportional to (1−c)^k, k < B.
    crash, tasks, rng = 0.04, 3000, np.random.default_rng(size)
    rig = GroupRig(
        quick(max_poll_records=size),
        2,
        lambda task, number: float(0.1 * rng.exponential()),
        crash=crash,
        restart=0.5,
        seed=size,
    )
    rig.start(tasks).to(3000.0)
    found = effects(rig.facts)
    assert found.lost == 0 and sorted(rig.tasks("task acked")) == list(range(1, tasks + 1)) and rig.falls > 80
    done = np.arange(size)
    chances = (1 - crash) ** done
    chances /= chances.sum()
    mean = float(chances @ done)
    closed = (1 - crash) / crash - size * (1 - crash) ** size / (1 - (1 - crash) ** size)
    assert mean == pytest.approx(closed, abs=1e-9)
    spread = math.sqrt(float(chances @ (done - mean) ** 2) / rig.falls)
    assert abs(found.extra / rig.falls - mean) <= 4.5 * spread
