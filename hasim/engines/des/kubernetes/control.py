"""A process of the control plane that leads: its cache and its loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hasim.engines.des.kubernetes.api import Answer, Api
from hasim.engines.des.kubernetes.informer import Informer
from hasim.engines.des.kubernetes.loop import Loop
from hasim.engines.des.kubernetes.pace import Bucket, Pace
from hasim.engines.des.world.alarm import Alarm
from hasim.protocols.api import Change, ObjectStore, Reply, Request
from hasim.protocols.reconcile.controller import Controller


class ControlProcess:
    """The loops of one process from when it begins to lead to when it stops: memory and cache end with it.

    While it is frozen nothing is taken up, and what arrives waits. What it has sent when it ends takes effect all the
    same.
    """

    def __init__(
        self, api: Api, name: str, kinds: tuple[type, ...], controllers: Sequence[Controller], pace: Pace
    ) -> None:
        """Begin to list and watch; with the first list the loops begin."""
        self.api = api
        self.env = api.env
        self.name = name
        self.kinds = kinds
        self.alive = True
        self.frozen = False
        self.informer = Informer(kinds, self._tell)
        self.controllers = tuple(controllers)
        self.loops = [Loop(self, controller, pace) for controller in controllers]
        self._held: list[Callable[[], None]] = []
        self._knows = False
        self._watch = api.watch(self)

    @property
    def awake(self) -> bool:
        """Whether it does anything."""
        return self.alive and not self.frozen and self._knows

    @property
    def is_idle(self) -> bool:
        """Whether nothing is to be done but the beats of its loops."""
        return not self.frozen and all(loop.idle for loop in self.loops)

    def end(self) -> None:
        """It leads no longer; what it asked for is not called back."""
        self.alive = False
        self._watch.close()

    def freeze(self) -> None:
        """Do nothing for a while."""
        self.frozen = True

    def thaw(self) -> None:
        """Go on: all news of meanwhile is in the cache before anything is decided."""
        held, self._held = self._held, []
        for call in held:
            call()
        self.frozen = False
        self._go_on()

    def ask(self, request: Request, answer: Answer, bucket: Bucket) -> None:
        """Ask the API, as soon as there is a token."""
        wait = bucket.wait(self.api.now)

        def heard(reply: Reply | None) -> None:
            self._when_awake(lambda: answer(reply))

        def send() -> None:
            self.api.ask(self.name, request, heard)

        if wait:
            Alarm(self.env, self.env._now + wait, lambda: self._when_awake(send))
        else:
            send()

    # What it watches.

    def wants(self, change: Change) -> bool:
        """Whatever is of its kinds."""
        return True

    def hear(self, change: Change) -> None:
        """News, for the cache and then for the loops."""
        self._when_awake(lambda: self._take_in(lambda: self.informer.hear(change)))

    def resync(self, store: ObjectStore) -> None:
        """The whole list; with the first the loops begin."""
        self._when_awake(lambda: self._take_in(lambda: self._list(store)))

    def _list(self, store: ObjectStore) -> None:
        self.informer.resync(store)
        if not self._knows:
            self._knows = True
            for loop in self.loops:
                loop.begin()

    def _take_in(self, news: Callable[[], None]) -> None:
        """Nothing is taken up before all of it is in."""
        news()
        self._go_on()

    def _tell(self, change: Change) -> None:
        for loop in self.loops:
            loop.hear(change)

    def _go_on(self) -> None:
        for loop in self.loops:
            loop.go_on()

    def _when_awake(self, call: Callable[[], None]) -> None:
        if not self.alive:
            return
        if self.frozen:
            self._held.append(call)
        else:
            call()
