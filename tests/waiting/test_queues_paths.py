"""Sample paths of queues are those of a simulation that goes request by request, however they are cut and split."""

from __future__ import annotations

import heapq
import tracemalloc
from collections import deque
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from hasim.errors import ModelError
from hasim.waiting import (
    Path,
    Pool,
    Replicas,
    fifo_pool,
    lindley,
    pool_path,
    pool_paths,
    random_of,
    round_robin,
)

Floats = NDArray[np.float64]
ROUNDOFF = 2.0**-53


def played(arrivals: Floats, services: Floats, servers: int) -> tuple[Floats, NDArray[np.int64]]:
    """The starts and servers from events: whoever departs calls the next in line, or goes to rest behind the others."""
    starts, taken = np.full(arrivals.size, np.nan), np.full(arrivals.size, -1)
    idle, line = deque(range(servers)), deque[int]()
    events: list[tuple[float, int, int]] = [(t, 1, i) for i, t in enumerate(arrivals.tolist())]
    heapq.heapify(events)
    while events:
        now, is_arrival, request = heapq.heappop(events)
        if is_arrival:
            line.append(request)
        else:
            idle.append(int(taken[request]))
        while line and idle:
            began = line.popleft()
            starts[began], taken[began] = now, idle.popleft()
            heapq.heappush(events, (now + float(services[began]), 0, began))
    return starts, taken


def requests(law: str, servers: int, load: float, count: int, seed: int) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(seed)
    gaps = rng.exponential(1 / (load * servers), count)
    if law == "heavy":
        services = rng.lognormal(-2.0, 2.0, count)  # mean 1, squared variation 54
    elif law == "bursts":
        gaps *= rng.random(count) < 0.1
        gaps *= 10
        services = rng.exponential(1, count)
    else:
        services = np.ones(count) if law == "constant" else rng.exponential(1, count)
    return np.cumsum(gaps), services


CASES = [
    (law, servers, load)
    for law in ("exponential", "constant", "heavy", "bursts")
    for servers in (1, 2, 7, 40, 300)
    for load in (0.3, 0.8, 0.99, 1.2)
]


@pytest.mark.parametrize(("law", "servers", "load"), CASES)
def test_a_pool_starts_every_request_when_a_simulation_does(law: str, servers: int, load: float) -> None:
    arrivals, services = requests(law, servers, load, 6000, seed=servers)
    starts, _ = played(arrivals, services, servers)
    found = fifo_pool(arrivals, services, servers)
    assert np.abs(found - starts).max() < 1e-9
    assert servers == 1 or np.array_equal(found, starts), "the same sums and maxima give the same bits"


