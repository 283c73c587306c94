"""Somebody at a terminal: one request after another, each until it is done."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from hasim.engines.des.kubernetes.api import Api
from hasim.engines.des.world.alarm import Alarm
from hasim.protocols.api import Done, Reply, Request

TERMINAL: Final = "kubernetes/kubectl"
"""What rules about messages call whoever sits there; no declared name has a slash."""
AGAIN_S: Final = 5.0
"""People whose request failed, or was not answered, make it again after that."""


class Kubectl:
    """Asks the API for one thing after another; what failed is asked for again every few seconds.

    `failed(reply)` is called each time; None: no answer came, and nobody knows whether it took effect. All requests are
    such that making them twice does no harm.
    """

    def __init__(self, api: Api, failed: Callable[[Reply | None], None]) -> None:
        """Nothing is to be done."""
        self._api = api
        self._failed = failed
        self._waiting: deque[tuple[Request, Callable[[], None]]] = deque()

    def do(self, request: Request, done: Callable[[], None]) -> None:
        """Make a request once those before it are done, and call `done` when this one is."""
        self._waiting.append((request, done))
        if len(self._waiting) == 1:
            self._ask()

    def _ask(self) -> None:
        self._api.ask(TERMINAL, self._waiting[0][0], self._heard)

    def _heard(self, reply: Reply | None) -> None:
        if not isinstance(reply, Done):
            self._failed(reply)
            Alarm(self._api.env, self._api.env._now + AGAIN_S, self._ask)
            return
        _, done = self._waiting.popleft()
        if self._waiting:
            self._ask()
        done()
