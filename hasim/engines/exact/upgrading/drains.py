"""How many requests a planned stop of one server costs: those that meet it after it stopped, before it is out of use.

`rate` r is that of one server, in requests per second: all of them over the servers that share them. Everything else is
in seconds. They come at random and evenly, so that r times the length of a window is what falls into it.

Behind checks (HAProxy's: the first bad one at any moment U of an interval I, F in a row, the others a fast interval
I_f apart) a server is out of use X = U(0, I) + (F - 1) I_f after its checks begin to fail. In a cluster like
Kubernetes endpoints lose it a propagation delay after it is deleted, while its process is told at the same moment.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from hasim.declared import shown
from hasim.engines.exact.queueing.arguments import Floats, positive, whole, zero_or_more
from hasim.engines.exact.upgrading.detection import survival_between
from hasim.errors import ModelError
from hasim.model.laws.law import Law

Service = ArrayLike | Law
"""How long requests take: seconds, an array of them, or a law."""

LEAST_GRACE: Final = 2.0
"""Seconds that a process has at least from SIGTERM to SIGKILL after a preStop hook (k/k kuberuntime_container.go)."""


def restart_failures(
    rate: ArrayLike,
    notice: ArrayLike,
    restart: ArrayLike,
    interval: ArrayLike,
    fall: ArrayLike,
    fast_interval: ArrayLike | None = None,
    *,
    retries: ArrayLike = 0,
    turn_around: ArrayLike = 1.0,
    redispatch: bool = False,
) -> Floats:
    """Return how many requests are refused by one restart behind checks: r E[min((X - d)+, s)].

    The checks fail from `notice` d before the stop on, and `restart` s after it the next process listens; the balancer
    takes the server out X after the first bad moment, see above. From d ≥ I + (F - 1) I_f on it is exactly none.
    `retries` on the same server, each after `turn_around`, rescue what came so long before the next process: s is then
    (s - R τ)+. With `redispatch` the first retry goes to another server, and all are rescued if that one is up.
    Measured for HAProxy 2.6.12 in `docs/validation-balancers.md`. Raises ModelError for negative or infinite numbers,
    intervals that are not above zero, and a fall below one.
    """
    first, last = _ejection(interval, fall, fast_interval)
    before, down, often = zero_or_more(notice, "notice"), zero_or_more(restart, "restart"), whole(retries, "retries", 0)
    left = np.maximum(down - often * zero_or_more(turn_around, "turn_around"), 0.0)
    refused = _spent(before + left, first, last) - _spent(before, first, last)
    rescued = (often > 0) & _yes_or_no(redispatch, "redispatch")
    return np.asarray(zero_or_more(rate, "rate") * np.where(rescued, 0.0, refused))


def in_flight_failures(
    rate: ArrayLike,
    service: Service,
    notice: ArrayLike,
    interval: ArrayLike,
    fall: ArrayLike,
    fast_interval: ArrayLike | None = None,
) -> Floats:
    """Return how many requests are under way as a server is stopped at once: r ∫ P(S > y) P(X > d - y) dy.

    That many break off if it does not finish what it has (a graceful stop loses none of them). Without notice it is r
    times the mean of `service` S, and from d ≥ I + (F - 1) I_f + the longest request on exactly none. S is what a
    request is there for, without waiting for others: many slots. With a law all else are single numbers. Raises
    ModelError as `restart_failures` does.
    """
    first, last = _ejection(interval, fall, fast_interval)
    before = zero_or_more(notice, "notice")
    if not isinstance(service, Law):
        taking = zero_or_more(service, "service")
        among = _spent(before, first, last) - _spent(before - taking, first, last)
        return np.asarray(zero_or_more(rate, "rate") * among)
    low, high = max(float(before - last), 0.0), max(float(before - first), 0.0)
    there = service.mean - _served_within(service, high)
    if high > 0:
        width, offset = float(last - first), float(last - before)
        (leaving,) = survival_between(service, [low, high], lambda y: (y + offset) / width)
        there += float(leaving)
    return np.asarray(zero_or_more(rate, "rate") * there)


def safe_notice(
    interval: ArrayLike, fall: ArrayLike, fast_interval: ArrayLike | None = None, *, longest: ArrayLike = 0.0
) -> Floats:
    """Return the shortest notice that loses no request: I + (F - 1) I_f, and the `longest` request on top.

    A server that finishes what it has needs no more than the first part. Raises ModelError as `restart_failures` does.
    """
    return np.asarray(_ejection(interval, fall, fast_interval)[1] + zero_or_more(longest, "longest"))


def switch_failures(
    rate: ArrayLike,
    late: ArrayLike,
    interval: ArrayLike,
    rise: ArrayLike,
    fast_interval: ArrayLike | None = None,
    *,
    servers: ArrayLike = 1,
    in_step: bool = False,
) -> Floats:
    """Return how many requests fail after a switch to servers that do not listen yet: r (t + I/(n + 1) + (k - 1) I_f).

    Here `rate` is that of all requests. The n `servers` leave maintenance as up, fall at their first check, listen
    `late` t seconds after the switch, and are back after `rise` k good checks, I_f apart; the first of them takes
    everything. It is so with t of at least an interval I, else some are never found to be down. Where all are checked
    `in_step`, they are as one server. Measured for HAProxy 2.6.12 in `docs/validation-balancers.md`. Raises ModelError
    for negative or infinite numbers, t below I, and fewer servers or good checks than one.
    """
    wait = positive(interval, "interval")
    fast = wait if fast_interval is None else positive(fast_interval, "fast_interval")
    after, checks = zero_or_more(late, "late"), whole(rise, "rise")
    if (after < wait).any():
        raise ModelError("got less than the interval; the checks may never find out, and it is another law", "late")
    first = wait / (np.where(_yes_or_no(in_step, "in_step"), 1, whole(servers, "servers")) + 1.0)
    return np.asarray(zero_or_more(rate, "rate") * (after + first + (checks - 1.0) * fast))


# ------------------------------------------------------------------------------------------ deleted pods


def accepts_after_deletion(pre_stop: ArrayLike, shutdown_delay: ArrayLike = 0.0, grace: ArrayLike = 30.0) -> Floats:
    """Return how long a deleted pod goes on accepting requests: its preStop hook, and what its server waits then.

    SIGTERM comes after the hook, or at the end of the `grace` period where that has not been enough; the server closes
    its listener `shutdown_delay` after it, and is killed anyway at `killed_after_deletion` (kubernetes.io, Pod
    Lifecycle, Termination of Pods). Raises ModelError for negative or infinite durations, and a grace period of zero.
    """
    hook = np.minimum(zero_or_more(pre_stop, "pre_stop"), positive(grace, "grace"))
    closes = hook + zero_or_more(shutdown_delay, "shutdown_delay")
    return np.asarray(np.minimum(closes, killed_after_deletion(pre_stop, grace)))


def killed_after_deletion(pre_stop: ArrayLike, grace: ArrayLike = 30.0) -> Floats:
    """Return when a deleted pod is killed, if it has not ended: after its grace period, and 2 s after a preStop hook.

    A hook that takes the whole `grace` period, or longer, ends with it, so that SIGKILL follows at grace + 2 s (k/k
    pkg/kubelet/kuberuntime/kuberuntime_container.go, killContainer). Raises ModelError as `accepts_after_deletion`.
    """
    hook, period = zero_or_more(pre_stop, "pre_stop"), positive(grace, "grace")
    return np.where(hook > 0, np.maximum(period, np.minimum(hook, period) + LEAST_GRACE), period)


def deletion_failures(rate: ArrayLike, propagation: ArrayLike, accepts: ArrayLike) -> Floats:
    """Return how many requests are refused by one deleted pod: r max(0, propagation - accepts).

    Endpoints have it until `propagation` after the deletion, and it `accepts` requests for so long: see
    `accepts_after_deletion`. Raises ModelError for negative or infinite numbers.
    """
    late = zero_or_more(propagation, "propagation") - zero_or_more(accepts, "accepts")
    return np.asarray(zero_or_more(rate, "rate") * np.maximum(late, 0.0))


def killed_failures(
    rate: ArrayLike, service: Service, propagation: ArrayLike, accepts: ArrayLike, kill: ArrayLike
) -> Floats:
    """Return how many requests a deleted pod has not finished when it is killed: r E[(S - (K - A))+].

    `kill` K is from the deletion to SIGKILL, see `killed_after_deletion`; the last request came A = min(propagation,
    accepts) after the deletion, and at most K. S is what a request is there for, without
    waiting for others; with a law all else are single numbers. Raises ModelError for negative or infinite numbers.
    """
    ends = zero_or_more(kill, "kill")
    came = np.minimum(zero_or_more(propagation, "propagation"), zero_or_more(accepts, "accepts"))
    spare = ends - np.minimum(came, ends)
    if isinstance(service, Law):
        left = np.asarray(service.mean - _served_within(service, float(spare)))
    else:
        left = np.maximum(zero_or_more(service, "service") - spare, 0.0)
    return np.asarray(zero_or_more(rate, "rate") * left)


# ------------------------------------------------------------------------------------------ their parts


def _yes_or_no(given: object, name: str) -> bool:
    if not isinstance(given, bool | np.bool_):
        raise ModelError(f"got {shown(given)}; give true or false", name)
    return bool(given)


def _ejection(interval: ArrayLike, fall: ArrayLike, fast_interval: ArrayLike | None) -> tuple[Floats, Floats]:
    """The shortest and the longest time from the first bad moment to the server being out of use."""
    wait = positive(interval, "interval")
    fast = wait if fast_interval is None else positive(fast_interval, "fast_interval")
    first = (whole(fall, "fall") - 1.0) * fast
    return first, first + wait


def _spent(upto: Floats, first: Floats, last: Floats) -> Floats:
    """E[min(X, y)] for X even between first and last: how long the server is in use by then; below zero as it is."""
    inside = np.clip(upto, first, last) - first
    return np.asarray(np.minimum(upto, first) + inside - inside**2 / (2.0 * (last - first)))


def _served_within(service: Law, upto: float) -> float:
    """E[min(S, y)]."""
    return float(survival_between(service, [0.0, upto])[0]) if upto > 0 else 0.0
