"""Active health checks as HAProxy makes them: the settings, the counter, and the machine that checks one server."""

from __future__ import annotations

from typing import Final, Literal, Self

from pydantic import Field, model_validator

from hasim.declared import Declared, at
from hasim.errors import ModelError
from hasim.machine import (
    Announce,
    CancelTimer,
    Effect,
    Event,
    Exit,
    Fired,
    Received,
    Send,
    SetTimer,
    Started,
    Stopping,
    Unlinked,
)
from hasim.protocols.health.messages import Ping, Pong
from hasim.units import Count, Seconds, Share, duration_text

SHORTEST_S: Final = 0.001
"""HAProxy counts times in whole milliseconds (doc/configuration.txt, 2.5. Time format)."""

Initial = Literal["fully-up", "up", "down", "fully-down"]


class Check(Declared):
    """How often a server is checked, and how many checks it takes to take it out or back in.

    Defaults are HAProxy's (doc/configuration.txt, "inter", "fall", "rise", "fastinter", "downinter", "init-state",
    "spread-checks", "timeout check"). A check begins one wait after the previous one ended, so that a server which
    hangs costs a timeout and a wait each time. Waits and the timeout are at least a millisecond, HAProxy's unit.

    HAProxy begins with its servers spread over an interval (src/check.c, start_check_task), but checks that fall due
    while it stands still are all made when it goes on, and stay `in_step` since each wait begins as a check ends.
    """

    interval: Seconds = Field(default=2.0, description="Wait between checks of a server that is up; HAProxy: 2s.")
    fall: Count = Field(default=3, ge=1, description="Failures in a row that take a server out; HAProxy: 3.")
    rise: Count = Field(default=2, ge=1, description="Successes in a row that take it back in; HAProxy: 2.")
    fast_interval: Seconds | None = Field(
        default=None, description="Wait while the server is about to turn; left out: as `interval`."
    )
    down_interval: Seconds | None = Field(
        default=None, description="Wait while it is down and no check has passed; left out: as `interval`."
    )
    timeout: Seconds | None = Field(
        default=None, description="Longest wait for an answer; left out: as `interval`, however short the wait."
    )
    spread: Share = Field(
        default=0.0, le=0.5, description="Every wait is longer or shorter by up to this share; HAProxy: 0, at most 50%."
    )
    in_step: bool = Field(
        default=False,
        strict=True,
        description="Whether a balancer checks all its servers at the same moments, and not each at its own.",
    )
    initial: Initial = Field(
        default="up",
        description="What a server counts as at first: 'up' falls with its first failure, 'down' rises with its first "
        "success, the full ones take as many as ever; HAProxy: up.",
    )

    @model_validator(mode="after")
    def _no_shorter_than_a_millisecond(self) -> Self:
        times = {
            "interval": self.interval,
            "fast_interval": self.fast_interval,
            "down_interval": self.down_interval,
            "timeout": self.timeout,
        }
        wrong = [
            at((field,), f"got {duration_text(time)}; it is at least {duration_text(SHORTEST_S)}")
            for field, time in times.items()
            if time is not None and time < SHORTEST_S
        ]
        if wrong:
            raise ModelError.of(wrong)
        return self

    @property
    def fast(self) -> float:
        """The wait between checks while the server is about to turn, in seconds."""
        return self.interval if self.fast_interval is None else self.fast_interval

    @property
    def down(self) -> float:
        """The wait between checks while the server is fully down, in seconds."""
        return self.interval if self.down_interval is None else self.down_interval

    @property
    def longest(self) -> float:
        """How long a check waits for its answer, in seconds."""
        return self.interval if self.timeout is None else self.timeout

    @property
    def full(self) -> int:
        """The counter of a server that is up and has not failed of late."""
        return self.rise + self.fall - 1


class HealthCheck:
    """The checks of one server by one checker, as a pure machine.

    The counter is HAProxy's (src/check.c, set_server_check_status): 0 to rise + fall - 1, up from `rise` on. A success
    of a server that is up fills it, a failure of one that is down empties it, so only checks in a row count.

    It hears Started, Received(server, Pong), the timers "next" and "timeout", and Unlinked(server), which fails the
    check under way. It sends Pings, and announces "server up" and "server down", with the server and why, on a turn.
    The first check comes at a random moment of one interval. To begin afresh, as after maintenance, make a new one.
    """

    __slots__ = ("check", "health", "pending", "sent", "server")

    def __init__(self, check: Check, server: str, up: bool = True) -> None:
        """Begin as `check.initial` says, or fully down if not `up`."""
        self.check = check
        self.server = server
        self.sent = 0
        self.pending = False  # whether check `sent` is under way
        begins = {"fully-up": check.full, "up": check.rise, "down": check.rise - 1, "fully-down": 0}
        self.health = begins[check.initial] if up else 0

    @property
    def up(self) -> bool:
        """Whether the server counts as up."""
        return self.health >= self.check.rise

    def step(self, event: Event, now: float) -> list[Effect]:
        """Take in an event and ask for effects, in order; the time of day changes nothing."""
        if isinstance(event, Fired):
            if event.timer == "next" and not self.pending:
                return self._send()
            if event.timer == "timeout" and self.pending:
                return self._ended(False, "timeout")
        elif isinstance(event, Received):
            message = event.message
            # An answer to a check that was given up says nothing of now.
            if self.pending and event.sender == self.server and isinstance(message, Pong) and message.n == self.sent:
                return [CancelTimer("timeout"), *self._ended(message.ok, message.why)]
        elif isinstance(event, Unlinked):
            if self.pending and event.peer == self.server:
                return [CancelTimer("timeout"), *self._ended(False, "connection lost")]
        elif isinstance(event, Started):
            return [SetTimer("next", 0.0, self.check.interval)]
        elif isinstance(event, Stopping):
            self.pending = False
            return [CancelTimer("next"), CancelTimer("timeout"), Exit("asked to stop")]
        return []

    def _send(self) -> list[Effect]:
        self.sent += 1
        self.pending = True
        longest = self.check.longest
        return [Send(self.server, Ping(self.sent)), SetTimer("timeout", longest, longest)]

    def _ended(self, ok: bool, why: str) -> list[Effect]:
        self.pending = False
        was_up = self.up
        self._count(ok)
        wait, spread = self._wait(), self.check.spread
        effects: list[Effect] = [SetTimer("next", wait * (1.0 - spread), wait * (1.0 + spread))]
        if self.up is not was_up:
            kind = "server up" if self.up else "server down"
            effects.append(Announce(kind, {"server": self.server, "why": why}))
        return effects

    def _count(self, ok: bool) -> None:
        rise, full = self.check.rise, self.check.full
        if ok:
            self.health = min(self.health + 1, full)
            if self.health >= rise:
                self.health = full
        elif self.health > 0:
            self.health -= 1
            if self.health < rise:
                self.health = 0

    def _wait(self) -> float:
        """HAProxy's srv_getinter (src/server.c): by how far the counter is from either end."""
        if self.health == self.check.full:
            return self.check.interval
        return self.check.down if self.health == 0 else self.check.fast
