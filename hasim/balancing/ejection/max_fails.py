"""Leave a server out after some failures and probe it with one request, as nginx does."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from hasim.balancing.ejection.ejection import Detector, Ejection, Failure, Turn
from hasim.units import Count, Seconds


class MaxFails(Ejection):
    """Leave a server out for `fail_timeout` after `max_fails` failures; then one request probes it.

    Failures add up until a request that was sent more than `fail_timeout` after the last failure goes well. A server
    with `max_fails` of them is left out until `fail_timeout` has passed since the last one. Then it is in use again for
    a single request; if that goes well, all is forgotten, otherwise the wait begins anew. Failures of requests that
    were under way count as well and prolong the wait. nginx compares times in whole seconds and wants more than
    `fail_timeout` between them, so with 2 s a server is probed after 2 to 3 s (`whole_seconds`); where the seconds
    begin is drawn. A server that is alone is never left out.
    Source: nginx src/http/ngx_http_upstream_round_robin.c, ngx_http_upstream_get_peer and
    ngx_http_upstream_free_round_robin_peer; defaults from the `server` directive of ngx_http_upstream_module.
    """

    kind: Literal["max_fails"] = "max_fails"
    max_fails: Count = Field(default=1, ge=1, description="Failures until a server is left out; 1 in nginx.")
    fail_timeout: Seconds = Field(default=10.0, ge=0, description="How long it is left out; 10 s in nginx.")
    on: tuple[Failure, ...] = Field(
        default=("refused", "reset", "timeout"),
        description="What counts as a failure; in nginx these three always do, 5xx if proxy_next_upstream lists it.",
    )
    whole_seconds: bool = Field(default=True, description="Whether times are compared in whole seconds, as in nginx.")
    reset_when_all_out: bool = Field(
        default=False,
        description="Whether all failures are forgotten when every server is left out. nginx did so up to 1.11; since "
        "then it refuses requests ('no live upstreams') until a fail_timeout has passed.",
    )

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if not self.on:
            raise ValueError("on names no failure; name at least one of refused, reset, timeout and 5xx")
        if self.whole_seconds and self.fail_timeout != math.floor(self.fail_timeout):
            raise ValueError(
                f"fail_timeout is {self.fail_timeout:g} s; with whole_seconds it is whole seconds, like '2s'"
            )
        return self

    def start(self, count: int, rng: np.random.Generator) -> Detector:
        return _Peers(self, count, rng.random())


class _Peer:
    """A server in nginx's words; `accessed` and `checked` are readings of its clock, `stale_at` is our time."""

    __slots__ = ("accessed", "checked", "fails", "out", "stale_at")

    def __init__(self) -> None:
        self.fails = 0
        self.accessed = -math.inf  # last failure
        self.checked = -math.inf  # last failure, or the last request sent more than fail_timeout after `checked`
        self.stale_at = -math.inf  # from when on more than fail_timeout has passed since `checked`
        self.out = False


class _Peers:
    __slots__ = ("_max_fails", "_on", "_peers", "_phase", "_reset", "_second", "_timeout", "wake_at")

    def __init__(self, ejection: MaxFails, count: int, phase: float) -> None:
        self._peers = [_Peer() for _ in range(count)]
        self._max_fails = ejection.max_fails
        self._timeout = ejection.fail_timeout
        self._on = frozenset(ejection.on)
        self._phase = phase if ejection.whole_seconds else None
        self._second = -math.inf
        self._reset = ejection.reset_when_all_out
        self.wake_at = math.inf

    def chosen(self, index: int, now: float) -> Sequence[Turn]:
        peer = self._peers[index]
        if not peer.fails or now < peer.stale_at:
            return ()
        self._check(peer, now)
        if peer.fails < self._max_fails or len(self._peers) == 1:
            return ()
        turns = [] if peer.out else [Turn(index, False, "probed by one request")]
        peer.out = True
        return self._told(turns)

    def answered(self, index: int, failure: str | None, now: float) -> Sequence[Turn]:
        peer = self._peers[index]
        if failure is not None and failure in self._on:
            return self._failed(index, peer, now)
        if peer.fails and peer.accessed < peer.checked:
            peer.fails = 0
            if peer.out:
                peer.out = False
                return self._told([Turn(index, True, "the probe was answered")])
        return ()

    def wake(self, now: float) -> Sequence[Turn]:
        turns = []
        due = max(now, self.wake_at)
        for index, peer in enumerate(self._peers):
            if peer.out and peer.stale_at <= due:
                peer.out = False
                turns.append(Turn(index, True, "fail_timeout is over"))
                peer.stale_at = min(peer.stale_at, now)
                if self._phase is not None:  # the second has begun, whatever the rounding of sums says
                    self._second = max(self._second, peer.checked + self._timeout + 1.0)
        return self._told(turns)

    def _failed(self, index: int, peer: _Peer, now: float) -> Sequence[Turn]:
        peer.fails += 1
        self._check(peer, now)
        peer.accessed = peer.checked
        if peer.fails < self._max_fails or len(self._peers) == 1:
            return ()
        turns = [] if peer.out else [Turn(index, False, f"{peer.fails} failed")]
        peer.out = True
        if self._reset and all(other.out for other in self._peers):
            for place, other in enumerate(self._peers):
                other.fails = 0
                other.out = False
                turns.append(Turn(place, True, "all were left out"))
        return self._told(turns)

    def _check(self, peer: _Peer, now: float) -> None:
        """Read the clock into `checked`, and work out when more than fail_timeout will have passed since."""
        if self._phase is None:
            peer.checked = now
            peer.stale_at = now + self._timeout
        else:
            self._second = max(self._second, math.floor(now + self._phase))
            peer.checked = self._second
            peer.stale_at = peer.checked + self._timeout + 1.0 - self._phase

    def _told(self, turns: list[Turn]) -> Sequence[Turn]:
        self.wake_at = min((peer.stale_at for peer in self._peers if peer.out), default=math.inf)
        return turns
