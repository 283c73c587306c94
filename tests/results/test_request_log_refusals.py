"""What is asked of a request log wrongly is refused: the argument, what was given, what is allowed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import hasim as ha
from hasim.results.request_log import RequestLog

ONE = RequestLog(
    loads=("load",),
    servers=("api-1",),
    load=np.zeros(1, np.int16),
    arrived_s=np.array([1.0]),
    ended_s=np.array([2.0]),
    attempts=np.ones(1, np.int32),
    server=np.zeros(1, np.int32),
    outcome=np.zeros(1, np.int8),
    user=np.zeros(1, np.int32),
    write=np.zeros(1, np.bool_),
    start_s=0.0,
    end_s=10.0,
)
"""A log of ten seconds with one request that was served."""


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda log: log.of(load="lod"), "^load: got 'lod', .*did you mean 'load'"),
        (lambda log: log.of(load=["load", 5]), "^load: got 5, no load of this log; there is load"),
        (lambda log: log.of(load=5), "^load: got 5; give a name, or a list of names; there is load"),
        (lambda log: log.of(load={"load": 1}), "^load: got {'load': 1}; give a name"),
        (lambda log: log.of(outcome="200"), "^outcome: .* no outcome of this log"),
        (lambda log: log.of(outcome=True), "^outcome: got True; give a name"),
        (lambda log: log.of(write="yes"), "^write: got 'yes'; give True for writes, False for reads"),
        (lambda log: log.of(write=1), "^write: got 1; give True"),
        (lambda log: log.between(5, 5), "start before end"),
        (lambda log: log.between(0, 11), "0 s to 10 s"),
        (lambda log: log.between(-1, 5), "0 s to 10 s"),
        (lambda log: log.between(0, math.inf), "0 s to 10 s"),
        (lambda log: log.between("soon", 5), "^start: got 'soon'"),
        (lambda log: log.between(None, 5), "^start: got nothing; give a number of seconds, or text like '2m'"),
        (lambda log: log.between(1, math.nan), "^end: got nan; give a number of seconds"),
        (lambda log: log.between(1, [5]), r"^end: got \[5\]; give a number of seconds"),
        (lambda log: log.between(1, "5"), "^end: got '5'; a duration needs a unit"),
        (lambda log: log.between(1, 10**400), "^end: got 1000.*; give a number of seconds"),
        (lambda log: log.per(0), "^width: got 0.0; a bin is longer than zero"),
        (lambda log: log.per(-1), "^width: got -1.0; a bin is longer than zero"),
        (lambda log: log.per(None), "^width: got nothing"),
        (lambda log: log.per(True), "^width: got True; give a number of seconds"),
        (lambda log: log.per(math.inf), "^width: got inf; a bin is longer than zero, and not endless"),
        (lambda log: log.per(math.nan), "^width: got nan"),
        (lambda log: log.per("1us"), "^width: .* 1,000,000 bins are the most"),
        (lambda log: log.per(5e-324), "^width: .* 1,000,000 bins are the most"),
        (lambda log: log.figures(level=0), "^level: got 0; the level of an interval is between 0 and 1, like 0.95"),
        (lambda log: log.figures(level=1.0), "^level: got 1.0; "),
        (lambda log: log.figures(level=95), "^level: got 95; "),
        (lambda log: log.figures(level=math.nan), "^level: got nan; "),
        (lambda log: log.figures(level="95%"), "^level: got '95%'; "),
        (lambda log: log.figures(level=None), "^level: got nothing; "),
        (lambda log: log.user_uptime(None), "^cutoff: got nothing"),
        (lambda log: log.user_uptime("1"), "^cutoff: got '1'; a duration needs a unit"),
        (lambda log: log.user_uptime(0), "^cutoff: got 0.0; users are active for some time"),
        (lambda log: log.user_uptime(math.nan), "^cutoff: got nan"),
        (lambda log: log.windowed_minimum("1s"), "^windows: got '1s'; give a list of lengths, like"),
        (lambda log: log.windowed_minimum(1.0), "^windows: got 1.0; give a list of lengths"),
        (lambda log: log.windowed_minimum(np.array(1.0)), "^windows: got array.*; give a list of lengths"),
        (lambda log: log.windowed_minimum(None), "^windows: got nothing; give a list of lengths"),
        (lambda log: log.windowed_minimum([None]), "^windows: got nothing; give a number of seconds"),
        (lambda log: log.windowed_minimum(["1s", True]), "^windows: got True; give a number of seconds"),
        (lambda log: log.windowed_minimum([1], cutoff=[2]), r"^cutoff: got \[2\]"),
        (lambda log: ha.failed_share(log, load=5), "^load: got 5; give a name"),
        (lambda log: ha.failed_share(log, within=-1), "^within: got -1; a limit of latency is zero or more"),
        (lambda log: ha.failed_share(log, within=math.nan), "^within: got nan"),
        (lambda log: ha.failed_share(log, within=True), "^within: got True"),
        (lambda log: ha.failed_share(log, within=[1]), r"^within: got \[1\]"),
    ],
)
def test_what_is_asked_wrongly_is_refused_with_what_is_allowed(wrong: Any, said: str) -> None:
    with pytest.raises(ha.ModelError, match=said):
        wrong(ONE)


def test_what_is_allowed_is_taken_in_every_form() -> None:
    # An endless cutoff holds an answer to the end of the record; numbers may be numpy's; a limit may be endless, too.
    assert ONE.user_uptime(math.inf).up_s == 8.0
    assert len(ONE.between(np.int64(1), np.float32(2.5))) == 1
    assert ONE.windowed_minimum(np.array([1.0, 2.0])).tolist() == ONE.windowed_minimum(("1s", 2)).tolist() == [1.0, 1.0]
    assert [len(ONE.of(write=np.bool_(write))) for write in (False, True)] == [1, 0]  # type: ignore[arg-type]
    assert [ha.failed_share(ONE, within=limit) for limit in (0, "1s", math.inf)] == [1.0, 0.0, 0.0]
    assert list(ONE.per(1e300).arrived) == [1]
