"""Closed forms of queues, tails and overload: exact answers that the other engines are held against.

Every formula takes single numbers or arrays that broadcast, unless it says otherwise, and refuses arguments for which
it does not hold with a `ModelError` that names them. Time is in seconds, or in mean services where it says so.
"""

from __future__ import annotations

from hasim.engines.exact.queueing.choices import choices_tail, choices_time, random_time
from hasim.engines.exact.queueing.erlang import erlang_b, erlang_c, loss_share
from hasim.engines.exact.queueing.fanout import fanout_call_tail, fanout_tail
from hasim.engines.exact.queueing.hedging import hedged_tail, hedging_load
from hasim.engines.exact.queueing.mg1 import kingman_wait, pollaczek_khinchine_wait
from hasim.engines.exact.queueing.mm1 import MM1
from hasim.engines.exact.queueing.mmc import MMc
from hasim.engines.exact.queueing.mmck import MMcK
from hasim.engines.exact.queueing.retries import budgeted_attempts, layered_attempts, mean_attempts, stable_rate
from hasim.engines.exact.queueing.sharing import sharing_time
from hasim.engines.exact.queueing.shedding import collapse_rate, shedding_goodput
from hasim.engines.exact.queueing.usl import ScalabilityLaw

__all__ = [
    "MM1",
    "MMc",
    "MMcK",
    "ScalabilityLaw",
    "budgeted_attempts",
    "choices_tail",
    "choices_time",
    "collapse_rate",
    "erlang_b",
    "erlang_c",
    "fanout_call_tail",
    "fanout_tail",
    "hedged_tail",
    "hedging_load",
    "kingman_wait",
    "layered_attempts",
    "loss_share",
    "mean_attempts",
    "pollaczek_khinchine_wait",
    "random_time",
    "sharing_time",
    "shedding_goodput",
    "stable_rate",
]
