"""What can be said of a system before it is played: how much will happen, and how long an outage may last."""

from __future__ import annotations

import math

from hasim.errors import CannotModel
from hasim.model.cluster import Cluster
from hasim.model.laws import Election, Law
from hasim.model.system import System
from hasim.units import human


def longest_outage_mean(system: System) -> float:
    """Return an upper limit, in seconds, of the mean outage: the slowest way back there is.

    An outage may begin in the middle of a repair, whose rest is longer on average when repairs differ much
    (length bias). A repair that waits for a crew may find everybody else in line before it.
    """
    waits = {
        name: math.ceil(sum(unit.crew == name for unit in system.units) / crew.size)
        for name, crew in system.crews.items()
    }
    slowest = [0.0]
    for unit in system.units:
        stock = system.spares.get(unit.spares or "")
        spare = 0.0 if stock is None else residual_mean(stock.restock)
        slowest.append(residual_mean(unit.down) * waits.get(unit.crew or "", 1) + spare)
    for switch in system.switches:
        slowest.extend(residual_mean(law) for law in (switch.failover.takes, switch.failover.manual) if law is not None)
    slowest.extend(window.lasting for window in system.windows)
    return max(slowest)


def residual_mean(law: Law) -> float:
    """Return the mean rest of a duration that somebody looks into at random, in seconds; at least its mean.

    Of an election it is an upper limit, which needs no table of elections.
    """
    if isinstance(law, Election):
        return law.mean_at_most
    return law.mean * max(1.0, (1.0 + law.scv) / 2)


def events_per_second(system: System) -> float:
    """Return how many failures, repairs, bursts and window edges there are in a second, waiting apart."""
    rate = sum(2 / (unit.life.mean + unit.down.mean) for unit in system.units if unit.life is not None)
    rate += sum(2 * len(shock.victims) / shock.every.mean for shock in system.shocks)
    return rate + sum(2 / window.every for window in system.windows)


def refuse_slow_elections(system: System, engine: str, instead: str = "use ha.simulate") -> None:
    """Raise CannotModel if an engine would draw elections whose messages and writes are too slow for their law."""
    for switch in system.switches:
        raft = getattr(system.cluster.parts[switch.part], "raft", None)
        if raft is not None and raft.too_slow is not None:
            raise CannotModel(
                f"parts.{switch.part}.raft with {raft.too_slow}",
                "in the law of elections a message and a write together take at most a third of the election timeout "
                f"of {human(raft.election_timeout)}",
                instead,
                engine,
            )


def refuse_what_is_played(cluster: Cluster, engine: str, instead: str = "use ha.simulate") -> None:
    """Raise CannotModel if pods move, something heals, a failover has no law, or releases were never measured."""
    for name, releases in cluster.upgrades.items():
        if releases.measured is None:
            why = "what a release costs depends on requests and pods that are played"
            raise CannotModel(
                f"upgrades.{name}, of unknown cost", why, "use ha.calibrate first, or ha.simulate", engine
            )
    for name in cluster.remedies:
        why = "what it treats, and when, depends on loads and faults that are played"
        raise CannotModel(f"remedies.{name}", why, instead, engine)
    for name, part in cluster.parts.items():
        if part.FLOATING:
            why = "where its pods are, and whether they serve, depends on what controllers did before"
            raise CannotModel(f"parts.{name}, a workload", why, instead, engine)
        if part.only_played is not None:
            raise CannotModel(f"parts.{name}, {part.only_played[0]}", part.only_played[1], instead, engine)


def refuse_endless(system: System, length_s: float, events_max: float, engine: str) -> None:
    """Raise CannotModel if a history of this length has so many events that nobody would see its end."""
    expected = events_per_second(system) * length_s
    if expected > events_max:
        raise CannotModel(
            f"about {expected:.1g} events",
            f"it takes up to {events_max:.0g}",
            "play less time, or ask ha.solve",
            engine,
        )
