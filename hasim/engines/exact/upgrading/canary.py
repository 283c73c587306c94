"""Canaries: a share of the traffic goes first, for a while; what is bad is noticed by the clock, or by counting.

If it takes a number of bad events to notice, a smaller canary does not spend fewer of them, it takes longer. What it
saves is the rollback, which then concerns a few, and all that goes by time. And a canary that is over before enough has
happened has noticed nothing.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike

from hasim.engines.exact.queueing.arguments import Floats, positive, zero_or_more
from hasim.engines.exact.upgrading.detection import Detect, bad_errors, mean_detection, survival_between
from hasim.engines.exact.upgrading.staged import Stages, checked_stages
from hasim.errors import ModelError, nearest
from hasim.model.laws.law import Law

By = Literal["time", "count"]
BYS: Final = ("time", "count")


def canary_cost(
    bad: ArrayLike,
    errors: ArrayLike,
    detect: Detect,
    rollback: ArrayLike,
    stages: Stages,
    last: ArrayLike,
    by: By = "time",
) -> Floats:
    """Return what a canary release costs, in seconds of full outage, stage after stage.

    `stages` lists (share c, bake B in seconds). A stage costs p e (c T + c R d) and (1 - d) of what comes next, where T
    is how long it was exposed and d the chance that the stage notices. `last` is what the rollout to all costs, as
    `rolling_cost`, `all_at_once_cost` or their like give it, with the same p and e.

    By `time`, bad traffic is noticed after `detect` T_d, however little it is: T = E[min(T_d, B)], d = P(T_d ≤ B). What
    is noticed for sure within the bake costs p e c (T_d + R). Each stage, and the last, begins the clock anew, which
    for an exponential law is no difference; `staged_cost` lets one clock run. By `count` it takes events, which come at
    the rate θ c with θ = 1/T_d: d = 1 - exp(-θ c B) and c T = d/θ; `detect` is then a mean, no law.

    Raises ModelError for stages that are none, negative or infinite durations, shares outside 0 to 1, unknown words,
    and for counting without a T_d above zero.
    """
    rate, back = bad_errors(bad, errors), zero_or_more(rollback, "rollback")
    exposed, baked = checked_stages(stages)
    cost = zero_or_more(last, "last")
    for share, bake in zip(exposed[::-1].tolist(), baked[::-1].tolist(), strict=True):
        noticed, exposure = _stage(detect, share, bake, by)
        cost = rate * (exposure + share * back * noticed) + (1.0 - noticed) * cost
    return np.asarray(cost)


def canary_detection(detect: Detect, stages: Stages, by: By = "time") -> Floats:
    """Return the share of bad releases that the stages of a canary notice, before everybody has them: 1 - Π(1 - d).

    Arguments and errors as in `canary_cost`: by count, 5 % for 30 minutes notice 14 % of what all would in ten.
    """
    exposed, baked = checked_stages(stages)
    missed: Floats = np.asarray(1.0)
    for share, bake in zip(exposed.tolist(), baked.tolist(), strict=True):
        missed = np.asarray(missed * (1.0 - _stage(detect, share, bake, by)[0]))
    return np.asarray(1.0 - missed)


def _stage(detect: Detect, share: float, bake: float, by: By) -> tuple[Floats, Floats]:
    """The chance that a stage notices a bad release, and the exposure until it does or is over, in seconds."""
    if str(by) not in BYS:
        raise ModelError(f"got {by!r}; bad releases are noticed by time or count{nearest(str(by), BYS)}", "by")
    if by == "count":
        if isinstance(detect, Law):
            raise ModelError("got a law; by count the time to detect is a mean, in seconds", "detect")
        mean = positive(detect, "detect")
        noticed = -np.expm1(-share * bake / mean)
        return np.asarray(noticed), np.asarray(noticed * mean)
    if isinstance(detect, Law):
        mean_detection(detect)
        (until,) = survival_between(detect, [0.0, bake])
        return np.asarray(1.0 - detect.survival(bake)), np.asarray(share * until)
    found = zero_or_more(detect, "detect")
    return np.asarray((found <= bake).astype(np.float64)), np.asarray(share * np.minimum(found, bake))
