"""Finding out that a server is down, and starting it again: health checks, probes, supervisors, and their laws.

- `check`: a balancer's active checks, as HAProxy makes them, with its counter of `rise` and `fall`.
- `probe`: the kubelet's liveness, readiness and startup probes; `static_pods`: those of a control plane by kubeadm.
- `restart`: how long a process that died waits for its next start under the kubelet; `systemd`: under systemd, whose
  units are played by `systemd_unit`; `monit`: under Monit, whose loop is played by `monit_loop`.
- `schedules`: when each of them tries again, in closed form; `supervisors`: fields that hold one of them.
- `laws`: in closed form, how long all of them take to find out.

The machines ask their questions with `Ping` and hear `Pong`; whoever drives them decides what a dead server says.
"""

from __future__ import annotations

from hasim.protocols.health.check import Check, HealthCheck
from hasim.protocols.health.messages import ContainerDied, ContainerStarted, Ping, Pong
from hasim.protocols.health.monit import Monit
from hasim.protocols.health.monit_loop import MonitLoop
from hasim.protocols.health.probe import Probe, ProbeWorker
from hasim.protocols.health.restart import CrashLoopBackOff, Restarts
from hasim.protocols.health.schedules import Schedule, restart_times, schedule
from hasim.protocols.health.static_pods import Probes, kubeadm_probes
from hasim.protocols.health.supervisors import AnyRestart, AnySupervisor
from hasim.protocols.health.systemd import StartLimit, SystemdRestart
from hasim.protocols.health.systemd_unit import (
    ProcessAlive,
    ProcessEnded,
    ProcessReady,
    SystemdService,
    SystemdUnit,
)

__all__ = [
    "AnyRestart",
    "AnySupervisor",
    "Check",
    "ContainerDied",
    "ContainerStarted",
    "CrashLoopBackOff",
    "HealthCheck",
    "Monit",
    "MonitLoop",
    "Ping",
    "Pong",
    "Probe",
    "ProbeWorker",
    "Probes",
    "ProcessAlive",
    "ProcessEnded",
    "ProcessReady",
    "Restarts",
    "Schedule",
    "StartLimit",
    "SystemdRestart",
    "SystemdService",
    "SystemdUnit",
    "kubeadm_probes",
    "restart_times",
    "schedule",
]
