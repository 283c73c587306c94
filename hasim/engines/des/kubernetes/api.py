"""The API as everybody sees it: requests take their time or get lost, and whoever watches hears what has changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from hasim.engines.des.kubernetes.evictions import Eviction
from hasim.engines.des.kubernetes.line import Line
from hasim.engines.des.kubernetes.watch import PING_S, Watch, Watcher
from hasim.engines.des.reach import Contact
from hasim.engines.des.requests.links import Links
from hasim.engines.des.world import LeapingEnvironment
from hasim.engines.des.world.alarm import Alarm
from hasim.protocols.api import Change, Create, ObjectStore, Refused, Reply, Request, Update, key_of
from hasim.protocols.reconcile.disruption import Evict, Verdict
from hasim.protocols.reconcile.objects import NodeLease

Answer = Callable[[Reply | None], None]
Told = Callable[[Change], None]
Refusing = Callable[[str, Request, Refused], None]

ETCD_WAIT_S: Final = 7.0
"""etcd gives a request up after 5 s and two election timeouts (server/config, ReqTimeout); the default one is 1 s."""
PATIENCE_S: Final = 10.0
"""How long somebody waits for an answer (k/k pkg/kubelet, the timeout of the client that renews leases)."""


class Api:
    """The store behind the API servers, and everybody's way there.

    `name` is the part that answers. Requests that get lost, or that wait for a quorum in vain, are answered with None:
    nobody knows what came of them. `told` hears of every change at once, `refused` of every conflict.
    """

    def __init__(
        self,
        env: LeapingEnvironment,
        name: str,
        links: Links,
        latency: Callable[[], float],
        chance: Callable[[], float],
        told: Told,
        refused: Refusing,
    ) -> None:
        self.env = env
        self.name = name
        self.store = ObjectStore()
        self.links = links
        self.contact: Contact = "open"
        self.leapt = 0.0  # seconds of calm that nobody has lived through
        self.changed_at = env.now  # when anything but a lease was last written
        self.latency = latency
        self.chance = chance
        self.watches: dict[Watch, None] = {}
        self.told = told
        self.refused = refused
        self._lines: dict[tuple[str, str], Line] = {}  # of requests and answers
        self._waiting: dict[_Asked, Alarm] = {}  # for a quorum
        self._frozen = 0  # by how many
        self._held: list[_Asked] = []
        self._pings: Alarm | None = None

    @property
    def now(self) -> float:
        """The time of day, as objects and controllers have it: it stands still while calm is leapt over."""
        return self.env._now - self.leapt

    # Requests.

    def ask(self, who: str, request: Request, answer: Answer, of: float | None = None) -> None:
        """Ask for something; `answer` gets the reply, or None if none comes.

        With `of` it is about the very object of that name that was created then, in seconds of the store's clock, and
        is refused where another has taken its place (the precondition on a UID).
        """
        self._line(who, self.name).send(_Asked(self, who, request, answer, of, self.env._now))

    def evict(self, who: str, name: str, answer: Callable[[Verdict | None], None]) -> None:
        """Ask for a pod to go if its budget allows; `answer` gets the verdict, or None if none comes."""
        self._line(who, self.name).send(_Asked(self, who, Evict(name), answer, None, self.env._now))

    def arrive(self, asked: _Asked) -> None:
        """A request is there."""
        if self._frozen:
            self._held.append(asked)
            asked.held_up()
        elif self.contact == "silent":
            self._waiting[asked] = Alarm(self.env, self.env._now + ETCD_WAIT_S, lambda: self._give_up(asked))
        elif self.contact == "open" and isinstance(asked.request, Evict):
            Eviction(self, asked.request, lambda verdict: self._answer(asked, verdict))
        else:
            self._answer(asked, self._serve(asked) if self.contact == "open" else None)

    def _give_up(self, asked: _Asked) -> None:
        del self._waiting[asked]
        self._answer(asked, None)

    def _serve(self, asked: _Asked) -> Reply:
        assert not isinstance(asked.request, Evict)
        reply: Reply = Refused("conflict") if self._is_another(asked) else self.put(asked.request)
        if isinstance(reply, Refused) and reply.why in ("conflict", "exists"):
            self.refused(asked.who, asked.request, reply)
        return reply

    def _is_another(self, asked: _Asked) -> bool:
        if asked.of is None or isinstance(asked.request, Evict):
            return False
        found: Any = self.store.get(*subject_of(asked.request))
        return found is not None and bool(found.created != asked.of)

    def put(self, request: Request) -> Reply:
        """Carry something out at once, and tell everybody."""
        reply, change = self.store.apply(request, self.now)
        if change is not None:
            self.told(change)
            kind = change.key[0]
            if kind is not NodeLease:
                self.changed_at = self.env._now
            for watch in list(self.watches):
                if kind in watch.watcher.kinds:
                    watch.tell(change)
        return reply

    def _answer(self, asked: _Asked, reply: Reply | Verdict | None) -> None:
        self._line(self.name, asked.who).send(_Answered(asked, reply))

    def _line(self, src: str, dst: str) -> Line:
        line = self._lines.get((src, dst))
        if line is None:
            line = self._lines[src, dst] = Line(self.env, self.links, self.latency, src, dst)
        return line

    # News.

    def watch(self, watcher: Watcher) -> Watch:
        """Tell somebody how everything is, and then of every change, until the watch is closed."""
        watch = Watch(self, watcher)
        self.watches[watch] = None
        return watch

    def cut_off(self, who: str) -> bool:
        """Whether nothing at all gets there, or nothing comes back."""
        if not self.links.rules:
            return bool(self._frozen)
        return bool(self._frozen) or self.links.cut(who, self.name) or self.links.cut(self.name, who)

    # What becomes of it.

    def freeze(self) -> None:
        """No server does anything, until all who froze them let them."""
        self._frozen += 1
        self.rules_changed()

    def thaw(self) -> None:
        """They go on with what came meanwhile, and which is still waited for."""
        self._frozen -= 1
        if not self._frozen:
            held, self._held = self._held, []
            for asked in held:
                if not asked.over:
                    self.arrive(asked)

    def rules_changed(self) -> None:
        """Not all is as it should be: from now on pings tell who is cut off."""
        if self._pings is None:
            self._pings = Alarm(self.env, self.env._now + PING_S, self._ping)

    def _ping(self) -> None:
        for watch in list(self.watches):
            watch.ping()
        self._pings = Alarm(self.env, self.env._now + PING_S, self._ping) if self.is_troubled else None

    @property
    def is_frozen(self) -> bool:
        """Whether its servers do nothing for now."""
        return bool(self._frozen)

    @property
    def is_troubled(self) -> bool:
        """Whether a fault is at work on it, or on the way there."""
        return bool(self._frozen or self.links.rules)

    def set_contact(self, contact: Contact) -> None:
        """From now on requests meet this; servers that are gone break every watch, those without a quorum keep them."""
        self.changed_at = self.env._now
        self.contact = contact
        if contact == "refused":
            for watch in list(self.watches):
                watch.break_off()
        if contact != "silent":
            waiting, self._waiting = self._waiting, {}
            for asked, alarm in waiting.items():
                alarm.cancel()
                self.arrive(asked)


@dataclass(eq=False, slots=True)
class _Asked:
    """A request on its way, and until its answer is there."""

    api: Api
    who: str
    request: Request | Evict
    answer: Callable[[Any], None]
    of: float | None
    since: float
    over: bool = False
    patience: Alarm | None = None

    def arrive(self) -> None:
        self.api.arrive(self)

    def held_up(self) -> None:
        if self.patience is None:
            at = max(self.since + PATIENCE_S, self.api.env._now)
            self.patience = Alarm(self.api.env, at, lambda: self.end(None))

    def end(self, reply: Reply | Verdict | None) -> None:
        if not self.over:
            self.over = True
            if self.patience is not None:
                self.patience.cancel()
            self.answer(reply)


@dataclass(eq=False, slots=True)
class _Answered:
    """An answer on its way."""

    asked: _Asked
    reply: Reply | Verdict | None

    @property
    def over(self) -> bool:
        return self.asked.over

    def arrive(self) -> None:
        self.asked.end(self.reply)

    def held_up(self) -> None:
        self.asked.held_up()


def subject_of(request: Request) -> tuple[type, str]:
    """The class and the name of what a request is about."""
    return key_of(request.thing) if isinstance(request, Create | Update) else (request.kind, request.name)
