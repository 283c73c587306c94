"""The API as everybody sees it: requests take their time or get lost, and whoever watches hears what has changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from hasim.engines.des.reach import Contact
from hasim.engines.des.requests.links import Links
from hasim.engines.des.world import LeapingEnvironment
from hasim.engines.des.world.alarm import Alarm
from hasim.protocols.api import Change, ObjectStore, Reply, Request

Answer = Callable[[Reply | None], None]

ETCD_WAIT_S: Final = 7.0
"""etcd gives a request up after 5 s and two election timeouts (server/config, ReqTimeout); the default one is 1 s."""
PATIENCE_S: Final = 10.0
"""A kubelet's and a control loop's wait for an answer that got lost (k/k pkg/kubelet, node status update timeout)."""
RELIST_FIRST_S: Final = 0.8
RELIST_MOST_S: Final = 30.0
"""A watch that broke is tried again after 0.8 s, twice as long each time up to 30 s, and up to as much again
(client-go tools/cache/reflector.go)."""


class Watcher(Protocol):
    """Who watches the objects."""

    @property
    def name(self) -> str:
        """Who it is, for rules about messages."""

    def wants(self, change: Change) -> bool:
        """Whether it is told of this change."""

    def hear(self, change: Change) -> None:
        """Something has changed."""

    def resync(self, store: ObjectStore) -> None:
        """Its watch is new: this is how everything is now."""


@dataclass(eq=False)
class _Asked:
    """A request on its way."""

    who: str
    request: Request
    answer: Answer


@dataclass(eq=False)
class _Watch:
    """A watch: `broken` while news does not reach the watcher, `tries` since then."""

    watcher: Watcher
    broken: bool = True
    tries: int = 0
    closed: bool = False


class Api:
    """The store behind the API servers, and everybody's way there.

    `name` is the part that answers. Requests that get lost, or that wait for a quorum in vain, are answered with None:
    nobody knows what came of them.
    """

    def __init__(
        self,
        env: LeapingEnvironment,
        name: str,
        links: Links,
        latency: Callable[[], float],
        chance: Callable[[], float],
        told: Callable[[Change], None],
    ) -> None:
        self.env = env
        self.name = name
        self.store = ObjectStore()
        self.links = links
        self.contact: Contact = "open"
        self._latency = latency
        self._chance = chance
        self._told = told
        self._waiting: dict[_Asked, Alarm] = {}  # for a quorum
        self._watches: list[_Watch] = []

    # Requests.

    def ask(self, who: str, request: Request, answer: Answer) -> None:
        """Ask for something; `answer` gets the reply, or None if none comes."""
        asked = _Asked(who, request, answer)
        extra = self._way(who, self.name)
        if extra is None:
            self._later(PATIENCE_S, lambda: answer(None))
        else:
            self._later(extra, lambda: self._arrive(asked))

    def _arrive(self, asked: _Asked) -> None:
        if self.contact == "open":
            self._serve(asked)
        elif self.contact == "silent":
            self._waiting[asked] = Alarm(self.env, self.env._now + ETCD_WAIT_S, lambda: self._give_up(asked))
        else:
            self._answer(asked, None)

    def _give_up(self, asked: _Asked) -> None:
        del self._waiting[asked]
        self._answer(asked, None)

    def _serve(self, asked: _Asked) -> None:
        reply, change = self.store.apply(asked.request, self.env._now)
        if change is not None:
            self._tell(change)
        self._answer(asked, reply)

    def _answer(self, asked: _Asked, reply: Reply | None) -> None:
        extra = self._way(self.name, asked.who)
        if extra is None:
            self._later(PATIENCE_S, lambda: asked.answer(None))
        else:
            self._later(extra, lambda: asked.answer(reply))

    def _way(self, src: str, dst: str) -> float | None:
        """How long a message takes; None if it is lost."""
        extra = self.links.judge(src, dst) if self.links.rules else 0.0
        return None if extra < 0 else extra + self._latency()

    def _later(self, delay: float, call: Callable[[], None]) -> None:
        Alarm(self.env, self.env._now + delay, call)

    # What is done by nobody.

    def put(self, request: Request) -> None:
        """Carry something out at once, as it was before the beginning, or as a machine that appears."""
        _, change = self.store.apply(request, self.env._now)
        if change is not None:
            self._tell(change)

    # News.

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Tell somebody how everything is, and then of every change; returns what ends it."""
        watch = _Watch(watcher)
        self._watches.append(watch)
        self._later(self._latency(), lambda: self._connect(watch))

        def close() -> None:
            if not watch.closed:
                watch.closed = True
                self._watches.remove(watch)

        return close

    def _tell(self, change: Change) -> None:
        self._told(change)
        for watch in list(self._watches):
            if not watch.broken and watch.watcher.wants(change):
                self._news(watch, change)

    def _news(self, watch: _Watch, change: Change) -> None:
        extra = self._way(self.name, watch.watcher.name)
        if extra is None:
            self._broke(watch)
        else:
            self._later(extra, lambda: None if watch.closed or watch.broken else watch.watcher.hear(change))

    def _broke(self, watch: _Watch) -> None:
        watch.broken, watch.tries = True, 0
        self._try_again(watch)

    def _try_again(self, watch: _Watch) -> None:
        wait = min(RELIST_FIRST_S * 2.0 ** min(watch.tries, 10), RELIST_MOST_S)
        watch.tries += 1
        self._later(wait * (1.0 + self._chance()), lambda: self._connect(watch))

    def _connect(self, watch: _Watch) -> None:
        """List everything and begin to watch, if the API can be reached."""
        if watch.closed or not watch.broken:
            return
        there = self._way(watch.watcher.name, self.name)
        if self.contact != "open" or there is None:
            self._try_again(watch)
            return
        watch.broken = False
        watch.watcher.resync(self.store)

    # What becomes of it.

    def set_contact(self, contact: Contact) -> None:
        """From now on requests meet this; servers that are gone break every watch, those without a quorum keep them."""
        self.contact = contact
        if contact == "refused":
            for watch in self._watches:
                if not watch.broken:
                    self._broke(watch)
        if contact != "silent":
            waiting, self._waiting = self._waiting, {}
            for asked, alarm in waiting.items():
                alarm.cancel()
                self._arrive(asked)
