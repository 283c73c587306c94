"""A new version of a workload: somebody writes its template into the API, the controllers of the leader do the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from hasim.engines.des.kubernetes.kubectl import Kubectl
from hasim.engines.des.kubernetes.progress import Progress, Stall
from hasim.engines.des.upgrades.record import Record
from hasim.engines.des.upgrades.watch import Watch
from hasim.engines.des.world.alarm import Alarm
from hasim.model.upgrades import Order, Ordered, Upgrade
from hasim.model.upgrades.pods import settings_of
from hasim.protocols.api import Change, Delete, Patch, Refused, Reply
from hasim.protocols.reconcile.objects import Deployment, Pod, PodTemplate
from hasim.results.pod_upgrades import PodUpgradeLog

if TYPE_CHECKING:
    from hasim.engines.des.live import LiveCluster

TICK_S: Final = 1e-6
"""An instant that is computed is looked at so much later, that rounding may not put the look before it."""


class WorkloadRollout:
    """One upgrade of a workload.

    What it knows it reads off the store, like somebody who watches the objects; what the pods do is for the controllers
    and kubelets. All requests are made until they are done. An upgrade of the same workload that begins later takes it
    over from here, whatever it has come to.
    """

    def __init__(self, live: LiveCluster, upgrade: Upgrade) -> None:
        """Wait for its time."""
        kubernetes = live.kubernetes
        assert kubernetes is not None
        self.live, self.env, self.upgrade, self.kubernetes = live, kubernetes.env, upgrade, kubernetes
        self.name = upgrade.called
        self.followers: list[Any] = []  # upgrades that begin when this one is rolled out
        self.record: Record | None = None
        self.over = False  # another one has taken the workload over
        self._app = upgrade.target
        self._kind: type[Any] = type(kubernetes.serving.workloads[self._app].pod_set(self._app))
        self._lives = kubernetes.lives_of(self._app)
        self._watch = Watch(live, upgrade, self.noticed)
        self._kubectl = Kubectl(kubernetes.api, self._failed)
        self._turning = False  # whether the store has been given a template that not all pods have yet
        self._troubled = False  # whether a failed request was told, and none has been done since
        self._followed = False  # whether those that come after it have begun
        self._served: list[tuple[float, int, int]] = []
        self._look_at: Alarm | None = None
        self._again: Alarm | None = None  # when a ready pod becomes available
        self._progress = Progress(kubernetes.api, self._kind, self._app)
        self._stall = Stall(kubernetes, self._app, self._stalled)

    # What people do.

    def start(self) -> None:
        """Begin at its time."""
        Alarm(self.env, self.env.now + self.upgrade.at, self._begin)

    def _begin(self) -> None:
        kubernetes, upgrade, now, app = self.kubernetes, self.upgrade, self.env.now, self._app
        before = kubernetes.rollouts.get(app)
        if before is not None:
            before.give_up()
        kubernetes.rollouts[app] = self
        release, releases = upgrade.release, kubernetes.releases
        self._old = self._progress.template
        revision = releases.add(app, release.version, release.start_up, self._watch.never_ready)
        self._new = self._target = replace(self._old, revision=revision)
        names = releases.version(app, self._old.revision), releases.version(app, revision)
        self.record = Record(self.name, upgrade.STRATEGY, app, *names, self._progress.replicas, now)
        self.record.bad = self._watch.bad
        kubernetes.listeners.append(self.hear)
        kubernetes.serving.listeners.append(self.served)
        self._apply()
        for order in upgrade.orders:
            Alarm(self.env, now + order.after, partial(self._ordered, order))
        self._write()
        self.served(app)

    def give_up(self) -> None:
        """Another upgrade of the workload has begun; this one only goes on to write down what becomes of its pods."""
        self.over, self._turning = True, False
        self._stall.stop()

    def _apply(self) -> None:
        self._target = self._new
        self._ask({"template": self._new, **settings_of(self.upgrade)})

    def _ask(self, settings: dict[str, Any], done: Callable[[], None] = lambda: None) -> None:
        request = Patch(self._kind, self._app, tuple(settings.items()))

        def heard() -> None:
            self._troubled = False
            done()

        self._kubectl.do(request, heard)

    def _failed(self, reply: Reply | None) -> None:
        """The first of several requests in a row that fail is told."""
        if not self._troubled:
            self._troubled = True
            why = reply.why if isinstance(reply, Refused) else "no answer"
            self._announce("request failed", {"why": why})

    def _ordered(self, order: Order) -> None:
        if self.over:
            return
        if order.do == "roll back":
            self.roll_back()
        elif order.do == "retry":
            self._apply()
        elif order.do == "scale":
            self._ask({"replicas": order.replicas})
        else:
            self._ask({"paused": order.do == "pause"})

    def roll_back(self) -> None:
        """Write the template before into the API again (kubectl rollout undo)."""
        if not self.over and self._target == self._new:
            self._target = self._old
            self._ask({"template": self._old}, self._repair)

    def _repair(self) -> None:
        """Delete the pods that hold up a StatefulSet's way back, if somebody sees to that."""
        if isinstance(self.upgrade, Ordered) and self.upgrade.repairs:
            for pod in self._progress.pods():
                if pod.active and not pod.ready and pod.template.revision == self._new.revision:
                    self._kubectl.do(Delete(Pod, pod.name), lambda: None)

    # What comes of it.

    def hear(self, change: Change) -> None:
        """The store has changed."""
        before, after = change
        kind, name = change.key
        if kind is Pod:
            if (before if after is None else after).template.app == self._app:
                self._stall.stirred()
                self._look_later()
        elif not self.over and kind is self._kind and name == self._app and before is not None and after is not None:
            if before.template != after.template:
                self._turned(before.template, after.template)
            if isinstance(after, Deployment) and before.paused != after.paused:
                self._announce("paused" if after.paused else "resumed", {})
                self._go_on()
            self._look_later()

    def _turned(self, before: PodTemplate, after: PodTemplate) -> None:
        """The store has another template than before: from now on the controllers work towards that."""
        version = self.kubernetes.releases.version
        said = {"from": version(self._app, before.revision), "to": version(self._app, after.revision)}
        assert self.record is not None
        self.record.ended, self._turning = None, True
        self._announce("rollout begun" if after == self._new else "rollback begun", said)
        self._go_on()

    def _go_on(self) -> None:
        """The progress deadline runs, while a deployment is on its way."""
        wanted = self._progress.wanted
        if isinstance(wanted, Deployment) and not wanted.paused and not self._progress.is_done:
            self._stall.watch(wanted.progress_deadline)
        else:
            self._stall.stop()

    def _look_later(self) -> None:
        """Look when all that happens in this instant has happened."""
        if self._look_at is None:
            self._look_at = Alarm(self.env, self.env.now, self._look)

    def _look(self) -> None:
        self._look_at = None
        self._write()
        wait = self._progress.wait if self._turning else None
        if wait == 0.0:
            self._ended()
        elif wait is not None and self._again is None:
            self._again = Alarm(self.env, self.env.now + wait + TICK_S, self._look_again)

    def _look_again(self) -> None:
        self._again = None
        self._look()

    def _ended(self) -> None:
        assert self.record is not None
        self.record.ended, self._turning = self.env.now, False
        self._stall.stop()
        rolled_out = self._progress.template == self._new
        self._announce("rolled out" if rolled_out else "rolled back", {})
        if rolled_out and not self._followed:
            self._followed = True
            for follower in self.followers:
                follower.start()

    def _stalled(self) -> None:
        self._announce("progress deadline exceeded", {})
        detection = self.upgrade.detection
        if detection is not None and detection.on_stall:
            self._watch.stalled()

    def noticed(self, how: str) -> None:
        """Somebody has noticed that the version is bad."""
        record, detection = self.record, self.upgrade.detection
        assert record is not None and detection is not None
        if record.noticed is None:
            record.noticed = self.env.now
            record.facts.append((self.env.now, f"noticed {how}"))
            self.live.note("bad release noticed", self._app, {"upgrade": self.name, "how": how})
        if detection.rollback == "automatic":
            self.roll_back()
        elif detection.rollback == "human":
            Alarm(self.env, self.env.now + self._watch.decision(), self.roll_back)

    def _announce(self, kind: str, detail: dict[str, Any]) -> None:
        assert self.record is not None
        self.record.facts.append((self.env.now, kind))
        self.live.note(kind, self._app, {"upgrade": self.name, **detail})

    # What is written down.

    def _write(self) -> None:
        assert self.record is not None
        counts = self._progress.counts()
        none = (0, 0, 0)
        old, new = (counts.get(template.revision, none) for template in (self._old, self._new))
        self.record.step(self.env.now, old, new, self._exposure())

    def served(self, app: str) -> None:
        """Other pods than before may serve."""
        if app != self._app:
            return
        revisions = self._serving()
        row = self.env.now, revisions.count(self._old.revision), revisions.count(self._new.revision)
        if not self._served or self._served[-1][1:] != row[1:]:
            if self._served and self._served[-1][0] == row[0]:
                self._served.pop()
            self._served.append(row)
            self._write()
        self._watch.exposed(self._exposure())

    def _serving(self) -> list[int]:
        """The revisions of the pods that serve."""
        store = self.kubernetes.api.store
        pods = (store.get(Pod, name) for name in self.kubernetes.serving.pods_of(self._app))
        return [pod.template.revision for pod in pods if pod is not None]

    def _exposure(self) -> float:
        revisions = self._serving()
        return revisions.count(self._new.revision) / len(revisions) if revisions else 0.0

    def log(self, end: float) -> PodUpgradeLog | None:
        """What became of it; None if it has not begun."""
        if self.record is None:
            return None
        log = self.record.log(end, self._lives.spans(end), state_lost=False)
        rows = np.array(self._served, dtype=np.float64).reshape(-1, 3)
        return PodUpgradeLog(
            **{field.name: getattr(log, field.name) for field in fields(log)},
            served_at_s=rows[:, 0],
            serving=rows[:, 1:].astype(np.int64),
        )

    def cautions(self) -> list[str]:
        """Nothing: what it has come to is told by its outcome."""
        return []
