"""Where to send a request: to one server at random, or to the shortest line of d that are looked at."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from hasim.engines.exact.queueing.arguments import Floats, share, whole

_NOTHING = 746.0  # exp(-746) is zero in floats


def random_time(load: ArrayLike) -> Floats:
    """Return the mean time in the system, in mean services, where each request goes to a random server: 1/(1 - ρ).

    Poisson arrivals split at random stay Poisson, so each server is an M/M/1. Raises ModelError unless 0 ≤ load < 1.
    """
    return np.asarray(1.0 / (1.0 - share(load, "load", below_one=True)))


def choices_tail(load: float, choices: int, length: ArrayLike) -> Floats:
    """Return the share of servers with at least `length` requests where each goes to the shortest of `choices` lines.

    λ^((dⁱ - 1)/(d - 1)) for length i, in the limit of many servers with exponential services; for one choice λⁱ.
    Raises ModelError unless 0 ≤ load < 1. (Vvedenskaya, Dobrushin, Karpelevich 1996; Mitzenmacher, IEEE TPDS 12, 2001.)
    """
    busy, d = float(share(load, "load", below_one=True)), int(whole(choices, "choices"))
    lengths = whole(length, "length", least=0)
    with np.errstate(over="ignore"):  # an exponent beyond all floats makes a share of zero
        powers = lengths if d == 1 else (np.power(float(d), lengths) - 1.0) / (d - 1.0)
    if busy == 0.0:
        return np.where(lengths == 0, 1.0, 0.0)
    return np.asarray(np.exp(powers * math.log(busy)))


def choices_time(load: ArrayLike, choices: int) -> Floats:
    """Return the mean time in the system, in mean services, with the shortest of `choices` lines for each request.

    Σ λ^((dⁱ - d)/(d - 1)) over i from 1, in the limit of many servers with exponential services and fresh knowledge of
    the lines. The exponents grow like dⁱ, so even at λ = 1 - 1e-16 some sixty terms are all that is not zero in floats.
    With one choice it is `random_time`. Raises ModelError unless 0 ≤ load < 1. (Mitzenmacher, IEEE TPDS 12, 2001.)
    """
    busy, d = share(load, "load", below_one=True), int(whole(choices, "choices"))
    if d == 1:
        return random_time(busy)
    return np.array([_choices_time(one, d) for one in busy.ravel().tolist()]).reshape(busy.shape)


def _choices_time(load: float, choices: int) -> float:
    if load == 0.0:
        return 1.0
    decay = -math.log(load)
    terms, exponent = [1.0], float(choices)  # (d² - d)/(d - 1) = d, and each next is d times the last and d more
    while exponent * decay < _NOTHING:
        terms.append(math.exp(-exponent * decay))
        exponent = choices * exponent + choices
    return math.fsum(terms)
