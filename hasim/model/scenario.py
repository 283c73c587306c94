"""A cluster together with what is going to happen to it, what is done with it, and what is asked of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hasim.declared import at, shown
from hasim.errors import ModelError, Problem, nearest
from hasim.faults import Fault
from hasim.model.demand import Load
from hasim.model.demand.route import NoRoute, route_of
from hasim.model.upgrades import Upgrade
from hasim.model.upgrades.plan import numbered, order_of
from hasim.model.upgrades.room import upgrade_problems

if TYPE_CHECKING:
    from hasim.model.cluster import Cluster


@dataclass(frozen=True)
class Scenario:
    """A cluster, its scripted faults, loads and upgrades, for `ha.simulate`; other engines refuse it by name."""

    cluster: Cluster
    faults: tuple[Fault, ...] = ()
    loads: tuple[Load, ...] = ()
    upgrades: tuple[Upgrade, ...] = ()

    def during(self, *events: Fault | Load | Upgrade) -> Scenario:
        """The same with more faults, loads and upgrades."""
        return scenario_of(self.cluster, (*self.faults, *self.loads, *self.upgrades, *events))

    @property
    def all_loads(self) -> tuple[Load, ...]:
        """The loads of the model, then those of the scenario; each has a name of its own."""
        return (*(load.model_copy(update={"name": name}) for name, load in self.cluster.loads.items()), *self.loads)

    @property
    def all_upgrades(self) -> tuple[Upgrade, ...]:
        """The rollouts of the model and the upgrades of the scenario, in order of time, each with a name of its own."""
        return numbered((*self.cluster.rollouts, *self.upgrades), self.cluster)


def scenario_of(cluster: Cluster, events: Sequence[Fault | Load | Upgrade]) -> Scenario:
    """Check that everything named exists, that every load has a way, and that upgrades are of what can be upgraded."""
    for event in events:
        if not isinstance(event, Load | Upgrade) and not (hasattr(event, "targets") and hasattr(event, "script")):
            raise ModelError(
                f"got {shown(event)}; give faults like ha.Crash('host-1', at='1m', …), loads like ha.Load(rate=200) "
                "and upgrades like ha.Rolling('api', at='1m')",
                "during",
            )
    problems = list(_problems(cluster, events))
    if problems:
        raise ModelError.of(problems)
    loads = [event for event in events if isinstance(event, Load)]
    upgrades = [event for event in events if isinstance(event, Upgrade)]
    faults = tuple(event for event in events if not isinstance(event, Load | Upgrade))
    scenario = Scenario(cluster, faults, _named(loads), numbered(upgrades, cluster))
    wrong = order_of(scenario.all_upgrades)
    if wrong:
        raise ModelError.of([at(("during",), said) for said in wrong])
    names = [load.name for load in scenario.all_loads]
    twice = [name for i, name in enumerate(names) if name in names[:i]]
    if twice:
        raise ModelError(f"two loads are called {twice[0]!r}; give each a `name` of its own", "during")
    return scenario


def _problems(cluster: Cluster, events: Sequence[Fault | Load | Upgrade]) -> Iterator[Problem]:
    known = cluster.names()
    for i, event in enumerate(events):
        if isinstance(event, Upgrade):
            yield from (at(("during", i), said) for said in upgrade_problems(event, cluster))
            continue
        if isinstance(event, Load):
            try:
                route_of(event, cluster.parts)
            except NoRoute as error:
                yield at(("during", i, "to"), str(error))
            continue
        for target in event.targets:
            if target not in known:
                yield at(
                    ("during", i),
                    f"the fault names {target!r}, which is not in the cluster{nearest(target, known)}",
                )


def _named(loads: Sequence[Load]) -> tuple[Load, ...]:
    """Give loads that nobody named numbers, if there are several: load, load-2, load-3."""
    taken = {load.name for load in loads if "name" in load.model_fields_set}
    named: list[Load] = []
    for load in loads:
        name, number = load.name, 1
        while "name" not in load.model_fields_set and name in taken:
            number += 1
            name = f"{load.name}-{number}"
        taken.add(name)
        named.append(load if name == load.name else load.model_copy(update={"name": name}))
    return tuple(named)
