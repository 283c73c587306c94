"""Changes that expose everybody at once: maintenance windows, recreating everything, and a switch of two colours."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from hasim.engines.exact.queueing.arguments import Floats, zero_or_more
from hasim.engines.exact.upgrading.detection import Detect, bad_errors, mean_detection


def window_cost(bad: ArrayLike, errors: ArrayLike, detect: Detect, rollback: ArrayLike, window: ArrayLike) -> Floats:
    """Return what a change in a maintenance window costs, in seconds of full outage: D + p e (T_d + R).

    `window` D is how long nothing is served. Of a law of `detect` only the mean matters. Raises ModelError for negative
    or infinite durations and for shares outside 0 to 1.
    """
    return np.asarray(zero_or_more(window, "window") + _exposed(bad, errors, detect, rollback, "rollback"))


def all_at_once_cost(
    bad: ArrayLike, errors: ArrayLike, detect: Detect, rollback: ArrayLike, restart: ArrayLike = 0.0
) -> Floats:
    """Return what replacing everything at once costs, in seconds of full outage: D + p e (T_d + R).

    `restart` D is how long nothing runs between the old version and the new one. Of a law of `detect` only the mean
    matters. Raises ModelError as `window_cost` does.
    """
    return np.asarray(zero_or_more(restart, "restart") + _exposed(bad, errors, detect, rollback, "rollback"))


def blue_green_cost(bad: ArrayLike, errors: ArrayLike, detect: Detect, switch: ArrayLike) -> Floats:
    """Return what a blue-green release costs, in seconds of full outage: p e (T_d + R).

    All traffic goes to the new colour at once; back takes only `switch` seconds R, since the old one still stands. That
    takes twice the servers while both do. Of a law of `detect` only the mean matters. Raises ModelError as
    `window_cost` does.
    """
    return _exposed(bad, errors, detect, switch, "switch")


def _exposed(bad: ArrayLike, errors: ArrayLike, detect: Detect, back: ArrayLike, name: str) -> Floats:
    return np.asarray(bad_errors(bad, errors) * (mean_detection(detect) + zero_or_more(back, name)))
