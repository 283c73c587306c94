"""One upgrade of a live cluster: the machine of its strategy, and what acts on it."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

from hasim.engines.des.draws import draws
from hasim.engines.des.upgrades.machines import Machines
from hasim.engines.des.upgrades.places import Behaviour, Places, plain
from hasim.engines.des.upgrades.record import Record
from hasim.engines.des.upgrades.stored import Stored
from hasim.engines.des.upgrades.traffic import NoTraffic, Traffic
from hasim.engines.des.upgrades.watch import Watch
from hasim.engines.des.world.alarm import Alarm
from hasim.machine import Announce, CancelTimer, Effect, Event, Fired, Proposed, Received, Send, SetTimer, Started
from hasim.model.upgrades import BlueGreen, Canary, Deploy, InPlace, Migrate, Remove, Upgrade, Window
from hasim.protocols.rollout import TRAFFIC, Begin, Leave, Ready, RollBack, Rollout, Shift, Unready, Warn
from hasim.protocols.rollout.migrating import STORE

if TYPE_CHECKING:
    from hasim.engines.des.live import LiveCluster

BEGINS = ("rollout begun", "rollback begun")
ENDS = ("rolled out", "rolled back")
NOTHING = "nothing"
"""What the version is called that was there before a part was deployed."""


class Upgrader:
    """Runs one upgrade when its time has come and the one before is over."""

    def __init__(
        self, live: LiveCluster, upgrade: Upgrade, places: Places | Machines, stored: Stored | None = None
    ) -> None:
        self.live, self.env, self.upgrade, self.places = live, live.env, upgrade, places
        self.name = upgrade.called
        self.followers: list[Upgrader] = []  # those that begin when this one is rolled out
        self._stored = stored
        self._converted = upgrade.migrates is None  # whether the data are as they should be
        self._traffic: Traffic | NoTraffic = (
            NoTraffic(places) if isinstance(places, Machines) else Traffic(live, upgrade, places)
        )
        self._events: deque[Event] = deque()
        self._working = False
        self._timers: dict[str, Alarm] = {}
        self.record: Record | None = None
        self._machine: Rollout | None = None
        self._slot: dict[str, str] = {}  # pods of the machine that have other names in the places
        self._traffic.heard = self._all_heard
        self._staying: list[str] = []  # pods that are to leave once every balancer has heard of a switch back
        self._watch = Watch(live, upgrade, self.noticed)
        self._bakes = 0  # bake times that have begun
        self._deciding = False

    def start(self) -> None:
        """Begin at its time."""
        Alarm(self.env, self.env.now + self.upgrade.at, self._due)  # type: ignore[arg-type]

    def _due(self) -> None:
        if self.places.owner is None:
            self._begin()
        else:
            self.places.queue.append(self)

    def _begin(self) -> None:
        upgrade, places, now = self.upgrade, self.places, self.env.now
        places.owner = self
        old, new = self._versions()
        pods = places.pods()
        self._machine = self._told(new).rollout(old, pods)
        self._slot = dict(zip(self._machine.initial, pods, strict=True))
        self._back = {pod: name for name, pod in self._slot.items()}
        self.record = Record(self.name, upgrade.STRATEGY, places.part, old, new, len(pods), now)
        self.record.bad = self._watch.bad
        places.behaviours[new] = self._behaviour(new)
        places.hear, places.seen, places.graceful = self._heard, self._views_changed, upgrade.graceful
        places.gate = upgrade.gate if isinstance(upgrade, InPlace | BlueGreen) else "ready"
        # Of earlier ones only the version that is there may still be met: nobody returns to those before it.
        places.writers[:] = [*(each for each in places.writers if each.brought(old)), self]
        # What the upgrade before has said of requests is no longer meant; the first canary waits for its share.
        weighted = isinstance(upgrade, Canary) and upgrade.traffic == "weights"
        self._traffic.shift(((old, 1.0),) if weighted else None)
        self._note()
        for order in upgrade.orders:
            ordered = partial(self._ordered, order.command)
            Alarm(self.env, now + order.after, ordered)  # type: ignore[arg-type]
        for name in self._machine.initial:
            if not places.is_ready(self._slot[name]):
                self.take(Received(name, Unready()))
        self.take(Started())

    def _versions(self) -> tuple[str, str]:
        """The versions before and after; one that is rolled out again gets a mark."""
        here, new = self.places.version, self.upgrade.release.version
        if isinstance(self.upgrade, Deploy):
            return NOTHING, here
        if isinstance(self.upgrade, Remove | Migrate):
            return here, here
        new = f"{here}'" if plain(new) == plain(here) else new
        while new in self.places.behaviours:  # one that was rolled back is tried again
            new = f"{new}'"
        return here, new

    def _told(self, version: str) -> Upgrade:
        """The upgrade with what is known only now: the version, and how long its data take."""
        upgrade = self.upgrade
        release = upgrade.release.model_copy(update={"version": version})
        update: dict[str, Any] = {"release": release}
        if isinstance(upgrade, Window) and self._stored is not None and upgrade.per_second is not None:
            update["work"] = max(upgrade.work, self._stored.contract.items / upgrade.per_second)
        return upgrade.model_copy(update=update)

    def _ordered(self, command: Any) -> None:
        """People want something; once the next upgrade of the pool has begun it is too late for that."""
        if self.places.owner in (self, None):
            self.take(Proposed(command))

    def _behaviour(self, version: str) -> Behaviour:
        release, watch = self.upgrade.release, self._watch
        law = release.start_up
        streams = self.live.streams

        def start_ups(server: str) -> Any:
            assert law is not None
            return draws(law, streams, f"{server}/start up of {version}")

        starts = None if law is None else start_ups
        if not watch.bad:
            return Behaviour(start_ups=starts)
        return Behaviour(release.errors or 0.0, release.slower, watch.never_ready, starts)

    # The machine.

    def take(self, event: Event) -> None:
        """Let the machine hear of it, after what it hears of already."""
        self._events.append(event)
        if self._working:
            return
        assert self._machine is not None
        self._working = True
        while self._events:
            for effect in self._machine.step(self._events.popleft(), self.env.now):
                self._do(effect)
        self._working = False
        self._note()

    def _views_changed(self) -> None:
        if not self._working:
            self._note()

    def _heard(self, pod: str, message: Any) -> None:
        self.take(Received(self._back.get(pod, pod), message))

    def _do(self, effect: Effect) -> None:
        if isinstance(effect, SetTimer):
            self._cancel(effect.timer)
            timer = effect.timer
            at = self.env.now + effect.low
            self._timers[timer] = Alarm(self.env, at, lambda: self.take(Fired(timer)))  # type: ignore[arg-type]
        elif isinstance(effect, CancelTimer):
            self._cancel(effect.timer)
        elif isinstance(effect, Announce):
            self._announced(effect)
        elif isinstance(effect, Send):
            self._send(effect)

    def _cancel(self, timer: str) -> None:
        alarm = self._timers.pop(timer, None)
        if alarm is not None:
            alarm.cancel()

    def _send(self, effect: Send) -> None:
        message, pod = effect.message, self._slot.get(effect.to, effect.to)
        if effect.to == TRAFFIC:
            if isinstance(message, Shift):
                self._traffic.shift(message.shares)
            else:
                self._traffic.notice(message.on)
        elif isinstance(message, Begin):
            self.places.begin(pod, message.version)
        elif isinstance(message, Leave):
            self._leave(pod)
        elif isinstance(message, Warn):
            self.places.warn(pod, message.on)

    def _leave(self, pod: str) -> None:
        """Let a pod go; but on the way back nobody goes who may still be asked, as an operator would see to it."""
        assert self._machine is not None
        if self._machine.target == self._machine.old and self._traffic.is_late:
            self._staying.append(pod)
        else:
            self.places.leave(pod)

    def _all_heard(self) -> None:
        """Every balancer has heard of the switch back."""
        staying, self._staying = self._staying, []
        for pod in staying:
            self.places.leave(pod)

    # What comes of it.

    def _announced(self, effect: Announce) -> None:
        assert self.record is not None
        kind, detail = effect.kind, effect.detail
        self.record.facts.append((self.env.now, kind))
        self.live.note(kind, self.places.part, {"upgrade": self.name, **({} if isinstance(detail, str) else detail)})
        upgrade = self.upgrade
        if kind in BEGINS:
            self.places.owner, self.record.ended = self, None
            self._traffic.resumes()
        if kind == "tests begun" and isinstance(upgrade, BlueGreen) and self._watch.caught(upgrade.catches):
            # In the same instant as the end of the tests, and before it.
            Alarm(self.env, self.env.now + upgrade.tests, lambda: self.noticed("by tests"))  # type: ignore[arg-type]
        elif kind == "bake begun" and isinstance(upgrade, Canary) and upgrade.analysis is not None:
            bake = upgrade.steps[self._bakes].bake
            self._bakes += 1
            self._traffic.count_from_now()
            Alarm(self.env, self.env.now + bake, self._analyse)  # type: ignore[arg-type]
        elif kind in ("work begun", "rollout begun") and self._is_time_to_migrate(kind):
            self._migrate()
        elif kind == "rollback begun" and self._stored is not None:
            self._stored.returns_to(self.record.old)
        elif kind == "progress deadline exceeded" and upgrade.detection is not None and upgrade.detection.on_stall:
            self._watch.stalled()
        elif kind in ENDS:
            self._ended(kind)

    def _is_time_to_migrate(self, kind: str) -> bool:
        """Whether the data change now: as the rollout begins, or while all is stopped for it; never on the way back."""
        step = self.upgrade.migrates
        assert self._machine is not None
        if step is None or self._machine.target != self._machine.new:
            return False
        return kind == ("work begun" if step.stopped else "rollout begun")

    def _migrate(self) -> None:
        """Change the stored data as this upgrade says."""
        upgrade = self.upgrade
        if self._stored is not None and upgrade.migrates is not None:
            self._stored.begin(upgrade.migrates, upgrade.per_second, self._data_converted)

    def _data_converted(self) -> None:
        self._converted = True
        if isinstance(self.upgrade, Migrate):
            self._drop()
            self.take(Received(STORE, Ready()))
        elif self.record is not None and self.record.ended is not None:
            self._finish()

    def _drop(self) -> None:
        """The form that goes is removed once nobody needs it."""
        if self._stored is not None and self.upgrade.migrates is not None:
            self._stored.drop(self.upgrade.migrates)

    def _ended(self, kind: str) -> None:
        assert self.record is not None and self._machine is not None
        self.record.ended = self.env.now
        self._traffic.over()
        if kind == "rolled out" and self._converted:
            self._finish()
        if self.record.old != NOTHING or kind == "rolled out":
            self.places.version = self.record.new if kind == "rolled out" else self.record.old
        if kind == "rolled out" and (self._watch.pending or self._deciding):
            return  # it may still come out that it is bad
        self._free()

    def _finish(self) -> None:
        """It is rolled out, data and all: those that come after it begin."""
        if not isinstance(self.upgrade, Migrate):
            self._drop()
        for follower in self.followers:
            follower.start()

    def _free(self) -> None:
        """Let the next upgrade of this pool begin."""
        places = self.places
        if places.owner is not self:
            return
        places.owner = places.queue.popleft() if places.queue else None
        if places.owner is not None:
            Alarm(self.env, self.env.now, places.owner._begin)

    def noticed(self, how: str) -> None:
        """Somebody has noticed that the version is bad."""
        assert self.record is not None and self._machine is not None
        if self.record.noticed is None:
            self.record.noticed = self.env.now
            self.record.facts.append((self.env.now, f"noticed {how}"))
            self.live.note("bad release noticed", self.places.part, {"upgrade": self.name, "how": how})
        detection = self.upgrade.detection
        if detection is None or detection.rollback == "automatic" or how in ("by tests", "by analysis"):
            self._ordered(RollBack())
        elif detection.rollback == "never":
            if self.record.ended is not None:
                self._free()
        else:
            self._deciding = True
            Alarm(self.env, self.env.now + self._watch.decision(), self._decided)  # type: ignore[arg-type]

    def _decided(self) -> None:
        self._deciding = False
        self._ordered(RollBack())

    def _analyse(self) -> None:
        assert isinstance(self.upgrade, Canary) and self.upgrade.analysis is not None and self._machine is not None
        assert self.record is not None
        if self._machine.target == self._machine.new and self._traffic.looks_bad(
            self.record.old, self.record.new, self.upgrade.analysis.false_alarms
        ):
            self.noticed("by analysis")

    def _note(self) -> None:
        for each in self.places.writers:
            each.write()

    def brought(self, version: str) -> bool:
        """Whether this upgrade is the one that brought a version."""
        return self.record is not None and self.record.new == version

    def write(self) -> None:
        """Write down how things stand, and let whoever watches know how many requests meet the new version."""
        record, places, now = self.record, self.places, self.env.now
        assert record is not None
        changes = record.new != record.old
        share = self._traffic.exposure(record.new) if changes else 0.0
        record.step(now, places.count(record.old), places.count(record.new) if changes else (0, 0, 0), share)
        self._watch.exposed(share)
