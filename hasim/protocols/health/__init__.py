"""Finding out that a server is down, and starting it again: health checks, probes, restarts, and their laws.

- `check`: a balancer's active checks, as HAProxy makes them, with its counter of `rise` and `fall`.
- `probe`: the kubelet's liveness, readiness and startup probes.
- `restart`: how long a process that died waits for its next start, under the kubelet and under systemd.
- `laws`: in closed form, how long all of them take to find out.

The machines ask their questions with `Ping` and hear `Pong`; whoever drives them decides what a dead server says.
"""

from __future__ import annotations

from hasim.protocols.health.check import Check, HealthCheck
from hasim.protocols.health.messages import ContainerDied, ContainerStarted, Ping, Pong
from hasim.protocols.health.probe import Probe, ProbeWorker
from hasim.protocols.health.restart import CrashLoopBackOff, Restarts, SystemdRestart

__all__ = [
    "Check",
    "ContainerDied",
    "ContainerStarted",
    "CrashLoopBackOff",
    "HealthCheck",
    "Ping",
    "Pong",
    "Probe",
    "ProbeWorker",
    "Restarts",
    "SystemdRestart",
]
