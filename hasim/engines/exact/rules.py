"""The rules by which units, crews, stocks, bursts and failovers change a state; they follow `hasim.model.system`."""

from __future__ import annotations

from collections.abc import Iterator

from hasim.engines.exact.clockwork import (
    REPAIR,
    TO_DOWN,
    TO_REPAIR,
    TO_UP,
    UP,
    WAIT_CREW,
    WAIT_SPARE,
    Clockwork,
    Outcomes,
    clockwork,
)
from hasim.engines.exact.coupling import Membership
from hasim.engines.exact.shocks import hits
from hasim.engines.exact.state import NOBODY, Branches, Flat, Layout
from hasim.engines.exact.symmetry import Key
from hasim.errors import CannotModel
from hasim.model.laws import Law
from hasim.model.structure import AtLeast, Var, holds, variables
from hasim.model.system import Switch, System


class Rules:
    """What can happen in a state, to the units, switches and stocks of one chain."""

    def __init__(self, system: System, belongs: Membership, apart: set[int]) -> None:
        self.system = system
        self.units = [system.units[i] for i in belongs.units]
        self.number = {index: k for k, index in enumerate(belongs.units)}
        self.works = [clockwork(unit) for unit in self.units]
        self.switches = [system.switches[i] for i in belongs.switches]
        self.gaps = [_gap_works(switch) for switch in self.switches]
        self.shocks = [system.shocks[i] for i in belongs.shocks]
        for shock in self.shocks:
            _exponential(shock.every, f"the burst {shock.name}")
        self.stocks = [name for name in system.spares if any(unit.spares == name for unit in self.units)]
        self.restock = [_restock_works(name, system.spares[name].restock) for name in self.stocks]
        self.variables = (*belongs.units, *(switch.led for switch in self.switches))
        self.standing = [_masks(switch, self.number) for switch in self.switches]
        self.idle = [self._idle_switch(k) for k in range(len(self.units))]
        self.layout = Layout(system, belongs.units, self.works, self.switches, apart)

    def _idle_switch(self, k: int) -> tuple[int, int] | None:
        """(switch, member) whose activity decides how fast this unit ages."""
        unit = self.units[k]
        if unit.idle_part is None or unit.member is None:
            return None
        part = self.system.switches[unit.idle_part].part
        return next((s, unit.member[1]) for s, switch in enumerate(self.switches) if switch.part == part)

    def start(self) -> Branches:
        """Everything up and new, the first members active; several where lives begin in one of several ways."""
        begin = Flat(
            [works.enter_up[0][1] for works in self.works],
            [0] * len(self.units),
            [0] * len(self.switches),
            [NOBODY] * len(self.switches),
            [NOBODY] * len(self.switches),
            [self.system.spares[name].stock for name in self.stocks],
            [()] * len(self.stocks),
            (1 << len(self.units)) - 1,
        )
        branches: Branches = [(1.0, begin)]
        for k, works in enumerate(self.works):
            branches = [(p * q, self._moved(flat, k, stage)) for p, flat in branches for q, stage in works.enter_up]
        return branches

    def face(self, flat: Flat) -> int:
        """What services see of a state: one bit for each variable."""
        bits = flat.up
        for s, gap in enumerate(flat.gap):
            if gap == NOBODY:
                bits |= 1 << (len(self.units) + s)
        return bits

    def _moved(self, flat: Flat, k: int, stage: int) -> Flat:
        """The state with one unit in another stage, in no line."""
        after = flat.copy()
        self._move(after, k, stage)
        return after

    def _move(self, flat: Flat, k: int, stage: int) -> None:
        flat.stage[k] = stage
        flat.place[k] = 0
        bit = 1 << k
        flat.up = flat.up | bit if self.works[k].kind[stage] == UP else flat.up & ~bit

    # What can happen next.

    def changes(self, flat: Flat) -> Iterator[tuple[float, Flat]]:
        """(rate, state) of everything that can happen in a state."""
        for k, works in enumerate(self.works):
            stage = flat.stage[k]
            rate = works.rate[stage] * (self._pace(flat, k) if works.kind[stage] == UP else 1.0)
            if rate > 0:
                for chance, after in self._unit_moves(flat, k, works.after[stage]):
                    yield from self._settled(rate * chance, after)
        for s, gap in enumerate(flat.gap):
            if gap != NOBODY:
                works = self.gaps[s][0]
                for chance, after in self._gap_moves(flat, s, works.after[gap]):
                    yield from self._settled(works.rate[gap] * chance, after)
        for j, orders in enumerate(flat.orders):
            for i, stage in enumerate(orders):
                works = self.restock[j]
                for chance, target in works.after[stage]:
                    for share, after in self._order_moves(flat, j, i, target):
                        yield from self._settled(works.rate[stage] * chance * share, after)
        for shock in self.shocks:
            victims = [self.number[index] for index in shock.victims]
            standing = [k for k in victims if self.works[k].kind[flat.stage[k]] == UP]
            for chance, struck in hits(shock, victims, self._alike(flat, standing)):
                branches: Branches = [(chance, flat.copy())]
                for k in struck:
                    branches = [(p * q, after) for p, each in branches for q, after in self._falls(each, k)]
                for p, after in branches:
                    yield from self._settled(p / shock.every.mean, after)

    def _pace(self, flat: Flat, k: int) -> float:
        idle = self.idle[k]
        if idle is None or flat.active[idle[0]] == idle[1]:
            return 1.0
        return self.units[k].idle_rate

    def _alike(self, flat: Flat, standing: list[int]) -> list[list[int]]:
        """Units that an interchange leaves the state unchanged by: siblings whose whole sites are in the same state."""
        line = self.layout.line(flat)
        groups: dict[Key, list[int]] = {}
        wanted = set(standing)
        for site in self.layout.root.walk():
            for number, group in enumerate(site.classes):
                for child in group:
                    for position, slot in enumerate(child.slots):
                        if slot in wanted:
                            label = (id(site), number, position, child.written(line))
                            groups.setdefault(label, []).append(slot)
        grouped = {k for group in groups.values() for k in group}
        return [*groups.values(), *([k] for k in standing if k not in grouped)]

    # Units.

    def _unit_moves(self, flat: Flat, k: int, outcomes: Outcomes) -> Branches:
        found: Branches = []
        working = self.works[k].kind[flat.stage[k]] == REPAIR
        for chance, target in outcomes:
            if target == TO_DOWN:
                found.extend((chance * p, after) for p, after in self._falls(flat.copy(), k))
            elif target == TO_REPAIR:
                found.extend((chance * p, after) for p, after in self._asks_for_spare(flat.copy(), k))
            elif target == TO_UP:
                for p, stage in self.works[k].enter_up:
                    after = self._moved(flat, k, stage)
                    free = self._crew_freed(after, self.units[k].crew) if working else [(1.0, after)]
                    found.extend((chance * p * q, each) for q, each in free)
            else:
                found.append((chance, self._moved(flat, k, target)))
        return found

    def _falls(self, flat: Flat, k: int) -> Branches:
        found: Branches = []
        for chance, target in self.works[k].enter_down:
            if target == TO_REPAIR:
                found.extend((chance * p, after) for p, after in self._asks_for_spare(flat.copy(), k))
            elif target == TO_UP:
                found.extend((chance * p, self._moved(flat, k, stage)) for p, stage in self.works[k].enter_up)
            else:
                found.append((chance, self._moved(flat, k, target)))
        return found

    def _asks_for_spare(self, flat: Flat, k: int) -> Branches:
        stock = self.units[k].spares
        if stock is None:
            return self._asks_for_crew(flat, k)
        j = self.stocks.index(stock)
        found: Branches = []
        for chance, stage in self.restock[j].enter_up:
            after = flat.copy()
            after.orders[j] = tuple(sorted((*after.orders[j], stage)))
            if after.shelf[j] == 0:
                self._wait(after, k, WAIT_SPARE, self._line(after, WAIT_SPARE, stock))
                found.append((chance, after))
            else:
                after.shelf[j] -= 1
                found.extend((chance * p, each) for p, each in self._asks_for_crew(after, k))
        return found

    def _asks_for_crew(self, flat: Flat, k: int) -> Branches:
        crew = self.units[k].crew
        if crew is not None and self._busy(flat, crew) >= self.system.crews[crew].size:
            self._wait(flat, k, WAIT_CREW, self._line(flat, WAIT_CREW, crew))
            return [(1.0, flat)]
        return self._repair_begins(flat, k)

    def _repair_begins(self, flat: Flat, k: int) -> Branches:
        return [(chance, self._moved(flat, k, stage)) for chance, stage in self.works[k].enter_repair]

    def _busy(self, flat: Flat, crew: str) -> int:
        return sum(
            1 for k, unit in enumerate(self.units) if unit.crew == crew and self.works[k].kind[flat.stage[k]] == REPAIR
        )

    def _line(self, flat: Flat, kind: int, resource: str) -> list[int]:
        """Who waits for a crew or a stock, in the order of coming."""
        waiting = [
            k
            for k, unit in enumerate(self.units)
            if (unit.crew if kind == WAIT_CREW else unit.spares) == resource
            and self.works[k].kind[flat.stage[k]] == kind
        ]
        return sorted(waiting, key=lambda k: flat.place[k])

    def _wait(self, flat: Flat, k: int, kind: int, line: list[int]) -> None:
        self._move(flat, k, self.works[k].kind.index(kind))
        flat.place[k] = len(line) + 1
        self._forget_order(flat, kind, [*line, k])

    def _forget_order(self, flat: Flat, kind: int, line: list[int]) -> None:
        """Number a line anew; where a discipline is blind to the order of coming, so are the states."""
        crew = self.units[line[0]].crew if line and kind == WAIT_CREW else None
        blind = crew is not None and self.system.crews[crew].discipline == "random"
        for position, k in enumerate(line):
            flat.place[k] = 1 if blind else position + 1

    def _crew_freed(self, flat: Flat, crew: str | None) -> Branches:
        if crew is None:
            return [(1.0, flat)]
        line = self._line(flat, WAIT_CREW, crew)
        if not line:
            return [(1.0, flat)]
        discipline = self.system.crews[crew].discipline
        chosen = {
            "fifo": lambda: [line[0]],
            "lifo": lambda: [line[-1]],
            "priority": lambda: [min(line, key=lambda k: (self.units[k].priority, flat.place[k]))],
            "random": lambda: line,
        }[discipline]()
        found: Branches = []
        for k in chosen:
            after = flat.copy()
            after.place[k] = 0
            self._forget_order(after, WAIT_CREW, [other for other in line if other != k])
            found.extend((p / len(chosen), each) for p, each in self._repair_begins(after, k))
        return found

    # Stocks.

    def _order_moves(self, flat: Flat, j: int, i: int, target: int) -> Branches:
        after = flat.copy()
        orders = list(after.orders[j])
        if target >= 0:
            orders[i] = target
            after.orders[j] = tuple(sorted(orders))
            return [(1.0, after)]
        del orders[i]
        after.orders[j] = tuple(orders)
        line = self._line(after, WAIT_SPARE, self.stocks[j])
        if not line:
            after.shelf[j] += 1
            return [(1.0, after)]
        after.place[line[0]] = 0
        self._forget_order(after, WAIT_SPARE, line[1:])
        return self._asks_for_crew(after, line[0])

    # Failovers.

    def _gap_moves(self, flat: Flat, s: int, outcomes: Outcomes) -> Branches:
        found: Branches = []
        for chance, target in outcomes:
            if target >= 0:
                after = flat.copy()
                after.gap[s] = target
                found.append((chance, after))
            else:
                found.extend((chance * p, after) for p, after in self._someone_active(flat, s))
        return found

    def _someone_active(self, flat: Flat, s: int) -> Branches:
        standing = self._standing(flat, s)
        found: Branches = []
        for member in standing:
            after = flat.copy()
            after.active[s], after.gap[s], after.former[s] = member, NOBODY, NOBODY
            found.append((1 / len(standing), after))
        return found

    def _standing(self, flat: Flat, s: int) -> list[int]:
        masks = self.standing[s]
        if masks is not None:
            up = flat.up
            return [i for i, mask in enumerate(masks) if up & mask == mask]
        line = [bool(flat.up >> self.number[i] & 1) if i in self.number else True for i in range(self.system.variables)]
        return [i for i, expr in enumerate(self.switches[s].standing) if holds(expr, line)]

    def _settled(self, rate: float, flat: Flat) -> Branches:
        """Let every switch react to what just happened."""
        branches: Branches = [(rate, flat)]
        for s in range(len(self.switches)):
            branches = [(p * q, after) for p, each in branches for q, after in self._reacts(each, s)]
        return branches

    def _reacts(self, flat: Flat, s: int) -> Branches:
        switch = self.switches[s]
        standing = self._standing(flat, s)
        if len(standing) < switch.enough:
            flat.active[s] = flat.gap[s] = flat.former[s] = NOBODY
            return [(1.0, flat)]
        active, former = flat.active[s], flat.former[s]
        if active in standing:
            return [(1.0, flat)]
        if active == NOBODY and flat.gap[s] != NOBODY:
            if former in standing:
                flat.active[s], flat.gap[s], flat.former[s] = former, NOBODY, NOBODY
            return [(1.0, flat)]
        if active == NOBODY and switch.regains_at_once:
            return self._someone_active(flat, s)
        flat.former[s] = active if switch.resumes else NOBODY
        flat.active[s] = NOBODY
        found: Branches = []
        for chance, stage in self.gaps[s][1]:
            if stage < 0:
                found.extend((chance * p, after) for p, after in self._someone_active(flat, s))
            else:
                after = flat.copy()
                after.gap[s] = stage
                found.append((chance, after))
        return found


