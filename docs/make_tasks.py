"""Draws docs/tasks.png, the README's picture of a redelivery storm.

Run it with the Python that has hasim: `python docs/make_tasks.py`. It takes some seconds.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

import hasim as ha

OUT = Path(__file__).with_name("tasks.png")


def main() -> None:
    """Play the model on the shelf as its header says, and draw it."""
    mpl.use("agg")
    pause = [ha.Pause(f"jobs-{i}", at="5m", lasting="30s") for i in (1, 2, 3, 4)]
    run = ha.simulate(ha.load("redelivery-storm").during(*pause), over="30m", seed=1)
    above, _ = ha.plot_tasks(run)
    above.figure.savefig(OUT, dpi=110)


if __name__ == "__main__":
    main()
