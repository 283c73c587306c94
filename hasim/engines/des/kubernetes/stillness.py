"""When nothing is to come of Kubernetes but renewals and passes, so that a leap may take it along."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final

from hasim.engines.des.kubernetes.kubelet import RENEW_S
from hasim.engines.des.world import LeapingEnvironment, Rhythm
from hasim.model.laws import Law
from hasim.streams import FEW, uniforms

if TYPE_CHECKING:
    from hasim.engines.des.kubernetes.world import KubernetesWorld

QUIET_S: Final = 120.0
"""So long nothing but leases must have been written: longer than pods of lost nodes wait for the collector (60 s)."""
BEFORE_S: Final = 60.0
"""A leap ends up to so long before what comes next: whole numbers of renewals, passes and the like, and less than
`QUIET_S`, so that it is lived through."""


class _Ways:
    """The way between anybody and the API, to a leap."""

    def __init__(self, laws: tuple[Law, ...]) -> None:
        self.laws = laws


class Stillness:
    """The calm of a Kubernetes.

    Kubelets renew, controllers look and find all as it was. Their beats come later by the whole leap, and the clock
    that objects and controllers go by stands still meanwhile, so that nobody has been silent for longer. What waits for
    its time, like an eviction or a pod that fits nowhere, is no calm; nor is a progress deadline that runs; nor are
    autoscalers, who always count. A drain that is refused again and again is: its tries are beats like others.
    """

    def __init__(self, kubernetes: KubernetesWorld) -> None:
        """Watch one."""
        self._kubernetes = kubernetes
        self._chance = uniforms(kubernetes.live.streams["kubernetes/leaps"], FEW)
        self._leapt_at = -inf
        self.network = _Ways((kubernetes.declared.latency,))

    @property
    def world(self) -> Stillness:
        """It is like a world to a leap."""
        return self

    @property
    def env(self) -> LeapingEnvironment:
        """Where it runs."""
        return self._kubernetes.env

    @property
    def rhythm(self) -> Rhythm:
        """Any time will do: all phases stay as they are. A renewal that is half a grace late would be seen.

        What comes next must find the beats at any phase, though the last change, with which the quiet began, came with
        one of them.
        """
        declared = self._kubernetes.declared
        grace = declared.node_lifecycle.grace_period
        messages = 2 * len(self._kubernetes.kubelets) / RENEW_S
        return Rhythm(None, grace / 2, messages, BEFORE_S * self._chance())

    @property
    def changed_at(self) -> float:
        """When anything but a lease was last written, or the last leap ended, in seconds."""
        return max(self._kubernetes.api.changed_at, self._leapt_at)

    @property
    def calm_after(self) -> float:
        """How long nothing must have happened, in seconds."""
        return QUIET_S

    @property
    def is_calm(self) -> bool:
        """Whether nothing is to come until something happens from outside."""
        kubernetes = self._kubernetes
        declared, api = kubernetes.declared, kubernetes.api
        if declared.autoscaler is not None or declared.horizontal or api.is_troubled or api.contact != "open":
            return False
        if kubernetes.under_way:
            return False
        idle = all(process.is_idle for process in kubernetes.processes.values())
        return idle and all(kubelet.is_settled for kubelet in kubernetes.kubelets.values())

    def shift(self, by: float) -> None:
        """So many seconds have been leapt over: nobody has lived through them."""
        self._kubernetes.api.leapt += by

    def leap_over(self, by: float) -> None:
        """The rest of the calm is lived through."""
        self._leapt_at = self.env._now
