"""The lines in which tasks wait for a worker."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Task:
    """A task in a queue: `receipt` is of the delivery that has it, None while it waits."""

    name: str
    group: str = ""
    receipt: int | None = None
    received: int = 0
    over: bool = False  # done, or a dead letter
    dead: bool = False


class Lines:
    """Tasks that come again, and behind them new ones; of a group only one is out at a time, the first of it."""

    def __init__(self) -> None:
        """Nobody waits."""
        self._again: deque[Task] = deque()
        self._fresh: deque[Task] = deque()
        self._first: dict[str, Task] = {}  # of each group that has a task out, or waiting to come again
        self._behind: dict[str, deque[Task]] = {}  # the others of these groups that have been met, in order

    def put(self, task: Task) -> None:
        """A new task."""
        self._fresh.append(task)

    def put_again(self, task: Task) -> None:
        """A task whose delivery has come to nothing."""
        self._again.append(task)

    def next(self) -> Task | None:
        """The task that is delivered next; None while none may be."""
        while self._again or self._fresh:
            task = (self._again or self._fresh).popleft()
            if task.over or task.receipt is not None:
                continue  # done by a late ack while it waited
            first = self._first.get(task.group)
            if first is not None and first is not task:
                self._behind.setdefault(task.group, deque()).append(task)
                continue
            if task.group:
                self._first[task.group] = task
            return task
        return None

    def hold(self, task: Task) -> None:
        """A task that is out already: the others of its group wait."""
        if task.group:
            self._first[task.group] = task

    def end(self, task: Task) -> None:
        """A task is over: the next of its group may go."""
        task.over = True
        if self._first.get(task.group) is not task:
            return
        del self._first[task.group]
        behind = self._behind.get(task.group)
        if behind:
            self._fresh.appendleft(behind.popleft())
        else:
            self._behind.pop(task.group, None)
