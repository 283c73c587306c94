"""How an estimate is carried out: which route, in which blocks, after how long a warm-up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hasim.engines.montecarlo.book import Tally
from hasim.engines.montecarlo.lockstep import run_lockstep
from hasim.engines.montecarlo.poisson import run_ticks, ticks_apply
from hasim.engines.montecarlo.scan import run_scan
from hasim.model.laws import Law
from hasim.model.outlook import residual_mean
from hasim.model.system import Switch, System, SystemUnit
from hasim.streams import Streams
from hasim.units import human

Route = Literal["ticks", "scan", "lockstep"]

BLOCK_TOGGLES = 1 << 22  # failures and repairs in a block: some tenths of a second
LOCKSTEP_TOGGLES = 1 << 22
BLOCK_RUNS_MAX = 1 << 20
LOCKSTEP_RUNS = (1 << 10, 1 << 16)  # fewer lanes side by side would waste array operations

SETTLED = 15  # mean residual times after which the memory of the beginning has gone: exp(-15) or less if exponential
ROLE_CHANGES = 6

WHAT = {
    "ticks": "exponential lives on one Poisson clock; only overlapping down times are looked at",
    "scan": "down times of independent units, sorted; only overlapping ones are looked at",
    "lockstep": "event by event, many histories side by side",
}


@dataclass(frozen=True)
class Plan:
    """Everything a block needs to know, so that any process may compute it and get the same."""

    system: System
    route: Route
    horizon: float
    warm_up: float
    new: bool
    runs: int
    block_runs: int
    seed: int

    @property
    def blocks(self) -> int:
        """Number of blocks; the last may be smaller than the others."""
        return -(-self.runs // self.block_runs)

    def runs_in(self, block: int) -> int:
        """Number of runs in a block."""
        return min(self.block_runs, self.runs - block * self.block_runs)

    def text(self) -> str:
        """The route in one line, for the reader of a result."""
        warm = f"; a warm-up of {human(self.warm_up)} before each run is not counted" if self.warm_up else ""
        return f"route {self.route}: {WHAT[self.route]}{warm}"


UNITS_SCANNED = 2000
CROWDED = 0.5  # mean number of units down at once


def run_block(plan: Plan, block: int) -> Tally:
    """Compute one block; its luck depends on the seed and its number alone."""
    streams = Streams(plan.seed, block)
    runs = plan.runs_in(block)
    if plan.route == "ticks":
        return run_ticks(plan.system, runs, plan.horizon, streams, new=plan.new)
    if plan.route == "scan":
        return run_scan(plan.system, runs, plan.horizon, streams, new=plan.new)
    return run_lockstep(plan.system, runs, plan.horizon, streams, warm_up=plan.warm_up, new=plan.new)


def make_plan(system: System, horizon: float, runs: int, seed: int, *, new: bool, route: Route | None = None) -> Plan:
    """Choose the fastest route that does justice to the system; `route` asks for a slower one."""
    chosen = route or best_route(system)
    warm = 0.0 if new or chosen != "lockstep" else warm_up(system)
    toggles = 2 * failure_rate(system) * (horizon + warm)
    most = LOCKSTEP_TOGGLES if chosen == "lockstep" else BLOCK_TOGGLES
    block = 1 << max(0, int(most / max(toggles, 1e-9)).bit_length() - 1)
    block = min(block, BLOCK_RUNS_MAX)
    if chosen == "lockstep":
        block = min(max(block, LOCKSTEP_RUNS[0]), LOCKSTEP_RUNS[1])
    return Plan(system, chosen, horizon, warm, new, runs, block, seed)


def best_route(system: System) -> Route:
    """Lockstep where the order of events matters; else ticks if all lives are exponential; else the scan."""
    if system.switches or system.shocks or not all(unit.independent for unit in system.units):
        return "lockstep"
    # Nothing is gained by looking only at overlaps where there is nothing else, and the tables of very large systems
    # would not fit into memory.
    if len(system.units) > UNITS_SCANNED or any(_mostly_down(unit) for unit in system.units):
        return "lockstep"
    # Where things are down all the time, overlaps never end, and sorting all down times is the shorter way.
    crowded = sum(unit.down.mean / (unit.life.mean + unit.down.mean) for unit in system.units if unit.life) > CROWDED
    return "ticks" if ticks_apply(system) and not crowded else "scan"


def _mostly_down(unit: SystemUnit) -> bool:
    return unit.life is not None and unit.down.mean > 4 * unit.life.mean


def failure_rate(system: System) -> float:
    """Events that take something down, per second, if nobody had to wait."""
    rate = sum(1 / (unit.life.mean + unit.down.mean) for unit in system.units if unit.life is not None)
    rate += sum(1 / shock.every.mean for shock in system.shocks if shock.every.mean > 0)
    return rate + sum(1 / window.every for window in system.windows)


def warm_up(system: System) -> float:
    """How long a run goes on before it counts, in seconds: until the units' isolated beginnings are forgotten.

    Each unit starts in the equilibrium of its own clock, so only what units do to one another has to settle:
    queues for crews and spares, failovers, victims of bursts, the ages of standbys, and who is active where
    the members are not alike.
    """
    if not (system.switches or system.shocks) and all(unit.independent for unit in system.units):
        return 0.0
    slow = [0.0]
    for unit in system.units:
        queue = (
            sum(other.crew == unit.crew for other in system.units) / system.crews[unit.crew].size if unit.crew else 1.0
        )
        slow.append(SETTLED * residual_mean(unit.down) * max(1.0, queue))
        if unit.idle_part is not None and unit.life is not None and not _memoryless(unit.life):
            slow.append(ROLE_CHANGES * unit.life.mean * max(1.0, unit.life.scv))
    for stock in system.spares.values():
        slow.append(SETTLED * residual_mean(stock.restock))
    for switch in system.switches:
        times = [switch.failover.takes, *([switch.failover.manual] if switch.failover.manual else [])]
        slow += [SETTLED * residual_mean(law) for law in times]
        slow.append(_role_memory(system, switch))
    return max(slow)


def _memoryless(law: Law) -> bool:
    branches = law.phases()
    return branches is not None and len(branches) == 1 and len(branches[0].stages) == 1


def _role_memory(system: System, switch: Switch) -> float:
    """How long it matters who was active at first: nothing if all members fail alike, else some falls of the active."""
    from hasim.model.structure import variables

    rates: list[float] = []
    alike: set[tuple[str, ...]] = set()
    for standing in switch.standing:
        units = [system.units[v] for v in variables(standing) if v < len(system.units)]
        rates.append(sum(1 / unit.life.mean for unit in units if unit.life is not None))
        alike.add(tuple(sorted(f"{unit.life!r} {unit.down!r} {unit.crew} {unit.spares}" for unit in units)))
    slowest = sorted(rate for rate in rates if rate > 0)[:2]
    return ROLE_CHANGES / sum(slowest) if len(alike) > 1 and slowest else 0.0
