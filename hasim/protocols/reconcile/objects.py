"""The objects that controllers reconcile: pods, nodes, and the sets that own pods. Frozen; a write makes a new one.

Times are seconds of the store's clock. CPU is counted in millicores. Field names are those of the Kubernetes API, cut
down to what decides where pods run and whether they serve.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Effect = Literal["NoSchedule", "NoExecute"]
Status = Literal["True", "False", "Unknown"]
Phase = Literal["Pending", "Running", "Failed"]

NOT_READY: Final = "node.kubernetes.io/not-ready"
UNREACHABLE: Final = "node.kubernetes.io/unreachable"
UNSCHEDULABLE: Final = "node.kubernetes.io/unschedulable"
OUT_OF_SERVICE: Final = "node.kubernetes.io/out-of-service"

TOLERATION_S: Final = 300.0
"""tolerationSeconds that admission gives every pod for not-ready and unreachable (DefaultTolerationSeconds)."""
GRACE_S: Final = 30.0
"""terminationGracePeriodSeconds (k/k pkg/apis/core/v1/defaults.go)."""


@dataclass(frozen=True, slots=True)
class PodTemplate:
    """What all pods of a revision have in common.

    `tolerates` has, for each taint, how many seconds a pod stays after it appears; None: for ever. `spread` limits the
    skew over the zones or the hosts, hard if `must_spread`; with `apart`, no two pods of the app share a host.
    """

    app: str
    revision: int = 1
    cpu: int = 100
    grace: float = GRACE_S
    priority: int = 0
    tolerates: tuple[tuple[str, float | None], ...] = ((NOT_READY, TOLERATION_S), (UNREACHABLE, TOLERATION_S))
    spread: Literal["zone", "host"] | None = None
    max_skew: int = 1
    must_spread: bool = False
    apart: bool = False

    def toleration(self, taint: str) -> float | None:
        """How many seconds a pod stays on a node with this NoExecute taint; 0: goes at once, None: stays."""
        return dict(self.tolerates).get(taint, 0.0)


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod: what it is made from, where it runs, and how it is.

    `ready_at` is since when it is ready, None while it is not. A pod that has a node `lingers` when it is deleted: it
    goes when its kubelet, or somebody by force, says so.
    """

    name: str
    template: PodTemplate
    owner: str = ""
    node: str | None = None
    phase: Phase = "Pending"
    ready_at: float | None = None
    restarts: int = 0
    reason: str = ""
    created: float = 0.0
    deleted: float | None = None
    deletion_cost: int = 0
    version: int = 0

    @property
    def lingers(self) -> bool:
        """Whether somebody must first be told that it shall go."""
        return self.node is not None and self.phase != "Failed"

    @property
    def ready(self) -> bool:
        """Whether it is ready, as the API has it."""
        return self.ready_at is not None

    @property
    def active(self) -> bool:
        """Whether it counts for its owner: neither failed nor being deleted (k/k controller_utils.go, IsPodActive)."""
        return self.phase != "Failed" and self.deleted is None

    @property
    def serves(self) -> bool:
        """Whether traffic is sent to it: ready and not being deleted."""
        return self.ready and self.deleted is None


@dataclass(frozen=True, slots=True)
class Taint:
    """A mark on a node that keeps pods away (NoSchedule) or drives them off (NoExecute), since `at`."""

    key: str
    effect: Effect
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Node:
    """A machine that runs pods: its size, its zone ("" for none), and what the control plane thinks of it."""

    name: str
    zone: str = ""
    cpu: int = 4000
    pods: int = 110
    ready: Status = "True"
    taints: tuple[Taint, ...] = ()
    unschedulable: bool = False
    created: float = 0.0
    version: int = 0

    def tainted(self, key: str, effect: Effect | None = None) -> Taint | None:
        """Its taint of this key (and effect), if it has one."""
        return next((t for t in self.taints if t.key == key and effect in (None, t.effect)), None)


