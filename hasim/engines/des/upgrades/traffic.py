"""Where requests go while an upgrade says so, and what came of them by version."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import TYPE_CHECKING, Any

from scipy.special import ndtri

from hasim.engines.des.draws import draws
from hasim.engines.des.requests.front import Front
from hasim.engines.des.upgrades.lanes import ClientLanes, ShareLanes
from hasim.engines.des.upgrades.machines import Machines
from hasim.engines.des.upgrades.places import Places, exposure, is_blind
from hasim.engines.des.world.alarm import Alarm
from hasim.model.upgrades import BlueGreen, Upgrade
from hasim.protocols.rollout.rollout import TICK_S
from hasim.streams import uniforms

if TYPE_CHECKING:
    from hasim.engines.des.live import LiveCluster


class Traffic:
    """Tells the balancers of a pool, each as late as the switch takes to reach it."""

    def __init__(self, live: LiveCluster, upgrade: Upgrade, places: Places) -> None:
        self._live, self._env, self._upgrade, self._places = live, live.env, upgrade, places
        self._lanes = places.lanes
        self._late_ones = 0  # balancers that have not heard of the last switch yet
        self.heard: Callable[[], None] = _nobody  # called when the last of them has
        self._over = False
        self._chance = uniforms(live.streams[f"upgrade:{upgrade.called}/lanes"])
        late = upgrade.propagation if isinstance(upgrade, BlueGreen) else None
        self._late = None if late is None else draws(late, live.streams, f"upgrade:{upgrade.called}/propagation")
        self._by_client = upgrade.client_propagation if isinstance(upgrade, BlueGreen) else None
        self._live_version: str | None = None

    def shift(self, shares: tuple[tuple[str, float], ...] | None) -> None:
        """Send these shares of requests to these versions; what a balancer hears late does not undo what came later."""
        self._places.orders += 1
        self._over = False
        only = shares[0][0] if shares is not None and len(shares) == 1 else None
        before, self._live_version = self._live_version, only
        switches = only is not None and before is not None and only != before
        order = self._places.orders
        for number, front in enumerate(self._places.fronts):
            lanes: Any = None if shares is None else ShareLanes(shares, self._places.version_of, self._chance)
            if switches and self._late is not None:
                at = self._env.now + next(self._late)
                self._later(at, order, number, front, before, only, lanes)
            else:
                self._route(order, number, front, before if switches else None, only, lanes)

    def _later(self, at: float, order: int, number: int, front: Front, before: Any, only: Any, lanes: Any) -> None:
        self._late_ones += 1

        def heard() -> None:
            self._late_ones -= 1
            self._route(order, number, front, before, only, lanes)
            self._clear()
            if not self._late_ones:
                self.heard()

        Alarm(self._env, at, heard)  # type: ignore[arg-type]

    @property
    def is_late(self) -> bool:
        """Whether a balancer has not heard of the last switch yet."""
        return self._late_ones > 0

    def over(self) -> None:
        """The upgrade is over: once every balancer has heard of its end, nothing is said of versions any more."""
        self._over = True
        self._clear()

    def resumes(self) -> None:
        """The upgrade is not over after all: requests stay where its end has left them until it says more."""
        if self._over and self._live_version is not None:
            self.shift(((self._live_version, 1.0),))

    def _clear(self) -> None:
        if self._over and not self._late_ones:
            for number, front in enumerate(self._places.fronts):
                if self._lanes[number] is not None:
                    self._forget(front, self._lanes[number])
                    self._lanes[number] = None
                    front.view.route(None)

    def _forget(self, front: Front, lanes: Any) -> None:
        """Who got no requests any more, and has gone since, is not tried again: a balancer had it switched off."""
        for place in self._places.places:
            index = place.replica.index
            if place.pod is None and lanes.lane_of(index) < 0 and front.is_used(index) and not is_blind(front):
                self._places.path.forget(front, place.replica)

    def _route(self, order: int, number: int, front: Front, before: str | None, only: str | None, lanes: Any) -> None:
        env, law, places = self._env, self._by_client, self._places
        if order < places.reached[number]:
            return
        places.reached[number] = order
        if before is not None and only is not None:
            if isinstance(self._upgrade, BlueGreen) and not self._upgrade.checked:
                self._believe(front, only)
            if law is not None:
                name = f"upgrade:{self._upgrade.called}/{front.name}/clients"
                delays = draws(law, self._live.streams, name)
                earlier = places.lanes[number]
                lanes = ClientLanes(
                    before, only, env.now, law, places.version_of, delays.__next__, lambda: env.now,
                    earlier if isinstance(earlier, ClientLanes) else None,
                )  # fmt: skip
                for moment in lanes.moments():
                    Alarm(env, moment + TICK_S, places.views_changed)  # type: ignore[arg-type]
        places.lanes[number] = lanes
        front.view.route(lanes)
        places.views_changed()

    def _believe(self, front: Front, version: str) -> None:
        """A balancer learns of servers at the switch, and takes them for up until its checks fail."""
        for place in self._places.places:
            if place.version == version and not place.leaving:
                self._places.path.renew_check(front, place.replica)

    def notice(self, on: bool) -> None:
        """Answer with a notice, or no longer."""
        for front in self._places.fronts:
            front.notice = on

    def exposure(self, version: str) -> float:
        """The share of requests that meet a version now."""
        return exposure(self._places, version, self._env.now)

    # What came of requests.

    def count_from_now(self) -> None:
        """Count answers, good and bad, by server."""
        for front in self._places.fronts:
            front.tally = [[0, 0] for _ in front.replicas]

    def looks_bad(self, old: str, new: str, false_alarms: float) -> bool:
        """Whether the new version failed more than the old one, beyond chance: two proportions, one-sided."""
        counts = {old: [0, 0], new: [0, 0]}
        for front in self._places.fronts:
            for place, (good, failed) in zip(self._places.places, front.tally or (), strict=False):
                if place.version in counts:
                    counts[place.version][0] += good
                    counts[place.version][1] += failed
        (good0, bad0), (good1, bad1) = counts[old], counts[new]
        n0, n1 = good0 + bad0, good1 + bad1
        if not n0 or not n1:
            return False
        p0, p1 = bad0 / n0, bad1 / n1
        variance = p0 * (1 - p0) / n0 + p1 * (1 - p1) / n1
        if variance == 0.0:
            return p1 > p0
        return bool((p1 - p0) / sqrt(variance) > -ndtri(false_alarms))


def _nobody() -> None:
    """Nobody waits for it."""


class NoTraffic:
    """Stands in where hosts are upgraded as a whole: balancers find out by themselves, and are told nothing."""

    is_late = False

    def __init__(self, machines: Machines) -> None:
        self._machines = machines
        self.heard: Callable[[], None] = _nobody

    def shift(self, shares: tuple[tuple[str, float], ...] | None) -> None:
        """Nobody is told."""

    def notice(self, on: bool) -> None:
        """Nobody is told."""

    def over(self) -> None:
        """Nothing was said."""

    def resumes(self) -> None:
        """Nothing was said."""

    def count_from_now(self) -> None:
        """Nobody counts."""

    def exposure(self, version: str) -> float:
        """The share of hosts that are well and have the version."""
        well = [machine for machine in self._machines.places if machine.well]
        return sum(machine.version == version for machine in well) / len(well) if well else 0.0

    def looks_bad(self, old: str, new: str, false_alarms: float) -> bool:
        """Nobody knows."""
        return False