def _gap_works(switch: Switch) -> tuple[Clockwork, Outcomes]:
    """Stages of a failover, and how it begins: covered or not."""
    works, failover = Clockwork(), switch.failover
    begin: list[tuple[float, int]] = []
    takes = switch.in_stages or failover.takes
    for share, law in ((failover.coverage, takes), (1 - failover.coverage, failover.manual)):
        if share > 0 and law is not None:
            entry = works.stages(law, f"the failover of {switch.part}", UP, ((1.0, TO_UP),))
            begin.extend((share * chance, stage) for chance, stage in entry)
    return works, tuple(begin)


def _restock_works(name: str, law: Law) -> Clockwork:
    works = Clockwork()
    works.enter_up = works.stages(law, f"the restocking of {name}", UP, ((1.0, TO_UP),))
    if any(stage < 0 for _, stage in works.enter_up):
        raise CannotModel(f"the restocking of {name}", "it takes no time; leave the stock out", "use ha.estimate")
    return works


def _exponential(law: Law, what: str) -> None:
    branches = law.phases()
    if branches is None or len(branches) != 1 or len(branches[0].stages) != 1:
        raise CannotModel(
            f"{what} ({law.text()})", "only exponential times between bursts are exact", "use ha.estimate"
        )


def _masks(switch: Switch, number: dict[int, int]) -> list[int] | None:
    """For each member the bits of the units it stands on, if it needs all of them: the usual case, quick to check."""
    found: list[int] = []
    for expr in switch.standing:
        simple = isinstance(expr, Var) or (
            isinstance(expr, AtLeast)
            and expr.k == len(expr.children)
            and all(isinstance(child, Var) for child in expr.children)
        )
        if not simple and variables(expr):
            return None
        found.append(sum(1 << number[index] for index in variables(expr)))
    return found
