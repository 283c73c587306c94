"""RePyability's compiled engine on P1 and P5; run in the benchmark's own environment, prints one JSON line."""

from __future__ import annotations

import json
import sys
import time

import surpyval as surv
from repyability import PerfectReliability, RepairableRBD


def unit(life_h: float, repair_h: float) -> dict[str, object]:
    return {
        "reliability": surv.Exponential.from_params([1 / life_h]),
        "repairability": surv.Exponential.from_params([1 / repair_h]),
    }


def two_of_three() -> RepairableRBD:
    nodes = ["u1", "u2", "u3"]
    edges = [("s", node) for node in nodes] + [(node, "vote") for node in nodes] + [("vote", "t")]
    return RepairableRBD(edges, {**{node: unit(1000, 10) for node in nodes}, "vote": PerfectReliability}, k={"vote": 2})


def control_plane() -> RepairableRBD:
    hosts = [f"h{i}" for i in (1, 2, 3)]
    parts = {
        "lb": (["lb1", "lb2"], 1, (8760, 2)),
        "api": (["a1", "a2", "a3"], 1, (720, 0.1)),
        "etcd": (["e1", "e2", "e3"], 2, (1440, 0.25)),
        "sched": (["s1", "s2"], 1, (720, 0.1)),
    }
    components: dict[str, object] = {host: unit(2160, 4) for host in hosts}
    edges = [("s", host) for host in hosts]
    votes = {}
    for name, (members, enough, law) in parts.items():
        for i, member in enumerate(members):
            components[member] = unit(*law)
            edges += [("s" if name == "lb" else hosts[i], member), (member, name)]
        components[name] = PerfectReliability
        votes[name] = enough
        edges.append((name, "all"))
    components["all"] = PerfectReliability
    return RepairableRBD([*edges, ("all", "t")], components, k={**votes, "all": 4})


def main() -> None:
    problem, years, runs = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    system = {"P1": two_of_three, "P5": control_plane}[problem]()
    system.availability(8760.0, mc_samples=100, seed=1, engine="numba")  # compile first
    before = time.process_time()
    result = system.availability(8760.0 * years, mc_samples=runs, seed=2, engine="numba")
    cpu = time.process_time() - before
    window = result.n_simulations * result.time_simulated_to
    print(json.dumps({"cpu_s": cpu, "unavailability": 1 - float(result.system_uptime) / window}))


if __name__ == "__main__":
    main()
