"""Planned releases played one by one: the calendar of a model spelled out for one run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from hasim.engines.des.calendar import common_period
from hasim.errors import CannotModel, ModelError
from hasim.model.cluster import Cluster
from hasim.model.upgrades import Upgrade
from hasim.model.upgrades.calendar import Releases
from hasim.streams import Streams

RELEASES_MAX: Final = 100_000
"""More in one run would take more memory than they are worth; a release every five minutes for a year is as many."""


def releases_in(
    cluster: Cluster, length: float, streams: Streams, steady: bool, scripted: Sequence[Upgrade]
) -> tuple[Upgrade, ...]:
    """Return the upgrades of the scenario (`scripted`), and each planned release that begins in so many seconds.

    Each release has a name ("weekly #1") and a version ("v2.1") of its own, and so luck of its own. In a steady start
    the calendar is at a random phase. Raises CannotModel for more than anybody could want, and ModelError where an
    upgrade of the scenario has the name of a release.
    """
    calendar = cluster.upgrades
    phase = 0.0
    if steady and calendar:
        phase = float(streams["upgrades/phase"].random()) * common_period([each.every_s for each in calendar.values()])
    expected = sum(length / each.every_s for each in calendar.values())
    if expected > RELEASES_MAX:
        why = f"each is played, and {RELEASES_MAX:.0g} of these are the most"
        raise CannotModel(f"about {expected:.1g} releases", why, "play less time", "simulate")
    found = [each for name, releases in calendar.items() for each in _of(name, releases, length, phase, steady)]
    names = {each.name for each in found}
    for upgrade in scripted:
        if upgrade.called in names:
            raise ModelError(f"got an upgrade {upgrade.called!r}, which is the name of a planned release", "during")
    return (*scripted, *sorted(found, key=lambda each: each.at))


def _of(name: str, releases: Releases, length: float, phase: float, endless: bool) -> list[Upgrade]:
    """The releases of one kind; `endless`: the calendar has no first page."""
    every, first, upgrade = releases.every_s, releases.first_s - phase, releases.upgrade
    start = math.ceil(-first / every)
    start = start if endless else max(start, 0)
    found: list[Upgrade] = []
    while (at := first + (start + len(found)) * every) < length:
        number = len(found) + 1
        release = upgrade.release.model_copy(update={"version": f"{upgrade.release.version}.{number}"})
        update = {"at": max(at, 0.0), "name": f"{name} #{number}", "release": release}
        found.append(upgrade.model_copy(update=update))
    return found
