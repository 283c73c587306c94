"""Whether a release is bad, and when that is noticed."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING

from hasim.engines.des.draws import draws
from hasim.engines.des.world.alarm import Alarm
from hasim.model.upgrades import Upgrade
from hasim.streams import FEW, uniforms

if TYPE_CHECKING:
    from hasim.engines.des.live import LiveCluster


class Watch:
    """The luck of one release. Everything is drawn at once, so that strategies with one seed have the same release."""

    def __init__(self, live: LiveCluster, upgrade: Upgrade, noticed: Callable[[str], None]) -> None:
        self._env, self._noticed = live.env, noticed
        release, detection = upgrade.release, upgrade.detection
        chance = uniforms(live.streams[f"release:{upgrade.target}/{upgrade.release.version}"], FEW)
        self.bad = chance() < release.bad
        self.never_ready = self.bad and chance() < release.never_ready
        self._tests = chance()
        self._clock = "time" if detection is None else detection.clock
        streams, stem = live.streams, f"release:{upgrade.target}/{upgrade.release.version}"
        self._left = inf  # until it is noticed, on its clock, in seconds
        if self.bad and detection is not None:
            self._left = next(draws(detection.takes, streams, f"{stem}/detection"))
        decide = None if detection is None else detection.decide
        self._decide = 0.0 if decide is None else next(draws(decide, streams, f"{stem}/decision"))
        self._share = 0.0
        self._since: float | None = None  # when the clock was last read; None: nobody has met the version
        self._alarm: Alarm | None = None
        self._over = False

    @property
    def pending(self) -> bool:
        """Whether it is still to come out that the release is bad."""
        return self._left < inf and not self._over

    def caught(self, chance: float) -> bool:
        """Whether tests that find bad versions with this chance find this one."""
        return self.bad and (self.never_ready or self._tests < chance)

    def decision(self) -> float:
        """How long people take to decide, in seconds."""
        return self._decide

    def exposed(self, share: float) -> None:
        """From now on this share of requests meets the version."""
        if self._left == inf or self._over:
            return
        now = self._env.now
        if self._since is None:
            if share <= 0:
                return
            self._since = now
        self._left -= (now - self._since) * self._pace()
        self._since, before = now, self._pace()
        self._share = share
        pace = self._pace()
        if pace == before and self._alarm is not None and self._alarm.pending:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = None
        if pace > 0:
            self._alarm = Alarm(self._env, now + max(self._left, 0.0) / pace, self._rings)  # type: ignore[arg-type]

    def _pace(self) -> float:
        return self._share if self._clock == "exposure" else 1.0

    def _rings(self) -> None:
        self._over = True
        self._noticed("by its errors")

    def stalled(self) -> None:
        """A progress deadline has passed, and that counts."""
        if not self._over:
            self._over = True
            if self._alarm is not None:
                self._alarm.cancel()
            self._noticed("by its stall")
