"""Rolling updates: exposure grows server by server, so what is noticed early costs little."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from hasim.engines.exact.queueing.arguments import Floats, positive, whole, zero_or_more
from hasim.engines.exact.upgrading.detection import Detect, bad_errors, mean_detection, survival_between
from hasim.errors import ModelError, nearest
from hasim.model.laws.law import Law

Back = Literal["at_once", "evenly", "in_steps"]
BACKS: Final = ("at_once", "evenly", "in_steps")

_NEAR: Final = 1e-9  # so near a whole step a time is on it: 0.3 × 10 is three steps in, not a fourth


def rolling_cost(
    bad: ArrayLike,
    errors: ArrayLike,
    detect: Detect,
    rollback: ArrayLike,
    length: ArrayLike,
    *,
    steps: ArrayLike | None = None,
    back: Back = "at_once",
) -> Floats:
    """Return what a rolling update costs, in seconds of full outage, if `detect` seconds after its start it is noticed.

    Without `steps` exposure is a ramp, x(t) = t/L up to `length` L: p e (L/2 + (T_d - L) + R) for T_d ≥ L, else p e
    (T_d²/(2L) + (T_d/L) R). With n `steps` it is a staircase, whose k-th step serves from (k - 1) L/n on: noticed in
    step k = ⌈n T_d/L⌉ (from 1 to n) it costs p e (k T_d/n - k (k - 1) L/(2n²) + k R/n). One step is all at once; many
    are the ramp.

    `back` says what stays exposed during the `rollback` R: all that was, until all of it goes back `at_once`; ever less
    of it, so that the last goes after R (`evenly`: half of it, of a staircase (k + 1)/(2n) in place of k/n); or one
    step after the other, each taking R/n, so that R is the time to roll back everything (`in_steps`: x²/2, and
    k (k + 1)/(2n²)).

    With a law of `detect` it is the expectation over it, and `length` and `steps` are single numbers. Raises ModelError
    for negative or infinite durations, shares outside 0 to 1, fewer steps than one and unknown words.
    """
    if str(back) not in BACKS:
        raise ModelError(f"got {back!r}; the ways back are {', '.join(BACKS)}{nearest(str(back), BACKS)}", "back")
    rate, last, long = bad_errors(bad, errors), zero_or_more(rollback, "rollback"), zero_or_more(length, "length")
    if isinstance(detect, Law):
        mean_detection(detect)
        if long.ndim:
            raise ModelError("got an array; with a law of `detect` the length is a single number", "length")
        before, during = _of_law(detect, float(long), _single(steps), back)
        return np.asarray(rate * (before + during * last))
    found = zero_or_more(detect, "detect")
    if steps is None:
        reached = _reached(found, long)
        spent = found - np.minimum(found, long) * (1.0 - reached / 2.0)
        return np.asarray(rate * (spent + _still_exposed(reached, back) * last))
    count = whole(steps, "steps")
    step = _step(found, long, count)
    spent = step / count * found - step * (step - 1.0) * long / (2.0 * count**2)
    return np.asarray(rate * (spent + _stairs_exposed(step, count, back) * last))


def rolling_cost_by_count(
    bad: ArrayLike,
    errors: ArrayLike,
    detect: ArrayLike,
    rollback: ArrayLike,
    length: ArrayLike,
) -> Floats:
    """Return what a rolling update costs, in seconds of full outage, if it takes a number of bad events to notice it.

    It is noticed at the rate x(t)/T_d, so that `detect` T_d is the mean time at full exposure; exposure is the ramp
    x(t) = t/L. Then p e (T_d + R E[x]), with E[x] = √(π T_d/(2L)) erf √(L/(2 T_d)), since P(unnoticed at t) =
    exp(-∫ x dt/T_d): the bad requests before that are p e T_d, however slow the rollout is. Raises ModelError for a T_d
    that is not above zero, negative or infinite durations, and shares outside 0 to 1.
    """
    rate, found = bad_errors(bad, errors), positive(detect, "detect")
    scale = np.sqrt(zero_or_more(length, "length") / (2.0 * found))
    at_once = scale == 0.0
    exposed = np.where(at_once, 1.0, special.erf(scale) * np.sqrt(np.pi) / (2.0 * np.where(at_once, 1.0, scale)))
    return np.asarray(rate * (found + exposed * zero_or_more(rollback, "rollback")))


def rolling_length(
    servers: ArrayLike,
    surge: ArrayLike,
    unavailable: ArrayLike,
    start: ArrayLike,
    ready: ArrayLike = 0.0,
    min_ready: ArrayLike = 0.0,
) -> Floats:
    """Return how long a rolling update takes, in seconds: ⌈N/(surge + unavailable)⌉ (start + ready + min ready).

    Of N `servers` so many are replaced together; each takes its `start`, until it is `ready`, and `min_ready` more
    until it counts as available. Raises ModelError if no server may be replaced at all.
    """
    together = whole(surge, "surge", least=0) + whole(unavailable, "unavailable", least=0)
    if (together == 0).any():
        raise ModelError("got 0, and 0 unavailable; nothing can be replaced; let one of them be at least 1", "surge")
    each = zero_or_more(start, "start") + zero_or_more(ready, "ready") + zero_or_more(min_ready, "min_ready")
    return np.asarray(-(-whole(servers, "servers") // together) * each)


def rolling_capacity(servers: ArrayLike, unavailable: ArrayLike) -> Floats:
    """Return the share of the capacity that is left during a rolling update, 1 - unavailable/N.

    Raises ModelError for more unavailable servers than there are.
    """
    count, gone = np.broadcast_arrays(whole(servers, "servers"), whole(unavailable, "unavailable", least=0))
    if (gone > count).any():
        over = gone > count
        raise ModelError(f"got {gone[over].flat[0]}; there are only {count[over].flat[0]} servers", "unavailable")
    return np.asarray((count - gone) / count)


def _single(steps: ArrayLike | None) -> int | None:
    if steps is None:
        return None
    count = whole(steps, "steps")
    if count.ndim:
        raise ModelError("got an array; with a law of `detect` the steps are a single number", "steps")
    return int(count)


def _reached(found: Floats, length: Floats) -> Floats:
    """The share that is exposed at this time, on the ramp."""
    at_once = length == 0.0
    return np.where(at_once, 1.0, np.minimum(found / np.where(at_once, 1.0, length), 1.0))


def _step(found: Floats, length: Floats, count: NDArray[np.int64]) -> Floats:
    """The number of steps that have begun: who notices just when the next would begin stops it."""
    at_once = length == 0.0
    passed = np.where(at_once, np.inf, found / np.where(at_once, 1.0, length)) * count
    passed = np.minimum(passed, count)  # also keeps what follows from infinity
    near = np.round(passed)
    whole_steps = np.where(np.abs(passed - near) <= _NEAR * np.maximum(near, 1.0), near, np.ceil(passed))
    return np.asarray(np.clip(whole_steps, 1, count))


def _still_exposed(reached: Floats, back: Back) -> Floats:
    """The mean exposure while it is rolled back, in units of R, from the ramp."""
    return {"at_once": reached, "evenly": reached / 2.0, "in_steps": reached**2 / 2.0}[back]


def _stairs_exposed(step: Floats, count: ArrayLike, back: Back) -> Floats:
    """The mean exposure while it is rolled back, in units of R, from step k of n: the k-th goes first."""
    n = np.asarray(count, dtype=np.float64)
    return np.asarray(
        {"at_once": step / n, "evenly": (step + 1) / (2 * n), "in_steps": step * (step + 1) / (2 * n**2)}[back]
    )


def _of_law(law: Law, length: float, steps: int | None, back: Back) -> tuple[float, float]:
    """The expected exposure before it is noticed, in seconds, and that during the rollback, in units of R."""
    if steps is None and length == 0.0:
        return law.mean, float(_still_exposed(np.ones(()), back))
    if steps is None:
        (spent,) = survival_between(law, [0.0, length], lambda t: 1.0 - t / length)
        if back == "in_steps":  # E[x²]/2
            (exposed,) = survival_between(law, [0.0, length], lambda t: t / length)
            return law.mean - float(spent), float(exposed) / length
        (exposed,) = survival_between(law, [0.0, length]) / length
        return law.mean - float(spent), float(exposed) if back == "at_once" else float(exposed) / 2.0
    edges = np.linspace(0.0, length, steps + 1)
    spared = (1.0 - np.arange(1, steps + 1) / steps) @ survival_between(law, edges)
    heights = _stairs_exposed(np.arange(1.0, steps + 1), steps, back)
    during = heights[0] + float(np.diff(heights) @ law.survival(edges[1:-1]))  # step k begins if T > (k - 1) L/n
    return law.mean - float(spared), float(during)
