"""Contestants of a benchmark take turns, and the best round of each counts."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping

Contestant = tuple[int, Callable[[int, int], tuple[float, float]]]
"""How many it does in a turn, and what does that many in that turn: (CPU seconds, what was found on average)."""

PEER = "plain SimPy, written by hand"


def take_turns(about: str | None, contestants: Mapping[str, Contestant], rounds: int, found: str, shown: str) -> None:
    """Let all take turns, and print how much each does in a CPU second, beside the `PEER`.

    `found` is what the averages are called in JSON, and `shown` how a line of text shows one.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--json", action="store_true")
    as_json = parser.parse_args().json
    best: dict[str, tuple[float, float]] = {}
    for turn in range(rounds):
        for name, (count, run) in contestants.items():
            took, mean = run(count, turn)
            if name not in best or count / took > best[name][0]:
                best[name] = count / took, mean
    peer = best[PEER][0]
    rows = {
        name: {"a CPU second": rate, "times SimPy": rate / peer, found: mean} for name, (rate, mean) in best.items()
    }
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    for name, row in rows.items():
        speed = f"{row['a CPU second']:12,.0f} a CPU second  {row['times SimPy']:8.3g} x SimPy"
        print(f"{name:42} {speed}  {shown.format(row[found])}")
