"""The same queues in AsyncFlow, as far as it can say them.

Work on a core takes a fixed time there, and the endpoint of a request is drawn with equal chances: 500 endpoints, whose
times are the means between the quantiles of the exponential law, have its mean and 99.8 % of its variance. The rate of
arrivals is drawn anew each two minutes; of very many users who ask very seldom it is almost constant. Edges must
take some time and get a nanosecond. There is no random choice of server, so the busy balancer cannot be said.
"""

from __future__ import annotations

import simpy
from asyncflow import AsyncFlow, SimulationRunner
from asyncflow.components import Client, Edge, Endpoint, LoadBalancer, Server
from asyncflow.settings import SimulationSettings
from asyncflow.workload import RqsGenerator
from requests_problems import Problem, Turn, exponential_bins
from requests_simpy import popped

USERS = 10_000_000
ENDPOINTS = 500
HARDLY = {"mean": 1e-9, "distribution": "exponential"}


def play(problem: Problem, seed: int) -> Turn:
    if problem.policy == "random":
        raise NotImplementedError("no random policy")
    names = [f"server-{i}" for i in range(problem.servers)]
    endpoints = [
        Endpoint(endpoint_name=f"/{i}", steps=[{"kind": "cpu_bound_operation", "step_operation": {"cpu_time": takes}}])
        for i, takes in enumerate(exponential_bins(ENDPOINTS))
    ]
    resources = {"cpu_cores": problem.slots, "ram_mb": 2048}
    ways = [("users", "client"), *((name, "client") for name in names)]
    ways += [("client", names[0])] if problem.policy is None else [("client", "lb"), *(("lb", name) for name in names)]
    asks = {"mean": problem.rate * 60 / USERS, "distribution": "poisson"}
    flow = AsyncFlow()
    flow.add_generator(
        RqsGenerator(
            id="users",
            avg_active_users={"mean": USERS, "distribution": "poisson"},
            avg_request_per_minute_per_user=asks,
            user_sampling_window=120,
        )
    )
    flow.add_client(Client(id="client"))
    flow.add_servers(*(Server(id=name, server_resources=resources, endpoints=endpoints) for name in names))
    if problem.policy is not None:
        flow.add_load_balancer(LoadBalancer(id="lb", algorithms="round_robin", server_covered=set(names)))
    flow.add_edges(*(Edge(id=f"{a}-{b}", source=a, target=b, latency=HARDLY, dropout_rate=0.0) for a, b in ways))
    flow.add_simulation_settings(SimulationSettings(total_simulation_time=int(problem.seconds), sample_period_s=0.1))
    env = simpy.Environment()
    clocks = SimulationRunner(env=env, simulation_input=flow.build_payload()).run()._client.rqs_clock
    return Turn([clock.start for clock in clocks], [clock.finish for clock in clocks], popped(env))
