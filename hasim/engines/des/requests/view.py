"""What a balancer thinks of its servers: who may be chosen, by checks, ejection, operator and room; at what weight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import TYPE_CHECKING, Protocol

from hasim.balancing import Backend, Chooser
from hasim.balancing.ejection import Detector, Turn
from hasim.engines.des.world.alarm import Alarm
from hasim.model.parts import Balancer
from hasim.streams import Streams

if TYPE_CHECKING:
    from hasim.engines.des.requests.caller import Client
    from hasim.engines.des.world import LeapingEnvironment

SLOW_START_STEPS = 20  # as HAProxy, which raises the weight every twentieth of its slowstart

Say = Callable[[str, int, str], None]  # what, which server, why


class Lanes(Protocol):
    """Which servers an upgrade lets requests go to: one lane for each version, and a lane for each request."""

    @property
    def count(self) -> int:
        """How many lanes there are."""

    def lane_of(self, server: int) -> int:
        """The lane of a server; -1: it gets no requests."""

    def lane_for(self, client: int) -> int:
        """The lane that a request of a client takes now."""


class View:
    """The servers of one balancer; `usable` are those that may be chosen, and the policy always knows them.

    `changed` is called when a server may have become usable that was not, for whoever has requests waiting.
    """

    def __init__(
        self,
        env: LeapingEnvironment,
        name: str,
        part: Balancer,
        servers: Sequence[str],
        streams: Streams,
        say: Say,
        changed: Callable[[], None],
    ) -> None:
        """Begin with every server up."""
        self._env = env
        self._part = part
        self._say = say
        self._changed = changed
        weights = part.weights
        self.backends = [Backend(server, i, weights.get(server, 1.0)) for i, server in enumerate(servers)]
        self.connected: list[dict[Client, None]] = [{} for _ in self.backends]  # sticky connections
        self._weights = [backend.weight for backend in self.backends]
        count = len(self.backends)
        self._marked = [True] * count  # by checks, or by what is known of readiness
        self._kept = [True] * count  # not ejected
        self._drained = [0] * count  # by how many operators
        self._rises = [0] * count  # numbers the times each server came back, for slow start
        self.cap = inf if part.max_connections is None else part.max_connections
        self._luck = streams[f"{name}/policy"]
        self._chooser = part.policy.start(self._luck)
        self.choose = self._chooser.choose
        self._lanes: Lanes | None = None
        self._choosers: list[Chooser] = []  # one a lane, where there are several
        self._laned: list[list[Backend]] = []  # the servers of each that may be chosen
        self._healthy = self.usable = list(self.backends)
        self._chooser.usable(self.usable)
        self.detector: Detector | None = None
        if part.ejection is not None:
            self.detector = part.ejection.start(count, streams[f"{name}/ejection"])
        self.watchers: list[Callable[[], None]] = []  # told when who is used has changed
        self._wake: Alarm | None = None
        self._wake_at = inf

    def is_used(self, index: int) -> bool:
        """Whether checks, ejection and operator allow a server."""
        return self._marked[index] and self._kept[index] and not self._drained[index]

    def refresh(self) -> None:
        """Work out anew which servers may be chosen, and tell the policy."""
        healthy = [backend for backend in self.backends if self.is_used(backend.index)]
        if self._part.panic and len(healthy) < self._part.panic * len(self.backends):
            healthy = [backend for backend in self.backends if not self._drained[backend.index]]
        if self._lanes is not None:
            lane_of = self._lanes.lane_of
            healthy = [backend for backend in healthy if lane_of(backend.index) >= 0]
        self._healthy = healthy
        self.usable = healthy if self.cap == inf else [backend for backend in healthy if not self._full(backend)]
        if self.usable:
            self._chooser.usable(self.usable)
        if self._choosers:
            self._sort_into_lanes()

    # Lanes: an upgrade sends requests to one version or another.

    def route(self, lanes: Lanes | None) -> None:
        """Send requests along these lanes from now on; None: to all servers alike."""
        self._lanes = lanes
        several = lanes is not None and lanes.count > 1
        self._choosers = [self._part.policy.start(self._luck) for _ in range(lanes.count)] if lanes and several else []
        self.choose = self._choose_in_lane if several else self._chooser.choose  # type: ignore[assignment]
        self.refresh()
        self._changed()

    def _sort_into_lanes(self) -> None:
        assert self._lanes is not None
        self._laned = [[] for _ in self._choosers]
        for backend in self.usable:
            self._laned[self._lanes.lane_of(backend.index)].append(backend)
        for chooser, servers in zip(self._choosers, self._laned, strict=True):
            if servers:
                chooser.usable(servers)

    def _choose_in_lane(self, client: int, avoid: Backend | None) -> Backend:
        """One of the servers of the request's lane; where that has none, one of all."""
        assert self._lanes is not None
        lane = self._lanes.lane_for(client)
        chooser = self._choosers[lane] if self._laned[lane] else self._chooser
        return chooser.choose(client, avoid)

    def waits_for_room(self) -> bool:
        """Whether a request may wait: some server is in use, and only full."""
        return self.cap < inf and bool(self._healthy)

    def _full(self, backend: Backend) -> bool:
        """Whether a server has all the requests and sticky connections that it may have."""
        return backend.active >= self.cap

    # Checks, readiness, and the operator.

    def mark(self, index: int, up: bool, why: str) -> bool:
        """Checks, or news of readiness, say that a server is up or down; return whether that is new."""
        if self._marked[index] == up:
            return False
        self._marked[index] = up
        self._say("server up" if up else "server down", index, why)
        self._rises[index] += 1
        if up and self._part.slow_start:
            self._ramp(index, self._rises[index], 1)
        self.refresh()
        self._changed()
        self._tell()
        return True

    def is_let_in(self, index: int) -> bool:
        """Whether no operator keeps a server out of use."""
        return not self._drained[index]

    def drain(self, index: int, by: int) -> None:
        """An operator takes a server out of use (1), or lets it in again (-1)."""
        before, self._drained[index] = self._drained[index], self._drained[index] + by
        if bool(before) != bool(self._drained[index]):
            self._say("server drained" if self._drained[index] else "server let in", index, "the operator")
            self.refresh()
            self._changed()
            self._tell()

    def _tell(self) -> None:
        for watcher in self.watchers:
            watcher()

    def _ramp(self, index: int, rise: int, step: int) -> None:
        """Raise the weight by one step of twenty, unless the server has fallen, or risen again, since."""
        if rise != self._rises[index]:
            return
        self.backends[index].weight = self._weights[index] * step / SLOW_START_STEPS
        if step > 1:
            self.refresh()
            self._tell()
        if step < SLOW_START_STEPS:
            pause = self._part.slow_start / SLOW_START_STEPS
            Alarm(self._env, self._env._now + pause, lambda: self._ramp(index, rise, step + 1))

    # Ejection.

    def chosen(self, index: int) -> None:
        """A request is being sent to a server."""
        if self.detector is not None:
            self._turn(self.detector.chosen(index, self._env._now))

    def blame(self, index: int, failure: str | None) -> None:
        """A server has answered well (None), or failed like this."""
        if self.detector is not None:
            self._turn(self.detector.answered(index, failure, self._env._now))

    def _turn(self, turns: Sequence[Turn]) -> None:
        for turn in turns:
            self._kept[turn.index] = turn.usable
            self._say("server back" if turn.usable else "server ejected", turn.index, turn.why)
        if turns:
            self.refresh()
            if any(turn.usable for turn in turns):
                self._changed()
            self._tell()
        self._set_wake()

    def _set_wake(self) -> None:
        assert self.detector is not None
        at = self.detector.wake_at
        if at == inf or (self._wake is not None and self._wake.pending and self._wake_at <= at):
            return
        if self._wake is not None:
            self._wake.cancel()
        self._wake_at = at
        self._wake = Alarm(self._env, max(at, self._env._now), self._woken)

    def _woken(self) -> None:
        assert self.detector is not None
        self._wake = None
        if self._wake_at < self.detector.wake_at:  # failures since then have put it off
            self._set_wake()
            return
        self._turn(self.detector.wake(self._env._now))
