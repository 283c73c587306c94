"""Draws docs/upgrades.png, the README's picture of five ways to bring in a version that is bad.

Run it with the Python that has hasim: `python docs/make_upgrades.py`. It takes some seconds.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

import hasim as ha

OUT = Path(__file__).with_name("upgrades.png")
COMMON = {
    "at": "1m",
    "release": ha.Release(bad="100%", errors="50%"),
    "detection": ha.Detection(takes={"fixed": "10m"}),
}
STEP = {"surge": 1, "unavailable": 0, "min_ready": "10s"}
WAYS = {
    "all at once": ha.AllAtOnce("web", **COMMON),
    "rolling": ha.Rolling("web", **STEP, **COMMON),
    "blue-green": ha.BlueGreen("web", warm="30s", keep="1h", **COMMON),
    "canary 5 %": ha.Canary("web", steps=[{"share": "5%", "bake": "30m"}], **STEP, **COMMON),
    "window": ha.Window("web", lasting="10m", **COMMON),
}


def main() -> None:
    """Play each, with the same luck, and draw them side by side."""
    mpl.use("agg")
    service = ha.load("web-service-rolling").replace("rollouts", ()).replace("loads", {})
    load = ha.Load(rate=20, to="lb")
    runs = {name: ha.simulate(service.during(way, load), over="35m", seed=3) for name, way in WAYS.items()}
    (above, _), *_ = ha.plot_upgrades(runs)
    above.figure.savefig(OUT, dpi=110)


if __name__ == "__main__":
    main()
