"""Play a problem once, in a process of its own, and print what it cost; `requests_speed.py` calls it."""

from __future__ import annotations

import gc
import json
import sys
from dataclasses import replace
from importlib import import_module
from time import process_time

from requests_problems import PROBLEMS, Play

ENGINES = {
    "simpy": ("requests_simpy", "play", 1),
    "hasim": ("requests_hasim", "simulate", 20),
    "hasim events": ("requests_hasim", "events", 1),
    "hasim arrays": ("requests_hasim", "arrays", 20),
    "happysim": ("requests_happysim", "play", 1),
    "asyncflow": ("requests_asyncflow", "play", 1),
}
"""Module, function, and how many times as long it plays, since what takes milliseconds cannot be timed."""

BARE_EVENTS = 300_000


def once(engine: str, name: str, seed: int) -> dict[str, object]:
    if engine == "bare":
        bare = import_module("requests_simpy").bare
        begun = process_time()
        bare(BARE_EVENTS)
        return {"cpu_s": process_time() - begun, "events": BARE_EVENTS}
    module, function, times = ENGINES[engine]
    problem = next(problem for problem in PROBLEMS if problem.name == name)
    problem = replace(problem, seconds=times * problem.seconds)
    play: Play = getattr(import_module(module), function)
    play(replace(problem, seconds=5.0), seed)  # imports and caches
    gc.collect()
    begun = process_time()
    turn = play(problem, seed)
    spent = process_time() - begun
    return {
        "cpu_s": spent,
        "requests": len(turn.arrived),
        "events": turn.events,
        "waits": turn.wait_slices(problem.seconds),
    }


if __name__ == "__main__":
    _, engine, name, seed = sys.argv
    try:
        print(json.dumps(once(engine, name, int(seed))))
    except NotImplementedError as refusal:
        print(json.dumps({"cannot": str(refusal)}))
