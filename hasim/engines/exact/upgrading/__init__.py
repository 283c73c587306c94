"""Closed forms of what a change costs: windows, restarts, rolling updates, blue-green, canaries, and their budget.

A release is bad with chance p (`bad`). A bad one fails the share e (`errors`) of the requests that reach it, its
exposure x(t). After T_d (`detect`) it is noticed, and R (`rollback`) later it is gone. So it costs, in seconds of full
outage, p e (∫ x dt until T_d + what stays exposed during R); each strategy is another x(t).
What a stop loses even of a good one, request by request, is in `drains`.

Durations are in seconds and shares from 0 to 1. Every formula takes single numbers or arrays that broadcast, unless it
says otherwise, and refuses arguments for which it does not hold with a `ModelError` that names them. `detect` may also
be a law of `hasim.model.laws`; then the cost is the expectation over it.
"""

from __future__ import annotations

from hasim.engines.exact.upgrading.budget import budget_share, error_budget, safe_releases
from hasim.engines.exact.upgrading.canary import canary_cost, canary_detection
from hasim.engines.exact.upgrading.drains import (
    accepts_after_deletion,
    deletion_failures,
    in_flight_failures,
    killed_after_deletion,
    killed_failures,
    restart_failures,
    safe_notice,
    switch_failures,
)
from hasim.engines.exact.upgrading.outright import all_at_once_cost, blue_green_cost, window_cost
from hasim.engines.exact.upgrading.rolling import (
    rolling_capacity,
    rolling_cost,
    rolling_cost_by_count,
    rolling_length,
)
from hasim.engines.exact.upgrading.samples import detection_power, requests_needed
from hasim.engines.exact.upgrading.staged import staged_cost

__all__ = [
    "accepts_after_deletion",
    "all_at_once_cost",
    "blue_green_cost",
    "budget_share",
    "canary_cost",
    "canary_detection",
    "deletion_failures",
    "detection_power",
    "error_budget",
    "in_flight_failures",
    "killed_after_deletion",
    "killed_failures",
    "requests_needed",
    "restart_failures",
    "rolling_capacity",
    "rolling_cost",
    "rolling_cost_by_count",
    "rolling_length",
    "safe_notice",
    "safe_releases",
    "staged_cost",
    "switch_failures",
    "window_cost",
]
