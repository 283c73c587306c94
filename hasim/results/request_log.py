"""What became of every request of a run, in columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hasim.results.outcomes import OUTCOMES

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False)
class RequestLog:
    """Each request once, in order of arrival; all arrays have one entry a request.

    `load` and `server` hold places in `loads` and `servers` (-1: no server answered, or failed to). `arrived_s` and
    `ended_s` are seconds of the run's clock, `attempts` counts what the client sent, hedges included. `outcome` holds
    places in OUTCOMES. `user` numbers the client process, or in a closed loop the user. `method` says how the requests
    were played.
    """

    loads: tuple[str, ...]
    servers: tuple[str, ...]
    load: NDArray[np.int16]
    arrived_s: NDArray[np.float64]
    ended_s: NDArray[np.float64]
    attempts: NDArray[np.int32]
    server: NDArray[np.int32]
    outcome: NDArray[np.int8]
    user: NDArray[np.int32]
    write: NDArray[np.bool_]
    start_s: float
    end_s: float
    method: str = "events"

    def __len__(self) -> int:
        """How many requests there were."""
        return len(self.arrived_s)

    def to_frame(self) -> pd.DataFrame:
        """Return a frame with a row for each request; times in seconds, loads, servers and outcomes by name."""
        import pandas as pd

        def named(codes: NDArray[np.integer], names: Sequence[str]) -> pd.Categorical[str]:
            return pd.Categorical.from_codes(codes.astype(np.int64), pd.Index(names))

        return pd.DataFrame(
            {
                "load": named(self.load, self.loads),
                "arrived_s": self.arrived_s,
                "ended_s": self.ended_s,
                "latency_s": self.ended_s - self.arrived_s,
                "attempts": self.attempts,
                "server": named(self.server + 1, ["", *self.servers]),
                "outcome": named(self.outcome, OUTCOMES),
                "user": self.user,
                "write": self.write,
            }
        )
