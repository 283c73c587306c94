"""Requests for each second of CPU time: hasim beside SimPy by hand, happysim and AsyncFlow, on three queues.

    python benchmarks/requests_speed.py              # ten minutes; peers go into .venv-bench-requests
    python benchmarks/requests_speed.py --no-peers   # hasim and SimPy by hand, with this Python
    python benchmarks/requests_speed.py --rounds 3   # quicker and rougher

All play in turn, each time in a process of its own (A B C A B C …), and the median round counts: a round is compared
with its neighbours in time, whatever else the machine does. With peers, all run under the one Python that they need
(3.13). The row of an engine whose mean wait lies more than four standard errors from the exact one is void.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from requests_problems import PROBLEMS, Problem, off_by

HERE = Path(__file__).resolve().parent
PEERS = HERE.parent / ".venv-bench-requests"
PACKAGES = ("happysim", "asyncflow-sim")
NEWER = "python3.13"  # happysim asks for it
ROUNDS = 9
WRONG = 4.0  # standard errors

BARE = "bare"
BY_HAND = "simpy"
ROWS = {
    "hasim arrays": "hasim sample paths (arrays), no model around them",
    "hasim": "hasim simulate, as it chooses by itself (arrays here)",
    "hasim events": "hasim simulate, event by event",
    BY_HAND: "SimPy by hand, one process a request",
    "happysim": "happysim",
    "asyncflow": "AsyncFlow",
}
OF_PEERS = ("happysim", "asyncflow")


@dataclass
class Rounds:
    """What an engine did on a problem, round by round; `cannot` says why it did nothing."""

    cpu: list[float] = field(default_factory=list)
    requests: list[int] = field(default_factory=list)
    events: list[int | None] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    cannot: str = ""

    def turn(self, python: str, engine: str, problem: str, seed: int) -> None:
        """Play one round in a process of its own."""
        if self.cannot:
            return
        command = [python, str(HERE / "requests_once.py"), engine, problem, str(seed)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        found = json.loads(run.stdout.splitlines()[-1]) if not run.returncode else {"cannot": run.stderr.strip()[-200:]}
        self.cannot = found.get("cannot", "")
        if not self.cannot:
            self.cpu.append(found["cpu_s"])
            self.requests.append(found.get("requests", 0))
            self.events.append(found["events"])
            self.waits += found.get("waits", [])

    @property
    def speeds(self) -> list[float]:
        """Requests a CPU second, in each round."""
        return [count / cpu for count, cpu in zip(self.requests, self.cpu, strict=True)]

    @property
    def event_speeds(self) -> list[float]:
        """Events a CPU second, in each round; empty for what has no events."""
        return [count / cpu for count, cpu in zip(self.events, self.cpu, strict=True) if count]


def ratios(mine: Sequence[float], others: Sequence[float]) -> list[float]:
    """Round by round, so that a slow minute of the machine slows both."""
    return [one / other for one, other in zip(mine, others, strict=True)]


def table(problem: Problem, rounds: dict[str, Rounds]) -> str:
    """The rows of one problem, fastest first."""
    hand, bare = rounds[BY_HAND], rounds[BARE]
    lines = [
        f"| {problem.name} | requests a CPU second (quartiles) | times SimPy by hand (quartiles) "
        "| events a CPU second | of bare SimPy | events a request | mean wait, ms | standard errors off |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    played = {name: rounds[name] for name in ROWS if name in rounds and rounds[name].cpu and not rounds[name].cannot}
    for name in sorted(played, key=lambda name: -statistics.median(played[name].speeds)):
        mine = played[name]
        off = off_by(mine.waits, problem.wait)
        if abs(off) > WRONG:
            lines.append(f"| {ROWS[name]} | void: wrong | | | | | {seen(mine)} | {off:+.1f} |")
            continue
        loop = "| | | |"
        if mine.event_speeds:
            each = statistics.median(mine.event_speeds)
            share = statistics.median(ratios(mine.event_speeds, bare.event_speeds))
            count = sum(count for count in mine.events if count) / sum(mine.requests)
            loop = f"| {each / 1e3:,.0f} k | {share:.2f} | {count:.1f} |"
        spread = spread_of(ratios(mine.speeds, hand.speeds), lambda ratio: f"{ratio:.3g}")
        speed = spread_of(mine.speeds, thousands)
        lines.append(f"| {ROWS[name]} | {speed} | {spread} {loop} {seen(mine)} | {off:+.1f} |")
    lines += [f"| {ROWS[name]} | {rounds[name].cannot} | | | | | | |" for name in rounds if rounds[name].cannot]
    lines.append(f"| exact | | | | | | {problem.wait * 1e3:.3f} | |")
    return "\n".join(lines)


def seen(rounds: Rounds) -> str:
    """The mean wait over all rounds, in ms."""
    return f"{statistics.mean(rounds.waits) * 1e3:.3f}"


def thousands(speed: float) -> str:
    """A speed with three digits at least."""
    return f"{speed / 1e3:,.0f} k" if speed >= 1e5 else f"{speed / 1e3:.1f} k"


def spread_of(values: Sequence[float], form: Callable[[float], str]) -> str:
    """The median, and from where to where the middle half goes."""
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
    return f"{form(middle)} ({form(low)} to {form(high)})"


def python_of_peers() -> str | None:
    """The Python of the peers' environment with all of them in it, made if need be; None if it cannot be had."""
    python = PEERS / "bin" / "python"
    if not python.exists():
        newer = sys.executable if sys.version_info >= (3, 13) else shutil.which(NEWER)
        if newer is None:
            print(f"the peers need {NEWER}, which is not on the path", file=sys.stderr)
            return None
        print(f"making the environment of the peers in {PEERS.name}", file=sys.stderr)
        subprocess.run([newer, "-m", "venv", str(PEERS)], check=True)
    command = [str(python), "-m", "pip", "install", "--quiet", "--editable", str(HERE.parent), *PACKAGES]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode:
        print(f"the peers cannot be installed: {run.stderr.strip()[-200:]}", file=sys.stderr)
        return None
    return str(python)


def measure(with_peers: bool, rounds: int = ROUNDS) -> None:
    """Play all problems and print a table for each."""
    peers = python_of_peers() if with_peers else None
    engines = [BARE, *(name for name in ROWS if peers is not None or name not in OF_PEERS)]
    for problem in PROBLEMS:
        played = {engine: Rounds() for engine in engines}
        for seed in range(rounds):
            for engine in engines:
                played[engine].turn(peers or sys.executable, engine, problem.name, seed)
        bare = statistics.median(played[BARE].event_speeds) / 1e3
        print(table(problem, played), end="\n\n")
        print(f"Bare SimPy, timeouts and nothing else: {bare:,.0f} k events a CPU second.", end="\n\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--no-peers", action="store_true", help="leave out the programs from PyPI")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"how many times each has its turn ({ROUNDS})")
    given = parser.parse_args()
    measure(not given.no_peers, given.rounds)


if __name__ == "__main__":
    main()
