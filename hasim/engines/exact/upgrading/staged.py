"""Any plan that exposes one share after another, noticed by one clock that runs from its beginning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from hasim.declared import shown
from hasim.engines.exact.queueing.arguments import Floats, zero_or_more
from hasim.engines.exact.upgrading.detection import Detect, bad_errors, mean_detection, survival_between
from hasim.errors import ModelError
from hasim.model.laws.law import Law

Stages = Sequence[tuple[float, float]]
"""Stages of a rollout: the share that is exposed, from 0 to 1, and how long, in seconds."""


def staged_cost(bad: ArrayLike, errors: ArrayLike, detect: Detect, rollback: ArrayLike, stages: Stages) -> Floats:
    """Return what a rollout in stages costs, in seconds of full outage, noticed `detect` seconds after its start.

    `stages` lists (share exposed, seconds); after the last of them all are exposed. However few are, the clock runs:
    detection by time. p e (∫ x dt until T_d + R x(T_d)), where x(T_d) is what was exposed just before, at least the
    first stage. Canaries whose every stage begins a clock of its own are `canary_cost`; for exponential laws the two
    are the same. With a law of `detect` it is the expectation over it. Raises ModelError for stages that are none,
    negative or infinite durations, and shares outside 0 to 1.
    """
    rate, last = bad_errors(bad, errors), zero_or_more(rollback, "rollback")
    exposed, lasting = checked_stages(stages)
    heights, edges = np.append(exposed, 1.0), np.concatenate([[0.0], np.cumsum(lasting)])
    if isinstance(detect, Law):
        spared = (1.0 - exposed) @ survival_between(detect, edges)
        during = heights[0] + float(np.diff(heights) @ detect.survival(edges[1:]))
        return np.asarray(rate * (mean_detection(detect) - spared + during * last))
    found = zero_or_more(detect, "detect")
    spent = np.clip(found[..., None] - edges[:-1], 0.0, lasting) @ (1.0 - exposed)
    stage = np.maximum(np.searchsorted(edges, found, side="left") - 1, 0)
    return np.asarray(rate * (found - spent + heights[stage] * last))


def checked_stages(stages: object) -> tuple[Floats, Floats]:
    """Return the shares and durations of stages, each of shape (stages,); ModelError, by index, for what is none."""
    if isinstance(stages, str) or not isinstance(stages, Sequence | np.ndarray) or not len(stages):
        raise ModelError(f"got {shown(stages)}; list (share, seconds), like [(0.05, 1800)]", "stages")
    for i, stage in enumerate(stages):
        try:
            exposed, lasting = (float(number) for number in stage)
        except (TypeError, ValueError):
            raise ModelError(
                f"got {shown(stage)}; a stage is (share, seconds), like (0.05, 1800)", f"stages[{i}]"
            ) from None
        if not 0 <= exposed <= 1:
            raise ModelError(f"got {exposed:g}; the share exposed is from 0 to 1", f"stages[{i}]")
        if not (np.isfinite(lasting) and lasting >= 0):
            raise ModelError(f"got {lasting:g}; a stage lasts a finite number of seconds, 0 or more", f"stages[{i}]")
    plain = np.asarray(stages, dtype=np.float64)
    return plain[:, 0], plain[:, 1]
