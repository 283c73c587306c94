"""What a kubelet has to say of its pods: the newest of each, until the API has heard it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from hasim.engines.des.kubernetes.api import Api
from hasim.engines.des.world.alarm import Alarm
from hasim.protocols.api import Delete, Patch, Reply, Request
from hasim.protocols.reconcile.objects import Pod

RETRY_S: Final = 10.0
"""What did not get through is tried again with the next pass (k/k pkg/kubelet/status/status_manager.go, syncPeriod)."""

_Which = tuple[str, float]  # a pod's name and when it was created: others of that name are none of its business


@dataclass(eq=False, slots=True)
class _Report:
    """The newest word on a pod; `asked` is what is on its way, if anything, and `later` when it is tried again."""

    request: Request
    asked: Request | None = None
    later: Alarm | None = None


class Reports:
    """The reports of one kubelet, one request a pod at a time.

    A report is about the very pod that it was made for (the UID that is sent with it). Whatever the API answers, it has
    been heard; only what was lost is said again.
    """

    def __init__(self, api: Api, name: str) -> None:
        """Nothing is to be said."""
        self._api = api
        self._name = name
        self._open: dict[_Which, _Report] = {}

    def status(self, pod: Pod, **fields: Any) -> None:
        """How a pod is."""
        self._say(pod, Patch(Pod, pod.name, tuple(fields.items())))

    def gone(self, pod: Pod) -> None:
        """That a pod which was to go has ended here."""
        self._say(pod, Delete(Pod, pod.name, force=True))

    def forget(self) -> None:
        """Say none of it any more, and listen to no answers."""
        self._open.clear()

    def _say(self, pod: Pod, request: Request) -> None:
        which = pod.name, pod.created
        report = self._open.setdefault(which, _Report(request))
        fresh = report.request != request
        report.request = request
        if report.asked is None and (fresh or report.later is None):
            self._send(which, report)

    def _send(self, which: _Which, report: _Report) -> None:
        if self._open.get(which) is not report:
            return  # it was forgotten
        if report.later is not None:
            report.later.cancel()
            report.later = None
        report.asked = report.request
        self._api.ask(self._name, report.request, lambda reply: self._heard(which, report, reply), which[1])

    def _heard(self, which: _Which, report: _Report, reply: Reply | None) -> None:
        asked, report.asked = report.asked, None
        if report.request != asked:
            self._send(which, report)
        elif reply is None:
            api = self._api
            report.later = Alarm(api.env, api.env._now + RETRY_S, lambda: self._send(which, report))
        elif self._open.get(which) is report:
            del self._open[which]
