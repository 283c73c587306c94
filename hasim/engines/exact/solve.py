"""`ha.solve`: exact figures of a cluster, by the shortest route that is exact, and refusals by name."""

from __future__ import annotations

from dataclasses import replace

from hasim.engines.exact.blocks import blocks
from hasim.engines.exact.calendar import calendar
from hasim.engines.exact.chain import Chain, explore
from hasim.engines.exact.coupling import Membership, coupled
from hasim.engines.exact.diagram import Diagram
from hasim.engines.exact.first import horizon, mean_time_to_outage
from hasim.engines.exact.steady import Steadily, Steady
from hasim.engines.exact.tasks import solve_tasks
from hasim.errors import CannotModel, ModelError
from hasim.model.cluster import Cluster
from hasim.model.cuts import minimal_cuts
from hasim.model.outlook import refuse_slow_elections, refuse_what_is_played
from hasim.model.scenario import Scenario
from hasim.model.structure import Expr, substitute, variables
from hasim.model.system import System, SystemService, compile_system
from hasim.results import Blame, Cut, Estimate, ServiceFigures, Solution
from hasim.units import YEAR, human, seconds

CUTS_SHOWN = 200


def solve(model: Cluster | Scenario, over: str | None = None) -> Solution:
    """Exact steady-state availability, outage frequency, durations and importance of every service.

    Independent units may have any laws: only their means matter. Units that wait for or act on each other (crews,
    spares, standbys, failovers, bursts) need exponential or Erlang laws, or mixtures. With `over` ("1y") the figures
    of a horizon that starts with everything up and new are added, for exponential laws. What is not exact is
    refused: CannotModel says what, why, and which engine to ask.
    """
    if isinstance(model, Scenario):
        if model.faults:
            raise CannotModel("scripted faults", "it knows long runs, not single stories", "use ha.simulate")
        instead = "use ha.simulate, or solve the cluster alone"
        raise CannotModel("a load", "its figures count time, not requests", instead)
    if not isinstance(model, Cluster):
        raise ModelError(f"solve takes a Cluster, got {type(model).__name__}; read a file with ha.load")
    length = None if over is None else _horizon(over)
    system = compile_system(model)
    refuse_slow_elections(system, "solve")
    refuse_what_is_played(model, "solve")
    solver = _Solver(system)
    services = {service.name: solver.service(service, length) for service in solver.system.services}
    tasks, said_of_tasks = solve_tasks(model)
    return Solution(
        cluster=model.name,
        services=services,
        states=solver.states,
        nodes=len(solver.diagram.bdd),
        routes=tuple(dict.fromkeys(solver.routes)),
        warnings=tuple(dict.fromkeys([*model.assumptions(), *solver.warnings, *said_of_tasks])),
        horizon_s=length,
        tasks=tasks,
    )


def _horizon(over: str) -> float:
    try:
        length = seconds(over)
    except (ValueError, TypeError) as error:
        raise ModelError(str(error), "over") from None
    if length <= 0:
        raise ModelError(f"got {over!r}; a horizon is longer than nothing", "over")
    return length


