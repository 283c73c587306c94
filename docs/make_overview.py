"""Draw docs/overview.png: one control plane, three engines, who is to blame, and one crash.

Run it from anywhere: python docs/make_overview.py
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

import hasim as ha
from hasim.results import Estimate

INK, BLUE, ORANGE = "#2b2b2b", "#0072b2", "#d55e00"
YEARS = 300


def main() -> None:
    cluster = ha.load("stacked-control-plane")
    exact = ha.solve(cluster)
    sample = ha.estimate(cluster, over="1y", runs=20_000, seed=1)
    history = ha.simulate(cluster, over=f"{YEARS}y", seed=1, start="steady")
    crash = ha.simulate(cluster.during(ha.Crash("cp-1", at="10s", lasting="30s")), over="60s", seed=1)

    figure = plt.figure(figsize=(15, 5), dpi=110)
    left, middle, right = figure.subplots(1, 3, width_ratios=[1.0, 1.1, 1.5])
    draw_agreement(left, exact, sample, history)
    ha.plot_blame(exact, "control", ax=middle)
    middle.set_title("Who takes the control service down", loc="left", color=INK, fontsize=12, pad=26)
    ha.timeline(crash, ax=right)
    right.set_title("One host crashes for half a minute", loc="left", color=INK, fontsize=12, pad=26)
    figure.tight_layout(w_pad=2.5)
    figure.savefig(Path(__file__).with_name("overview.png"))


def one_history(sample: ha.Sample, name: str, history: ha.Run) -> Estimate:
    """What one long history found, with the spread that so many years have among those of the sample."""
    found = history.services[name].downtime_s_per_year
    assert found is not None
    error = 1.96 * float(sample.downtime_s[name].std()) / YEARS**0.5
    return Estimate(found.value, max(found.value - error, 0.0), found.value + error)


def draw_agreement(ax: plt.Axes, exact: ha.Solution, sample: ha.Sample, history: ha.Run) -> None:
    """Downtime a year of each service by each engine, with intervals."""
    for place, (name, figures) in enumerate(exact.services.items()):
        assert figures.downtime_s_per_year is not None
        truth = figures.downtime_s_per_year.value
        estimates = {
            "estimate, 20 000 years": (sample.services[name].downtime_s_per_year, BLUE, 0.0),
            f"simulate, {YEARS} years": (one_history(sample, name, history), ORANGE, 0.18),
        }
        ax.plot([truth, truth], [place - 0.3, place + 0.42], color=INK, linewidth=2, label="solve, exact")
        for label, (found, colour, shift) in estimates.items():
            error = [[found.value - found.low], [found.high - found.value]]
            ax.errorbar(found.value, place + shift, xerr=error, fmt="o", color=colour, capsize=4, label=label)
    ax.set_yticks(range(len(exact.services)), list(exact.services), fontsize=11)
    ax.set_xlabel("downtime a year, seconds")
    ax.set_xlim(left=0)
    ax.set_ylim(-0.6, len(exact.services) - 0.25)
    handles, labels = ax.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    ax.legend(unique.values(), unique.keys(), frameon=False, fontsize=9, loc="upper left")
    ax.set_title("Three engines, one answer", loc="left", color=INK, fontsize=12, pad=26)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="x", color="#e4e4e4")
    ax.set_axisbelow(True)


if __name__ == "__main__":
    main()
