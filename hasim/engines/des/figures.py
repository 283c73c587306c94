"""From what a run left behind to the figures of its services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hasim.engines.des import causes
from hasim.engines.des.history import difference
from hasim.engines.des.live import LiveCluster
from hasim.model.outlook import longest_outage_mean
from hasim.model.system import SystemService
from hasim.results.estimate import Estimate
from hasim.results.figures import ServiceFigures
from hasim.results.intervals import unavailability_interval
from hasim.results.run import figures_of_history

Intervals = NDArray[np.float64]


def service_figures(
    live: LiveCluster, length_s: float, level: float, held: Mapping[int, str]
) -> dict[str, ServiceFigures]:
    """Return the figures of every service, from one history of this length."""
    longest = longest_outage_mean(live.system)
    found = {}
    for service in live.system.services:
        down = live.history.down(live.nodes["service", service.name])
        slo = None if service.slo is None else (service.slo.availability, service.slo.window)
        figures = figures_of_history(service.name, down, length_s, slo=slo, level=level, longest_repair_mean=longest)
        patterns = live.causes[service.name].patterns
        found[service.name] = replace(
            figures,
            degraded=_degraded(live, service, down, length_s, level=level, longest=longest),
            blame=causes.blame(service.up, patterns, live.system, held),
            cuts=causes.cuts(service.up, patterns, live.system, held),
        )
    return found


def _degraded(
    live: LiveCluster,
    service: SystemService,
    down: Intervals,
    length_s: float,
    *,
    level: float,
    longest: float,
) -> Estimate | None:
    """The share of time up but not in full; None where there is no such state."""
    if service.full == service.up:
        return None
    spells = difference(live.history.down(live.nodes["full", service.name]), down)
    lasting = spells[:, 1] - spells[:, 0]
    return unavailability_interval(
        [float(lasting.sum())], len(lasting), lasting, length_s, level=level, longest_repair_mean=longest
    )[0]


SCRIPTED = ("held: ", "killed: ")
"""How the windows are called that scripts, probes and remedies turn, and no calendar."""


def down_by_name(live: LiveCluster) -> dict[str, Intervals]:
    """Return when each thing was down, by name.

    Services, parts, then hosts, domains and members go by their own names. A unit whose name is that of a
    thing around it (the process of `etcd-1` is not the member, which also needs its host) is called `etcd-1
    (itself)`.
    """
    found: dict[str, Intervals] = {}
    for kind, mark in (("service", ""), ("part", " (part)"), ("standing", " (member)")):
        for (its_kind, name), node in live.nodes.items():
            if its_kind == kind:
                found[f"{name}{mark}" if name in found else name] = live.history.down(node)
    for index, unit in enumerate(live.system.units):
        found[f"{unit.name} (itself)" if unit.name in found else unit.name] = live.history.down(index)
    for window in live.system.windows:
        if window.name.startswith(SCRIPTED):
            continue
        found[f"{window.name} (planned)"] = live.history.down(window.variable)
    return found


def gaps_by_part(live: LiveCluster) -> dict[str, Intervals]:
    """Return the failovers of each part that fails over."""
    return {switch.part: live.history.down(switch.led) for switch in live.system.switches}
