"""Draws docs/overview.png, the picture of the README: one control plane, seen by three engines.

Run it with the Python that has hasim: `python docs/make_overview.py`. It takes a few seconds of processor time.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

import hasim as ha
from hasim.results import Estimate, Run, Sample, Solution
from hasim.units import YEAR, human
from hasim.views.agreement import compare_engines
from hasim.views.axes import BLUE, GREEN, INK, ORANGE, calm, linear_seconds

MODEL = "stacked-control-plane"
SERVICES = ("api", "control")
OUT = Path(__file__).with_name("overview.png")


def main() -> None:
    """Ask each engine once, draw the three panels, save."""
    cluster = ha.load(MODEL)
    solution = ha.solve(cluster)
    sample = ha.estimate(cluster, over="1y", runs=20_000, seed=7)
    history = ha.simulate(cluster, over="500y", seed=7)
    # The failovers of this seed last about as long as their means, 1.4 s and 16.5 s: a typical story, not a lucky one.
    crash = ha.simulate(cluster.during(ha.Crash("cp-1", at="10s", lasting="40s")), over="60s", seed=45)

    plt.rcParams.update({"font.size": 10, "axes.titlesize": 11})
    fig, (left, middle, right) = plt.subplots(
        1, 3, figsize=(15, 4.6), layout="constrained", width_ratios=[1, 1.05, 1.25]
    )
    agreement(left, solution, sample, history)
    ha.plot_blame(solution, "control", ax=middle)
    ha.timeline(crash, ax=right)
    headline(left, "How available?", "downtime a year by three engines, 95 % intervals")
    headline(middle, "Who is to blame?", "share of the downtime of control (API and scheduler)")
    headline(right, "What happens?", "cp-1 crashes for 40 s: one simulated history")
    middle.set_xlabel("")
    fig.get_layout_engine().set(wspace=0.05, h_pad=0.12)
    fig.savefig(OUT, dpi=110)
    print(f"{OUT.name}: {OUT.stat().st_size / 1024:.0f} KiB")


def headline(ax: Axes, question: str, answer: str) -> None:
    """Set a title of two lines in place of the one that the view gave."""
    ax.set_title("", loc="left")
    ax.annotate(question, (0, 1), (0, 38), xycoords="axes fraction", textcoords="offset points", color=INK, size=15)
    ax.annotate(answer, (0, 1), (0, 22), xycoords="axes fraction", textcoords="offset points", color=INK, size=10)


def agreement(ax: Axes, solution: Solution, sample: Sample, history: Run) -> None:
    """Downtime a year of each service: the exact value as a line, the sampled ones as points with intervals."""
    compared = [each for each in compare_engines([solution, sample, history]) if each.quantity == "unavailability"]
    for row, service in enumerate(SERVICES):
        figures = solution.services[service].downtime_s_per_year
        assert figures is not None
        exact = figures.value
        ax.plot([exact, exact], [row - 0.36, row + 0.36], color=GREEN, linewidth=3, solid_capstyle="round")
        ax.annotate(human(exact), (exact, row - 0.4), ha="center", va="bottom", color=GREEN, size=11)
        for each in compared:
            if each.service == service:
                shift, colour = {"estimate": (-0.14, BLUE), "simulate": (0.14, ORANGE)}[each.engine]
                point(ax, each.value.scaled(YEAR), row + shift, colour)
    names = ("solve: exact", f"estimate: {sample.runs:,} years", f"simulate: one history of {human(history.horizon_s)}")
    for name, colour, marker in zip(names, (GREEN, BLUE, ORANGE), "|oo", strict=True):
        ax.plot([], [], marker, color=colour, label=name, markersize=8, markeredgewidth=2)
    ax.legend(frameon=False, loc="lower left")
    linear_seconds(ax, 0, 420)
    ax.set_yticks(range(len(SERVICES)), SERVICES, weight="bold")
    ax.set_ylim(len(SERVICES) + 0.1, -0.7)
    calm(ax, grid="x")
    ax.spines["left"].set_visible(False)
    ax.tick_params(axis="y", length=0)


def point(ax: Axes, estimate: Estimate, y: float, colour: str) -> None:
    """A value with its interval."""
    spread = [[estimate.value - estimate.low], [estimate.high - estimate.value]]
    ax.errorbar([estimate.value], [y], xerr=spread, fmt="o", color=colour, capsize=4, markersize=7, linewidth=2)


if __name__ == "__main__":
    main()
