"""What is written down of each call while a run goes on: packed rows, since there are millions."""

from __future__ import annotations

from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hasim.engines.des.requests.exchange import Call

ROW = np.dtype(
    [
        ("arrived", "f8"),
        ("ended", "f8"),
        ("attempts", "i4"),
        ("server", "i4"),
        ("user", "i4"),
        ("outcome", "i1"),
        ("write", "?"),
    ]
)
"""When a call was made and when it ended (seconds), how often it was sent, the place of the server that answered or
failed to (-1: none), the number of the client or user, the place of its outcome in OUTCOMES, whether it was a write."""

_PACK = Struct("=ddiiib?").pack
"""The bytes of one such row. Packing it takes less than half of what an append to each of seven columns does."""


class RequestNotes:
    """What became of the calls of one load, in the order in which they ended."""

    __slots__ = ("_rows",)

    def __init__(self) -> None:
        self._rows = bytearray()

    def write(self, call: Call, now: float, code: int) -> None:
        """A call has ended."""
        self._rows += _PACK(call.arrived, now, call.attempts, call.server, call.user, code, call.write)

    def rows(self) -> NDArray[Any]:
        """All rows as they are now, shape (n,), with the fields of `ROW`."""
        # A copy: while numpy looks at the rows no more can be written.
        return np.frombuffer(self._rows, ROW).copy()
