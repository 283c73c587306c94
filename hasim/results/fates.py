"""The four fates of a request, from its outcome: served, failed, unknown, or cut off by the end of the run."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from hasim.results.outcomes import OUTCOMES, UNANSWERED

FATES: Final = ("served", "failed", "unknown", "cut off")
"""Names of the fates; arrays of fates hold their places in this tuple."""

SERVED, FAILED, UNKNOWN, CUT_OFF = range(4)

FATE_OF: Final = {
    "ok": "served",
    "500": "unknown",  # the server broke off somewhere inside
    "429": "failed",
    "502": "unknown",  # the server had it
    "503": "failed",
    "504": "unknown",  # the server may still be at it
    "refused": "failed",
    "reset": "unknown",
    "timeout": "unknown",
    "expired": "failed",
    "not sent": "failed",
    "unanswered": "unknown",
    "notice": "failed",
}
"""What is known of a request of at most one attempt: `failed` certainly had no effect, `unknown` may have had one."""

_CODES: Final = np.array([FATES.index(FATE_OF[name]) for name in OUTCOMES], dtype=np.int8)


def fates(
    outcome: NDArray[np.int8],
    attempts: NDArray[np.int32],
    age_s: NDArray[np.float64],
    patience_s: NDArray[np.float64],
) -> NDArray[np.int8]:
    """Return what became of each request, as places in FATES; all arrays have one entry a request.

    The outcome of a request is that of its last attempt. One that was sent several times and not served is `unknown`
    even if its last attempt certainly failed, since an earlier one may have had its effect. What a balancer tries again
    by its `retry_on`, which is for requests that may be repeated, is no attempt here.

    A request that is unanswered when the run ends is `cut off` if it is no older (`age_s`) than a request may be that
    is served after all (`patience_s`): the run does not tell what becomes of it, so it counts neither for nor against
    anybody. One that is older hangs, and is `unknown`.
    """
    found = _CODES[outcome]
    found[(found == FAILED) & (attempts > 1)] = UNKNOWN
    open_still = np.flatnonzero(outcome == UNANSWERED)
    found[open_still[age_s[open_still] <= patience_s[open_still]]] = CUT_OFF
    return found
