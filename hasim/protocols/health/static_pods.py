"""The control plane as kubeadm runs it: static pods of the kubelet, with these probes.

The kubelet runs them from files, without an API server, and restarts them as any container (`CrashLoopBackOff`).
Sources: Kubernetes cmd/kubeadm/app/util/staticpod/utils.go (LivenessProbe, ReadinessProbe, StartupProbe),
cmd/kubeadm/app/phases/controlplane/manifests.go, cmd/kubeadm/app/phases/etcd/local.go, and manifests that it wrote.
"""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from hasim.errors import ModelError, nearest
from hasim.protocols.health.probe import Probe
from hasim.units import s

FILE_CHECK_S: Final = 20.0
"""The kubelet reads the manifests of static pods again every 20 s (fileCheckFrequency), whatever else tells it."""

LIVENESS: Final = Probe(initial_delay=s(10), period=s(10), timeout=s(15), failures=8)
"""Eight failures in a row: what refuses is killed after 70 to 80 s, what hangs after 120 to 130 s."""
READINESS: Final = Probe(period=s(1), timeout=s(15), failures=3)
STARTUP: Final = Probe(initial_delay=s(10), period=s(10), timeout=s(15), failures=24)
"""Four minutes to start, kubeadm's timeout for a component of the control plane."""

Component = Literal["kube-apiserver", "etcd", "kube-controller-manager", "kube-scheduler"]


class Probes(NamedTuple):
    """The probes of one container; None where it has none."""

    startup: Probe | None
    liveness: Probe | None
    readiness: Probe | None


_PROBES: Final[dict[str, Probes]] = {
    "kube-apiserver": Probes(STARTUP, LIVENESS, READINESS),  # /livez, /livez, /readyz
    "etcd": Probes(STARTUP, LIVENESS, READINESS),  # /readyz, /livez, /readyz
    "kube-controller-manager": Probes(STARTUP, LIVENESS, None),  # /healthz
    "kube-scheduler": Probes(STARTUP, LIVENESS, READINESS),  # /livez, /livez, /readyz
}


def kubeadm_probes(component: Component) -> Probes:
    """The probes that kubeadm gives a component: (startup, liveness, readiness).

    Older ones have the same numbers, but no readiness probe for etcd and the scheduler. The API server's /livez and
    /readyz ask etcd, so without a quorum they fail on every server at once; etcd's liveness asks nobody but itself.
    """
    if component not in _PROBES:
        said = f"got {component!r}; kubeadm runs {', '.join(_PROBES)}{nearest(component, _PROBES)}"
        raise ModelError(said, "component")
    return _PROBES[component]
