"""The life of a unit as a SimPy process: up, down, and what lies between failing and coming back."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from simpy import Event, Interrupt, Process

from hasim.model.system import SystemUnit

if TYPE_CHECKING:
    from hasim.engines.des.live import LiveCluster

Steps = Generator[Event, Any, None]


def plain_clock(
    live: LiveCluster, index: int, unit: SystemUnit, down_first: float | None, lives: Iterator[float]
) -> Steps:
    """A unit that fails and is repaired, and nothing else: two lines each, the way a textbook has it."""
    timeout, name = live.env.timeout, unit.name
    repairs = live.draws(unit.repair, unit, "repair")
    if down_first is not None:
        yield timeout(down_first)
        live.come_up(index, name, "repaired")
    for life, repair in zip(lives, repairs, strict=False):
        yield timeout(life)
        live.go_down(index, name, "failed")
        yield timeout(repair)
        live.come_up(index, name, "repaired")


def clock(live: LiveCluster, index: int, unit: SystemUnit, down_first: float | None, lives: Iterator[float]) -> Steps:
    """A unit with any of detection, restart, spares and crew between failing and coming back."""
    way_back = WayBack(live, index, unit)
    if down_first is not None:
        yield live.env.timeout(down_first)
        live.come_up(index, unit.name, "repaired")
    for life in lives:
        yield live.env.timeout(life)
        live.go_down(index, unit.name, "failed")
        yield from way_back.steps()


class IdleClock:
    """A unit that ages more slowly, or not at all, while its member is not the active one."""

    def __init__(self, live: LiveCluster, index: int, unit: SystemUnit) -> None:
        """The clock waits until it is told that its member works."""
        self.live = live
        self.index = index
        self.unit = unit
        self.rate = unit.idle_rate
        self.process: Process | None = None
        self._living = False

    def set_working(self, working: bool) -> None:
        """The member became the active one, or is no longer: what is left of the life is rescaled."""
        self.rate = 1.0 if working else self.unit.idle_rate
        if self._living and self.process is not None:
            self.process.interrupt("another rate")

    def steps(self, down_first: float | None, lives: Iterator[float]) -> Steps:
        """Live and come back for ever."""
        way_back = WayBack(self.live, self.index, self.unit)
        if down_first is not None:
            yield self.live.env.timeout(down_first)
            self.live.come_up(self.index, self.unit.name, "repaired")
        for life in lives:
            yield from self._age(life)
            self.live.go_down(self.index, self.unit.name, "failed")
            yield from way_back.steps()

    def _age(self, life: float) -> Steps:
        env, left = self.live.env, life
        self._living = True
        while True:
            rate, since = self.rate, env.now
            try:
                yield env.timeout(left / rate) if rate > 0 else env.event()  # at rate 0 it never comes
                break
            except Interrupt:
                left = max(0.0, left - rate * (env.now - since))
        self._living = False


class WayBack:
    """What happens to a unit from failing to standing again."""

    def __init__(self, live: LiveCluster, index: int, unit: SystemUnit) -> None:
        """Prepare the draws; nothing is drawn before it is needed."""
        self.live = live
        self.index = index
        self.unit = unit
        self.crew = None if unit.crew is None else live.crews[unit.crew]
        self.shelf = None if unit.spares is None else live.shelves[unit.spares]
        self._detect = None if unit.detect is None else live.draws(unit.detect, unit, "detect")
        self._restart = None if unit.restart is None else live.draws(unit.restart.takes, unit, "restart")
        self._repair = live.draws(unit.repair, unit, "repair")

    def steps(self) -> Steps:
        """Notice, restart, and if that does not help repair; then stand again."""
        live, name, timeout = self.live, self.unit.name, self.live.env.timeout
        if self._detect is not None:
            yield timeout(next(self._detect))
            live.note("detected", name)
        if self._restart is not None:
            yield timeout(next(self._restart))
            if self._restart_works():
                live.come_up(self.index, name, "restarted")
                return
            live.note("restart failed", name)
        if self.shelf is not None and (spare := self.shelf.take()) is not None:
            live.note("waiting for a spare", name, self.unit.spares or "")
            yield spare
        if self.crew is not None and (turn := self.crew.claim(self.unit.priority)) is not None:
            live.note("waiting for a crew", name, self.unit.crew or "")
            yield turn
        live.note("repair begun", name)
        yield timeout(next(self._repair))
        if self.crew is not None:
            self.crew.release()
        live.come_up(self.index, name, "repaired")

    def _restart_works(self) -> bool:
        restart = self.unit.restart
        assert restart is not None
        luck = self.live.streams[f"{self.unit.kind}:{self.unit.name}/works"]
        return restart.works >= 1 or bool(luck.random() < restart.works)


def start_clocks(live: LiveCluster, steady: bool) -> None:
    """Start the process of every unit that fails by itself; `steady`: in the equilibrium of its own clock.

    The state of things changes at once for a unit that begins down.
    """
    for index, unit in enumerate(live.system.units):
        if unit.life is None:
            continue
        lives, down_first = live.draws(unit.life, unit, "life"), None
        if steady:
            up, rest = _equilibrium(live, unit)
            if up:
                lives = chain([rest], lives)
            else:
                down_first = rest
                live.turn(index, False)
        if unit.idle_part is not None and unit.member is not None:
            idler = IdleClock(live, index, unit)
            live.roles[unit.idle_part].idlers[unit.member[1]].append(idler)
            idler.process = live.env.process(idler.steps(down_first, lives))
        elif (unit.detect, unit.restart, unit.crew, unit.spares) == (None,) * 4:
            live.env.process(plain_clock(live, index, unit, down_first, lives))
        else:
            live.env.process(clock(live, index, unit, down_first, lives))


def _equilibrium(live: LiveCluster, unit: SystemUnit) -> tuple[bool, float]:
    """Return whether the unit is up at a random instant of its clock, and how long it stays as it is."""
    assert unit.life is not None
    rng = live.streams[f"{unit.kind}:{unit.name}/start"]
    up = bool(rng.random() * (unit.life.mean + unit.down.mean) < unit.life.mean)
    law = unit.life if up else unit.down
    return up, float(law.residual(rng, 1)[0])
