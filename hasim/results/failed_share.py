"""The share of a run's requests that were not served in time: one number, to compare designs by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hasim.declared import shown
from hasim.errors import ModelError
from hasim.results.fates import CUT_OFF, SERVED
from hasim.results.outcomes import UNANSWERED
from hasim.results.request_log import RequestLog, instant

if TYPE_CHECKING:
    from hasim.results.run import Run


def failed_share(run: Run | RequestLog, load: str | None = None, within: float | str | None = None) -> float:
    """Return the share of the requests that were not served in time, from 0 to 1.

    In time is as long as their clients waited, or, if given, `within` ("200ms") of their arrival. `load` chooses
    one load; otherwise all count. Requests that the end of the run left open are left out, as long as they may still
    be served: without `within` if they are no older than the slowest request of their load that was served, with it if
    they are no older than that. It counts requests, not time: no `1 - availability`. Raises ModelError if there is no
    request to judge, and for a `load` or a `within` that is none.
    """
    log = requests_of(run)
    if load is not None:
        log = log.of(load=load)
    served, undecided = log.fate == SERVED, log.fate == CUT_OFF
    if within is not None:
        limit = instant(within, "within")
        if limit < 0:
            raise ModelError(f"got {shown(within)}; a limit of latency is zero or more", "within")
        in_time = log.latency_s <= limit
        served, undecided = served & in_time, (log.outcome == UNANSWERED) & in_time
    judged = len(log) - int(np.count_nonzero(undecided))
    if not judged:
        raise ModelError("the run has no request to judge; let it go on for longer, or give it a load")
    return (judged - int(np.count_nonzero(served))) / judged


def requests_of(run: object) -> RequestLog:
    """Return the request log of a run, or the log that is given itself; ModelError for what has none."""
    if isinstance(run, RequestLog):
        return run
    if not hasattr(run, "requests"):
        raise ModelError(f"got {shown(run)}; give a Run, as ha.simulate returns it", "run")
    if run.requests is None:
        raise ModelError("the run played no requests; give the model or the scenario a load, like ha.Load(rate=100)")
    assert isinstance(run.requests, RequestLog)
    return run.requests
