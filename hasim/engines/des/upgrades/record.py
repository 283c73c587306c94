"""What an upgrade has done, written down while it goes on."""

from __future__ import annotations

import numpy as np

from hasim.results.upgrades import Spans, UpgradeLog


class Record:
    """The notes of one upgrade: steps of what there is, facts with their times."""

    def __init__(self, name: str, strategy: str, part: str, old: str, new: str, replicas: int, began: float) -> None:
        self.name, self.strategy, self.part, self.old, self.new = name, strategy, part, old, new
        self.replicas, self.began = replicas, began
        self.bad = self.caught = False
        self.facts: list[tuple[float, str]] = []
        self.noticed: float | None = None
        self._rows: list[tuple[float, ...]] = []
        self.ended: float | None = None

    def step(self, now: float, old: tuple[int, int, int], new: tuple[int, int, int], exposure: float) -> None:
        """Things stand like this from now on."""
        row = (now, *old, *new, exposure)
        if self._rows and self._rows[-1][1:] == row[1:]:
            return
        if self._rows and self._rows[-1][0] == now:
            self._rows.pop()
        self._rows.append(row)

    def log(self, end: float, spans: Spans, state_lost: bool) -> UpgradeLog:
        """The notes as a result, of a run that ended then."""
        rows = np.array(self._rows, dtype=np.float64).reshape(-1, 8)
        return UpgradeLog(
            name=self.name,
            strategy=self.strategy,
            part=self.part,
            old=self.old,
            new=self.new,
            replicas=self.replicas,
            bad=self.bad,
            began_s=self.began,
            ended_s=self.ended,
            noticed_s=self.noticed,
            run_end_s=end,
            at_s=rows[:, 0],
            ready=rows[:, [1, 4]].astype(np.int64),
            starting=rows[:, [2, 5]].astype(np.int64),
            leaving=rows[:, [3, 6]].astype(np.int64),
            exposure=rows[:, 7],
            facts=tuple(self.facts),
            spans=spans,
            own_state=state_lost,
        )
