"""The supervisor of a replica: its probes, the kill and restart that follow one, the verdict that follows the other."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING

from hasim.engines.des.requests.replica import Replica
from hasim.engines.des.requests.ticking import Ticking
from hasim.engines.des.world.alarm import Alarm
from hasim.machine import Announce, Proposed, Received, Started, Stopping
from hasim.protocols.health import ContainerDied, ContainerStarted, Ping, Pong, ProbeWorker
from hasim.streams import Streams, uniforms

if TYPE_CHECKING:
    from hasim.engines.des.world import LeapingEnvironment


class Kubelet:
    """Probes one replica; one that fails for liveness is stopped, killed after its grace, and started again.

    A container is there from the moment its process is started; until that listens, probes are refused. So a start that
    takes longer than liveness allows, or than the startup probe does where there is one, never comes to its end.

    A probe that asks about what the pool needs fails with it, on all replicas at once: so a lost quorum kills healthy
    API servers, and their back-off delays the recovery. A supervisor that gives up leaves it down.

    With a readiness probe, `probed_ready` of the replica is what it has found; whoever follows readiness sees that. A
    process that has gone is unready at once, and so is one that is asked to leave: Kubernetes takes a pod that is being
    deleted out of the endpoints itself. One that liveness kills is not being deleted.
    """

    def __init__(self, env: LeapingEnvironment, replica: Replica, streams: Streams, quiet: bool = False) -> None:
        """Probe as the replica's serving says.

        A `quiet` one sleeps while all is well: a probe that passes changes nothing, and when something goes wrong the
        next one is due at any moment of its period.
        """
        self._env = env
        self._replica = replica
        self.killed: Callable[[bool], None] = _nobody  # told when a kill has ended the process, and when it runs again
        serving = replica.serving
        self._restarts = serving.restart.counting()
        self._killing = False
        self._began = 0.0
        chance = uniforms(streams[f"{replica.name}/probe"])
        self._prober = ProbeWorker(
            replica.name, liveness=serving.liveness, readiness=serving.readiness, startup=serving.startup
        )
        self._ticking = Ticking(env, self._prober, chance, self._ping, self._say)
        self._lives = self._runs = replica.running
        self._quiet = quiet
        self._asleep = False
        if serving.readiness is not None:
            replica.probed_ready = True  # as balancers take it, until `start` knows better
        replica.watchers.append(self._look)

    def start(self) -> None:
        """Begin to probe a container that has run for long and is known for what it is, or is known to be gone."""
        self._begin()
        if self._quiet and self._well:
            self._sleep()
        self._judge()

    def _begin(self) -> None:
        replica, prober = self._replica, self._prober
        self._ticking.hear(Started())
        if not replica.running:
            self._ticking.hear(Proposed(ContainerDied()))
            return
        prober.since = -inf
        for worker in prober.workers.values():
            if worker.kind == "startup" or (worker.kind == "readiness" and replica.ready):
                worker.passed = worker.last = True
        if "readiness" in prober.workers and replica.ready:
            prober.ready = True

    @property
    def _well(self) -> bool:
        """Whether every probe would pass."""
        replica = self._replica
        return replica.running and not replica.frozen and not replica.leaving and replica.ready

    def _sleep(self) -> None:
        self._asleep = True
        self._ticking.hear(Stopping())

    def _wake(self) -> None:
        """Something is wrong: probes are due again, each at a moment of its period that knows nothing of that."""
        self._asleep = False
        prober = self._prober
        self._ticking.hear(Started())
        prober.since = -inf
        for worker in prober.workers.values():
            worker.passed = worker.last = True
        prober.ready = True

    @property
    def _settled(self) -> bool:
        """Whether every probe has passed and believes it."""
        return all(worker.passed and worker.last and not worker.pending for worker in self._prober.workers.values())

    def _ping(self, ping: Ping) -> None:
        replica = self._replica
        if replica.running:
            replica.check(lambda lives: self._answer(ping, lives))
        elif replica.booting:
            self._ticking.hear(Received(replica.name, Pong(ping.n, False, "refused")))

    def _answer(self, ping: Ping, lives: bool) -> None:
        replica = self._replica
        if ping.about == "readiness":
            well, why = lives and replica.ready, "not ready"
        else:
            well, why = lives and (replica.needs_up or not replica.serving.checks_needs), "not live"
        self._ticking.hear(Received(replica.name, Pong(ping.n, well, "" if well else why)))
        if self._quiet and not self._asleep and self._well and self._settled:
            self._sleep()

    def _say(self, said: Announce) -> None:
        if said.kind == "unhealthy":
            if not self._replica.alive:
                return  # whoever ended it was faster, and has broken the last probe
            self._killing = True
            self._replica.note("liveness kill", self._replica.name, {})
            self._replica.stop(deleted=False)
        elif said.kind in ("ready", "unready"):
            self._judge()

    def _judge(self) -> None:
        """Let it be known whether the replica counts as ready, if there is a probe for it."""
        replica = self._replica
        if replica.serving.readiness is None:
            return
        leaving = replica.leaving and not self._killing
        ready = self._prober.ready and not leaving
        if ready is not replica.probed_ready:
            replica.probed_ready = ready
            replica.note("ready" if ready else "unready", replica.name, {})
            replica.readiness_changed()

    def _look(self) -> None:
        """See whether the process has gone, or has come back."""
        replica, now = self._replica, self._env._now
        if self._asleep and not self._well:
            self._wake()
        runs, lives = replica.running, replica.alive
        if (runs, lives) == (self._runs, self._lives):
            self._judge()
            return
        began, listens = lives and not self._lives, runs and not self._runs
        self._runs, self._lives = runs, lives
        if listens:
            self.killed(False)
        if began:
            self._began = now
            self._ticking.hear(Proposed(ContainerStarted()))
        if lives:
            self._judge()
            return
        self._ticking.hear(Proposed(ContainerDied()))
        if self._killing:
            self._killing = False
            self.killed(True)
            delay = self._restarts.delay(self._began, now)
            if delay < inf:
                replica.note("back-off", replica.name, {"waits": delay})
                Alarm(self._env, now + delay, self._restart)
            else:
                replica.note("restart given up", replica.name, {})

    def _restart(self) -> None:
        if self._replica.standing:
            self._replica.start()


def _nobody(down: bool) -> None:
    """Nobody counts the time of kills."""