@pytest.mark.parametrize("servers", [2, 3, 5, 40])
def test_ties_and_empty_services_change_nothing(servers: int) -> None:
    for seed in range(60):
        rng = np.random.default_rng(seed)
        count = int(rng.integers(1, 400))
        arrivals = np.sort(rng.integers(0, 1 + 8 * count // servers, count)).astype(float)
        services = rng.integers(0, int(rng.integers(1, 20)) + 1, count).astype(float)
        starts, taken = played(arrivals, services, servers)
        pool = Pool(servers, track=True)
        found, slots = pool.feed(arrivals, services)
        assert np.array_equal(found, starts), seed
        assert slots is not None and np.array_equal(slots, taken), seed
        assert np.array_equal(fifo_pool(arrivals, services, servers), starts), seed


@pytest.mark.parametrize("load", [0.5, 0.9, 1.1])
def test_one_line_before_several_replicas_uses_the_slot_that_is_free_the_longest(load: float) -> None:
    arrivals, services = requests("exponential", 60, load, 8000, seed=5)
    starts, taken = played(arrivals, services, 60)
    path = pool_path(arrivals, services, None, replicas=20, slots=3)
    assert np.array_equal(path.starts, starts)
    assert np.array_equal(path.server, taken // 3)
    assert np.array_equal(path.ends, starts + services)


@pytest.mark.parametrize("slots", [1, 4])
@pytest.mark.parametrize("policy", ["round robin", "random", "skewed"])
def test_replicas_with_lines_of_their_own_are_independent_pools(policy: str, slots: int) -> None:
    arrivals, services = requests("exponential", 7 * slots, 0.9, 9000, seed=6)
    rng = np.random.default_rng(7)
    assign = {
        "round robin": round_robin(9000, 7, first=3),
        "random": random_of(9000, 7, rng),
        "skewed": rng.choice(7, 9000, p=np.array([0, 1, 1, 5, 1, 1, 0]) / 9),
    }[policy]
    path = pool_path(arrivals, services, assign, replicas=7, slots=slots)
    assert np.array_equal(path.server, assign)
    for replica in range(7):
        mine = assign == replica
        starts, _ = played(arrivals[mine], services[mine], slots)
        assert np.abs(path.starts[mine] - starts).max(initial=0.0) < 1e-9


@pytest.mark.parametrize("chunk", [1, 97, 5000])
@pytest.mark.parametrize(("shared", "slots"), [(True, 2), (False, 1), (False, 3), (True, 30)])
def test_how_the_requests_are_cut_into_chunks_changes_nothing(chunk: int, shared: bool, slots: int) -> None:
    arrivals, services = requests("exponential", 3 * slots, 0.9, 6000, seed=8)
    assign = None if shared else random_of(6000, 3, np.random.default_rng(9))
    whole = pool_path(arrivals, services, assign, replicas=3, slots=slots)
    cuts = [slice(low, low + chunk) for low in range(0, 6000, chunk)]
    pieces = [(arrivals[cut], services[cut], None if assign is None else assign[cut]) for cut in cuts]
    paths: list[Path] = list(pool_paths(pieces, replicas=3, slots=slots))
    starts = np.concatenate([path.starts for path in paths])
    assert np.abs(starts - whole.starts).max() < 1e-9
    assert slots == 1 or np.array_equal(starts, whole.starts)
    assert np.array_equal(np.concatenate([path.server for path in paths]), whole.server)


# ------------------------------------------------------------------------------------------- rounding


def exact_waits(arrivals: Floats, services: Floats) -> list[Fraction]:
    """The recursion in rational numbers, from the very floats that are given."""
    waits = [Fraction(0)]
    came, work = [Fraction(a) for a in arrivals.tolist()], [Fraction(s) for s in services.tolist()]
    for i in range(1, len(came)):
        waits.append(max(Fraction(0), waits[-1] + work[i - 1] - (came[i] - came[i - 1])))
    return waits


@pytest.mark.parametrize("load", [0.7, 1.0, 1.3])
def test_waits_keep_within_the_proven_bound_of_rational_arithmetic(load: float) -> None:
    arrivals, services = requests("exponential", 1, load, 8000, seed=10)
    arrivals += 1e5
    waits = lindley(arrivals, services)
    exact = exact_waits(arrivals, services)
    error = max(abs(float(Fraction(w) - e)) for w, e in zip(waits.tolist(), exact, strict=True))
    row = max(np.add.reduceat(np.diff(arrivals) + services[:-1], range(0, 7999, 64)))
    bound = ROUNDOFF * (8000 / 64 * (waits.max() + 66 * row) + 64 * (waits.max() + row))
    assert error <= bound
    assert bound < 1e-9


def test_an_idle_gap_of_thirty_years_costs_no_digit() -> None:
    arrivals, services = requests("exponential", 1, 0.95, 6000, seed=11)
    # A power of two a gap, so that the arrivals after it lie on a coarser grid that both computations see alike.
    arrivals[3001:] += 2.0**30
    waits = lindley(arrivals, services)
    exact = np.array([float(w) for w in exact_waits(arrivals, services)])
    assert exact.max() > 10 and waits[3001] == 0.0
    assert np.abs(waits - exact).max() < 1e-11


def test_four_million_requests_without_an_idle_moment_stay_within_a_nanosecond() -> None:
    # Whole nanoseconds are the oracle: integers add up without rounding.
    rng = np.random.default_rng(12)
    gaps = rng.integers(0, 200_001, 4_000_000)
    lengths = rng.integers(0, 200_003, 4_000_000)
    came = np.cumsum(gaps)
    total = np.cumsum(lengths[:-1] - gaps[1:])
    exact = np.concatenate([[0], total - np.minimum(np.minimum.accumulate(total), 0)])
    waits = lindley(came / 1e9, lengths / 1e9)
    assert (exact == 0).sum() < 20_000, "the queue is hardly ever empty"
    # The input itself is rounded: an arrival at up to 400 s by 2⁻⁴⁵ s.
    assert np.abs(waits - exact / 1e9).max() < 1e-9


def test_a_server_still_busy_makes_the_first_requests_wait() -> None:
    assert lindley([2.0, 3.0, 9.0], [1.0, 4.0, 1.0], free_at=5.0).tolist() == [3.0, 3.0, 1.0]
    assert lindley([2.0, 3.0, 9.0], [1.0, 4.0, 1.0]).tolist() == [0.0, 0.0, 0.0]
    assert lindley([], []).tolist() == []


# ------------------------------------------------------------------------------------ memory and speed


def pieces(count: int, chunk: int) -> Iterator[tuple[Floats, Floats, NDArray[np.int64]]]:
    rng = np.random.default_rng(13)
    now = 0.0
    for _ in range(count // chunk):
        arrivals = now + np.cumsum(rng.exponential(1 / 10_000, chunk))
        now = float(arrivals[-1])
        yield arrivals, rng.exponential(0.008, chunk), random_of(chunk, 10, rng)


def test_memory_is_that_of_one_chunk() -> None:
    peaks = []
    for count in (60_000, 300_000):
        tracemalloc.start()
        assert sum(path.starts.size for path in pool_paths(pieces(count, 20_000), 10, 10)) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0], "five times the requests, the same memory"


@pytest.mark.slow
@pytest.mark.parametrize("slots", [1, 10])
def test_ten_million_requests_in_pieces_are_all_served(slots: int) -> None:
    served = sum(path.starts.size for path in pool_paths(pieces(10_000_000, 1_000_000), 10, slots))
    assert served == 10_000_000


# -------------------------------------------------------------------------------------------- refusals

NAN = float("nan")
REFUSED = [
    (([1.0, 0.5], [1.0, 1.0], [0, 0], 1, 1), "arrivals: got times out of order"),
    (([0.0, NAN], [1.0, 1.0], [0, 0], 1, 1), "arrivals: "),
    (([0.0, 1.0], [1.0, -1.0], [0, 0], 1, 1), "services: got a negative"),
    (([0.0, 1.0], [1.0, NAN], [0, 0], 1, 1), "services: "),
    (([0.0, 1.0], [1.0], [0, 0], 1, 1), "services: got shapes"),
    (([0.0, 1.0], [1.0, 1.0], [0, 2], 2, 1), "assign: got 0 to 2; replicas are numbered 0 to 1"),
    (([0.0, 1.0], [1.0, 1.0], [0.0, 1.0], 2, 1), "assign: got float64"),
    (([0.0, 1.0], [1.0, 1.0], [0, 1], 0, 1), "replicas: got 0"),
    (([0.0, 1.0], [1.0, 1.0], [0, 1], 2, 0), "slots: got 0"),
]


@pytest.mark.parametrize(("given", "said"), REFUSED, ids=[said for _, said in REFUSED])
def test_wrong_input_is_refused_by_name(given: tuple[list[float], list[float], list[int], int, int], said: str) -> None:
    with pytest.raises(ModelError) as refusal:
        pool_path(*given)
    assert str(refusal.value).startswith(said)


def test_a_chunk_before_the_last_one_is_refused() -> None:
    replicas = Replicas(2, 1)
    replicas.feed([0.0, 5.0], [1.0, 1.0], [0, 1])
    with pytest.raises(ModelError, match="the next chunk starts where the last one ended"):
        replicas.feed([4.0], [1.0], [0])
    with pytest.raises(ModelError, match="give a replica from 0 to 1 a request"):
        replicas.feed([6.0], [1.0])
    with pytest.raises(ModelError, match="with one shared line nobody is sent to a replica"):
        Replicas(2, 1, shared=True).feed([4.0], [1.0], [0])


@pytest.mark.parametrize("replicas", [1, 3, 7, 4096, 10_000, 2**31 - 1])
def test_the_largest_draw_of_all_still_goes_to_the_last_replica(replicas: int) -> None:
    class Largest:
        def random(self, size: int) -> Floats:
            return np.full(size, 1 - ROUNDOFF)

    assert random_of(2, replicas, Largest()).tolist() == [replicas - 1] * 2  # type: ignore[arg-type]


def test_in_turn_goes_on_where_it_left_off() -> None:
    assert round_robin(5, 3).tolist() == [0, 1, 2, 0, 1]
    assert round_robin(5, 3, first=5).tolist() == [2, 0, 1, 2, 0]


def test_replicas_at_random_are_all_as_likely() -> None:
    counts = np.bincount(random_of(70_000, 7, np.random.default_rng(14)), minlength=7)
    assert counts.size == 7 and stats.chisquare(counts).pvalue > 1e-4


def test_a_mistake_in_who_waits_for_whom_is_no_endless_loop() -> None:
    pool = Pool(2, track=True)
    pool.feed([0.0, 0.0], [2.0, 3.0])
    with pytest.raises(AssertionError, match="waits for itself"):
        pool._take(np.array([1.0]))  # an end before any server is free
