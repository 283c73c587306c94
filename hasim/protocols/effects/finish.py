"""What a worker does between the end of its work and the ack, by the kind of effect."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from math import ceil
from typing import Any, Final

from hasim.machine import CancelTimer, Effect, Save, Send, SetTimer
from hasim.protocols.delivery.messages import (
    Ack,
    Commit,
    Committed,
    Decide,
    Decided,
    Delivered,
    Hello,
    Inquire,
    Prepare,
    Vote,
)
from hasim.protocols.effects.messages import Look, Mark, Show, Told, Write
from hasim.protocols.effects.settings import EffectKind, Fenced, Keyed, Plain, Transactional, TwoPhase

FINISH: Final = "finish"

Went = tuple[list[Effect], bool]
"""What to do, and whether the worker is through with the task."""


class Finish(ABC):
    """How one worker writes the result of one task after another; it acks, if the task is done."""

    def __init__(self, broker: str, sink: str) -> None:
        self.broker = broker
        self.sink = sink
        self.task = Delivered("", 0, 0)

    @property
    def is_at_rest(self) -> bool:
        """Whether nobody waits for what only this process knows, tasks under way apart."""
        return True

    def start(self, saved: Any) -> list[Effect]:
        """The worker's process begins."""
        return []

    def attempt(self, task: Delivered) -> list[Effect]:
        """An attempt at a task begins."""
        self.task = task
        return []

    @abstractmethod
    def result(self, now: float) -> list[Effect]:
        """The work is done, and here is its result."""

    @abstractmethod
    def hear(self, sender: str, message: object) -> Went:
        """Something was answered, or asked."""

    def fired(self) -> Went:
        """The timer `FINISH` has run out."""
        return [], False

    def lost(self) -> Went:
        """The connection to the broker has broken, while a result was being written."""
        return [], False

    def _ack(self) -> Effect:
        return Send(self.broker, Ack(self.task.receipt))


class PlainFinish(Finish):
    """Write, then ack; by a key or a token the resource knows what it has."""

    def __init__(self, broker: str, sink: str, keyed: bool = False, fenced: bool = False, acks: bool = True) -> None:
        super().__init__(broker, sink)
        self._keyed = keyed
        self._fenced = fenced
        self._acks = acks

    def attempt(self, task: Delivered) -> list[Effect]:
        self.task = task
        return [Send(self.sink, Show(task.task, task.number))] if self._fenced else []

    def result(self, now: float) -> list[Effect]:
        task = self.task
        return [Send(self.sink, Write(task.receipt, task.task, task.number, self._keyed))]

    def hear(self, sender: str, message: object) -> Went:
        if not isinstance(message, Told) or message.n != self.task.receipt:
            return [], False
        return ([self._ack()] if self._acks and message.outcome != "refused" else []), True


class StepsFinish(Finish):
    """A key that is not stored with the effect, but before it or after it."""

    def __init__(self, broker: str, sink: str, key_first: bool, acks: bool = True) -> None:
        super().__init__(broker, sink)
        self._key_first = key_first
        self._acks = acks
        self._left: list[Callable[[Delivered], Any]] = []

    def result(self, now: float) -> list[Effect]:
        def look(task: Delivered) -> Any:
            return Look(task.receipt, task.task)

        def mark(task: Delivered) -> Any:
            return Mark(task.receipt, task.task)

        def write(task: Delivered) -> Any:
            return Write(task.receipt, task.task, task.number)

        self._left = [mark, write] if self._key_first else [look, write, mark]
        return self._next()

    def _next(self) -> list[Effect]:
        return [Send(self.sink, self._left.pop(0)(self.task))]

    def hear(self, sender: str, message: object) -> Went:
        if not isinstance(message, Told) or message.n != self.task.receipt:
            return [], False
        if message.outcome == "seen" or not self._left:
            return ([self._ack()] if self._acks else []), True
        return self._next(), False


class TransactionFinish(Finish):
    """Result and ack are one write, at the next commit."""

    def __init__(self, broker: str, sink: str, takes: float, every: float) -> None:
        super().__init__(broker, sink)
        self._takes = takes
        self._every = every

    def result(self, now: float) -> list[Effect]:
        wait = self._takes
        if self._every:
            wait += max(0.0, ceil(now / self._every) * self._every - now)
        return [SetTimer(FINISH, wait, wait)]

    def fired(self) -> Went:
        return [Send(self.broker, Commit(self.task.receipt))], False

    def hear(self, sender: str, message: object) -> Went:
        return [], isinstance(message, Committed) and message.receipt == self.task.receipt

    def lost(self) -> Went:
        return [CancelTimer(FINISH)], True


