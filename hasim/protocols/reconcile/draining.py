"""Draining: a node is emptied on purpose, its pods evicted as far as their budgets allow.

It is what `kubectl drain --ignore-daemonsets --delete-emptydir-data` does. Source: k/k
staging/src/k8s.io/kubectl/pkg/cmd/drain/drain.go, and pkg/drain (drain.go, filters.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from hasim.errors import ModelError
from hasim.protocols.api import Done, Patch, Reply, Request
from hasim.protocols.reconcile.controller import Cache
from hasim.protocols.reconcile.disruption import Evict, Verdict
from hasim.protocols.reconcile.objects import DaemonSet, Node, Pod
from hasim.protocols.reconcile.zones import ROUNDING_S

RETRY_S: Final = 5.0
"""A refused eviction is tried again after that (drain.go, evictPods: "will retry after 5s")."""
POLL_S: Final = 1.0
"""So often an evicted pod is looked for until it has gone (waitForDelete)."""

Outcome = Literal["waiting", "draining", "drained", "timed out", "failed"]
"""What has become of a node."""


class DrainStep(NamedTuple):
    """What to ask for now, all at once, and if nothing, when to look again, in seconds; None: not before an answer."""

    requests: tuple[Request | Evict, ...] = ()
    again: float | None = None


def cordon(node: str, on: bool = True) -> Patch:
    """The request that keeps new pods off a node, or lets them come again."""
    return Patch(Node, node, (("unschedulable", on),))


@dataclass(slots=True)
class _Leaving:
    """A pod that has to go, how far that is, and when to see to it next."""

    name: str
    created: float  # what tells it from a later pod of the same name
    stage: Literal["to evict", "asked", "going", "gone", "late", "failed"] = "to evict"
    due: float = 0.0


class Drain:
    """Cordons nodes, all at once, and then empties one after another; a tool that somebody runs, not a control loop.

    Whoever drives it asks for a step, carries the requests out, tells it each answer, and asks again until it is
    `ended`. It reads the API server itself, not a cache.

    The pods of a node are listed once, as it comes to its turn: one that is bound to it later, by a scheduler that does
    not know of the cordon yet, stays. So do pods of DaemonSets, unless they have failed. All others are asked for at
    the same time, those that a budget refuses again every 5 s, and each is waited for until it has gone. After
    `timeout` seconds the node is given up; without one a budget that never allows anything holds the drain for ever. A
    pod without an owner, which nobody would make again, stops its node before anything is evicted, unless `force`.

    A node that could not be emptied does not keep the next from its turn, and no cordon is taken back.
    """

    def __init__(self, nodes: Sequence[str], timeout: float | None = None, force: bool = False) -> None:
        """A drain of these nodes that has not begun."""
        if timeout is not None and timeout <= 0:
            raise ModelError(f"got {timeout}; more than 0 seconds, or None for no end", "timeout")
        self.outcomes: dict[str, Outcome] = dict.fromkeys(nodes, "waiting")
        self._force = force
        self._timeout = timeout
        self._began = False
        self._cordoning: set[str] = set()  # nodes whose cordon is not answered yet
        self._leaving: dict[str, _Leaving] = {}  # by name: the pods of the node whose turn it is
        self._until: float | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will be asked for."""
        return not any(outcome in ("waiting", "draining") for outcome in self.outcomes.values())

    def plan(self, store: Cache, now: float) -> DrainStep:
        """The next requests, as the store is at `now` (seconds of the tool's own clock)."""
        if not self._began:
            return self._begin(store, now)
        if self._cordoning:
            return DrainStep()
        while not self.ended:
            node = next(name for name, outcome in self.outcomes.items() if outcome in ("waiting", "draining"))
            if self.outcomes[node] == "waiting":
                self._take_turn(node, store, now)
            asked = [Evict(pod.name) for pod in self._leaving.values() if self._see_to(pod, store, now)]
            stages = {pod.stage for pod in self._leaving.values()}
            if stages & {"to evict", "asked", "going"}:
                return DrainStep(tuple(asked), self._again(now))
            self.outcomes[node] = _outcome(stages)
        return DrainStep()

    def answered(self, request: Request | Evict, reply: Reply | Verdict | None, now: float) -> None:
        """How one of the requests went; None: no answer came, and the tool does not try that again."""
        if isinstance(request, Evict):
            pod = self._leaving.get(request.name)
            if pod is not None and pod.stage == "asked":
                code = reply.code if isinstance(reply, Verdict) else None
                pod.stage = "failed"
                if code in (201, 429):
                    pod.stage = "going" if code == 201 else "to evict"
                    pod.due = now if code == 201 else now + RETRY_S
                elif code == 404:
                    pod.stage = "gone"
        elif isinstance(request, Patch):
            self._cordoning.discard(request.name)
            if not isinstance(reply, Done):
                self._give_up()

    def _begin(self, store: Cache, now: float) -> DrainStep:
        """Cordon the nodes that are not cordoned; one that is not known spoils it all."""
        self._began = True
        nodes = {name: store.get(Node, name) for name in self.outcomes}
        if None in nodes.values():
            self._give_up()
            return DrainStep()
        open_nodes = [name for name, node in nodes.items() if node is not None and not node.unschedulable]
        self._cordoning = set(open_nodes)
        return DrainStep(tuple(cordon(name) for name in open_nodes)) if open_nodes else self.plan(store, now)

    def _give_up(self) -> None:
        self.outcomes = dict.fromkeys(self.outcomes, "failed")

    def _take_turn(self, node: str, store: Cache, now: float) -> None:
        """List the pods that have to leave (GetPodsForDeletion)."""
        self.outcomes[node] = "draining"
        self._until = None if self._timeout is None else now + self._timeout
        pods = [pod for pod in store.all(Pod) if pod.node == node and not _stays(pod, store)]
        held = not self._force and any(not pod.owner and pod.phase != "Failed" for pod in pods)
        stage: Literal["to evict", "failed"] = "failed" if held else "to evict"
        self._leaving = {pod.name: _Leaving(pod.name, pod.created, stage, now) for pod in pods}

    def _see_to(self, pod: _Leaving, store: Cache, now: float) -> bool:
        """Move it on if it is due; whether its eviction is asked for."""
        if pod.stage not in ("to evict", "going") or pod.due > now + ROUNDING_S:
            return False
        if pod.stage == "going" and not _is_there(pod, store):
            pod.stage = "gone"
        elif self._until is not None and now >= self._until - ROUNDING_S:
            pod.stage = "late"
        elif pod.stage == "going":
            pod.due = now + POLL_S
        else:
            pod.stage = "asked"
            return True
        return False

    def _again(self, now: float) -> float | None:
        waits = (pod.due - now for pod in self._leaving.values() if pod.stage in ("to evict", "going"))
        return min(waits, default=None)


def _stays(pod: Pod, store: Cache) -> bool:
    """Whether it belongs to a DaemonSet, which would make it again at once (daemonSetFilter)."""
    return pod.phase != "Failed" and store.get(DaemonSet, pod.owner) is not None


def _is_there(pod: _Leaving, store: Cache) -> bool:
    found = store.get(Pod, pod.name)
    return found is not None and found.created == pod.created


def _outcome(stages: Iterable[str]) -> Outcome:
    found = set(stages)
    return "failed" if "failed" in found else "timed out" if "late" in found else "drained"
