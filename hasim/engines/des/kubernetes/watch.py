"""A watch: somebody hears of every change in order, and lists everything again when it broke."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Final, Protocol

from hasim.engines.des.kubernetes.line import Line
from hasim.engines.des.world.alarm import Alarm
from hasim.protocols.api import Change, ObjectStore

if TYPE_CHECKING:
    from hasim.engines.des.kubernetes.api import Api

RELIST_FIRST_S: Final = 0.8
RELIST_MOST_S: Final = 30.0
RELIST_RESET_S: Final = 120.0
"""A watch that broke is tried again after 0.8 s, twice as long each time up to 30 s, and up to as much again; after two
minutes without trouble it begins anew (client-go tools/cache/reflector.go)."""
PING_S: Final = 15.0
SILENCE_S: Final = 45.0
"""A connection on which nothing was heard for 30 s, nor anything in the 15 s after a ping, is dead (apimachinery
util/net/http.go, ReadIdleTimeout and PingTimeout)."""


class Watcher(Protocol):
    """Who watches the objects of some kinds."""

    @property
    def name(self) -> str:
        """Who it is, for rules about messages."""

    @property
    def kinds(self) -> tuple[type, ...]:
        """The classes of objects that it hears of."""

    def wants(self, change: Change) -> bool:
        """Whether it is told of this change, which is of one of its kinds."""

    def hear(self, change: Change) -> None:
        """Something has changed."""

    def resync(self, store: ObjectStore) -> None:
        """Its watch is new: this is how everything is now."""


class Watch:
    """The watch of one watcher.

    It breaks when the servers go or the connection dies. What was on its way then is lost, and made up for by the list
    with which it begins again.
    """

    def __init__(self, api: Api, watcher: Watcher) -> None:
        """Connect for the first time."""
        self.watcher = watcher
        self.broken = True
        self.closed = False
        self.begun = 0  # how often it has begun
        self._api = api
        self._line = self._new_line()
        self._silent = 0.0  # for how long nothing gets through, as far as pings tell
        self._tries = 0
        self._tried_at = -inf
        self._later(0.0)

    def tell(self, change: Change) -> None:
        """News for the watcher."""
        if not self.broken and self.watcher.wants(change):
            self._line.send(_News(self, change, self.begun))

    def close(self) -> None:
        """The watcher is no more, or wants no more of it."""
        self.closed = True
        self._api.watches.pop(self, None)

    def ping(self) -> None:
        """See whether anything gets through, every `PING_S` while links are not as they should be."""
        self._silent = self._silent + PING_S if self._api.cut_off(self.watcher.name) else 0.0
        if self._silent >= SILENCE_S and not self.broken:
            self.break_off()

    def break_off(self) -> None:
        """The watcher finds its connection gone."""
        if not self.broken:
            self.broken = True
            self._try_again()

    def _new_line(self) -> Line:
        api = self._api
        return Line(api.env, api.links, api.latency, api.name, self.watcher.name)

    def _try_again(self) -> None:
        now = self._api.env._now
        if now - self._tried_at > RELIST_RESET_S:
            self._tries = 0
        self._tried_at = now
        wait = min(RELIST_FIRST_S * 2.0 ** min(self._tries, 10), RELIST_MOST_S)
        self._tries += 1
        self._later(wait * (1.0 + self._api.chance()))

    def _later(self, wait: float) -> None:
        Alarm(self._api.env, self._api.env._now + wait + self._api.latency(), self._connect)

    def _connect(self) -> None:
        """List everything and begin to watch, if the API can be reached."""
        if self.closed or not self.broken:
            return
        if self._api.contact == "refused" or self._api.cut_off(self.watcher.name):
            self._try_again()
            return
        self.broken, self._silent = False, 0.0
        self.begun += 1
        self._line = self._new_line()  # what an old connection still carries is nothing to the new one
        self.watcher.resync(self._api.store)


@dataclass(eq=False, slots=True)
class _News:
    """A change on its way to a watcher."""

    watch: Watch
    change: Change
    begun: int

    @property
    def over(self) -> bool:
        return self.watch.closed or self.watch.broken or self.watch.begun != self.begun

    def arrive(self) -> None:
        if not self.over:
            self.watch.watcher.hear(self.change)

    def held_up(self) -> None:
        """Nobody loses patience: pings find out when the connection is dead."""
