"""How everything is when a history begins: as if the control plane had been at work for long."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from hasim.protocols.api import Change, ObjectStore, Patch, Request
from hasim.protocols.reconcile.controller import Controller
from hasim.protocols.reconcile.objects import Pod

STEPS_MAX = 5_000_000


def bring_about(store: ObjectStore, requests: Sequence[Request], controllers: Sequence[Controller], now: float) -> None:
    """Make these requests, and then let the controllers do all they have to, in no time; pods are ready at once."""
    queue: deque[tuple[Controller, str]] = deque()
    waiting: set[tuple[int, str]] = set()

    def hear(change: Change) -> None:
        for controller in controllers:
            for key in controller.keys(change, store):
                if (id(controller), key) not in waiting:
                    waiting.add((id(controller), key))
                    queue.append((controller, key))

    def make(request: Request, controller: Controller | None = None, key: str = "") -> None:
        reply, change = store.apply(request, now)
        if controller is not None:
            controller.answered(key, request, reply)
        if change is not None:
            hear(change)

    for request in requests:
        make(request)
    for _ in range(STEPS_MAX):
        if queue:
            controller, key = queue.popleft()
            waiting.discard((id(controller), key))
            for batch in controller.plan(key, store, now).batches:
                for request in batch:
                    make(request, controller, key)
            continue
        idle = [pod for pod in store.all(Pod) if pod.node is not None and not pod.ready and pod.active]
        if not idle:
            return
        for pod in idle:
            make(Patch(Pod, pod.name, (("ready_at", now), ("phase", "Running"))))
    raise AssertionError("the controllers do not come to rest")
