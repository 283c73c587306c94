"""Sample paths obey the laws of queues: means and tails within standard errors, by the means of batches.

A mean over batches that are long against the memory of the queue has a Student t law with (batches - 1) degrees of
freedom. With 49 of them |t| > 5 has the probability 8e-6.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

import hasim as ha
from hasim.waiting import fifo_pool, lindley, pool_path, random_of, round_robin

Floats = NDArray[np.float64]
BATCHES = 50
SIGMAS = 5.0


def agrees(samples: Floats, expected: float) -> bool:
    """Whether the mean of a stationary series is the expected one; the first tenth is left out as warm-up."""
    kept = samples[samples.size // 10 :]
    kept = kept[: kept.size // BATCHES * BATCHES].reshape(BATCHES, -1)
    means = kept.mean(axis=1)
    error = float(means.std(ddof=1)) / math.sqrt(BATCHES)
    assert error < 0.05 * expected, "the bound can tell"
    return abs(float(means.mean()) - expected) < SIGMAS * error


def poisson(rate: float, rng: np.random.Generator, end: float) -> Floats:
    """Poisson arrivals from 0 on."""
    return np.concatenate(list(ha.Poisson(rate=rate).blocks(rng, 0.0, end)))


def erlang_c(servers: int, offered: float) -> float:
    """P(wait) from the definition: a sum of Poisson weights, fine for few servers."""
    weights = [offered**k / math.factorial(k) for k in range(servers)]
    last = offered**servers / math.factorial(servers) / (1 - offered / servers)
    return last / (sum(weights) + last)


# The nearer to saturation, the longer the memory, and the more requests it takes until the bound can tell.
@pytest.mark.parametrize(("servers", "load", "count"), [(1, 0.8, 1e6), (2, 0.8, 1e6), (10, 0.8, 1e6), (100, 0.95, 3e6)])
def test_poisson_requests_with_exponential_work_wait_as_erlang_said(servers: int, load: float, count: float) -> None:
    rng = np.random.default_rng(servers)
    arrivals = poisson(load * servers, rng, count / (load * servers))
    waits = fifo_pool(arrivals, rng.exponential(1, arrivals.size), servers) - arrivals
    waiting = erlang_c(servers, load * servers)
    spare = servers * (1 - load)
    assert agrees(waits, waiting / spare)
    assert agrees((waits > 0).astype(float), waiting)
    assert agrees((waits > 1 / spare).astype(float), waiting * math.exp(-1))


@pytest.mark.parametrize(("law", "scv"), [("constant", 0.0), ("exponential", 1.0), ("two-point", 4.0)])
def test_one_server_waits_as_pollaczek_and_khinchine_said(law: str, scv: float) -> None:
    rng = np.random.default_rng(21)
    arrivals = poisson(0.8, rng, 1_500_000)
    count = arrivals.size
    services = {
        "constant": np.ones(count),
        "exponential": rng.exponential(1, count),
        "two-point": np.where(rng.random(count) < 0.2, 5.0, 0.0),  # mean 1, E[S²] = 5
    }[law]
    assert agrees(lindley(arrivals, services), 0.8 * (1 + scv) / (2 * 0.2))


def test_random_balancing_is_one_queue_each_and_round_robin_is_better() -> None:
    # Every tenth arrival of a Poisson process comes after an Erlang(10) gap. In GI/M/1 the mean wait is σ/(μ(1-σ))
    # where σ in (0, 1) solves σ = E[exp(-μ(1-σ)A)], here ((ρ·10)/(ρ·10 + 1-σ))¹⁰.
    rng = np.random.default_rng(22)
    replicas, load = 10, 0.9
    arrivals = poisson(load * replicas, rng, 2_000_000 / (load * replicas))
    services = rng.exponential(1, arrivals.size)
    at_random = pool_path(arrivals, services, random_of(arrivals.size, replicas, rng), replicas)
    in_turn = pool_path(arrivals, services, round_robin(arrivals.size, replicas), replicas)
    sigma = 0.5
    for _ in range(10_000):
        sigma = (load * replicas / (load * replicas + 1 - sigma)) ** replicas
    assert agrees(at_random.ends - arrivals, 1 / (1 - load))
    assert agrees(in_turn.starts - arrivals, sigma / (1 - sigma))
    assert sigma / (1 - sigma) < 0.6 * load / (1 - load)


def test_the_number_in_service_is_rate_times_length() -> None:
    # Little's law on a finite horizon that begins and ends empty is an identity, not a limit.
    rng = np.random.default_rng(23)
    arrivals = poisson(9.0, rng, 1000)
    path = pool_path(arrivals, rng.exponential(1, arrivals.size), None, 5, 2)
    events = np.concatenate([path.starts, path.ends])
    change = np.concatenate([np.ones(arrivals.size), -np.ones(arrivals.size)])
    order = np.lexsort((change, events))
    busy = np.cumsum(change[order])
    assert busy.max() <= 10 and busy[-1] == 0
    area = float(np.sum(busy[:-1] * np.diff(events[order])))
    assert area == pytest.approx(float(np.sum(path.ends - path.starts)), rel=1e-9)
