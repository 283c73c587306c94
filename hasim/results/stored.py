"""What became of stored data while the forms in which versions read and write it changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pandas as pd


class Return(NamedTuple):
    """An earlier version came back: when (seconds), which, and how many items it could not read, or read as they were.

    It is `safe` if it finds the newest value of every item, and can write what it writes.
    """

    at_s: float
    version: str
    unreadable: int
    stale: int
    safe: bool


@dataclass(frozen=True, eq=False)
class DataLog:
    """The stored data of a pool at the end of a run, and what its versions met.

    `counts` has how many items have which forms. `met` counts reads by version and what they found: ok, stale (an old
    value, since a newer one was written in a form that this version does not read) or unreadable (an error). `refused`
    counts writes in a form that was not there. `lost_values` are newest values that were removed with their form.
    """

    part: str
    items: int
    forms: tuple[str, ...]
    counts: Mapping[tuple[str, ...], int]
    met: Mapping[tuple[str, str], int]
    refused: Mapping[str, int]
    lost_values: int
    facts: tuple[tuple[float, str], ...]
    returns: tuple[Return, ...]

    @property
    def errors(self) -> int:
        """Reads of an unknown structure, and writes that were refused."""
        return self._found("unreadable") + sum(self.refused.values())

    @property
    def stale(self) -> int:
        """Reads that found an old value without knowing."""
        return self._found("stale")

    def _found(self, outcome: str) -> int:
        return sum(count for (_, what), count in self.met.items() if what == outcome)

    def to_frame(self) -> pd.DataFrame:
        """Return a frame with a row for each version: reads ok, stale and unreadable, and writes refused."""
        import pandas as pd

        versions = list(dict.fromkeys([*(version for version, _ in self.met), *self.refused]))
        rows = [
            [
                *(self.met.get((version, what), 0) for what in ("ok", "stale", "unreadable")),
                self.refused.get(version, 0),
            ]
            for version in versions
        ]
        columns = ["ok", "stale", "unreadable", "refused"]
        return pd.DataFrame(rows, index=pd.Index(versions, name="version"), columns=columns)

    def to_json(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "part": self.part,
            "items": self.items,
            "counts": {" + ".join(forms) or "none": count for forms, count in self.counts.items()},
            "errors": self.errors,
            "stale": self.stale,
            "lost_values": self.lost_values,
            "returns": [back._asdict() for back in self.returns],
        }

    def __str__(self) -> str:
        reads = sum(self.met.values())
        said = f"data of {self.part}: {reads} reads, {self._found('unreadable')} of an unknown structure"
        said += f", {self.stale} stale; {sum(self.refused.values())} writes refused"
        if self.lost_values:
            said += f"; {self.lost_values} values lost"
        unsafe = [back for back in self.returns if not back.safe]
        if unsafe:
            back = unsafe[0]
            said += f"; back to {back.version} past the point of no return: {back.unreadable} items unreadable, "
            said += f"{back.stale} stale"
        return said
