"""Bursts: events that take several hosts of a domain down at the same instant."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

from hasim.engines.des.clocks import Steps
from hasim.model.system import Shock

if TYPE_CHECKING:
    from hasim.engines.des.live import LiveCluster


def start_shocks(live: LiveCluster, steady: bool) -> None:
    """Start a process for each domain that bursts strike; `steady`: at a random instant between two."""
    for shock in live.system.shocks:
        gaps = live.draws_of(shock.every, f"burst:{shock.name}/every")
        if steady:
            rest = shock.every.residual(live.streams[f"burst:{shock.name}/start"], 1)
            gaps = chain(rest.tolist(), gaps)
        live.env.process(_strikes(live, shock, gaps))


def _strikes(live: LiveCluster, shock: Shock, gaps: Iterator[float]) -> Steps:
    rng = live.streams[f"burst:{shock.name}/hits"]
    repairs = {
        victim: live.draws(live.system.units[victim].repair, live.system.units[victim], "repair")
        for victim in shock.victims
    }
    for gap in gaps:
        yield live.env.timeout(gap)
        if shock.hits is None:
            lots = rng.random(len(shock.victims))
            hit = [victim for victim, lot in zip(shock.victims, lots, strict=True) if lot < (shock.share or 0.0)]
        else:
            chosen = rng.choice(len(shock.victims), size=shock.hits, replace=False)
            hit = [shock.victims[i] for i in sorted(chosen)]
        fresh = [victim for victim in hit if live.is_up(victim)]  # who is still down does not notice
        live.note("burst", shock.name, {"hits": [live.system.units[victim].name for victim in fresh]})
        with live.instant():
            for victim in fresh:
                live.go_down(victim, live.system.units[victim].name, "failed")
        for victim in fresh:
            live.env.process(_recovery(live, victim, next(repairs[victim])))


def _recovery(live: LiveCluster, victim: int, repair: float) -> Steps:
    yield live.env.timeout(repair)
    live.come_up(victim, live.system.units[victim].name, "repaired")
