"""The resource that has the effects: it writes results, remembers keys and tokens, and can prepare."""

from __future__ import annotations

from typing import Any, Final

from hasim.machine import Announce, CancelTimer, Effect, Event, Fired, Received, Send, SetTimer
from hasim.protocols.delivery.messages import Decide, Decided, Hello, Inquire, Prepare, Vote
from hasim.protocols.effects.messages import Look, Mark, Outcome, Show, Told, Write
from hasim.protocols.effects.settings import EffectKind, Fenced, Keyed, TwoPhase

IN_DOUBT: Final = "in doubt "


class Sink:
    """The resource, as a pure machine: all that is asked of it takes its time, and then happens at once.

    It never fails. A task that is prepared is locked: whoever else would prepare it hears no.

    It hears Received of the messages of workers, and its timers. It announces "effect" (`task`, `by`, `number`),
    "result refused", "prepared" and "decided" (`task`, `commit`).
    """

    def __init__(self, kind: EffectKind) -> None:
        """A resource with no results."""
        self.kind = kind
        self._lookup = kind.lookup if isinstance(kind, Keyed) else 0.0
        self._window = kind.window if isinstance(kind, Keyed) else float("inf")
        self._ask = kind.ask if isinstance(kind, TwoPhase) else 1.0
        self._fences = isinstance(kind, Fenced)
        self._at: dict[str, float] = {}  # when the key of each task was stored, oldest first
        self._token: dict[str, int] = {}
        self._under_way: dict[str, tuple[str, Any]] = {}  # by timer: who asked what
        self._numbers = 0
        self._locked: dict[str, tuple[str, int]] = {}  # by task: the coordinator, and its receipt
        self._task_of: dict[tuple[str, int], str] = {}
        self.keys_most = 0

    def step(self, event: Event, now: float) -> list[Effect]:
        """Take in an event and ask for effects, in order."""
        if isinstance(event, Received):
            return self._received(event.sender, event.message)
        if not isinstance(event, Fired):
            return []
        if event.timer.startswith(IN_DOUBT):
            return self._inquire(event.timer.removeprefix(IN_DOUBT))
        return self._happens(*self._under_way.pop(event.timer), now)

    def _received(self, sender: str, message: object) -> list[Effect]:
        if isinstance(message, Show):
            self._token[message.task] = max(self._token.get(message.task, 0), message.token)
            return []
        if isinstance(message, Decide):
            return self._decided(sender, message)
        if isinstance(message, Prepare):  # its log is waited for by its coordinator
            return self._prepare(sender, message)
        if isinstance(message, Hello):  # a coordinator that can be asked from now on
            return []
        self._numbers += 1
        timer = str(self._numbers)
        self._under_way[timer] = (sender, message)
        looks = isinstance(message, Look) or (isinstance(message, Write) and message.keyed)
        writes = not isinstance(message, Look)
        lasting = self._lookup * looks + self.kind.takes * writes
        return [SetTimer(timer, lasting, lasting)]

    def _happens(self, sender: str, message: Any, now: float) -> list[Effect]:
        if isinstance(message, Look):
            return [Send(sender, Told(message.n, "seen" if self._knows(message.task, now) else "done"))]
        if isinstance(message, Mark):
            return [Send(sender, Told(message.n, self._mark(message.task, now)))]
        assert isinstance(message, Write), f"a worker asked for {message!r}"
        if self._fences and message.token < self._token.get(message.task, 0):
            refused = Announce("result refused", {"task": message.task, "number": message.token})
            return [Send(sender, Told(message.n, "refused")), refused]
        if message.keyed and self._mark(message.task, now) == "seen":
            return [Send(sender, Told(message.n, "seen"))]
        return [self._effect(sender, message.task, message.token), Send(sender, Told(message.n, "done"))]

    def _effect(self, sender: str, task: str, number: int) -> Announce:
        return Announce("effect", {"task": task, "by": sender, "number": number})

    # Keys.

    def _knows(self, task: str, now: float) -> bool:
        while self._at:  # forget what is too old
            oldest = next(iter(self._at))
            if self._at[oldest] + self._window > now:
                break
            del self._at[oldest]
        return task in self._at

    def _mark(self, task: str, now: float) -> Outcome:
        """Store a key; a key that is there stays as old as it is."""
        if self._knows(task, now):
            return "seen"
        self._at[task] = now
        self.keys_most = max(self.keys_most, len(self._at))
        return "done"

    # Two phases.

    def _prepare(self, sender: str, prepare: Prepare) -> list[Effect]:
        task = prepare.task
        if task in self._locked:
            return [Send(sender, Vote(prepare.receipt, False))]
        self._locked[task] = (sender, prepare.receipt)
        self._task_of[sender, prepare.receipt] = task
        return [
            Send(sender, Vote(prepare.receipt, True)),
            Announce("prepared", {"task": task, "by": sender}),
            SetTimer(IN_DOUBT + task, self._ask, self._ask),
        ]

    def _inquire(self, task: str) -> list[Effect]:
        if task not in self._locked:
            return []
        coordinator, receipt = self._locked[task]
        return [Send(coordinator, Inquire(receipt)), SetTimer(IN_DOUBT + task, self._ask, self._ask)]

    def _decided(self, sender: str, decide: Decide) -> list[Effect]:
        done = Send(sender, Decided(decide.receipt))
        task = self._task_of.pop((sender, decide.receipt), None)
        if task is None:
            return [done]
        del self._locked[task]
        said = Announce("decided", {"task": task, "commit": decide.commit})
        effect = [self._effect(sender, task, 0)] if decide.commit else []
        return [*effect, said, CancelTimer(IN_DOUBT + task), done]
