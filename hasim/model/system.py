"""The cluster taken apart for the engines: units with clocks, groups with an active member, and expressions.

A `Cluster` says things the way people do; a `System` says the same as numbered variables. Variables are, in this
order: the units (true = up), one "led" variable for each part that fails over (true = no failover going on), and one
for each planned window (true = not in the window). All three engines read this one system, so they cannot disagree
about what the model says, only about how it behaves.

The rules that they share:

- Every unit has its own clock, which runs on whatever its surroundings do: up for `life`, then down for detection,
  restart, waiting for a spare and for a crew, and repair. Only a waiting standby ages at another rate.
- A member stands while its own units, its host's and the enclosing domains' are all up and in no planned window.
- A part that fails over has an active member. When that one no longer stands and enough members do, a failover
  begins: with probability `coverage` it takes `takes`, else `manual`; at its end one of the standing members, any
  with the same chance, is active. If too few stand, the failover is off and nobody is active. When enough stand
  again, one of them is active at once (`regains_at_once`), or after a new failover. If `resumes`, the member that was
  active before carries on at once when it stands again during the failover.
- Planned releases are what was measured of them: windows in which members are missing by turns, and a unit for the
  part as a whole, which is down as often and as long as a release fails requests beside that. Where they are played
  themselves, the cluster that is taken apart has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from hasim.model.cluster import PROCESS, Cluster
from hasim.model.failures import Crew, Failover, Failure, Restart, Spares, down_law
from hasim.model.laws import Exponential, Fixed, Gamma, Law, Uniform
from hasim.model.parts import Part
from hasim.model.placement import place
from hasim.model.service import SLO, Up
from hasim.model.structure import Expr, Var, all_of, any_of, at_least
from hasim.model.topology import LEVELS
from hasim.model.upgrades.calendar import exactly_placed, groups_out
from hasim.units import s

STAGES_MAX = 100
"""Stages of a Gamma law that chains take; with so many a takeover by VRRP has its mean, and its variance to a sixth."""


@dataclass(frozen=True)
class SystemUnit:
    """One thing with a clock of its own.

    `life` is None for a unit that only bursts take down, and for a workload, which is the business of `simulate`.
    `site` is the path of domains and host it stands in, and `member` its part and number in it, if it is a member's
    process. `idle_part` is the index of the part whose standbys age at `idle_rate`.
    """

    name: str
    kind: str
    site: tuple[str, ...]
    life: Law | None
    detect: Law | None
    restart: Restart | None
    repair: Law
    crew: str | None = None
    spares: str | None = None
    priority: int = 0
    member: tuple[str, int] | None = None
    idle_part: int | None = None
    idle_rate: float = 1.0
    down: Law = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "down", down_law(self.detect, self.restart, self.repair))

    @property
    def independent(self) -> bool:
        """Whether nothing outside its own clock changes how it fails and comes back."""
        return self.life is not None and self.crew is None and self.spares is None and self.idle_part is None


@dataclass(frozen=True)
class Switch:
    """A part with an active member: `standing[i]` says when member i could be the active one; `led` is its variable."""

    part: str
    led: int
    standing: tuple[Expr, ...]
    enough: int
    failover: Failover
    resumes: bool
    regains_at_once: bool
    by_protocol: bool = False  # by Raft, VRRP or a lease, whose laws have shapes that stages have not

    @property
    def in_stages(self) -> Law | None:
        """For engines that need stages: what stands in for the law of a protocol; None where `takes` may have its own.

        Elections are hardly ever cut short, so their mean will do. A takeover by VRRP often is, by the old master that
        comes back: it needs its variance, too.
        """
        if not self.by_protocol:
            return None
        takes = self.failover.takes
        if isinstance(takes, Uniform):
            return Gamma(shape=min(STAGES_MAX, max(1, round(1 / takes.scv))), mean=s(takes.mean))
        return Exponential(mean=s(takes.mean))


@dataclass(frozen=True)
class Shock:
    """A burst process in one domain and the units it may take down, one for each host."""

    name: str
    every: Law
    victims: tuple[int, ...]
    share: float | None
    hits: int | None


@dataclass(frozen=True)
class Window:
    """A planned window: out of service from start + n·every for `lasting`; `variable` is false then."""

    name: str
    variable: int
    start: float
    every: float
    lasting: float


@dataclass(frozen=True)
class SystemService:
    """A service: when it is up, when it is up without being degraded, and what was promised."""

    name: str
    up: Expr
    full: Expr
    slo: SLO | None


@dataclass(frozen=True)
class System:
    """Everything an engine needs to know of a cluster."""

    cluster: Cluster
    units: tuple[SystemUnit, ...]
    switches: tuple[Switch, ...]
    shocks: tuple[Shock, ...]
    windows: tuple[Window, ...]
    services: tuple[SystemService, ...]
    parts: dict[str, Expr]
    standing: dict[str, Expr]  # when each host, domain and member stands, by name
    open: dict[str, Expr]  # when nothing holds a part as a whole, whatever its members do, by name
    crews: dict[str, Crew]
    spares: dict[str, Spares]

    @property
    def variables(self) -> int:
        """Number of variables in the expressions."""
        return len(self.units) + len(self.switches) + len(self.windows)

    def variable_name(self, index: int) -> str:
        """What to call a variable in a table of causes."""
        n, m = len(self.units), len(self.switches)
        if index < n:
            return self.units[index].name
        if index < n + m:
            return f"{self.switches[index - n].part} (failover)"
        return f"{self.windows[index - n - m].name} (planned)"

    def variable_kind(self, index: int) -> str:
        """zone, host, process, common cause, burst, upgrade, failover or planned."""
        n, m = len(self.units), len(self.switches)
        return self.units[index].kind if index < n else "failover" if index < n + m else "planned"


def compile_system(cluster: Cluster) -> System:
    """Take a cluster apart; the order of everything follows the order of declaration."""
    return _Assembly(cluster).system()


class _Assembly:
    """The work table of `compile_system`: units as they are found, and what each name stands on."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.units: list[SystemUnit] = []
        self.own: dict[str, list[int]] = {}  # units of a domain, host or member, without its surroundings
        self.shocks: list[Shock] = []
        self.switch_parts = [name for name, part in cluster.parts.items() if _switches(part)]
        self.placed = {name: place(name, part, cluster.topology) for name, part in cluster.parts.items()}
        self.paths = cluster.topology.paths()

    def system(self) -> System:
        self._place_units()
        self._member_units()
        self._burst_units()
        self._release_units()
        windows = list(self._windows())
        blocked = self._blocked(windows)
        standing = self._standing(blocked)
        led = {name: len(self.units) + i for i, name in enumerate(self.switch_parts)}
        parts = self._parts(standing, led, blocked)
        upper = {**standing, **{name: up for name, (up, _) in parts.items()}}
        fuller = {**standing, **{name: full for name, (_, full) in parts.items()}}
        services = tuple(
            SystemService(name, _condition(service.up, upper), _condition(service.up, fuller), service.slo)
            for name, service in self.cluster.services.items()
        )
        switches = tuple(self._switch(name, led[name], standing) for name in self.switch_parts)
        return System(
            cluster=self.cluster,
            units=tuple(self.units),
            switches=switches,
            shocks=tuple(self.shocks),
            windows=tuple(window for window, _ in windows),
            services=services,
            parts={name: up for name, (up, _) in parts.items()},
            standing=standing,
            open={name: all_of(self._whole(name, blocked)) for name in self.cluster.parts},
            crews=dict(self.cluster.crews),
            spares=dict(self.cluster.spares),
        )

    # Units.

    def _add(self, owner: str, unit: SystemUnit) -> None:
        self.own.setdefault(owner, []).append(len(self.units))
        self.units.append(unit)

    def _place_units(self) -> None:
        levels = self.cluster.topology.levels()
        for name, path in self.paths.items():
            failures = self.cluster.failures.get(name) or self.cluster.failures.get(levels[name]) or ()
            for failure in failures:
                self._add(name, _unit(_label(name, failure), levels[name], path, failure))

    def _member_units(self) -> None:
        for name, part in self.cluster.parts.items():
            if part.FLOATING:  # whether it serves is one variable, which only `simulate` turns
                self._add(name, SystemUnit(name, "workload", (), None, None, None, Fixed(value=s(0))))
                continue
            general = self.cluster.failures.get(name) or self.cluster.failures.get(PROCESS) or ()
            idle = self.switch_parts.index(name) if part.idle_rate != 1 and name in self.switch_parts else None
            for i, member in enumerate(self.cluster.members()[name]):
                host = self.placed[name][i]
                site = self.paths[host] if host is not None else ()
                particular = self.cluster.failures.get(member) if member != name else None
                for failure in particular or general:
                    if failure.scope == "whole":
                        continue
                    unit = _unit(
                        _label(member, failure), PROCESS, site, failure, 1 - failure.common_cause,
                        member=(name, i), idle_part=idle, idle_rate=part.idle_rate,
                    )  # fmt: skip
                    self._add(member, unit)
            for failure in general:
                if failure.scope == "whole":
                    self._add(f"{name}*", _unit(_label(f"{name} (whole)", failure), "whole", (), failure))
                elif failure.common_cause:
                    label = _label(f"{name} (common cause)", failure)
                    self._add(f"{name}*", _unit(label, "common cause", (), failure, failure.common_cause))

    def _burst_units(self) -> None:
        for name, burst in self.cluster.bursts.items():
            domains = self.cluster.topology.at_level(burst.within) if burst.within in LEVELS else [burst.within]
            for domain in domains:
                victims = []
                for host in self.cluster.topology.hosts_in(domain):
                    unit = SystemUnit(f"{host} ({name})", "burst", self.paths[host], None, None, None, burst.mttr)
                    victims.append(len(self.units))
                    self._add(host, unit)
                label = name if len(domains) == 1 else f"{name} in {domain}"
                self.shocks.append(Shock(label, burst.every, tuple(victims), burst.share, burst.hosts))

    def _release_units(self) -> None:
        """What releases were measured to fail beside the members that are missing: outages of the part as a whole."""
        for name, releases in self.cluster.upgrades.items():
            measured = releases.measured
            if measured is None or measured.outage is None:
                continue
            up = Exponential(mean=s(releases.every_s / measured.chance - measured.outage.mean))
            unit = SystemUnit(f"{name} (releases)", "upgrade", (), up, None, None, measured.outage)
            self._add(f"{releases.upgrade.target}*", unit)

    # Windows.

    def _windows(self) -> Iterator[tuple[Window, tuple[str, ...]]]:
        """Every planned window with the names it takes out of service."""
        first = len(self.units) + len(self.switch_parts)
        count = 0
        for name, plan in self.cluster.maintenance.items():
            groups = [(target,) for target in plan.on] if plan.one_by_one else [plan.on]
            for i, targets in enumerate(groups):
                label = f"{name}: {targets[0]}" if len(groups) > 1 else name
                window = Window(label, first + count, plan.first + i * plan.lasting, plan.every, plan.lasting)
                yield window, targets
                count += 1
        for name, releases in self.cluster.upgrades.items():
            begins, part = exactly_placed(releases.first_s), releases.upgrade.target
            missing = () if releases.measured is None else releases.measured.missing
            members = self.cluster.members()[part]
            for lasting, out in groups_out(missing, members):
                label = f"{name}: {out[0] if len(out) == 1 else f'{len(out)} from {out[0]}'}"
                everybody = len(out) == len(members)
                label = f"{name}: all of {part}" if everybody else label
                window = Window(label, first + count, begins, releases.every_s, lasting)
                yield window, (part,) if everybody else out
                begins += lasting
                count += 1

    def _blocked(self, windows: list[tuple[Window, tuple[str, ...]]]) -> dict[str, list[Expr]]:
        blocked: dict[str, list[Expr]] = {}
        for window, targets in windows:
            for target in targets:
                blocked.setdefault(target, []).append(Var(window.variable))
        return blocked

    # Expressions.

    def _standing(self, blocked: dict[str, list[Expr]]) -> dict[str, Expr]:
        alone = {name: all_of([*map(Var, self.own.get(name, [])), *blocked.get(name, [])]) for name in self.paths}
        standing = {name: all_of(alone[step] for step in path) for name, path in self.paths.items()}
        for name in self.cluster.parts:
            for i, member in enumerate(self.cluster.members()[name]):
                host = self.placed[name][i]
                ground = [standing[host]] if host is not None else []
                mine = [Var(index) for index in self.own.get(member, [])]
                # A part of one member shares its name with the member, whose windows then are the part's.
                windows = blocked.get(member, []) if member != name else []
                standing[member] = all_of([*mine, *ground, *windows])
        return standing

    def _parts(
        self, standing: dict[str, Expr], led: dict[str, int], blocked: dict[str, list[Expr]]
    ) -> dict[str, tuple[Expr, Expr]]:
        """(up, up without being degraded) of each part, dependencies first."""
        done: dict[str, tuple[Expr, Expr]] = {}

        def build(name: str) -> tuple[Expr, Expr]:
            if name in done:
                return done[name]
            part, needs = self.cluster.parts[name], self.cluster.needs(name)
            hard = [build(other) for other, kind in needs.items() if kind != "degraded"]
            soft = [build(other)[1] for other, kind in needs.items() if kind == "degraded"]
            local = [other for other, kind in needs.items() if kind == "local"]
            members = [
                all_of([standing[member], *(self._neighbour(name, i, other, standing) for other in local)])
                for i, member in enumerate(self.cluster.members()[name])
            ]
            own = [at_least(part.enough, members), *self._whole(name, blocked)]
            if name in led:
                own.append(Var(led[name]))
            up = all_of([*own, *(each for each, _ in hard)])
            done[name] = (up, all_of([*own, *(each for _, each in hard), *soft]))
            return done[name]

        return {name: build(name) for name in self.cluster.parts}

    def _whole(self, name: str, blocked: dict[str, list[Expr]]) -> list[Expr]:
        """What holds a part as a whole, whatever its members do: common causes, and windows."""
        return [*map(Var, self.own.get(f"{name}*", [])), *blocked.get(name, [])]

    def _neighbour(self, name: str, i: int, other: str, standing: dict[str, Expr]) -> Expr:
        host = self.placed[name][i]
        members = self.cluster.members()[other]
        return any_of(standing[member] for member, its in zip(members, self.placed[other], strict=True) if its == host)

    def _switch(self, name: str, led: int, standing: dict[str, Expr]) -> Switch:
        part = self.cluster.parts[name]
        assert part.switch is not None
        members = tuple(standing[member] for member in self.cluster.members()[name])
        by_protocol = any(getattr(part, protocol, None) is not None for protocol in ("raft", "vrrp", "lease"))
        return Switch(name, led, members, part.enough, part.switch, part.resumes, part.regains_at_once, by_protocol)


def _switches(part: Part) -> bool:
    alone = part.count == 1 and getattr(part, "lease", None) is None  # a lease lets a single one wait for itself
    if alone or part.switch is None:
        return False
    return not part.switch.instant or part.idle_rate != 1


def _unit(
    name: str,
    kind: str,
    site: tuple[str, ...],
    failure: Failure,
    share: float = 1.0,
    member: tuple[str, int] | None = None,
    idle_part: int | None = None,
    idle_rate: float = 1.0,
) -> SystemUnit:
    life = failure.mtbf if share == 1 else failure.mtbf.scaled(1 / share)
    return SystemUnit(
        name, kind, site, life, *failure.way_back, failure.crew, failure.spares, failure.priority, member, idle_part,
        idle_rate,
    )  # fmt: skip


def _label(owner: str, failure: Failure) -> str:
    return owner if failure.name is None else f"{owner} ({failure.name})"


def _condition(up: Up, known: dict[str, Expr]) -> Expr:
    items = [_condition(item, known) if isinstance(item, Up) else known[item] for item in up.of]
    if up.rule == "all_of":
        return all_of(items)
    return any_of(items) if up.rule == "any_of" else at_least(up.k, items)
