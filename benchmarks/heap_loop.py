"""Plain Python without a framework: a heap of the next change of each unit."""

from __future__ import annotations

from heapq import heapify, heapreplace
from random import Random

from problems import Problem


def run(problem: Problem, hours: float, seed: int) -> float:
    """The unavailability seen in one history."""
    draw = Random(seed).expovariate
    rates = [(1 / life, 1 / repair) for life, repair in problem.units]
    state = [True] * len(rates)
    heap = [(draw(rate), number) for number, (rate, _) in enumerate(rates)]
    heapify(heap)
    up, since, downtime, holds = True, 0.0, 0.0, problem.up
    while True:
        now, number = heap[0]
        if now >= hours:
            return downtime / hours
        works = state[number] = not state[number]
        heapreplace(heap, (now + draw(rates[number][0 if works else 1]), number))
        was, up = up, holds(state)
        if up and not was:
            downtime += now - since
        elif was and not up:
            since = now
