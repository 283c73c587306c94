"""What is asked of a cluster: who calls, how often, and what callers do when a call fails."""

from hasim.model.demand.arrivals import AnyArrivals, Arrivals, Daily, Paced, Poisson, Replay, Spike, Steps
from hasim.model.demand.callers import Clients, Dns
from hasim.model.demand.load import Load

__all__ = [
    "AnyArrivals",
    "Arrivals",
    "Clients",
    "Daily",
    "Dns",
    "Load",
    "Paced",
    "Poisson",
    "Replay",
    "Spike",
    "Steps",
]
