"""Smooth weighted round robin, as in nginx."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from hasim.balancing.backend import Backend
from hasim.balancing.policy import Chooser, Policy


class WeightedRoundRobin(Policy):
    """Give each server its share of turns by weight, spread as evenly as can be: weights 5, 1, 1 give a a b a c a a.

    At each choice every candidate gains its weight, the richest is chosen and pays what all gained. A server that
    was passed over (`avoid`) neither gains nor pays, so that a dead one of n equal servers meets 1/n of the requests
    first, not 1/(n - 1) as with `round_robin`.
    Source: nginx src/http/ngx_http_upstream_round_robin.c, ngx_http_upstream_get_peer; the example is in the message of
    the commit that brought it in (nginx 1.3.1, 2012). Left out: the effective weight, which nginx cuts after a failure
    and gives back one at each choice.
    """

    kind: Literal["weighted_round_robin"] = "weighted_round_robin"

    def start(self, rng: np.random.Generator) -> Chooser:
        return _Smooth()


class _Account:
    __slots__ = ("gained", "server")

    def __init__(self, server: Backend) -> None:
        self.server = server
        self.gained = 0.0


class _Smooth:
    __slots__ = ("_accounts", "_all")

    def __init__(self) -> None:
        self._accounts: list[_Account] = []
        self._all: dict[int, _Account] = {}  # who is away keeps what was gained

    def usable(self, backends: Sequence[Backend]) -> None:
        self._accounts = []
        for server in sorted(backends, key=lambda server: server.index):
            account = self._all.get(server.index)
            if account is None:
                account = self._all[server.index] = _Account(server)
            account.server = server
            self._accounts.append(account)

    def choose(self, key: int, avoid: Backend | None = None) -> Backend:
        best: _Account | None = None
        total = 0.0
        for account in self._accounts:
            server = account.server
            if server is avoid:
                continue
            total += server.weight
            account.gained += server.weight
            if best is None or account.gained > best.gained:
                best = account
        if best is None:
            return self._accounts[0].server  # `avoid` is alone
        best.gained -= total
        return best.server
