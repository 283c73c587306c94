"""Whole pods from numbers or percents, rounded up, as DaemonSets and disruption budgets count them.

Source: apimachinery pkg/util/intstr/intstr.go, GetScaledValueFromIntOrPercent with roundUp; k/k
pkg/apis/apps/validation/validation.go, IsNotMoreThan100Percent.
"""

from __future__ import annotations

from hasim.errors import ModelError
from hasim.protocols.reconcile.rolling import resolve


def rounded_up(given: int | str, of: int, field: str) -> int:
    """How many pods a bound comes to: a number as it is, a share like "25%" of `of` pods rounded up.

    A number may be larger than `of`. Anything else, and more than 100%, is a ModelError at `field`.
    """
    try:
        count, _ = resolve(given, 1, of)  # of a deployment's two bounds it is the surge that is rounded up
    except ModelError as wrong:
        raise ModelError(wrong.problems[0].message, field) from None
    if isinstance(given, str) and int(given.removesuffix("%")) > 100:
        raise ModelError(f"got {given!r}; at most 100%", field)
    return count
