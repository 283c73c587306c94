"""What can become of a request, in the words of HTTP and of sockets."""

from __future__ import annotations

from typing import Final

OUTCOMES: Final = (
    "ok",  # answered in full
    "500",  # the server failed
    "429",  # shed: too much in flight
    "502",  # the server broke off and the balancer says so
    "503",  # the balancer found no server, or could not connect to one
    "504",  # the balancer, or the server behind it, waited too long
    "refused",  # nobody listens there
    "reset",  # the connection broke while the request was under way
    "timeout",  # the client waited too long
    "expired",  # dropped by the server since its caller had given up
    "not sent",  # the client's own breaker or throttle kept it back
    "unanswered",  # still under way when the run ended
    "notice",  # told of a maintenance window, and when to come back
)
"""Names of the outcomes; a request log holds their places in this tuple."""

CODES: Final = {name: code for code, name in enumerate(OUTCOMES)}

OK, ERROR, SHED, BAD_GATEWAY, UNAVAILABLE, GATEWAY_TIMEOUT = range(6)
REFUSED, RESET, TIMEOUT, EXPIRED, NOT_SENT, UNANSWERED, NOTICE = range(6, 13)

FAILURES: Final = (None, "5xx", "429", "5xx", "5xx", "5xx", "refused", "reset", "timeout", "timeout", None, None, None)
"""What policies of retrying and ejecting call each outcome; None where it is none of theirs."""

BLAMED: Final = (None, "5xx", None, "5xx", "5xx", "5xx", "refused", "reset", "timeout", None, None, None, None)
"""What a balancer holds against a server that gave such an answer; a plea to slow down is no failure (Envoy, nginx)."""
