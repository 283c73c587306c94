"""The comparison of leases as a table for a terminal, and as a page in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hasim.protocols.lease.ttl_server import LATE_S
from hasim.validation.leases.bench import LOOK_TO_WRITE_S, SETTLE_S
from hasim.validation.leases.record import LAG_LIMIT_S, cycle_s, one_way
from hasim.validation.leases.report import PICTURE, LeasesReport
from hasim.validation.tables import counted, markdown, terminal

if TYPE_CHECKING:
    from rich.table import Table


def table(report: LeasesReport) -> Table:
    """The report as a table for a terminal."""
    return terminal(report.rows, BY_CHANCE if report.quick else None)


def page(report: LeasesReport) -> str:
    """The report as a page in Markdown."""
    command = "hasim validate leases" + " --quick" * report.quick + f" --seed {report.seed} --out docs"
    lines = [
        "# Leases held against Redis and etcd",
        "",
        f"Written by `{command}`. {counted(report.rows)}",
        *((BY_CHANCE,) if report.quick else ()),
        *about(),
        "",
        f"![When the next one leads]({PICTURE})",
        "",
        "## Every comparison",
        *markdown(report.rows),
    ]
    return "\n".join(lines) + "\n"


BY_CHANCE: Final = (
    "With an eighth of the trials a few of the rows differ by chance, or agree by it; the full run has fewer."
)


def about() -> list[str]:
    """What was done, by which rules, and what the verdicts are worth: the lines above the tables."""
    redis, etcd = (f"{one_way(store).mean * 1e3:.0f} ms" for store in ("redis", "etcd"))
    ways = f"{redis} in the mean for Redis, {etcd} for etcd"
    cycle, takes, late = (f"{seconds * 1e3:.3g} ms" for seconds in (cycle_s(), LOOK_TO_WRITE_S, LATE_S))
    settle, lag = f"{SETTLE_S:g} s", f"{LAG_LIMIT_S:g} s"
    return [
        "",
        "Three candidates want one lease with a time to live of 3 s. The holder renews it every second and",
        "writes to a resource; the others ask for it every 0.4 s (times 0.75 to 1.25), or, by watch, when it",
        "is gone. Then the holder is killed, gives the lease back, is stopped for 5 s, or is cut off from the",
        "store for 6 s while it still reaches the resource. The real stores are Redis 7.0.15 and etcd 3.4.23,",
        "measured on one busy machine; their trials are in `hasim/validation/data/leases.json`. In hasim as",
        "there, trial follows trial on one store, and who was the leader comes back as a candidate.",
        "",
        "- No number is fitted to what a fault does. Read off the record: a message takes half of what giving",
        f"  a lease back took, drawn from all that were measured ({ways});",
        f"  a holder writes every {cycle}, in the mean over those that were cut off, and {takes} after its",
        f"  look at the clock. From Go's source: a pass of etcd's lessor is up to {late} late. Not in the",
        f"  record, and taken as {settle}: for how long one leads again before the next fault, to which up to a",
        "  period is added.",
        "- Distributions are compared by the two-sample Kolmogorov–Smirnov test, with Holm's correction over",
        "  all of them, and times by their means as well (3 % and 20 ms, or 2 standard errors). Counts may",
        "  differ by 15 % or 2 standard errors, shares by 2. What never happened must never happen: a fence",
        "  lets nothing through.",
        f"- Only trials are used in which the measuring loop stalled for at most {lag}.",
        "- *Shape only*: the number belongs to the machine, or was put in.",
        "",
        "**etcd's passes.** etcd looks for leases that have run out, waits 500 ms, and looks again. A",
        "candidate that is told takes the lease a few milliseconds after such a pass. Its renewals come whole",
        "seconds later, so they stay just behind the passes; and since each pass is a little late, some",
        "passes on they are just ahead of them. When the leader dies, its lease runs out shortly after a pass",
        "or shortly before one, and the next leader waits for half a second or for almost nothing. With the",
        "client's pace as below, this comes out of the loop of `TtlServer`, trial after trial on one store. By",
        "polling the same lock shows from trial to trial: who was late to ask in one makes the next one short,",
        "so the waits of neighbours are correlated. Were the pass at any moment, as the usual term U(0, 0.5 s)",
        "has it, neither would be so.",
        "",
        *WORTH,
    ]


WORTH: Final = (
    "What these verdicts are worth, and what is known of those that differ:",
    "",
    "- *The client's pace was settled by the record.* hasim's candidate renews a second after the last",
    "  answer. Then every round trip moves the renewals away from the passes, and 45 % of the waits by",
    "  watch lie between 0.25 and 0.45 s (measured: 2 %). Sent a second after the last was sent, 2 % do.",
    "  So the measured client is taken to do that, in `hasim/validation/leases/client.py`.",
    "- *How many takeovers by watch fall into the early mode* hangs on milliseconds: on how long two",
    "  messages take, against the lateness of a dozen passes. Measured: 43 %. hasim: 36 % as it stands;",
    "  almost none if passes are never late, 74 % if by up to 2 ms; 74 % and 3 % with messages that take",
    "  half and twice as long; 28 % and 59 % with 0.2 and 3 s between trials. With it goes the mean time",
    "  to the next leader, from 2.63 to 3.04 s (measured: 2.87). That there are two modes, and where, is a",
    "  prediction; how full they are is not one to build on. These runs are not part of the comparison.",
    "- *By watch, end of the lease to the next leader*: the modes lie where they were measured, but are",
    "  narrower. How long messages take was measured in other trials, with stalls of 6 ms in the median;",
    "  in these they were 79 ms. In the trials without long stalls the distributions agree.",
    "- *etcd, lease given back*: 14 ms sooner in the median. In etcd a lease is granted first, and then",
    "  the key is written with it, which are two requests; in hasim taking a lease is one.",
    "- *Trials with a write of the old leader that was accepted*: a process that wakes up in hasim hears",
    "  the timer of its work before that of its renewal, which was due later, and so always writes. In",
    "  three of 39 real trials it did not.",
    "- *A write that is under way is not called back.* In the record a leader that learns of its end",
    "  writes what it had begun, up to 10 ms later. hasim's `Office` would call that back, and 0.8 writes",
    "  a pause would be accepted instead of 1.3 (measured: 1.2). The measured client is taken not to. This",
    "  rule and the pace were chosen by what comes out.",
    "- Other ways to read off messages and to take a lease in etcd were tried, and the first was kept. With",
    "  two requests for it, whole trials by watch agree better (end of the lease: p 0.05), calm ones worse",
    "  (0.008), and the lease given back still differs. With a quarter of a takeover after a release for a",
    "  message, 92 % of the waits by watch fall into the late mode. The rows on calm trials, on the modes and",
    "  on neighbours were added after a look at the record.",
    "- *Waits above 0.95 s*: a renewal took effect though its sender died before the answer. With etcd by",
    "  polling six of nine look so (their last answered renewal is more than a period old). The three",
    "  others, and waits of 4 to 21 s in earlier passes of the measurement, are unexplained.",
    "- *Cut off, end of the lease to the next leader, mean*: at the edge of its bound; none of the 39",
    "  trials has a renewal under way, of which hasim has 1.5 %.",
    "- By watch, neighbouring waits in the record are alike (correlation 0.25 ± 0.10); in hasim they are",
    "  not. Calm and busy hours of the machine would do that.",
    "- Among this many rows judged by two standard errors a few may differ by chance, and others agree by",
    "  it.",
)
