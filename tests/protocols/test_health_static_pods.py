"""kubeadm's probes: the numbers of the manifests that it writes."""

from __future__ import annotations

import pytest

from hasim.errors import ModelError
from hasim.protocols.health import Probe, ProbeWorker, kubeadm_probes
from hasim.units import s

# kube-apiserver.yaml as kubeadm v1.25.3 wrote it: initialDelaySeconds, periodSeconds, timeoutSeconds, failureThreshold.
APISERVER = {"startup": (10, 10, 15, 24), "liveness": (10, 10, 15, 8), "readiness": (0, 1, 15, 3)}


def test_the_api_servers_probes_are_those_of_its_manifest() -> None:
    for name, probe in kubeadm_probes("kube-apiserver")._asdict().items():
        delay, period, timeout, failures = map(s, APISERVER[name])
        assert probe == Probe(initial_delay=delay, period=period, timeout=timeout, failures=int(failures))


def test_only_the_controller_manager_has_no_readiness_probe() -> None:
    server = kubeadm_probes("kube-apiserver")
    assert kubeadm_probes("etcd") == kubeadm_probes("kube-scheduler") == server
    assert kubeadm_probes("kube-controller-manager") == (server.startup, server.liveness, None)


def test_a_prober_takes_them() -> None:
    startup, liveness, readiness = kubeadm_probes("etcd")
    prober = ProbeWorker("etcd", liveness=liveness, readiness=readiness, startup=startup)
    assert list(prober.workers) == ["startup", "liveness", "readiness"]


def test_what_kubeadm_does_not_run_is_named() -> None:
    with pytest.raises(ModelError, match=r"component: got 'apiserver'; .*did you mean 'kube-apiserver'"):
        kubeadm_probes("apiserver")  # type: ignore[arg-type]
