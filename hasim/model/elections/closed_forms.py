"""Formulas for elections with continuous timeouts (Ongaro, Consensus: Bridging Theory and Practice, 2014, chapter 9).

Each of the available servers waits a time uniform on [base, 2 base] and then asks all others for their votes; a
message takes a fixed time. The leader's heartbeats restart all timers together.
"""

from __future__ import annotations

import math
from typing import Final

HEARTBEATS_PER_BASE: Final = 2
"""Heartbeats in one base timeout, as the thesis has it; the leader's crash falls into one of the intervals."""


def earliest_timeout_cdf(t: float, available: int) -> float:
    """Probability that the first timer has fired by `t`, a share of the timeout range from 0 to 1 (section 9.1)."""
    return 1.0 - (1.0 - t) ** available


def earliest_timeout_mean(available: int) -> float:
    """Mean time of the first of the timers to fire, as a share of the timeout range (section 9.1)."""
    return 1.0 / (available + 1)


def split_vote_probability(latency: float, available: int, members: int) -> float:
    """Probability that nobody wins a term; the one-way latency is a share of the timeout range (section 9.2).

    The votes split when so many servers time out within one latency of the first that too few are left to vote
    for anybody. With too few servers available for a majority it is 1.
    """
    majority = members // 2 + 1
    if available < majority:
        return 1.0
    more = available - majority + 1  # candidates besides the first that take a majority away from everyone
    return math.fsum(
        math.comb(available, k) * latency**k * (1.0 - latency) ** (available - k) for k in range(more, available + 1)
    )


def terms_needed(split: float) -> float:
    """Mean number of terms until one is won, when each is split with probability `split` (section 9.2)."""
    return 1.0 / (1.0 - split) if split < 1.0 else math.inf


def mean_wait_already_served(base: float) -> float:
    """Mean time between the last heartbeat and a crash at a random moment: half of a heartbeat interval, in seconds."""
    return base / HEARTBEATS_PER_BASE / 2.0


def election_time(
    base: float, latency: float, available: int, members: int, *, write: float = 0.0, served: float = 0.0
) -> float:
    """Mean time from the leader's crash to the next leader, split votes included, in seconds (section 9.3).

    Args:
        base: shortest election timeout; the longest is twice that.
        latency: mean one-way time of a message.
        available: servers that are up.
        members: size of the cluster.
        write: mean time of the disk writes on the way to a vote.
        served: part of the first timeout that had passed when the leader crashed, on average.
    """
    split = split_vote_probability(latency / base, available, members)
    term = base * (1.0 + earliest_timeout_mean(available)) + latency
    return terms_needed(split) * term + latency + write - served


def election_time_without_split(
    base: float, latency: float, available: int, *, write: float = 0.0, served: float = 0.0
) -> float:
    """Mean time from the leader's crash to the next leader when the first candidate always wins, in seconds (9.1)."""
    return base * (1.0 + earliest_timeout_mean(available)) + 2.0 * latency + write - served
