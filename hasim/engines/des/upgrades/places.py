"""The places of a pool: which pod is in which, of which version, and how it is."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from hasim.engines.des.requests.direct import Direct
from hasim.engines.des.requests.front import Front
from hasim.engines.des.requests.replica import OPEN, Replica
from hasim.protocols.rollout import Left, Ready, Unready

if TYPE_CHECKING:
    from hasim.engines.des.live import LiveCluster
    from hasim.engines.des.requests.path import RequestPath

Hear = Callable[[str, Any], None]
"""Who hears of a pod, by name, that it is Ready, Unready or has Left."""


@dataclass
class Behaviour:
    """What servers of a version do otherwise than others."""

    errors: float = 0.0
    slower: float = 1.0
    never_ready: bool = False
    start_ups: Callable[[str], Iterator[float]] | None = None


AS_EVER = Behaviour()


def plain(version: str) -> str:
    """The name of a version as contracts know it, whether it is rolled out for the first time or again."""
    return version.rstrip("'")


class Place:
    """One place: a replica, the pod in it (None: empty), its version, and what was last said of it."""

    def __init__(self, replica: Replica, variable: int) -> None:
        self.replica = replica
        self.variable = variable
        self.pod: str | None = None
        self.last_pod: str | None = None
        self.version: str | None = None
        self.leaving = False
        self.warned = False  # whether its checks fail by order of the rollout
        self.ready = False  # as its rollout knows it
        self.known = True  # whether those that cannot find out by themselves were told that a pod is there
        self.behaviour = AS_EVER
        self.spans: list[tuple[float, float, str]] = []  # from, to, version: who was here
        self.since = 0.0


class Places:
    """All places of one pool. A pod begins in the place that it had before, or in the first one that is empty.

    With no place left it waits for one. Balancers with checks find out about servers by themselves; those that follow
    readiness hear of it; blind ones, and clients that know servers by name, are told when a pod is ready and when it is
    asked to leave.
    """

    def __init__(
        self, live: LiveCluster, path: RequestPath, part: str, absent: dict[str, int], first: int, version: str
    ) -> None:
        """The first places have pods of this version, the others are empty."""
        self.live, self.path, self.part = live, path, part
        self.version = version
        self.first = first
        self.places = [Place(replica, absent[replica.name]) for replica in path.pools[part]]
        self.fronts = [front for front in path.fronts.values() if front.replicas[0] in path.pools[part]]
        self.directs = [
            caller.front
            for caller in path.callers
            if isinstance(caller.front, Direct) and caller.front.replicas[0] in path.pools[part]
        ]
        self.lanes: list[Any] = [None for _ in self.fronts]  # what an upgrade has said of the way of requests
        self.behaviours: dict[str, Behaviour] = {}
        self.hear: Hear | None = None
        self.seen: Callable[[], None] | None = None  # told when balancers have come to another view
        self.gate = "ready"
        self.graceful = True
        pool = live.system.cluster.parts[part]
        self.required = pool.enough
        self.changed: list[Callable[[], None]] = []  # told when pods come, go, get ready or unready
        self.owner: Any = None  # the upgrade that goes on
        self.queue: deque[Any] = deque()  # upgrades that wait for it
        self.writers: list[Any] = []  # the upgrades that write down how things stand
        self.orders = 0  # numbers what was said
        self.reached = [0 for _ in self.fronts]  # the last of it that each balancer has heard
        self._telling = False  # whether balancers are being told of a pod, which is no news
        self._pending: deque[tuple[str, str]] = deque()  # pods without a place, and their versions
        for place in self.places[:first]:
            place.pod, place.version, place.ready = place.replica.name, version, True
        for place in self.places:
            place.replica.watchers.append(partial(self._stirred, place))
        for front in self.fronts:
            front.view.watchers.append(self.views_changed)

    def prepare(self) -> None:
        """Before the beginning: nobody is in the empty places, and balancers know that."""
        with self.live.instant():
            for place in self.places[self.first :]:
                self.live.turn(place.variable, False)
        for place in self.places[self.first :]:
            self._known(place, False)
            for front in self.fronts:
                if front.part.view_delay is not None:
                    front.mark(place.replica.index, False, "not there yet")

    def begin_counting(self) -> None:
        """The run begins."""
        for place in self.places:
            place.since, place.spans = self.live.env.now, []

    # What is.

    def pods(self) -> list[str]:
        """The pods that are there and stay, in order of places."""
        return [place.pod for place in self.places if place.pod is not None and not place.leaving]

    def is_ready(self, pod: str) -> bool:
        """Whether a pod is ready, as far as that was told."""
        place = self._place(pod)
        return place is not None and place.ready

    def version_of(self, index: int) -> str | None:
        """The version in a place."""
        return self.places[index].version

    def count(self, version: str) -> tuple[int, int, int]:
        """Pods of a version: that are ready, on their way, and leaving."""
        mine = [place for place in self.places if place.version == version]
        ready = sum(place.ready and not place.leaving for place in mine)
        leaving = sum(place.leaving for place in mine)
        return ready, len(mine) - ready - leaving + self._waiting(version), leaving

    def _waiting(self, version: str) -> int:
        return sum(its == version for _, its in self._pending)

    # What a rollout asks for.

    def begin(self, pod: str, version: str) -> None:
        """Start a pod, if there is a place for it."""
        empty = [place for place in self.places if place.pod is None]
        if not empty:
            self._pending.append((pod, version))
            return
        mine = next((place for place in empty if place.last_pod == pod), None)
        self._occupy(mine or min(empty, key=self._unfit), pod, version)

    def _unfit(self, place: Place) -> tuple[bool, bool]:
        """A new pod has an address that no balancer knows, and a host that is there, as long as there is one."""
        index = place.replica.index
        return not place.replica.powered, any(front.is_used(index) for front in self.fronts)

    def _occupy(self, place: Place, pod: str, version: str) -> None:
        replica, behaviour = place.replica, self.behaviours.get(version, AS_EVER)
        place.pod = place.last_pod = pod
        place.version, place.behaviour, place.since = version, behaviour, self.live.env.now
        if behaviour.errors:
            replica.fail_more(behaviour.errors)
        if behaviour.slower != 1.0:
            replica.slow_down(behaviour.slower)
        if behaviour.never_ready:
            replica.set_unready(1)
        replica.begins_with = None if behaviour.start_ups is None else behaviour.start_ups(replica.name)
        self.live.turn(place.variable, True)
        self._look(place)
        self._tell()

    def _tell(self) -> None:
        for listener in self.changed:
            listener()

    def ready(self) -> int:
        """How many pods are ready and stay."""
        return sum(place.ready and not place.leaving for place in self.places)

    def leave(self, pod: str) -> None:
        """Ask a pod to leave, or take one away that has no place yet."""
        place = self._place(pod)
        if place is None:
            self._pending = deque(each for each in self._pending if each[0] != pod)
            self._say(pod, Left())
            return
        place.leaving = True
        self._known(place, False)
        self._say_ready(place, False)
        name = place.replica.name
        if self.graceful:
            self.path.stopping.append(name)
        self.live.turn(place.variable, False)
        if self.graceful:
            self.path.stopping.remove(name)
        self._look(place)
        self._tell()

    def warn(self, pod: str, on: bool) -> None:
        """Let its checks fail, or no longer."""
        place = self._place(pod)
        if place is not None and place.warned is not on:
            place.warned = on
            place.replica.set_unready(1 if on else -1)

    def _place(self, pod: str) -> Place | None:
        return next((place for place in self.places if place.pod == pod), None)

    # What happens to pods.

    def views_changed(self) -> None:
        """A balancer uses other servers than before."""
        if self._telling:
            return
        if self.gate == "balancer":
            for place in self.places:
                self._look(place)
        self._tell()
        if self.seen is not None:
            self.seen()

    def _stirred(self, place: Place) -> None:
        """A process has begun to listen, has stopped to, or its readiness has changed."""
        self._look(place)
        if self.seen is not None:
            self.seen()

    def _look(self, place: Place) -> None:
        """See how a pod is now, and say so if it is news."""
        if place.pod is None:
            return
        replica = place.replica
        if place.leaving:
            if not replica.alive:
                self._empty(place)
            return
        ready = replica.seen_ready and replica.running
        if self.gate == "balancer":
            ready = ready and all(front.is_used(replica.index) for front in self.fronts if not is_blind(front))
        self._say_ready(place, ready)

    def _say_ready(self, place: Place, ready: bool) -> None:
        if place.ready == ready or place.pod is None:
            return
        place.ready = ready
        if not place.leaving:
            self._known(place, ready)
        self._tell()
        self._say(place.pod, Ready() if ready else Unready())

    def _empty(self, place: Place) -> None:
        """The process of a pod that was leaving has ended."""
        pod, replica, behaviour = place.pod, place.replica, place.behaviour
        assert pod is not None and place.version is not None
        place.spans.append((place.since, self.live.env.now, place.version))
        place.pod, place.version, place.leaving, place.ready = None, None, False, False
        place.behaviour = AS_EVER
        if behaviour.errors:
            replica.fail_less(behaviour.errors)
        if behaviour.slower != 1.0:
            replica.speed_up(behaviour.slower)
        if behaviour.never_ready:
            replica.set_unready(-1)
        if place.warned:  # a warning is of one process, and ends with it
            place.warned = False
            replica.set_unready(-1)
        self._tell()
        self._say(pod, Left())
        if self._pending and place.pod is None:
            self._occupy(place, *self._pending.popleft())

    def _say(self, pod: str, message: Any) -> None:
        if self.hear is not None:
            self.hear(pod, message)

    def _known(self, place: Place, there: bool) -> None:
        """Tell those that cannot find out by themselves."""
        index = place.replica.index
        self._telling = True
        for direct in self.directs:
            assert isinstance(direct, Direct)
            direct.place(index, there)
        for front in self.fronts:
            if is_blind(front) and place.known is not there:
                front.drain(index, by=-1 if there else 1)
        self._telling = False
        place.known = there

    def close(self, end: float) -> None:
        """The run has ended."""
        for place in self.places:
            if place.pod is not None and place.version is not None:
                place.spans.append((place.since, end, place.version))


def is_blind(front: Front) -> bool:
    """Whether a balancer has no way to find out by itself who is there."""
    return front.part.check is None and front.part.view_delay is None


def exposure(places: Places, version: str, now: float) -> float:
    """The share of requests that meet a version, as balancers stand; without any, its share of the ready pods."""
    ways = zip(places.fronts, places.lanes, strict=True)
    shares = [_share(front, places, version, now, lanes) for front, lanes in ways]
    if shares:
        return sum(shares) / len(shares)
    ready = [place for place in places.places if place.ready and not place.leaving]
    return sum(place.version == version for place in ready) / len(ready) if ready else 0.0


def _share(front: Front, places: Places, version: str, now: float, lanes: Any) -> float:
    if front.notice:
        return 0.0
    usable = front.view.usable
    met = {places.version_of(backend.index) for backend in usable}
    mine = [backend for backend in usable if places.version_of(backend.index) == version]
    # Who is sent to a server that does not listen, yet or any more, meets no version.
    listening = sum(backend.weight for backend in mine if front.replicas[backend.index].contact == OPEN)
    sharing = lanes is not None and len(met) > 1
    whole = sum(backend.weight for backend in (mine if sharing else usable))
    share = listening / whole if whole else 0.0
    return share * float(lanes.share_of(version, now)) if sharing else share
