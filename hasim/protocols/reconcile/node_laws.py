"""In closed form: how long a node that crashes at a random moment takes to be given up, and its pods to be deleted.

Passes come every P seconds, leases are renewed every R, and the grace of G seconds runs from the pass that first saw
the last renewal, so that it ends with a pass. V is uniform on (0, P), A the age of the lease at the crash, uniform on
(0, R), and independent of V.

| what | how long after the crash |
|---|---|
| a node is not ready, and its pods leave the endpoints | V + G - A |
| the first of k that crash together is not ready | V + G - max(A1, …, Ak) |
| the n-th of them is tainted NoExecute | the same, and P + (n-1) / rate |
| its pods are deleted | the same, and their toleration |

With the defaults that is 40 to 55 s, 47.5 s on average; then 5 s more, 10 s from node to node, and 300 s. The laws are
of passes and requests that take no time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from hasim.errors import ModelError
from hasim.protocols.reconcile.node_lifecycle import NodeLifecycle
from hasim.protocols.reconcile.objects import TOLERATION_S
from hasim.protocols.reconcile.zones import ROUNDING_S, state_of
from hasim.units import duration_text

RENEW_S = 10.0
"""How often a kubelet renews its lease: a quarter of nodeLeaseDurationSeconds, 40 s (pkg/kubelet/kubelet.go)."""


@dataclass(frozen=True)
class PassDelay:
    """The law of `after` + U(0, `period`) - the largest of `nodes` draws of U(0, `renew`), all independent; seconds.

    For one node it is a trapezoid.
    """

    after: float
    period: float
    renew: float
    nodes: int = 1

    @property
    def low(self) -> float:
        """The shortest delay, in seconds."""
        return self.after - self.renew

    @property
    def high(self) -> float:
        """The longest delay, in seconds."""
        return self.after + self.period

    @property
    def mean(self) -> float:
        """The mean, in seconds."""
        return self.after + self.period / 2.0 - self.renew * self.nodes / (self.nodes + 1.0)

    @property
    def variance(self) -> float:
        """The variance, in seconds squared."""
        k = float(self.nodes)
        return self.period**2 / 12.0 + self.renew**2 * k / ((k + 1.0) ** 2 * (k + 2.0))

    def cdf(self, t: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """The chance of a delay of at most `t` seconds, for each of them; of the same shape as `t`.

        A delay is longer than t if the largest age is below after - t + V, which averages min(u / renew, 1)^k over u.
        """
        least = self.after - np.asarray(t, dtype=np.float64)
        longer = (self._area(least + self.period) - self._area(least)) / self.period
        return np.clip(1.0 - longer, 0.0, 1.0)

    def later(self, by: float) -> PassDelay:
        """The law of the same delay and `by` seconds more."""
        return replace(self, after=self.after + by)

    def _area(self, u: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The integral of min(x / renew, 1)^k over x from 0 to u; 0 for u below 0."""
        power = self.nodes + 1.0
        return np.clip(u / self.renew, 0.0, 1.0) ** power * self.renew / power + np.maximum(u - self.renew, 0.0)


def not_ready(settings: NodeLifecycle, renew: float = RENEW_S, nodes: int = 1) -> PassDelay:
    """How long until the first of `nodes` that crash together, at a random moment, is Unknown, in seconds.

    `renew` is how often their kubelets renew their leases, each at moments of its own, in seconds. A grace that is no
    whole number of passes ends with the next one.
    """
    if not 0.0 < renew < math.inf:
        raise ModelError(f"got {renew:g}; leases are renewed after a time above 0 s", "renew")
    if nodes < 1:
        raise ModelError(f"got {nodes}; at least 1 node crashes", "nodes")
    period = settings.monitor_period
    passes = max(math.ceil((settings.grace_period - ROUNDING_S) / period), 1)
    if passes < _passes_between_renewals(period, renew):
        given = duration_text(settings.grace_period)
        raise ModelError(f"got {given} with renewals every {renew:g} s; a node that lives is given up", "grace")
    return PassDelay(passes * period, period, renew, nodes)


def tainted_at(settings: NodeLifecycle, nth: int, lost: int, size: int, renew: float = RENEW_S) -> PassDelay | None:
    """How long until the `nth` of `lost` nodes that crash together is tainted NoExecute, in seconds; None: never.

    They are of one zone of `size` nodes; others live, there or in another zone, and no token has been taken of late.
    Where the zone becomes partly down by it, the law is of nodes that are noticed in one pass. If they are not, one
    may be tainted before so many are, and in a large zone the others come later by up to one round of renewals.
    """
    if not 1 <= nth <= lost <= size:
        raise ModelError(f"got the {nth}. of {lost} lost of {size}; 1 ≤ nth ≤ lost ≤ size", "nth")
    state = state_of(size - lost, lost, settings.unhealthy_zone_threshold)
    rate = settings.rate(state, size)
    if not rate:
        return None
    # All are queued within a round of renewals, in passes; a token that is sooner may have nobody to go to.
    period = settings.monitor_period
    if nth > 1 and 1.0 / rate < period * _passes_between_renewals(period, renew):
        raise ModelError(f"got {rate:g} a second; the law holds if a token takes a round of renewals", "eviction_rate")
    return not_ready(settings, renew, lost).later(period + (nth - 1) / rate)


def deleted_at(
    settings: NodeLifecycle,
    nth: int,
    lost: int,
    size: int,
    renew: float = RENEW_S,
    toleration: float | None = TOLERATION_S,
) -> PassDelay | None:
    """How long until the pods of that node which tolerate the taint for `toleration` seconds are deleted; None: never.

    Whether they are gone then is for their kubelet to say, and it does not.
    """
    tainted = tainted_at(settings, nth, lost, size, renew)
    return None if tainted is None or toleration is None else tainted.later(toleration)


def _passes_between_renewals(period: float, renew: float) -> int:
    """By how many passes the first sights of two renewals may lie apart."""
    return math.ceil((renew - ROUNDING_S) / period)
