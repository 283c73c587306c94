"""The lives of a workload's pods, from the request that made each to the one that took it away."""

from __future__ import annotations

import numpy as np

from hasim.engines.des.kubernetes.releases import Releases
from hasim.engines.des.world import LeapingEnvironment
from hasim.protocols.api import Change, ObjectStore
from hasim.protocols.reconcile.objects import Pod
from hasim.results.spans import Spans

Life = tuple[str, float, float, int]
"""A pod's name, from when to when it was there, in seconds, and its revision."""


class Lives:
    """Who was there when, in the whole run."""

    def __init__(self, env: LeapingEnvironment, store: ObjectStore, releases: Releases, app: str) -> None:
        """Begin with those that are there."""
        self._env, self._store, self._releases, self._app = env, store, releases, app
        self._began = {pod.name: env.now for pod in store.all(Pod) if pod.template.app == app}
        self._lives: list[Life] = []

    def hear(self, change: Change) -> None:
        """A pod may have come or gone."""
        before, after = change
        pod = before if after is None else after
        if not isinstance(pod, Pod) or pod.template.app != self._app:
            return
        if before is None:
            self._began[pod.name] = self._env.now
        elif after is None:
            self._lives.append((pod.name, self._began.pop(pod.name), self._env.now, pod.template.revision))

    def spans(self, end: float) -> Spans:
        """All of them, as far as they lie between the begin of the run and its end."""
        rows = list(self._lives)
        for name, began in self._began.items():
            pod = self._store.get(Pod, name)
            assert pod is not None
            rows.append((name, began, end, pod.template.revision))
        rows = [(name, max(began, 0.0), ended, revision) for name, began, ended, revision in rows if ended > 0]
        return Spans(
            tuple(row[0] for row in rows),
            np.array([row[1] for row in rows]),
            np.array([row[2] for row in rows]),
            tuple(self._releases.version(self._app, row[3]) for row in rows),
        )