class _Solver:
    """One system being solved; chains are built once and shared by the services that need the same ones."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.blocks = blocks(system, [each for service in system.services for each in (service.up, service.full)])
        self.diagram = Diagram(system, self.blocks)
        self.plan = calendar(system.windows)
        self.chains: dict[Membership, Chain] = {}
        self.states = 0
        self.routes: list[str] = []
        self.warnings: list[str] = []
        n = len(system.units)
        # A failover among members that never fall never happens.
        self.never = {
            switch.led: True
            for switch in system.switches
            if not any(i < n for expr in switch.standing for i in variables(expr))
        }

    def service(self, service: SystemService, over: float | None) -> ServiceFigures:
        up, full = substitute(service.up, self.never), substitute(service.full, self.never)
        chains = self._chains(service.name, [up, full])
        steadily = Steadily(self.system, self.diagram, chains, self.plan, self.blocks)
        steady = steadily.figures(up)
        # Up, but with something missing that it needs to be whole.
        degraded = None if full == up else steadily.one_without(up, full)
        figures = ServiceFigures(
            name=service.name,
            availability=Estimate.exact(steady.up),
            unavailability=Estimate.exact(steady.down),
            outages_per_year=Estimate.exact(steady.frequency * YEAR),
            downtime_s_per_year=Estimate.exact(steady.down * YEAR),
            mean_outage_s=Estimate.exact(steady.down / steady.frequency) if steady.frequency > 0 else None,
            mean_uptime_s=Estimate.exact(steady.up / steady.frequency) if steady.frequency > 0 else None,
            degraded=None if degraded is None else Estimate.exact(degraded),
            slo=None if service.slo is None else (service.slo.availability, service.slo.window),
            blame=self._blame(steady),
            cuts=self._cuts(steadily, up, steady),
            mttf_s=self._mttf(service.name, up, steady),
        )
        return figures if over is None else self._from_new(figures, up, over)

    def _chains(self, name: str, conditions: list[Expr]) -> list[Chain]:
        wanted = {i for condition in conditions for i in variables(condition)}
        groups = coupled(self.system, wanted)
        windows = len(self.system.units) + len(self.system.switches)
        found = []
        for group in groups:
            for number in group.switches:
                switch = self.system.switches[number]
                if any(i >= windows for expr in switch.standing for i in variables(expr)):
                    raise CannotModel(
                        f"the failover of {switch.part} during planned windows",
                        "its members leave and return by the calendar, which is not a Markov chain",
                        "use ha.estimate",
                    )
                if switch.in_stages is not None:
                    branches = switch.in_stages.phases()
                    assert branches is not None
                    count = len(branches[0].stages)
                    shape = "exponential times" if count == 1 else f"the sum of {count} exponential stages"
                    mean = human(switch.failover.takes.mean)
                    self.warnings.append(f"{switch.part}: failovers enter with their mean of {mean}, as {shape}")
            if group not in self.chains:
                apart = {unit for other in groups if other != group for unit in other.units}
                self.chains[group] = explore(self.system, group, apart)
            chain = self.chains[group]
            self.states = max(self.states, len(chain.faces))
            self.routes.append(f"{_named(self.system, group)}: Markov chain of {len(chain.faces)} states")
            found.append(chain)
        tied = {unit for group in groups for unit in group.units}
        alone = [i for i in wanted if i < len(self.system.units) and i not in tied]
        if alone:
            self.routes.append(f"{name}: decision diagram over {len(alone)} independent units")
        return found

    def _blame(self, steady: Steady) -> tuple[Blame, ...]:
        total = sum(steady.critical.values())
        if total <= 0:
            return ()
        return tuple(
            Blame(
                unit=self.system.variable_name(variable),
                share=value / total,
                criticality=min(value / steady.down, 1.0),
                birnbaum=steady.birnbaum.get(variable),
                kind=self.system.variable_kind(variable),
            )
            for variable, value in steady.critical.items()
            if value > 0
        )

    def _cuts(self, steadily: Steadily, up: Expr, steady: Steady) -> tuple[Cut, ...]:
        listed = minimal_cuts(up, count_max=CUTS_SHOWN * 5)
        if steady.down <= 0:
            return ()
        if not listed.complete:
            self.warnings.append("cut sets: only the smaller ones are listed")
        chances = steadily.cut_chances(listed.cuts)
        cuts = [
            Cut(tuple(self.system.variable_name(i) for i in sorted(cut)), min(chance / steady.down, 1.0))
            for cut, chance in chances.items()
            if chance > 0
        ]
        return tuple(sorted(cuts, key=lambda cut: (-cut.share, cut.units))[:CUTS_SHOWN])

    def _mttf(self, name: str, up: Expr, steady: Steady) -> Estimate | None:
        if steady.down <= 0:
            return Estimate.exact(float("inf"))
        try:
            mean, states = mean_time_to_outage(self.system, up)
        except CannotModel as refusal:
            self.warnings.append(f"{name}: no exact time to the first outage: {refusal.what}: {refusal.why}")
            return None
        self.routes.append(f"{name}: time to first outage by an absorbing chain of {states} states")
        return Estimate.exact(mean)

    def _from_new(self, figures: ServiceFigures, up: Expr, over: float) -> ServiceFigures:
        found, route = horizon(self.system, up, over)
        self.routes.append(f"{figures.name}: horizon from all up by {route}")
        return replace(
            figures,
            interval_unavailability=Estimate.exact(found.unavailability),
            outages_in_horizon=Estimate.exact(found.outages),
            unavailability_at_end=Estimate.exact(found.down_at_end),
        )


def _named(system: System, group: Membership) -> str:
    parts = [system.switches[number].part for number in group.switches]
    shocks = [system.shocks[number].name for number in group.shocks]
    rest = [] if parts or shocks else [system.units[unit].name for unit in group.units[:3]]
    return ", ".join([*parts, *shocks, *rest])
