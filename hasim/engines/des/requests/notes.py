"""What is written down of each call while a run goes on: packed rows, since there are millions."""

from __future__ import annotations

from array import array
from struct import Struct
from typing import Any

import numpy as np

from hasim.engines.des.requests.exchange import Call

_ROW = np.dtype(
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
_PACK = Struct("=ddiiib?").pack
"""The bytes of one such row. Packing it takes less than half of what an append to each of seven columns does."""


class RequestNotes:
    """The columns of a request log for one load, in the order in which calls ended."""

    __slots__ = ("_rows",)

    def __init__(self) -> None:
        self._rows = bytearray()

    def write(self, call: Call, now: float, code: int) -> None:
        """A call has ended."""
        self._rows += _PACK(call.arrived, now, call.attempts, call.server, call.user, code, call.write)

    @property
    def arrived(self) -> array[float]:
        """When each call was made, in seconds."""
        return self._column("arrived", "d")

    @property
    def ended(self) -> array[float]:
        """When it had its answer, or was given up."""
        return self._column("ended", "d")

    @property
    def attempts(self) -> array[int]:
        """How many times it was sent, copies included."""
        return self._column("attempts", "i")

    @property
    def server(self) -> array[int]:
        """The place of the server that answered, or failed to; -1 if none did."""
        return self._column("server", "i")

    @property
    def user(self) -> array[int]:
        """The number of the client, or of the user in a closed loop."""
        return self._column("user", "i")

    @property
    def outcome(self) -> array[int]:
        """Its outcome, a place in OUTCOMES."""
        return self._column("outcome", "b")

    @property
    def write_flag(self) -> array[int]:
        """Whether it was a write: 0 or 1."""
        return self._column("write", "b")

    def _column(self, name: str, code: str) -> array[Any]:
        # A copy: while numpy looks at the rows no more can be written.
        return array(code, np.frombuffer(self._rows, _ROW)[name].tobytes())
