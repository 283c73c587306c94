"""How much of the CPU that they ask for the pods of an app use: what autoscalers go by."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hasim.model.demand import Arrivals
from hasim.protocols.reconcile.horizontal import HorizontalAutoscaler

if TYPE_CHECKING:
    from hasim.engines.des.kubernetes.serving import Serving
    from hasim.engines.des.world import LeapingEnvironment


class Metrics:
    """The use of each pod of the autoscaler's target, over the window of a sample; demand is shared evenly."""

    def __init__(self, env: LeapingEnvironment, serving: Serving, autoscaler: HorizontalAutoscaler) -> None:
        self._env = env
        self._serving = serving
        self._window = autoscaler.metric_window

    def __call__(self, app: str) -> dict[str, float]:
        """The share of its CPU that each pod that serves uses; more than 1 where it is asked for more than it has."""
        part = self._serving.workloads[app]
        pods = self._serving.pods_of(app)
        if part.demand is None or part.cost is None or not pods or not part.cpu:
            return {}
        now = max(self._env._now, 0.0)  # before the beginning it was as it is then
        busy = _mean_rate(part.demand, max(now - self._window, 0.0), now) * part.cost  # CPUs
        return dict.fromkeys(pods, busy / len(pods) / (part.cpu / 1000.0))


def _mean_rate(arrivals: Arrivals, start: float, end: float) -> float:
    """Requests a second, on average between two instants; just the rate where they are the same."""
    if end <= start:
        end = start + 1e-3
    return sum((high - low) * rate for low, high, rate in arrivals.segments(start, end)) / (end - start)
