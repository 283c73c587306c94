"""Sample paths of queues as arrays: when each of ten million requests starts and ends, in seconds of computing.

The paths are exact, request by request, for what is called a feed-forward queue: who arrives when, how much work each
brings and which server it goes to are all settled before anybody waits. So these conditions must hold:

- open loop: arrivals do not depend on answers (no client waits for one before it sends the next);
- no retries, and no timeout that acts: a client may give up, but the server still does the work;
- the balancing policy is blind to the state of the servers (round robin, random), or all share one line;
- first come, first served; no limit on the length of the line, no shedding;
- no faults: servers neither stop nor slow down while the path lasts.

Where one of them fails, the path of one request changes the arrivals of another and only an event-driven engine is
right. Finite patience is left out on purpose: work that is dropped when the client has gone feeds back.
"""

from __future__ import annotations

from hasim.waiting.assign import random_of, round_robin
from hasim.waiting.lindley import lindley
from hasim.waiting.path import Path, Replicas, pool_path, pool_paths
from hasim.waiting.pool import Pool, fifo_pool

__all__ = [
    "Path",
    "Pool",
    "Replicas",
    "fifo_pool",
    "lindley",
    "pool_path",
    "pool_paths",
    "random_of",
    "round_robin",
]
