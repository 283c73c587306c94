"""The supervisor of a replica: its liveness probe, the kill that follows, and the restart after a back-off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hasim.balancing.draws import uniforms
from hasim.engines.des.requests.replica import Replica
from hasim.engines.des.requests.ticking import Ticking
from hasim.engines.des.world.alarm import Alarm
from hasim.machine import Announce, Proposed, Received, Started
from hasim.protocols.health import ContainerDied, ContainerStarted, Ping, Pong, Probe, ProbeWorker
from hasim.streams import Streams

if TYPE_CHECKING:
    from hasim.engines.des.world import LeapingEnvironment


class Kubelet:
    """Probes one replica for liveness; one that fails is stopped, killed after its grace, and started again.

    A probe that asks about what the pool needs fails with it, on all replicas at once: so a lost quorum kills healthy
    API servers, and their back-off delays the recovery.
    """

    def __init__(self, env: LeapingEnvironment, probe: Probe, replica: Replica, streams: Streams) -> None:
        self._env = env
        self._replica = replica
        self._restarts = replica.serving.restart.counting()
        self._killing = False
        self._began = 0.0
        chance = uniforms(streams[f"{replica.name}/probe"])
        worker = ProbeWorker(replica.name, liveness=probe)
        self._ticking = Ticking(env, worker, chance, self._ping, self._say)
        self._runs = replica.running
        replica.watchers.append(self._look)

    def start(self) -> None:
        """Begin to probe."""
        self._ticking.hear(Started())
        if not self._replica.running:
            self._ticking.hear(Proposed(ContainerDied()))

    def _ping(self, ping: Ping) -> None:
        replica = self._replica
        if replica.running:
            replica.check(lambda lives: self._answer(ping, lives))

    def _answer(self, ping: Ping, lives: bool) -> None:
        replica = self._replica
        alive = lives and (replica.needs_up or not replica.serving.checks_needs)
        self._ticking.hear(Received(replica.name, Pong(ping.n, alive, "" if alive else "not live")))

    def _say(self, said: Announce) -> None:
        if said.kind == "unhealthy":
            self._killing = True
            self._replica.note("liveness kill", self._replica.name, {})
            self._replica.stop()

    def _look(self) -> None:
        """See whether the process has gone, or has come back."""
        replica, now = self._replica, self._env._now
        if replica.running == self._runs:
            return
        self._runs = replica.running
        if replica.running:
            self._began = now
            self._ticking.hear(Proposed(ContainerStarted()))
            return
        self._ticking.hear(Proposed(ContainerDied()))
        if self._killing:
            self._killing = False
            delay = self._restarts.delay(self._began, now)
            Alarm(self._env, now + delay, self._restart)

    def _restart(self) -> None:
        if self._replica.standing:
            self._replica.start()
