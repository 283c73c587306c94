"""The error budget of a promise, and how many releases fit into it."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from hasim.engines.exact.queueing.arguments import Floats, positive, share, zero_or_more

MONTH: Final = 30 * 86400.0
"""The thirty days, in seconds, that promises are usually kept over."""


def error_budget(promised: ArrayLike, window: ArrayLike = MONTH) -> Floats:
    """Return the seconds of full outage that a promised availability leaves in a window, (1 - promised) × window.

    99.9 % over thirty days leave 43.2 minutes. Raises ModelError for a share outside 0 to 1 and a window that is not
    above zero.
    """
    return np.asarray((1.0 - share(promised, "promised")) * positive(window, "window"))


def budget_share(cost: ArrayLike, promised: ArrayLike, window: ArrayLike = MONTH) -> Floats:
    """Return the share of the error budget that a release of such a cost (in seconds of full outage) uses up.

    Above 1 it does not fit; infinite where nothing may fail. Raises ModelError as `error_budget` does, and for a
    negative cost.
    """
    spent, budget = zero_or_more(cost, "cost"), error_budget(promised, window)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(spent == 0.0, 0.0, spent / budget)


def safe_releases(cost: ArrayLike, promised: ArrayLike, window: ArrayLike = MONTH, *, spent: ArrayLike = 0.0) -> Floats:
    """Return how many releases fit into the error budget of a window, by expectation: ⌊(budget - spent)/cost⌋.

    `cost` is that of a release and `spent` what hardware and the rest use up, both in seconds of full outage a window.
    Whole numbers as floats, since releases without cost may be any number (infinity); none where the budget is spent.
    Raises ModelError for negative or infinite costs and as `error_budget` does.
    """
    left = np.maximum(error_budget(promised, window) - zero_or_more(spent, "spent"), 0.0)
    each, left = np.broadcast_arrays(zero_or_more(cost, "cost"), left)
    free = each == 0.0
    many = left / np.where(free, 1.0, each)
    near = np.round(many)
    many = np.where(np.abs(many - near) <= 1e-9 * near, near, np.floor(many))  # 2592/43.2 is sixty, rounding or not
    return np.where(free, np.inf, many)
