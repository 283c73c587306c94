"""A small world for rollouts: pods that start and drain for a time, crash and come back, timers, and people.

Everything happens at an exact time, in the order in which it was asked for. What a rollout may never ask for (a
name that is taken, a pod that is not there, one that leaves already) is an error at once. What was heard is kept, so
that a rollout can be told the same again.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from hasim.machine import Announce, CancelTimer, Effect, Event, Fired, Proposed, Received, Send, SetTimer, Started
from hasim.protocols.rollout import TRAFFIC, Begin, Leave, Left, Notice, Ready, Rollout, Shift, Unready, Warn

Takes = float | Callable[[str, str], float | None]
"""How many seconds something takes, or what says so of a pod and its version; None: for ever."""

COMMANDS = ("Pause", "Resume", "RollBack", "Retry", "Scale")


@dataclass
class Running:
    """A pod: its version, whether it is up, and whether it was asked to leave."""

    version: str
    serial: int
    up: bool = False
    since: float = float("-inf")  # when it came up
    leaving: bool = False


class Play:
    """One rollout in its world. `watch` is called after each step, when all that it asked for is done.

    `pods` has all that are there, `up` of them serve; `warned` are those whose checks fail though they serve.
    """

    def __init__(
        self,
        machine: Rollout,
        starts: Takes = 10.0,
        drains: Takes = 5.0,
        watch: Sequence[Callable[[Play], None]] = (),
    ) -> None:
        self.machine, self.starts, self.drains, self.watch = machine, starts, drains, list(watch)
        self.now = 0.0
        self._serial = 0
        self.pods = {name: Running(machine.old, self._next(), up=True) for name in machine.initial}
        self.warned: set[str] = set()
        self.said: list[tuple[float, str]] = []  # what was announced
        self.shares: Any = None  # what traffic was told last
        self.notice = False
        self.broken: set[str] = set()  # pods that have crashed and are not up again
        self.disturbed = False  # whether any pod has ever crashed
        self.heard: list[tuple[float, Event, list[Effect]]] = []
        self.lines: list[tuple[float, list[str]]] = []
        self._timers: dict[str, int] = {}
        self._heap: list[tuple[float, int, Callable[[], None]]] = []

    def _next(self) -> int:
        self._serial += 1
        return self._serial

    # Time.

    def at(self, time: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (time, self._next(), action))

    def order(self, time: float, command: Any) -> Play:
        """Somebody wants something."""
        self.at(time, lambda: self._told(command))
        return self

    def _told(self, command: Any) -> None:
        self._note(f"[{type(command).__name__} {command.replicas}]" if command else f"[{type(command).__name__}]")
        self.tell(Proposed(command))

    def crash(self, time: float, name: str | int, back: float | None = 3.0) -> Play:
        """A pod dies, by its name or as the so manieth of those that are there; it is up again later, or never."""
        self.at(time, lambda: self._crash(name, back))
        return self

    def say(self, time: float, name: str, message: Any) -> Play:
        """News comes late, of somebody who may be long gone."""
        self.at(time, lambda: self.tell(Received(name, message)))
        return self

    def run(self, until: float = 1e6) -> Play:
        """Let everything happen that is due by then, from the begin of the rollout on."""
        if not self.heard:
            self.tell(Started())
        while self._heap and self._heap[0][0] <= until:
            self.now, _, action = heapq.heappop(self._heap)
            action()
        return self

    # The rollout.

    def tell(self, event: Event) -> None:
        effects = self.machine.step(event, self.now)
        self.heard.append((self.now, event, effects))
        for effect in effects:
            self._do(effect)
        for watcher in self.watch:
            watcher(self)

    def _do(self, effect: Effect) -> None:
        if isinstance(effect, SetTimer):
            assert effect.low == effect.high >= 0.0, effect
            serial = self._timers[effect.timer] = self._next()
            self.at(self.now + effect.low, lambda: self._fire(effect.timer, serial))
        elif isinstance(effect, CancelTimer):
            self._timers.pop(effect.timer, None)
        elif isinstance(effect, Announce):
            self.said.append((self.now, effect.kind))
            self._note(effect.kind.upper() if effect.kind in ("rolled out", "rolled back") else effect.kind)
        else:
            assert isinstance(effect, Send), effect
            self._send(effect.to, effect.message)

    def _fire(self, timer: str, serial: int) -> None:
        if self._timers.get(timer) == serial:
            del self._timers[timer]
            self.tell(Fired(timer))

    def _send(self, to: str, message: Any) -> None:
        if isinstance(message, Shift):
            assert to == TRAFFIC
            self.shares = message.shares
            ways = "all" if message.shares is None else " ".join(f"{v}={share:g}" for v, share in message.shares)
            self._note(f"requests: {ways}")
        elif isinstance(message, Notice):
            assert to == TRAFFIC and message.on is not self.notice, "a notice twice"
            self.notice = message.on
            self._note("notice up" if message.on else "notice down")
        elif isinstance(message, Begin):
            assert to not in self.pods, f"{to} is there already"
            self.pods[to] = Running(message.version, self._next())
            self._note(f"+{to} {message.version}")
            self._start(to)
        else:
            pod = self.pods.get(to)
            assert pod is not None, f"{message} for {to}, whom nobody knows"
            self._leave(to, pod) if isinstance(message, Leave) else self._warn(to, message)

    def _leave(self, name: str, pod: Running) -> None:
        assert not pod.leaving, f"{name} was asked to leave before"
        pod.leaving = True
        self._note(f"-{name}")
        serial, takes = pod.serial, self._takes(self.drains, name, pod.version)
        if takes is not None:
            self.at(self.now + takes, lambda: self._gone(name, serial))

    def _warn(self, name: str, warn: Warn) -> None:
        self._note(f"{name} {'warned' if warn.on else 'as ever'}")
        (self.warned.add if warn.on else self.warned.remove)(name)
        pod = self.pods[name]
        if pod.up and not pod.leaving:
            self._hear(name, Unready() if warn.on else Ready())

    def _hear(self, name: str, message: Any) -> None:
        self.at(self.now, lambda: self.tell(Received(name, message)))

    # Pods.

    def _takes(self, takes: Takes, name: str, version: str) -> float | None:
        return takes(name, version) if callable(takes) else takes

    def _start(self, name: str) -> None:
        pod = self.pods[name]
        serial, takes = pod.serial, self._takes(self.starts, name, pod.version)
        if takes is not None:
            self.at(self.now + takes, lambda: self._ready(name, serial))

    def _same(self, name: str, serial: int) -> Running | None:
        pod = self.pods.get(name)
        return pod if pod is not None and pod.serial == serial else None

    def _ready(self, name: str, serial: int) -> None:
        pod = self._same(name, serial)
        if pod is None or pod.leaving:
            return
        pod.up, pod.since = True, self.now
        self.broken.discard(name)
        self._note(f"{name} ready")
        if name not in self.warned:
            self.tell(Received(name, Ready()))

    def _gone(self, name: str, serial: int) -> None:
        if self._same(name, serial) is not None:
            del self.pods[name]
            self.broken.discard(name)
            self._note(f"{name} gone")
            self.tell(Received(name, Left()))

    def _crash(self, which: str | int, back: float | None) -> None:
        name = which if isinstance(which, str) else ([*self.pods] or [""])[which % max(len(self.pods), 1)]
        pod = self.pods.get(name)
        if pod is None:
            return
        self.disturbed = True
        self._note(f"{name} dies")
        if pod.leaving:  # whoever leaves and dies has left
            self._gone(name, pod.serial)
            return
        pod.up, pod.serial = False, self._next()
        self.broken.add(name)
        serial = pod.serial
        if back is not None:
            self.at(self.now + back, lambda: self._ready(name, serial))
        self.tell(Received(name, Unready()))

    # What there is.

    def staying(self, version: str | None = None) -> list[str]:
        """The pods that stay, of a version or of all."""
        return [name for name, pod in self.pods.items() if not pod.leaving and version in (None, pod.version)]

    def up(self, version: str | None = None) -> list[str]:
        """Those of them that serve."""
        return [name for name in self.staying(version) if self.pods[name].up]

    def available(self) -> list[str]:
        """Those of them that have served for long enough."""
        return [name for name in self.up() if self.now >= self.pods[name].since + self.machine.min_ready]

    def versions(self) -> dict[str, int]:
        """How many pods there are of each version, with those that leave."""
        found: dict[str, int] = {}
        for pod in self.pods.values():
            found[pod.version] = found.get(pod.version, 0) + 1
        return found

    def when(self, kind: str) -> list[float]:
        """When this was announced."""
        return [round(time, 3) for time, said in self.said if said == kind]

    def ends(self) -> list[str]:
        return [kind for _, kind in self.said if kind in ("rolled out", "rolled back")]

    def _note(self, text: str) -> None:
        if not self.lines or self.lines[-1][0] != self.now:
            self.lines.append((self.now, []))
        self.lines[-1][1].append(text)

    def story(self) -> str:
        """What happened, one instant a line."""
        return "\n".join(f"{round(time, 3):g}: {', '.join(texts)}" for time, texts in self.lines)


def told(text: str) -> str:
    """A story as it stands in a test, indented and with blank lines around it."""
    return "\n".join(line.strip() for line in text.strip().splitlines())


def replays(play: Play, fresh: Rollout, fork_at: int) -> None:
    """A rollout is pure: a fresh one, and a copy of it from the middle on, ask for the same if they hear the same."""
    copy: Rollout | None = None
    for number, (now, event, effects) in enumerate(play.heard):
        if number == fork_at:
            copy = deepcopy(fresh)
        assert fresh.step(event, now) == effects
        if copy is not None:
            assert copy.step(event, now) == effects
