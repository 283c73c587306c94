"""Who of a part's members is active, and the failover when that one falls, a SimPy process each time."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import TYPE_CHECKING, Any

from simpy import Event, Interrupt, Process

from hasim.engines.des.draws import draws
from hasim.model.system import Switch

if TYPE_CHECKING:
    from hasim.engines.des.clocks import IdleClock
    from hasim.engines.des.live import LiveCluster


class Role:
    """The role of the active member in one part.

    Either somebody is active, or a failover is going on, or it is dark: too few members stand for anybody to
    act.
    """

    def __init__(self, live: LiveCluster, switch: Switch, members: list[str]) -> None:
        """Nobody is active before `appoint`."""
        self.live = live
        self.switch = switch
        self.members = members
        self.active: int | None = None
        self.former: int | None = None  # who carries on if it is back before the failover ends
        self.failover: Process | None = None
        self.idlers: list[list[IdleClock]] = [[] for _ in members]  # clocks that mind who is active, by member
        self._began = 0.0
        self._rng = live.streams[f"{switch.part}/active"]
        failover = switch.failover
        self._takes = draws(failover.takes, live.streams, f"{switch.part}/takes")
        by_hand = failover.takes if failover.manual is None else failover.manual  # the first is never used
        self._manual = draws(by_hand, live.streams, f"{switch.part}/manual")
        nodes = [live.gates.add(expr) for expr in switch.standing]
        self.standing = [live.gates.is_true(node) for node in nodes]
        for i, node in enumerate(nodes):
            live.listen(node, partial(self._turned, i))

    def appoint(self, first: bool) -> None:
        """Make somebody active at the very beginning: the first member, or any that stands."""
        if first:
            self._activate(0)
        elif sum(self.standing) >= self.switch.enough:
            self._activate(self._anyone())

    def _turned(self, member: int, up: bool) -> None:
        self.standing[member] = up
        self.live.unsettled[self.switch.part] = self

    def settle(self) -> None:
        """Apply the rules to the members as they stand now."""
        enough = sum(self.standing) >= self.switch.enough
        if not enough:
            self._go_dark()
        elif self.active is not None:
            if not self.standing[self.active]:
                self._begin(former=self.active if self.switch.resumes else None)
        elif self.failover is not None:
            if self.former is not None and self.standing[self.former]:
                self._call_off()
                self._end(self.former)
        elif self.switch.regains_at_once:
            self._activate(self._anyone())
            self.live.note("active", self.switch.part, {"active": self._name()})
        else:
            self._begin(former=None)

    def _go_dark(self) -> None:
        if self.failover is not None:
            self._call_off()
            self._end(None)
        self._activate(None)

    def _begin(self, former: int | None) -> None:
        fallen = self._name()
        self._activate(None)
        covered = self._covered()
        lasting = next(self._takes if covered else self._manual)
        detail = {"from": fallen} if covered else {"from": fallen, "by hand": True}
        self.live.note("failover begun", self.switch.part, detail)
        self._began = self.live.env.now
        if lasting == 0:  # a role that passes on in no time leaves no gap
            self._end(self._anyone())
            return
        self.former = former
        self.live.turn(self.switch.led, False)
        self.failover = self.live.env.process(self._wait(lasting))

    def _wait(self, lasting: float) -> Generator[Event, Any, None]:
        try:
            yield self.live.env.timeout(lasting)
        except Interrupt:
            return
        self.failover = None
        self._end(self._anyone())

    def _end(self, active: int | None) -> None:
        self._activate(active)
        took = self.live.env.now - self._began
        self.live.note("failover ended", self.switch.part, {"active": self._name(), "took": took})
        if not self.live.gates.is_true(self.switch.led):
            self.live.turn(self.switch.led, True)

    def _call_off(self) -> None:
        assert self.failover is not None
        if self.failover.is_alive:
            self.failover.interrupt("called off")
        self.failover = None

    def _activate(self, member: int | None) -> None:
        before, self.active, self.former = self.active, member, None
        if before == member:
            return
        for one, working in ((before, False), (member, True)):
            for clock in self.idlers[one] if one is not None else []:
                clock.set_working(working)

    def _covered(self) -> bool:
        coverage = self.switch.failover.coverage
        return coverage >= 1 or bool(self._rng.random() < coverage)

    def _anyone(self) -> int:
        candidates = [i for i, stands in enumerate(self.standing) if stands]
        return candidates[0] if len(candidates) == 1 else candidates[int(self._rng.integers(len(candidates)))]

    def _name(self) -> str | None:
        return None if self.active is None else self.members[self.active]
