"""The same queues in happysim: its own Server, LoadBalancer, Source and Sink, put together as its documents do."""

from __future__ import annotations

import random

import numpy as np
from happysimulator import ExponentialLatency, Instant, Server, Simulation, Sink, Source
from happysimulator.components.load_balancer import LoadBalancer, Random, RoundRobin
from requests_problems import TAKES, Problem, Turn


def play(problem: Problem, seed: int) -> Turn:
    random.seed(seed)  # services and choices come from here, arrivals from the other
    np.random.seed(seed)
    sink = Sink()
    servers = [
        Server(f"server-{i}", concurrency=problem.slots, service_time=ExponentialLatency(TAKES), downstream=sink)
        for i in range(problem.servers)
    ]
    entities = [*servers, sink]
    target = servers[0]
    if problem.policy is not None:
        strategy = RoundRobin() if problem.policy == "round_robin" else Random()
        target = LoadBalancer("balancer", backends=servers, strategy=strategy)
        entities.append(target)
    source = Source.poisson(rate=problem.rate, target=target)
    run = Simulation(sources=[source], entities=entities, end_time=Instant.from_seconds(problem.seconds))
    summary = run.run()
    ended, latencies = sink.latency_time_series_seconds()
    # Its loop lets one event happen past the end.
    arrived = [end - latency for end, latency in zip(ended, latencies, strict=True)]
    return Turn(arrived, ended, summary.total_events_processed)
