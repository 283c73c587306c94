"""What workers say to the resource that has their results, and what it says to them; `n` is the receipt of a task."""

from __future__ import annotations

from typing import Literal, NamedTuple

Outcome = Literal["done", "seen", "refused"]
"""The effect happened; it had happened before, and here is its result; a higher token has been seen."""


class Show(NamedTuple):
    """An attempt begins under this token."""

    task: str
    token: int


class Look(NamedTuple):
    """Is there a result of this task?"""

    n: int
    task: str


class Write(NamedTuple):
    """Here is the result of this task: have its effect; `keyed`: unless it has had it."""

    n: int
    task: str
    token: int = 0
    keyed: bool = False


class Mark(NamedTuple):
    """Remember the key of this task; the answer says whether it was there."""

    n: int
    task: str


class Told(NamedTuple):
    """The answer to any of these."""

    n: int
    outcome: Outcome
