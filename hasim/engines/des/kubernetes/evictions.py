"""An eviction at work in an API server: it looks, writes, and looks again where somebody was faster."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from hasim.engines.des.world.alarm import Alarm
from hasim.protocols.api import Done, Refused
from hasim.protocols.reconcile.disruption import Evict, Verdict, verdict

if TYPE_CHECKING:
    from hasim.engines.des.kubernetes.api import Api

TRIES: Final = 20
RETRY_S: Final = 0.5
JITTER: Final = 0.1
"""An eviction that meets a conflict looks again up to 20 times, 0.5 s and up to a tenth more apart (k/k
pkg/registry/core/pod/storage/eviction.go, EvictionsRetry)."""
NO_WAY: Final = Verdict(500)


class Eviction:
    """One eviction: a verdict on the objects as they are, and its writes as much later as a message takes.

    In between others may write the same budget: the next eviction, or the controller that works out its status. Then
    the version that was seen refuses the write, and all begins again.
    """

    def __init__(self, api: Api, request: Evict, answer: Callable[[Verdict | None], None]) -> None:
        """Look for the first time."""
        self._api = api
        self._name = request.name
        self._answer = answer
        self._tries = 0
        self._look()

    def _later(self, wait: float, call: Callable[[], None]) -> None:
        Alarm(self._api.env, self._api.env._now + wait, lambda: self._go_on(call))

    def _go_on(self, call: Callable[[], None]) -> None:
        """Go on, if the servers do."""
        if self._api.is_frozen:
            self._later(RETRY_S, call)
        elif self._api.contact != "open":
            self._answer(None)
        else:
            call()

    def _look(self) -> None:
        api = self._api
        self._tries += 1
        found = verdict(self._name, api.store, api.now)
        if found.allowed:
            self._later(api.latency(), lambda: self._write(found))
        else:
            self._answer(found)

    def _write(self, found: Verdict) -> None:
        api = self._api
        for request in found.requests:
            reply = api.put(request)
            if isinstance(reply, Done):
                continue
            assert isinstance(reply, Refused)
            if reply.why == "conflict":
                api.refused(api.name, request, reply)
                self._try_again()
            else:  # the pod went by itself
                self._answer(Verdict(404))
            return
        self._answer(found)

    def _try_again(self) -> None:
        if self._tries == TRIES:
            self._answer(NO_WAY)
        else:
            self._later(RETRY_S * (1.0 + JITTER * self._api.chance()), self._look)
