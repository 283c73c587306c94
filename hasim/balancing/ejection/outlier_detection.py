"""Eject servers that stand out by their errors, for longer each time, as Envoy does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from hasim.balancing.ejection.ejection import Detector, Ejection, Turn
from hasim.units import Count, Seconds, Share, duration_text

# A server that was ejected in a sweep is due exactly at a later one. Envoy's timers fire a little late, never early, so
# such a server is back in that sweep; sums of floats must not put it off to the next.
_ROUNDING = 1e-6

# Envoy reads the interval in whole milliseconds.
_INTERVAL_LEAST_S = 0.001


class OutlierDetection(Ejection):
    """Eject a server after errors in a row, or for a success rate far below the others', and let it back in a sweep.

    Every failure counts as a 5xx, as in Envoy while local and external errors are not told apart. Sweeps come every
    `interval`, the first at a time that is drawn. A server that was ejected for the k-th time in short succession
    returns in the first sweep after k times `base_ejection`, at most `max_ejection_time`; for every sweep that finds
    it in use for an interval, k falls by one. No server is ejected that would take the share of ejected ones above
    `max_ejection`; with Envoy's 10 % that is nobody among fewer than ten, unless `always_one`. The success rates
    of the last interval are compared when at least `success_rate_hosts` servers had `success_rate_requests`: who is
    more than `success_rate_deviations` standard deviations below the mean is ejected.
    Source: Envoy source/common/upstream/outlier_detection_impl.cc and the proto
    envoy.config.cluster.v3.OutlierDetection, defaults included. Left out: gateway failures on their own, which Envoy
    counts but does not act on unless told to.
    """

    kind: Literal["outlier_detection"] = "outlier_detection"
    consecutive_5xx: Count = Field(default=5, ge=1, description="Errors in a row that eject; 5 in Envoy.")
    interval: Seconds = Field(default=10.0, description="Time between sweeps; 10 s in Envoy.")
    base_ejection: Seconds = Field(default=30.0, gt=0, description="Length of a first ejection; 30 s in Envoy.")
    max_ejection_time: Seconds = Field(default=300.0, gt=0, description="Longest ejection; 300 s in Envoy.")
    jitter: Seconds = Field(
        default=0.0, description="Each ejection is longer by U(0, jitter); 0 in Envoy (max_ejection_time_jitter)."
    )
    max_ejection: Share = Field(default=0.1, description="Share of servers that may be ejected; 10 % in Envoy.")
    always_one: bool = Field(
        default=False,
        description="Whether one may be ejected in any case (always_eject_one_host, off in Envoy).",
    )
    success_rate: bool = Field(default=True, description="Whether success rates eject; on in Envoy.")
    success_rate_hosts: Count = Field(default=5, ge=1, description="Servers to compare, at least; 5 in Envoy.")
    success_rate_requests: Count = Field(default=100, ge=1, description="Requests each in the interval; 100 in Envoy.")
    success_rate_deviations: float = Field(
        default=1.9, ge=0, allow_inf_nan=False, description="Standard deviations below the mean; 1.9 in Envoy."
    )
    failure_percentage: Share | None = Field(
        default=None, description="Share of failures that ejects, none by default; Envoy's 85 % is not enforced there."
    )
    failure_percentage_hosts: Count = Field(default=5, ge=1, description="Servers that have enough; 5 in Envoy.")
    failure_percentage_requests: Count = Field(default=50, ge=1, description="Requests that are enough; 50 in Envoy.")

    @field_validator("interval")
    @classmethod
    def _sweeps_apart(cls, interval: float) -> float:
        if interval < _INTERVAL_LEAST_S:
            raise ValueError(f"got {duration_text(interval)}; it is at least {duration_text(_INTERVAL_LEAST_S)}")
        return interval

    @model_validator(mode="after")
    def _longest(self) -> Self:
        if self.max_ejection_time < self.base_ejection:
            raise ValueError(
                f"max_ejection_time is {self.max_ejection_time:g} s, but base_ejection is {self.base_ejection:g} s; "
                "the longest ejection is no shorter than the first"
            )
        return self

    def start(self, count: int, rng: np.random.Generator) -> Detector:
        return _Monitors(self, count, rng)


class _Monitor:
    """What is known of one server."""

    __slots__ = ("back_since", "in_a_row", "length", "out", "out_since", "requests", "successes", "times")

    def __init__(self) -> None:
        self.in_a_row = 0
        self.requests = 0  # in the interval under way
        self.successes = 0
        self.out = False
        self.out_since = -math.inf
        self.length = 0.0  # of the ejection under way
        self.back_since = math.inf  # infinity: never was ejected
        self.times = 0  # ejections, less the intervals in use since then


class _Monitors:
    __slots__ = ("_monitors", "_phase", "_rng", "_settings", "_sweeps", "wake_at")

    def __init__(self, settings: OutlierDetection, count: int, rng: np.random.Generator) -> None:
        self._settings = settings
        self._monitors = [_Monitor() for _ in range(count)]
        self._rng = rng
        self._phase = settings.interval * rng.random()
        self._sweeps = 0
        self.wake_at = self._phase

    def chosen(self, index: int, now: float) -> Sequence[Turn]:
        return ()

    def answered(self, index: int, failure: str | None, now: float) -> Sequence[Turn]:
        monitor = self._monitors[index]
        monitor.requests += 1
        if failure is None:
            monitor.successes += 1
            monitor.in_a_row = 0
            return ()
        monitor.in_a_row += 1
        if monitor.in_a_row != self._settings.consecutive_5xx or monitor.out:
            return ()
        monitor.in_a_row = 0  # whether or not it may be ejected
        return self._eject(index, f"{self._settings.consecutive_5xx} errors in a row", now)

    def wake(self, now: float) -> Sequence[Turn]:
        settings = self._settings
        turns = []
        for index, monitor in enumerate(self._monitors):
            if monitor.out and now - monitor.out_since + _ROUNDING >= monitor.length:
                monitor.out = False
                monitor.in_a_row = 0
                monitor.back_since = now
                turns.append(Turn(index, True, f"ejected for {monitor.length:g} s"))
        turns += self._compare(now)
        for monitor in self._monitors:
            monitor.requests = monitor.successes = 0
            if not monitor.out and now - monitor.back_since + _ROUNDING >= settings.interval:
                monitor.times = max(0, monitor.times - 1)
        due = max(now, self.wake_at)
        while self.wake_at <= due:
            self._sweeps += 1
            self.wake_at = self._phase + self._sweeps * settings.interval
        return turns

    def _compare(self, now: float) -> list[Turn]:
        """Eject by the success rates of the interval that ends, as seen before this sweep ejects anybody."""
        settings = self._settings
        rates = {
            index: monitor.successes / monitor.requests
            for index, monitor in enumerate(self._monitors)
            if monitor.requests and not monitor.out
        }
        turns: list[Turn] = []
        enough = [index for index in rates if self._monitors[index].requests >= settings.success_rate_requests]
        if settings.success_rate and enough and len(enough) >= settings.success_rate_hosts:
            mean = math.fsum(rates[index] for index in enough) / len(enough)
            variance = math.fsum((rates[index] - mean) ** 2 for index in enough) / len(enough)
            least = mean - settings.success_rate_deviations * math.sqrt(variance)
            for index in enough:
                if rates[index] < least:
                    turns += self._eject(index, f"succeeds in {rates[index]:.1%}, others in {mean:.1%}", now)
        if settings.failure_percentage is None:
            return turns
        enough = [index for index in rates if self._monitors[index].requests >= settings.failure_percentage_requests]
        if len(enough) >= settings.failure_percentage_hosts:
            for index in enough:
                monitor = self._monitors[index]
                failed = (monitor.requests - monitor.successes) / monitor.requests
                if failed >= settings.failure_percentage and not monitor.out:
                    turns += self._eject(index, f"fails in {failed:.1%}", now)
        return turns

    def _eject(self, index: int, why: str, now: float) -> list[Turn]:
        """Eject a server if so many may be ejected; its next ejection is longer."""
        settings = self._settings
        out = sum(monitor.out for monitor in self._monitors)
        if (out + 1) / len(self._monitors) > settings.max_ejection and not (settings.always_one and out == 0):
            return []
        monitor = self._monitors[index]
        monitor.out = True
        monitor.out_since = now
        if monitor.times * settings.base_ejection < settings.max_ejection_time + settings.base_ejection:
            monitor.times += 1
        length = min(monitor.times * settings.base_ejection, settings.max_ejection_time)
        monitor.length = length + (settings.jitter * self._rng.random() if settings.jitter else 0.0)
        return [Turn(index, False, why)]