class TwoPhaseFinish(Finish):
    """The coordinator of a two-phase commit; what it has decided is in its log."""

    def __init__(self, broker: str, sink: str, takes: float) -> None:
        super().__init__(broker, sink)
        self._takes = takes
        self._yes: dict[str, bool] = {}
        self._collecting: int | None = None  # the receipt that is being voted on
        self._waiting: dict[int, set[str]] = {}  # who has not carried out a decision

    @property
    def is_at_rest(self) -> bool:
        return not self._waiting

    def start(self, saved: Any) -> list[Effect]:
        """Let the resource ask, and tell again what was decided before the end of the last process."""
        return [Send(self.sink, Hello()), *(effect for receipt in saved or () for effect in self._tell(receipt, True))]

    def result(self, now: float) -> list[Effect]:
        task = self.task
        self._collecting, self._yes = task.receipt, {}
        prepare = Prepare(task.receipt, task.task)
        return [Send(self.broker, prepare), Send(self.sink, prepare)]

    def hear(self, sender: str, message: object) -> Went:
        if isinstance(message, Inquire):
            return self._answer(sender, message.receipt), False
        if isinstance(message, Decided):
            return self._carried_out(sender, message.receipt), False
        if not isinstance(message, Vote) or message.receipt != self._collecting:
            return [], False
        self._yes[sender] = message.yes
        if len(self._yes) < 2:
            return [], False
        if not all(self._yes.values()):
            return self._abort(), True
        log = 2 * self._takes  # theirs of the votes, side by side, then its own
        return [SetTimer(FINISH, log, log)], False

    def fired(self) -> Went:
        receipt = self.task.receipt
        self._collecting = None
        return [Save(("commit", receipt)), *self._tell(receipt, True)], True

    def lost(self) -> Went:
        """Without the vote of the broker it is no; with it the broker waits for the decision."""
        return ([], False) if len(self._yes) == 2 else (self._abort(), True)

    def _abort(self) -> list[Effect]:
        receipt, self._collecting = self.task.receipt, None
        return self._tell(receipt, False)

    def _tell(self, receipt: int, commit: bool) -> list[Effect]:
        if commit:
            self._waiting[receipt] = {self.broker, self.sink}
        return [Send(other, Decide(receipt, commit)) for other in (self.broker, self.sink)]

    def _answer(self, sender: str, receipt: int) -> list[Effect]:
        if receipt == self._collecting:
            return []
        return [Send(sender, Decide(receipt, receipt in self._waiting))]

    def _carried_out(self, sender: str, receipt: int) -> list[Effect]:
        waiting = self._waiting.get(receipt)
        if waiting is None:
            return []
        waiting.discard(sender)
        if waiting:
            return []
        del self._waiting[receipt]
        return [Save(("end", receipt), sync=False)]


def keep_decisions(saved: Any, record: Any) -> Any:
    """How the records of a coordinator add up: receipts that were decided, and may not have been carried out."""
    kept: set[int] = saved if isinstance(saved, set) else set()
    what, receipt = record
    if what == "commit":
        kept.add(receipt)
    else:
        kept.discard(receipt)
    return kept


def finish_of(kind: EffectKind, broker: str, sink: str, acks: bool = True) -> Finish:
    """Return how a worker finishes a task with this kind of effect; `acks`: afterwards, rather than before the work."""
    if isinstance(kind, Keyed) and kind.order != "together":
        return StepsFinish(broker, sink, kind.order == "key_first", acks)
    if isinstance(kind, Transactional):
        return TransactionFinish(broker, sink, kind.takes, kind.every)
    if isinstance(kind, TwoPhase):
        return TwoPhaseFinish(broker, sink, kind.takes)
    assert isinstance(kind, Plain | Keyed | Fenced), f"{kind!r} is no kind of effect"
    return PlainFinish(broker, sink, isinstance(kind, Keyed), isinstance(kind, Fenced), acks)
