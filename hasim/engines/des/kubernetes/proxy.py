"""A node's rules for traffic: they follow the endpoints while somebody keeps them, and stay as they are otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from hasim.engines.des.world.alarm import Alarm
from hasim.protocols.api import Change, ObjectStore
from hasim.protocols.reconcile.objects import Endpoints

if TYPE_CHECKING:
    from hasim.engines.des.kubernetes.world import KubernetesWorld

SYNC_S: Final = 1.0
"""From one write of the rules to the next, at least (minSyncPeriod, k/k pkg/proxy/apis/config/v1alpha1/defaults.go)."""


class Proxy:
    """The rules of one node: for each workload, the pods that its connections go to.

    `up` while whoever keeps them runs, and while the node is not frozen.
    """

    kinds = (Endpoints,)

    def __init__(self, world: KubernetesWorld, name: str, chance: Callable[[], float]) -> None:
        """Rules that are as the endpoints are."""
        self.world = world
        self.name = name
        self.up = True
        self.rules: dict[str, tuple[str, ...]] = {e.name: e.pods for e in world.api.store.all(Endpoints)}
        self._heard: dict[str, tuple[str, ...]] = {}
        self._chance = chance
        self._due: Alarm | None = None
        self._watch = world.api.watch(self)

    def wants(self, change: Change) -> bool:
        """Whether there are endpoints to write."""
        return change.after is not None

    def hear(self, change: Change) -> None:
        """Other endpoints: they become rules with the next sync."""
        self._heard[change.after.name] = change.after.pods
        if self._due is None:
            env = self.world.env
            self._due = Alarm(env, env._now + SYNC_S * self._chance(), self._write)

    def resync(self, store: ObjectStore) -> None:
        """All endpoints as they are now."""
        for endpoints in store.all(Endpoints):
            self.hear(Change(None, endpoints))

    def set_up(self, up: bool) -> None:
        """Whoever keeps the rules has gone, or is back."""
        if up == self.up:
            return
        self.up = up
        self._watch.close()
        self._heard.clear()
        if self._due is not None:
            self._due.cancel()
            self._due = None
        if up:
            self._watch = self.world.api.watch(self)

    def _write(self) -> None:
        self._due = None
        heard, self._heard = self._heard, {}
        for app, pods in heard.items():
            if self.rules.get(app) != pods:
                self.rules[app] = pods
                self.world.note("rules written", self.name, {"app": app, "pods": len(pods)})
