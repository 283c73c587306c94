"""Draws docs/requests.png, the README's picture of requests while one server dies and another hangs.

Run it with the Python that has hasim: `python docs/make_requests.py`. It takes a second.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import hasim as ha

OUT = Path(__file__).with_name("requests.png")


def main() -> None:
    """Hurt two servers of the model, play four minutes of requests, draw."""
    hurt = ha.load("api-servers").during(
        ha.Crash("apiserver-1", at="30s", lasting="40s"),
        ha.Pause("apiserver-2", at="110s", lasting="50s"),
    )
    above, _ = ha.plot_requests(ha.simulate(hurt, over="4m", seed=1))
    figure = above.figure
    figure.savefig(OUT, dpi=100)
    print(f"{OUT.name}: {OUT.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
