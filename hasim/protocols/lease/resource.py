"""What leaders write to: a resource outside the lease's store, with or without a fence."""

from __future__ import annotations

from typing import Literal

from hasim.machine import Announce, Effect, Event, Received, Save, Send, Started
from hasim.protocols.lease.messages import Write, Wrote

Fence = Literal["none", "token", "version"]


class Resource:
    """The protected resource, as a pure machine: it counts the items that are done.

    With the fence `token` it refuses a token below the highest it has seen, in a write or a question; with `version` it
    takes only the item that comes next; else it takes all. Each item it takes is an effect on the world, announced as
    "effect" with the item, the token and who wrote; what it refuses is announced as "write refused".

    It hears Started and Received(leader, Write), and answers Wrote. What it has seen survives a crash. Source of the
    tokens: Kleppmann, "How to do distributed locking" (2016).
    """

    def __init__(self, fence: Fence) -> None:
        """Nothing is done yet."""
        self.fence = fence
        self.done = 0
        self.highest = 0

    def step(self, event: Event, now: float) -> list[Effect]:
        """Take in an event and ask for effects, in order; the time of day changes nothing."""
        if isinstance(event, Received):
            if isinstance(event.message, Write):
                return self._write(event.sender, event.message)
        elif isinstance(event, Started) and event.saved is not None:
            self.done, self.highest = event.saved
        return []

    def _write(self, sender: str, write: Write) -> list[Effect]:
        why = self._objection(write)
        if not why:
            self.done, self.highest = max(self.done, write.item), max(self.highest, write.token)
        said = {"item": write.item, "token": write.token, "by": sender}
        seen = Announce("write refused", {**said, "why": why}) if why else Announce("effect", said)
        return [
            *([seen] if write.item else []),
            *([] if why else [Save((self.done, self.highest))]),
            Send(sender, Wrote(write.n, self.done, why)),
        ]

    def _objection(self, write: Write) -> str:
        if self.fence == "token" and write.token < self.highest:
            return "fenced"
        if self.fence == "version" and write.item not in (0, self.done + 1):
            return "conflict"
        return ""


def keep_last(saved: object, record: object) -> object:
    """The journal of a Resource: the last record is all there is."""
    return record
