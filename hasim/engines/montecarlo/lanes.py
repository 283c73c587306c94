"""The state of many histories side by side, and what each kind of event does to it.

`clock[c, lane]` is the time of the next event of clock c in a lane; clocks are, in this order: units, parts that
fail over, bursts, stocks of spares, the calendar of planned windows. `up[variable, lane]` is the state that the
structure functions read. Times are those of the lane's own history: zero is where counting begins, a warm-up comes
before. One event happens in one lane at a time, so within a call each lane is named at most once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hasim.engines.montecarlo.calendar import make_calendar
from hasim.engines.montecarlo.program import Program
from hasim.engines.montecarlo.queues import CrewDesk, Stock
from hasim.engines.montecarlo.reserve import Reserve
from hasim.engines.montecarlo.roles import Role
from hasim.model.laws import Fixed, Law, Total
from hasim.model.system import System, SystemUnit
from hasim.streams import Streams

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# What a unit is doing.
UP, DOWN, EARLY, WAITING, REPAIR = range(5)  # DOWN: the whole of a down time without waiting; EARLY: before a claim


class Lanes:
    """`lanes` histories of one system, each at its own time."""

    def __init__(self, system: System, lanes: int, streams: Streams, span: float, warm_up: float, new: bool) -> None:
        self.system = system
        self.streams = streams
        self.warm_up = warm_up
        self.new = new
        self.toggles = 0
        units, self.switches = system.units, len(system.switches)
        self.units = len(units)
        self.now = np.zeros(lanes)
        self.up = np.ones((system.variables, lanes), dtype=np.bool_)
        self.phase = np.zeros((self.units, lanes), dtype=np.int8)
        self._first_shock = self.units + self.switches
        self._first_stock = self._first_shock + len(system.shocks)
        self._calendar_row = self._first_stock + len(system.spares)
        self.clock = np.full((self._calendar_row + bool(system.windows), lanes), np.inf)
        self.reserve = Reserve(streams, _laws(system))
        self._tables(units)
        self.crews = {
            name: CrewDesk(crew, users, np.array([units[u].priority for u in users]), lanes, streams[f"crew {name}"])
            for name, crew in system.crews.items()
            if (users := _users(units, "crew", name)).size
        }
        self.stocks = [
            Stock(stock.stock, _users(units, "spares", name), lanes) for name, stock in system.spares.items()
        ]
        self._restock = [self.reserve.number[stock.restock] for stock in system.spares.values()]
        self._standing_now = np.empty((0, lanes), dtype=np.bool_)
        self.roles = [Role(s, lanes, self.reserve, streams[f"{s.part}/active"]) for s in system.switches]
        self._standing = Program([each for s in system.switches for each in s.standing], system.variables)
        self._members = np.cumsum([0, *(len(s.standing) for s in system.switches)])
        self.calendar = make_calendar(system.windows, span) if system.windows else None
        self._instant = np.zeros(lanes, dtype=np.int64)
        self._phase_of_year = np.zeros(lanes)

    def _tables(self, units: tuple[SystemUnit, ...]) -> None:
        """What each unit draws from, by number of its law in the reserve."""
        number = self.reserve.number
        self._waits = np.array([u.crew is not None or u.spares is not None for u in units], dtype=np.bool_)
        self._mortal = np.array([u.life is not None for u in units], dtype=np.bool_)
        self._life = np.array([number[u.life] if u.life is not None else -1 for u in units])
        falls = [number[_early(u)] if self._waits[i] else number[u.down] for i, u in enumerate(units)]
        self._fall = np.array(falls)
        self._repair = np.array([number[u.repair] for u in units])
        works = [u.restart.works if u.restart is not None else 0.0 for u in units]
        self._works = np.array(works)
        self._idle_rate = np.array([u.idle_rate if u.idle_part is not None else 1.0 for u in units])
        self._idle_part = np.array([-1 if u.idle_part is None else u.idle_part for u in units])
        self._member = np.array([-1 if u.member is None else u.member[1] for u in units])
        self._idlers = np.flatnonzero(self._idle_part >= 0)
        # Of units whose standbys age differently: the life left when the pace was last set, and which pace that is.
        self._left = np.zeros((self._idlers.size, self.now.size))
        self._idle = np.zeros((self._idlers.size, self.now.size), dtype=np.bool_)
        self._simple = not self._waits.any() and self._mortal.all() and not self._idlers.size

    # Starting.

    def begin(self, lanes: Ints) -> None:
        """Start new histories in these lanes."""
        start = -self.warm_up
        self.now[lanes] = start
        self.up[:, lanes] = True
        self.phase[:, lanes] = UP
        self.clock[:, lanes] = np.inf
        for desk in self.crews.values():
            desk.clear(lanes)
        for stock in self.stocks:
            stock.clear(lanes)
        for u, unit in enumerate(self.system.units):
            self._begin_unit(u, unit, lanes, start)
        for k, shock in enumerate(self.system.shocks):
            rng = self.streams[f"{shock.name}/first"]
            wait = shock.every.draw(rng, lanes.size) if self.new else shock.every.residual(rng, lanes.size)
            self.clock[self._first_shock + k, lanes] = start + wait
        if self.calendar is not None:
            self._begin_calendar(lanes)
        if self.roles:
            standing = self._standing.run(self.up[:, lanes])
            for p, role in enumerate(self.roles):
                role.begin(lanes, standing[self._members[p] : self._members[p + 1]], self.new)
            for row, u in enumerate(self._idlers.tolist()):
                fine = lanes[self.phase[u, lanes] == UP]
                self._left[row, fine] = self.clock[u, fine] - start
                self._age_on(row, u, fine)

    def _begin_unit(self, u: int, unit: SystemUnit, lanes: Ints, start: float) -> None:
        if unit.life is None:
            return
        if self.new:
            self.clock[u, lanes] = start + self.reserve.of(int(self._life[u]), lanes.size)
            return
        rng = self.streams[f"{unit.name}/start"]
        fine = rng.random(lanes.size) * (unit.life.mean + unit.down.mean) < unit.life.mean
        well, ill = lanes[fine], lanes[~fine]
        self.clock[u, well] = start + unit.life.residual(rng, well.size)
        self.clock[u, ill] = start + unit.down.residual(rng, ill.size)
        self.up[u, ill] = False
        self.phase[u, ill] = DOWN

    def _begin_calendar(self, lanes: Ints) -> None:
        assert self.calendar is not None
        phase = np.zeros(lanes.size)
        if not self.new:
            phase = self.streams["calendar"].random(lanes.size) * self.calendar.period
        # Time t of the history is calendar time t + offset.
        offset = phase + self.warm_up
        self._phase_of_year[lanes] = offset
        index = np.searchsorted(self.calendar.instants, phase, side="right")
        self._instant[lanes] = index
        some = index > 0
        first = self.units + self.switches
        self.up[first:, lanes[some]] = self.calendar.in_service[:, index[some] - 1]
        self.clock[self._calendar_row, lanes] = self._next_instant(lanes)

    def _next_instant(self, lanes: Ints) -> Floats:
        assert self.calendar is not None
        instants, index = self.calendar.instants, self._instant[lanes]
        there = index < instants.size
        return np.where(there, instants[np.minimum(index, instants.size - 1)] - self._phase_of_year[lanes], np.inf)

    def stop(self, lanes: Ints) -> None:
        """Let nothing happen in these lanes any more."""
        self.clock[:, lanes] = np.inf
        self.up[:, lanes] = True

    # Events.

    def happen(self, lanes: Ints, which: Ints) -> None:
        """Let clock `which` ring in each lane; `now` is the time of that."""
        units = which < self.units
        self._units(lanes[units], which[units]) if not units.all() else self._units(lanes, which)
        if not units.all():
            lanes, which = lanes[~units], which[~units]
            for p, role in enumerate(self.roles):
                here = lanes[which == self.units + p]
                if here.size:
                    role.finish(here, self._standing_now[self._members[p] : self._members[p + 1]])
                    self.clock[self.units + p, here] = np.inf
                    self.up[self.units + p, here] = True
                    self._role_changed(p, here)
            for k in range(self._first_stock - self._first_shock):
                self._burst(k, lanes[which == self._first_shock + k])
            for s in range(self._calendar_row - self._first_stock):
                self._spare_arrives(s, lanes[which == self._first_stock + s])
            if self.calendar is not None:
                self._turn_page(lanes[which == self._calendar_row])

    def _units(self, lanes: Ints, units: Ints) -> None:
        phase = self.phase[units, lanes]
        if self._simple:  # up and down in turns is all there is
            fails = phase == UP
            self.toggles += lanes.size
            self.phase[units, lanes] = fails
            self.up[units, lanes] = ~fails
            which = np.where(fails, self._fall[units], self._life[units])
            self.clock[units, lanes] = self.now[lanes] + self.reserve.take(which)
            return
        fails = phase == UP
        if fails.any():
            self._fail(lanes[fails], units[fails])
        early = phase == EARLY
        comes_back = ~fails & ~early
        if early.any():
            trying, what = lanes[early], units[early]
            works = self.streams["restarts"].random(trying.size) < self._works[what]
            comes_back[np.flatnonzero(early)[works]] = True
            self._claim(trying[~works], what[~works])
        released = phase == REPAIR
        if comes_back.any():
            self._come_back(lanes[comes_back], units[comes_back])
        if released.any():
            self._release(lanes[released], units[released])

    def _fail(self, lanes: Ints, units: Ints) -> None:
        self.toggles += lanes.size
        self.up[units, lanes] = False
        self.phase[units, lanes] = np.where(self._waits[units], EARLY, DOWN)
        self.clock[units, lanes] = self.now[lanes] + self.reserve.take(self._fall[units])

    def _come_back(self, lanes: Ints, units: Ints) -> None:
        self.toggles += lanes.size
        self.up[units, lanes] = True
        self.phase[units, lanes] = UP
        mortal = self._mortal[units]
        if not mortal.all():
            self.clock[units[~mortal], lanes[~mortal]] = np.inf
            lanes, units = lanes[mortal], units[mortal]
        life = self.reserve.take(self._life[units])
        self.clock[units, lanes] = self.now[lanes] + life
        for row, u in enumerate(self._idlers.tolist()):
            mine = units == u
            if mine.any():
                here = lanes[mine]
                self._left[row, here] = life[mine]
                self._age_on(row, u, here)

    # Waiting for spares and crews.

    def _claim(self, lanes: Ints, units: Ints) -> None:
        """Repair is needed: take a spare if that is the rule, then somebody of the crew."""
        self.phase[units, lanes] = WAITING
        self.clock[units, lanes] = np.inf
        ready = np.ones(lanes.size, dtype=np.bool_)
        for s, stock in enumerate(self.stocks):
            mine = np.flatnonzero(np.isin(units, stock.line.users))
            if mine.size:
                ready[mine] = stock.ask(lanes[mine], units[mine])
                self._order(s, lanes[mine])
        self._ask_crew(lanes[ready], units[ready])

    def _ask_crew(self, lanes: Ints, units: Ints) -> None:
        ready = np.ones(lanes.size, dtype=np.bool_)
        for desk in self.crews.values():
            mine = np.flatnonzero(np.isin(units, desk.line.users))
            if mine.size:
                ready[mine] = desk.ask(lanes[mine], units[mine])
        self._repair_now(lanes[ready], units[ready])

    def _repair_now(self, lanes: Ints, units: Ints) -> None:
        self.phase[units, lanes] = REPAIR
        self.clock[units, lanes] = self.now[lanes] + self.reserve.take(self._repair[units])

    def _release(self, lanes: Ints, units: Ints) -> None:
        """A repair is done: the crew turns to the next one."""
        for desk in self.crews.values():
            mine = lanes[np.isin(units, desk.line.users)]
            if mine.size:
                called, who = desk.done(mine)
                self._repair_now(mine[called], who[called])

    def _order(self, s: int, lanes: Ints) -> None:
        if lanes.size:
            takes = self.reserve.of(self._restock[s], lanes.size)
            self.stocks[s].order(lanes, self.now[lanes] + takes)
            self.clock[self._first_stock + s, lanes] = self.stocks[s].next_arrival(lanes)

    def _spare_arrives(self, s: int, lanes: Ints) -> None:
        if not lanes.size:
            return
        taken, units = self.stocks[s].arrive(lanes)
        self.clock[self._first_stock + s, lanes] = self.stocks[s].next_arrival(lanes)
        self._ask_crew(lanes[taken], units[taken])

    # Bursts and windows.

    def _burst(self, k: int, lanes: Ints) -> None:
        if not lanes.size:
            return
        shock = self.system.shocks[k]
        rng = self.streams[f"{shock.name}/hits"]
        self.clock[self._first_shock + k, lanes] = self.now[lanes] + self.reserve.of(
            self.reserve.number[shock.every], lanes.size
        )
        luck = rng.random((len(shock.victims), lanes.size))
        if shock.share is not None:
            hit = luck < shock.share
        else:
            assert shock.hits is not None
            hit = luck.argsort(axis=0).argsort(axis=0) < shock.hits
        for row, victim in enumerate(shock.victims):
            struck = lanes[hit[row] & self.up[victim, lanes]]
            if struck.size:
                self._fail(struck, np.full(struck.size, victim))

    def _turn_page(self, lanes: Ints) -> None:
        if lanes.size:
            assert self.calendar is not None
            self.up[self.units + self.switches :, lanes] = self.calendar.in_service[:, self._instant[lanes]]
            self._instant[lanes] += 1
            self.clock[self._calendar_row, lanes] = self._next_instant(lanes)

    # Active members.

    def follow(self) -> None:
        """After units and windows have changed: who is active now, and where does a failover begin or end?"""
        if not self.roles:
            return
        self._standing_now = standing = self._standing.run(self.up)
        for p, role in enumerate(self.roles):
            before = role.active.copy() if self._idlers.size else None
            begun, takes, over = role.follow(standing[self._members[p] : self._members[p + 1]])
            row = self.units + p
            self.clock[row, over] = np.inf
            self.up[row, over] = True
            self.clock[row, begun] = self.now[begun] + takes
            self.up[row, begun] = False
            if before is not None:
                self._role_changed(p, np.flatnonzero(role.active != before))

    def _role_changed(self, p: int, lanes: Ints) -> None:
        """Units of members that became active, or no longer are, age at another pace from now on."""
        for row, u in enumerate(self._idlers.tolist()):
            if self._idle_part[u] != p:
                continue
            fine = lanes[self.phase[u, lanes] == UP]
            runs = fine[np.isfinite(self.clock[u, fine])]  # a clock that stands still has lived through nothing
            pace = np.where(self._idle[row, runs], self._idle_rate[u], 1.0)
            self._left[row, runs] = (self.clock[u, runs] - self.now[runs]) * pace
            self._age_on(row, u, fine)

    def _age_on(self, row: int, u: int, lanes: Ints) -> None:
        """Set the clocks of a unit by the life it has left and by whether its member is active."""
        rate = float(self._idle_rate[u])
        idle = self.roles[self._idle_part[u]].active[lanes] != self._member[u]
        self._idle[row, lanes] = idle
        left = self._left[row, lanes]
        slowly = left / rate if rate > 0 else np.full(lanes.size, np.inf)
        self.clock[u, lanes] = self.now[lanes] + np.where(idle, slowly, left)


def _laws(system: System) -> list[Law]:
    """Every law drawn from, in a fixed order."""
    laws: list[Law] = []
    for unit in system.units:
        laws += [law for law in (unit.life, _early(unit), unit.down, unit.repair) if law is not None]
    for switch in system.switches:
        laws += [law for law in (switch.failover.takes, switch.failover.manual) if law is not None]
    laws += [shock.every for shock in system.shocks]
    laws += [stock.restock for stock in system.spares.values()]
    return laws


def _early(unit: SystemUnit) -> Law:
    """What comes before a claim for a spare or a crew: detection and a restart."""
    laws = [law for law in (unit.detect, unit.restart.takes if unit.restart is not None else None) if law is not None]
    return Total(laws=tuple(laws)) if laws else Fixed.model_construct(value=0.0)


def _users(units: tuple[SystemUnit, ...], field: str, name: str) -> Ints:
    return np.array([i for i, unit in enumerate(units) if getattr(unit, field) == name], dtype=np.int64)
