"""When a process that died is started again, and the kubelet's way of it: at once, then after longer and longer waits.

Supervisors are declared, and count in a fresh `Restarts` for each process; systemd's stands in `systemd`, Monit's in
`monit`.
"""

from __future__ import annotations

from typing import Literal, Protocol, Self

from pydantic import Field, model_validator

from hasim.declared import Declared, at
from hasim.errors import ModelError
from hasim.units import Seconds, duration_text, s


class Restarts(Protocol):
    """The restarts of one process, counted: it is told of each death and says how long to wait."""

    def delay(self, started_at: float, died_at: float) -> float:
        """How long after `died_at` a process that ran since `started_at` is started again, in seconds; inf: never.

        Deaths are told in order, each once.
        """


class CrashLoopBackOff(Declared):
    """The kubelet's restarts: the first at once, the next after 10 s, then twice as long each time, up to 5 minutes.

    A container that ran for more than `reset` is as good as new. There is no jitter. Sources: Kubernetes, "Pod
    Lifecycle"; its client-go util/flowcontrol/backoff.go; and pkg/kubelet/kubelet.go, where the reset is 10 minutes
    whatever the cap (before a node could choose its cap, twice the cap, which is the same). A node chooses its `cap` by
    crashLoopBackOff.maxContainerRestartPeriod (KEP-4603; one below 10 s is the first wait, too).
    """

    kind: Literal["crash_loop"] = "crash_loop"
    first: Seconds = Field(default=10.0, gt=0, description="Wait before the second restart; Kubernetes: 10s.")
    cap: Seconds = Field(default=300.0, gt=0, description="Longest wait; Kubernetes: 300s.")
    reset: Seconds = Field(
        default=600.0, gt=0, description="A container that ran longer than this begins anew; Kubernetes: 10m."
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.first > self.cap:
            said = f"got first {duration_text(self.first)} with cap {duration_text(self.cap)}; first is at most the cap"
            raise ModelError.of([at(("first",), said)])
        return self

    @classmethod
    def reduced(cls) -> CrashLoopBackOff:
        """The faster waits of the alpha gate ReduceDefaultCrashLoopBackOffDecay (KEP-4603): 1 s, doubled up to 60 s."""
        return cls(first=s(1), cap=s(60))

    def counting(self) -> BackOff:
        """Return a fresh count for one container."""
        return BackOff(self)


class BackOff:
    """The restarts of one container under a CrashLoopBackOff."""

    __slots__ = ("_next", "declared")

    def __init__(self, declared: CrashLoopBackOff) -> None:
        """A container that has never died."""
        self.declared = declared
        self._next = 0.0

    def delay(self, started_at: float, died_at: float) -> float:
        """The wait after this death, in seconds; it is the longer wait's turn next time."""
        declared = self.declared
        wait = 0.0 if died_at - started_at > declared.reset else self._next
        self._next = declared.first if wait == 0.0 else min(2.0 * wait, declared.cap)
        return wait