@dataclass(frozen=True, slots=True)
class NodeLease:
    """A kubelet's sign of life: it counts up `renewals`; only that it changes is looked at."""

    name: str
    renewals: int = 0
    version: int = 0


@dataclass(frozen=True, slots=True)
class ReplicaSet:
    """So many pods of one template.

    `sized` is what its deployment was when it last set `replicas`: its replicas, and the most pods that it may have
    (the annotations desired-replicas and max-replicas).
    """

    name: str
    replicas: int
    template: PodTemplate
    owner: str = ""
    min_ready: float = 0.0
    created: float = 0.0
    sized: tuple[int, int] | None = None
    version: int = 0


@dataclass(frozen=True, slots=True)
class Deployment:
    """So many pods of the newest template, replaced a few at a time; surge and unavailable are pods, or percents."""

    name: str
    replicas: int
    template: PodTemplate
    strategy: Literal["RollingUpdate", "Recreate"] = "RollingUpdate"
    surge: int | str = 1
    unavailable: int | str = 0
    min_ready: float = 0.0
    progress_deadline: float = 600.0
    paused: bool = False
    created: float = 0.0
    version: int = 0


@dataclass(frozen=True, slots=True)
class StatefulSet:
    """Pods with ordinals, at most one of each: name-0, name-1, …; one after another unless `parallel`.

    `settled` is the template of the last rollout that ended (status.currentRevision), which its controller writes: pods
    with ordinals below `partition` are made from it.
    """

    name: str
    replicas: int
    template: PodTemplate
    parallel: bool = False
    partition: int = 0
    created: float = 0.0
    settled: PodTemplate | None = None
    version: int = 0


@dataclass(frozen=True, slots=True)
class DaemonSet:
    """One pod of the template on every node that takes it, replaced a few at a time.

    `max_unavailable` and `max_surge` are whole pods or shares of the nodes like "10%", rounded up; one of them is 0.
    """

    name: str
    template: PodTemplate
    max_unavailable: int | str = 1
    max_surge: int | str = 0
    min_ready: float = 0.0
    created: float = 0.0
    version: int = 0


BudgetSpec = tuple[str, int | str | None, int | str | None, str]
"""What somebody wrote of a budget: its app, the two bounds, and the policy for unhealthy pods."""


@dataclass(frozen=True, slots=True)
class BudgetStatus:
    """How many more pods of an app may be evicted, as its budget's controller last wrote, and the evictions since.

    `disrupted` are pods whose eviction was allowed and that are not being deleted yet as far as the controller knows,
    with the time of the eviction. `observed` is the spec that all this was worked out for; None: for none yet.
    """

    allowed: int = 0
    healthy: int = 0
    desired: int = 0
    expected: int = 0
    disrupted: tuple[tuple[str, float], ...] = ()
    observed: BudgetSpec | None = None


@dataclass(frozen=True, slots=True)
class PodDisruptionBudget:
    """How many pods of an app must stay healthy, or how many may be missing, when somebody evicts one on purpose.

    One of the two bounds is given, in whole pods or as a share like "50%" of what the pods' owners ask for, rounded up;
    with neither nothing may be evicted. `unhealthy` says when a pod that is not ready may go although nothing else may.
    """

    name: str
    app: str
    min_available: int | str | None = None
    max_unavailable: int | str | None = None
    unhealthy: Literal["IfHealthyBudget", "AlwaysAllow"] = "IfHealthyBudget"
    status: BudgetStatus = BudgetStatus()
    created: float = 0.0
    version: int = 0

    @property
    def spec(self) -> BudgetSpec:
        """What somebody wrote, without what was worked out."""
        return self.app, self.min_available, self.max_unavailable, self.unhealthy


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The names of the pods of an app that traffic is sent to."""

    name: str
    pods: tuple[str, ...] = ()
    version: int = 0
