"""The queue itself: who has which task, since when, and what is delivered next."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from hasim.machine import Announce, CancelTimer, Effect, Event, Fired, Received, Save, Send, SetTimer, Started, Unlinked
from hasim.protocols.delivery.lines import Lines, Task
from hasim.protocols.delivery.messages import (
    Ack,
    Closed,
    Commit,
    Committed,
    Decide,
    Decided,
    Delivered,
    Hello,
    Inquire,
    Nack,
    Prepare,
    Put,
    Settled,
    Stored,
    Take,
    Touch,
    Vote,
)
from hasim.protocols.delivery.settings import Delivery

DELAYED: Final = "delayed "
IN_DOUBT: Final = "in doubt "
CHECK: Final = "check"
ALIVE: Final = "alive "
REDRIVE: Final = "redrive "

AGAIN: Final = "\0again "
"""Marks the names of tasks that were put under the id of one that is not over."""

RECEIPTS: Final = 1 << 40
"""Receipts of one process of a broker; those of the next begin after that many, so that none comes twice."""


@dataclass(slots=True)
class _Held:
    """A delivery that has not been settled: whose it is, and until when.

    `missed`: its deadline passed and nobody noticed. `prepared`: its worker was promised that it can commit. `left`:
    the connection on which it was delivered is gone.
    """

    task: Task
    worker: str
    until: float
    missed: bool = False
    prepared: bool = False
    left: bool = False


@dataclass(slots=True)
class Kept:
    """What the disk of a broker has: tasks that are not over, by name, deliveries that are prepared, and ids put."""

    boots: int = 0
    tasks: dict[str, tuple[str, int]] = field(default_factory=dict)  # group, deliveries so far
    prepared: dict[int, tuple[str, str]] = field(default_factory=dict)  # task, worker
    seen: dict[str, float] = field(default_factory=dict)  # when ids were put, oldest first
    dead: dict[str, str] = field(default_factory=dict)  # dead letters that will be put back, and their group


def keep(saved: Any, record: Any) -> Any:
    """How the records of a broker add up."""
    kept: Kept = saved if isinstance(saved, Kept) else Kept()
    what, *rest = record
    if what == "boot":
        kept.boots += 1
    elif what == "task":
        name, group, received = rest
        kept.tasks[name] = (group, received)
    elif what == "put":
        name, at, window = rest
        while kept.seen and kept.seen[oldest := next(iter(kept.seen))] + window <= at:
            del kept.seen[oldest]
        kept.seen[name] = at
    elif what == "prepared":
        receipt, name, worker = rest
        kept.prepared[receipt] = (name, worker)
    elif what == "dead":
        name, group = rest
        kept.dead[name] = group
    elif what == "redriven":
        kept.dead.pop(rest[0], None)
    elif what == "undecided no more":
        kept.prepared.pop(rest[0], None)
    else:
        kept.tasks.pop(rest[0], None)
    return kept


class Broker:
    """A queue that delivers at least once, as a pure machine: see `Delivery`.

    Tasks that are delivered again wait in a line of their own, which comes first. Workers that ask for tasks while
    there are none get one each in turn, whoever has waited longest first. `chance(share)` decides what happens with a
    probability. What is durable is saved before it is spoken of. A delivery whose worker was promised that it can
    commit stays with it until it says what was decided, however long that takes; every `ask` seconds it is asked.

    It hears Started, Received of the messages of producers and workers, Unlinked(worker), and its timers. It announces
    "task stored", "task delivered", "task expired", "task freed" (its worker is gone), "task refused" (given back),
    "task acked" (with `late`), "ack refused", "dead letter", "task redriven" and "put again" (the same id, dropped),
    each with the task; "effect" where a transaction has it here, with the ack.
    """

    def __init__(self, delivery: Delivery, chance: Callable[[float], bool], ask: float = 1.0) -> None:
        """A broker with no tasks."""
        self.delivery = delivery
        self.ask = ask
        self._chance = chance
        self._tasks: dict[str, Task] = {}  # not over
        self._lines = Lines()
        self._held: dict[int, _Held] = {}
        self._of_receipt: dict[int, Task] = {}  # of deliveries whose deadline has passed, or that another has replaced
        self._asking: dict[str, int] = {}  # how many tasks each worker asks for, whose turn it is first
        self._auto: dict[str, bool] = {}  # whether what is delivered to a worker is done with
        self._receipts = 0
        self._seen: dict[str, float] = {}  # when ids were put, oldest first
        self._dead: dict[str, str] = {}  # dead letters that will be put back, and their group
        self._now = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether it has no task, nor a dead letter that will be one again."""
        return not (self._tasks or self._dead)

    def step(self, event: Event, now: float) -> list[Effect]:
        """Take in an event and ask for effects, in order."""
        self._now = now
        if isinstance(event, Received):
            heard = [] if isinstance(event.message, Put) else self._hear(event.sender)
            return [*self._received(event.sender, event.message), *heard]
        if isinstance(event, Fired):
            return self._fired(event.timer)
        if isinstance(event, Unlinked):
            return self._lost(event.peer)
        if isinstance(event, Started):
            return self._started(event.saved)
        return []

    def _started(self, saved: Any) -> list[Effect]:
        """Take up what the disk has: nobody has any of it but those who may be about to commit."""
        kept = saved if isinstance(saved, Kept) else Kept()
        self._receipts = kept.boots * RECEIPTS
        self._seen = dict(kept.seen)
        effects: list[Effect] = [Save(("boot",))]  # durable or not: receipts of before must not come again
        for name, (group, received) in kept.tasks.items():
            self._tasks[name] = Task(name, group, received=received)
        for receipt, (name, worker) in kept.prepared.items():
            task = self._tasks[name]
            task.receipt = receipt
            self._held[receipt] = _Held(task, worker, self._now, prepared=True)
            self._lines.hold(task)
            effects += self._inquire(receipt)
        for task in [task for task in self._tasks.values() if task.receipt is None]:
            if self._is_spent(task):
                effects += self._bury(task)
            elif task.received:
                self._lines.put_again(task)
            else:
                self._lines.put(task)
        self._dead = dict(kept.dead)
        effects += [self._redrive_later(name) for name in self._dead]
        if self.delivery.checked_every:
            effects.append(SetTimer(CHECK, self.delivery.checked_every, self.delivery.checked_every))
        return effects

    def _received(self, sender: str, message: object) -> list[Effect]:
        if isinstance(message, Put):
            return self._put(sender, message)
        if isinstance(message, Take):
            noticed = self._notice(sender) if self.delivery.missed else []
            self._asking[sender] = self._asking.get(sender, 0) + 1
            self._auto[sender] = message.auto_ack
            return [*noticed, *self._deliver()]
        if isinstance(message, Ack):
            return self._acked(sender, message.receipt)
        if isinstance(message, Commit):
            return self._committed(sender, message.receipt)
        if isinstance(message, Touch):
            held = self._held.get(message.receipt)
            if held is None:
                return [Send(sender, Settled(message.receipt, False))]
            held.missed = False
            waits = [] if held.prepared else self._wait(message.receipt, held)
            return [Send(sender, Settled(message.receipt, True)), *waits]
        if isinstance(message, Nack):
            return self._refused(sender, message)
        if isinstance(message, Prepare):
            return self._prepared(sender, message.receipt)
        if isinstance(message, Decide):
            return self._decided(sender, message)
        if isinstance(message, Hello):
            self._leave(sender)
        return []

    def _fired(self, timer: str) -> list[Effect]:
        if timer == CHECK:
            return [*self._checked(), SetTimer(CHECK, self.delivery.checked_every, self.delivery.checked_every)]
        if timer.startswith(DELAYED):
            task = self._tasks.get(timer.removeprefix(DELAYED))
            if task is None or task.receipt is not None:
                return []
            self._lines.put_again(task)
            return self._deliver()
        if timer.startswith(ALIVE):
            worker = timer.removeprefix(ALIVE)
            return [Send(worker, Closed()), *self._lost(worker)]
        if timer.startswith(REDRIVE):
            return self._redrive(timer.removeprefix(REDRIVE))
        if timer.startswith(IN_DOUBT):
            return self._inquire(int(timer.removeprefix(IN_DOUBT)))
        receipt = int(timer)
        held = self._held.get(receipt)
        if held is None:
            return []
        if not held.left and self._chance(self.delivery.missed):
            held.missed = True
            return []
        return [*self._passed(receipt), *self._deliver()]

    def _notice(self, worker: str) -> list[Effect]:
        """A worker is heard of: what it has had for too long is its no more."""
        late = [receipt for receipt, held in self._held.items() if held.missed and held.worker == worker]
        return [effect for receipt in late for effect in self._expire(receipt)]

    def _checked(self) -> list[Effect]:
        """Look which deadlines have passed."""
        effects: list[Effect] = []
        late = [receipt for receipt, held in self._held.items() if held.until <= self._now and not held.prepared]
        for receipt in late:
            if receipt in self._held:  # not gone with another of its channel
                effects += self._passed(receipt)
        return [*effects, *self._deliver()]

    def _passed(self, receipt: int) -> list[Effect]:
        """The deadline of a delivery has passed."""
        if not self.delivery.closes_channel:
            return self._expire(receipt)
        worker = self._held[receipt].worker
        self._asking.pop(worker, None)
        effects: list[Effect] = [Send(worker, Closed())]
        for other in [other for other, held in self._held.items() if held.worker == worker and not held.prepared]:
            effects += [CancelTimer(str(other)), *self._expire(other)]
        return effects

    def _lost(self, worker: str) -> list[Effect]:
        """The connection of a worker has broken."""
        self._leave(worker)
        effects: list[Effect] = [] if self.delivery.heartbeat is None else [CancelTimer(ALIVE + worker)]
        for receipt in [receipt for receipt, held in self._held.items() if held.worker == worker]:
            held = self._held[receipt]
            if (self.delivery.frees_lost or held.missed) and not held.prepared:
                effects += [CancelTimer(str(receipt)), *self._expire(receipt, "task freed")]
        return [*effects, *self._deliver()]

    def _hear(self, worker: str) -> list[Effect]:
        """Something has come on a connection."""
        longest = self.delivery.heartbeat
        return [] if longest is None else [SetTimer(ALIVE + worker, longest, longest)]

    def _leave(self, worker: str) -> None:
        """A connection is no more: what was asked on it is void, and nobody will ask again for what was delivered."""
        self._asking.pop(worker, None)
        if self.delivery.missed:
            for held in self._held.values():
                held.left = held.left or held.worker == worker

    # Puts and deliveries.

    def _put(self, sender: str, put: Put) -> list[Effect]:
        if self._is_known(put.task):
            return [Send(sender, Stored(put.n)), Announce("put again", {"task": put.task, "number": 0})]
        task = Task(put.task, put.group if self.delivery.ordered else "")
        times = 1
        while task.name in self._tasks or task.name in self._dead:  # the same work twice, and nobody can tell
            times += 1
            task.name = f"{put.task}{AGAIN}{times}"
        self._tasks[task.name] = task
        self._lines.put(task)
        window = self.delivery.dedup_window
        known = self._save("put", put.task, self._now, window) if window else []
        saved = [*self._save("task", task.name, task.group, 0), *known]
        return [*saved, Send(sender, Stored(put.n)), self._said("task stored", task), *self._deliver()]

    def _is_known(self, name: str) -> bool:
        """Whether this id was put a short time ago; remember it."""
        window = self.delivery.dedup_window
        if not window:
            return False
        while self._seen and (oldest := next(iter(self._seen))) and self._seen[oldest] + window <= self._now:
            del self._seen[oldest]
        if name in self._seen:
            return True
        self._seen[name] = self._now
        return False

    def _deliver(self) -> list[Effect]:
        """Give tasks to those who ask, as long as there are both."""
        effects: list[Effect] = []
        most = self.delivery.max_pending
        while self._asking and (most is None or len(self._held) < most):
            task = self._lines.next()
            if task is None:
                break
            worker = self._turn()
            self._receipts += 1
            task.receipt, task.received = self._receipts, task.received + 1
            detail = {"task": _id(task), "worker": worker, "number": task.received}
            if self._auto[worker]:
                done = Announce("task acked", {"task": _id(task), "late": False})
                delivered = Send(worker, Delivered(_id(task), self._receipts, task.received))
                effects += [*self._end(task), delivered, Announce("task delivered", detail), done]
                continue
            held = self._held[self._receipts] = _Held(task, worker, self._now)
            effects += [
                *self._save("task", task.name, task.group, task.received),
                Send(worker, Delivered(_id(task), self._receipts, task.received)),
                *self._wait(self._receipts, held),
                Announce("task delivered", detail),
            ]
        return effects

    def _turn(self) -> str:
        """The worker whose turn it is; one that asks for more goes to the end of the line."""
        worker = next(iter(self._asking))
        more = self._asking.pop(worker) - 1
        if more:
            self._asking[worker] = more
        return worker

    def _wait(self, receipt: int, held: _Held) -> list[Effect]:
        """Let the deadline of a delivery begin."""
        lasting = self.delivery.deadline(held.task.received)
        held.until = self._now + lasting
        return [] if self.delivery.checked_every else [SetTimer(str(receipt), lasting, lasting)]

    def _expire(self, receipt: int, kind: str = "task expired", delay: float = 0.0) -> list[Effect]:
        """A delivery ends without an ack: the task waits again, after a delay, or becomes a dead letter."""
        task = self._held.pop(receipt).task
        task.receipt = None
        self._of_receipt[receipt] = task
        said = self._said(kind, task)
        if self._is_spent(task):
            return [said, *self._bury(task)]
        if delay > 0:
            return [said, SetTimer(DELAYED + task.name, delay, delay)]
        self._lines.put_again(task)
        return [said]

    def _is_spent(self, task: Task) -> bool:
        """Whether it has been delivered as often as it may be."""
        most = self.delivery.max_receives
        return most is not None and task.received >= most

    def _bury(self, task: Task) -> list[Effect]:
        task.dead = True
        buried = [*self._end(task), self._said("dead letter", task)]
        if self.delivery.redrive is None:
            return buried
        self._dead[task.name] = task.group
        return [*buried, *self._save("dead", task.name, task.group), self._redrive_later(task.name)]

    def _redrive_later(self, name: str) -> Effect:
        wait = self.delivery.redrive or 0.0
        return SetTimer(REDRIVE + name, wait, wait)

    def _redrive(self, name: str) -> list[Effect]:
        """Somebody puts a dead letter back, as good as new."""
        task = self._tasks[name] = Task(name, self._dead.pop(name))
        self._lines.put(task)
        saved = [*self._save("redriven", name), *self._save("task", name, task.group, 0)]
        return [*saved, self._said("task redriven", task), *self._deliver()]

    def _end(self, task: Task) -> list[Effect]:
        """A task is over."""
        del self._tasks[task.name]
        self._lines.end(task)
        return self._save("over", task.name)

    # Acks.

    def _acked(self, sender: str, receipt: int) -> list[Effect]:
        held = self._held.pop(receipt, None)
        if held is not None:
            done = Announce("task acked", {"task": _id(held.task), "late": held.missed})
            ended = self._end(held.task)
            return [*ended, Send(sender, Settled(receipt, True)), CancelTimer(str(receipt)), done, *self._deliver()]
        task = self._of_receipt.pop(receipt, None)
        if task is None:
            return [Send(sender, Settled(receipt, False))]
        return [*self._acked_late(sender, receipt, task), *self._deliver()]

    def _acked_late(self, sender: str, receipt: int, task: Task) -> list[Effect]:
        """An ack of a delivery whose deadline has passed."""
        policy = self.delivery.late_ack
        free = not task.over and task.receipt is None
        taken = not task.over and task.receipt is not None and self._held[task.receipt].prepared
        if task.dead or taken or not (policy == "accepted" or (policy == "unless_taken" and free)):
            return [Send(sender, Settled(receipt, False)), self._said("ack refused", task)]
        settled = Send(sender, Settled(receipt, True))
        if task.over:
            return [settled]  # another was faster; nobody is told
        effects = [*self._end(task), settled]
        if task.receipt is None:
            effects.append(CancelTimer(DELAYED + task.name))
        else:  # whoever has it now works in vain, and cannot tell from its ack either
            del self._held[task.receipt]
            self._of_receipt[task.receipt] = task
            effects.append(CancelTimer(str(task.receipt)))
        return [*effects, Announce("task acked", {"task": _id(task), "late": True})]

    def _refused(self, sender: str, nack: Nack) -> list[Effect]:
        held = self._held.get(nack.receipt)
        if held is None:
            return [Send(sender, Settled(nack.receipt, False))]
        effects: list[Effect] = [Send(sender, Settled(nack.receipt, True)), CancelTimer(str(nack.receipt))]
        return [*effects, *self._expire(nack.receipt, "task refused", nack.delay), *self._deliver()]

    # Transactions.

    def _committed(self, sender: str, receipt: int) -> list[Effect]:
        """The effect and the ack are one write here: there is an effect if the ack counts, and never without."""
        task = self._held[receipt].task if receipt in self._held else self._of_receipt.get(receipt)
        before = task is None or task.over
        acked = self._acked(sender, receipt)
        ok = task is not None and not before and task.over
        answers = [Send(sender, Committed(receipt, ok)) if _is_answer(effect) else effect for effect in acked]
        if task is None or not ok:
            return answers
        return [Announce("effect", {"task": _id(task), "by": sender, "number": task.received}), *answers]

    def _prepared(self, sender: str, receipt: int) -> list[Effect]:
        held = self._held.get(receipt)
        if held is None:
            return [Send(sender, Vote(receipt, False))]
        held.prepared, held.missed = True, False
        return [
            *self._save("prepared", receipt, held.task.name, held.worker),
            Send(sender, Vote(receipt, True)),
            CancelTimer(str(receipt)),
            SetTimer(f"{IN_DOUBT}{receipt}", self.ask, self.ask),
        ]

    def _inquire(self, receipt: int) -> list[Effect]:
        held = self._held.get(receipt)
        if held is None or not held.prepared:
            return []
        return [Send(held.worker, Inquire(receipt)), SetTimer(f"{IN_DOUBT}{receipt}", self.ask, self.ask)]

    def _decided(self, sender: str, decide: Decide) -> list[Effect]:
        receipt = decide.receipt
        held = self._held.get(receipt)
        done: list[Effect] = [Send(sender, Decided(receipt))]
        if held is None or not held.prepared:
            return done
        held.prepared = False
        over = [*self._save("undecided no more", receipt), CancelTimer(f"{IN_DOUBT}{receipt}")]
        if not decide.commit:
            return [*over, *self._expire(receipt), *done, *self._deliver()]
        return [*over, *self._acked(sender, receipt), *done]

    # Words.

    def _save(self, *record: Any) -> list[Effect]:
        return [Save(record)] if self.delivery.durable else []

    def _said(self, kind: str, task: Task) -> Announce:
        return Announce(kind, {"task": _id(task), "number": task.received})


def _is_answer(effect: Effect) -> bool:
    return isinstance(effect, Send) and isinstance(effect.message, Settled)


def _id(task: Task) -> str:
    """What producers and workers call it."""
    return task.name.partition(AGAIN)[0]
