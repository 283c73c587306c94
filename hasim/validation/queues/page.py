"""The comparison of queues as a table for a terminal, and as a page in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hasim.validation.queues.record import LAG_LIMIT_S, missed
from hasim.validation.queues.report import PICTURE, TRIALS, QueuesReport
from hasim.validation.tables import counted, markdown, terminal

if TYPE_CHECKING:
    from rich.table import Table


def table(report: QueuesReport) -> Table:
    """The report as a table for a terminal."""
    return terminal(report.rows, BY_CHANCE if report.quick else None)


def page(report: QueuesReport) -> str:
    """The report as a page in Markdown."""
    command = "hasim validate queues" + " --quick" * report.quick + f" --seed {report.seed} --out docs"
    fits = sum(row.verdict == "agrees" for row in report.fits)
    lines = [
        "# Queues held against beanstalkd and JetStream",
        "",
        f"Written by `{command}`. {counted(report.rows)}",
        f"{len(report.fits)} of them, of which {fits} agree, are a fit and not a prediction; their rows say so.",
        *((BY_CHANCE,) if report.quick else ()),
        *about(),
        "",
        f"![Tasks that are done again]({PICTURE})",
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
    first, second = (f"{missed(series):.1%}" for series in (1, 2))
    return [
        "",
        "48 tasks are put at once, and 16 workers work them off (36 and six where it says so). The work takes",
        "0.8 s in the median (lognormal, sigma 0.6); whoever takes longer than the deadline of 1, 2 or 3 s has",
        "the task delivered to another as well. Where it says so, each execution ends with its worker in one of",
        "ten cases, at any moment of it, and another worker is there half a second later. The real queues are",
        "beanstalkd 1.12 and NATS JetStream (server 2.9.10), measured on one busy machine in two series; their",
        "trials are in `hasim/validation/data/queues.json`. In hasim the queues are those that model files call",
        f"`beanstalkd` and `jetstream`, with the deadline of each configuration; each is played {TRIALS} times.",
        "",
        "- One thing was read off the record: beanstalkd 1.12 does not notice some expiries, and how many hangs",
        f"  on the machine. Counted with a free worker: {first} in the first series, {second} in the second",
        "  (`missed`). Most of these were counted with beanstalkd and 1 s, whose rows are therefore a fit, and",
        "  no check. For JetStream nothing was read off.",
        "- The time on the network is hasim's default, about a millisecond one way.",
        "- Crashes that strike with a probability are played by `hasim/validation/queues/bench.py`: model files",
        "  have a law of the time to a crash instead.",
        "- Means may differ by 5 % or 2 standard errors; these by the wider spread of the two samples, since what",
        "  is rare shows little spread in twenty trials. All figures are given with one standard error. Times may",
        "  differ by 3 % and 20 ms, or 2 standard errors. What never happened must never happen. For JetStream",
        "  both series are held against the same trials of hasim.",
        f"- Only trials are used in which the measuring loop stalled for at most {LAG_LIMIT_S:g} s.",
        "- *Shape only*: the number belongs to the machine, or was put in. Times are compared for beanstalkd in",
        "  the second series only: elsewhere clients were late to connect, in JetStream half of them.",
        "",
        *WORTH,
    ]


WORTH: Final = (
    "What these verdicts are worth, and what is known of those that differ:",
    "",
    "- *Executions a task* are never far from one, so 5 % is a loose bound for them. 19 of the 22 lie within",
    "  3 %; JetStream with 1 s and crashes differs by 4 % in the second series, and the never-ending case",
    "  (beanstalkd, 2 s, same time each attempt) by 3 % and 5 %, where one standard error is as much. By",
    "  two standard errors alone four would differ: JetStream with 1 s (second series) and 3 s (first; fewer",
    "  workers crashed than were due), beanstalkd with six workers (first) and 3 s (second). The share of",
    "  tasks that are executed more than once is the sharper figure.",
    "- *JetStream, 1 s, a tenth crashes*: hasim repeats 37 % of the tasks, JetStream 40 % and 41 %; with a",
    "  worker always free it would be 42 %. In the record half of the clients connected late. Whoever comes",
    "  late finds the new tasks gone, and is free when a deadline passes. Half of hasim's workers begun 0.5 to",
    "  1.5 s late, or 1 to 3 s, repeat 38 to 39 % of the tasks: enough for the first series, half of it for",
    "  the second. When clients connected was not written down, so this is not put in.",
    "- *beanstalkd, 1 s, first series*, with 16 workers and with six: hasim repeats too few tasks and accepts",
    "  as many late acks or more. In hasim an expiry goes unnoticed with the same chance whether or not a",
    "  worker is free; it was counted only where one is. The count is rough, too: 45 of 330 is 10 to 17 % at",
    "  two standard errors. With 10 % in place of 13.6 % hasim repeats 28 % and 24 % of the tasks (measured:",
    "  29 % and 25 %).",
    "- In the second series the counts of missed expiries that are left by configuration are 19 of 702",
    "  (2.7 %), where 111 of 1970 (5.6 %) were stated, and none of 119 with 1 s and 16 workers. With 2.7 % in",
    "  hasim the never-ending case has 1.56 executions a task and 2.0 unfinished tasks, nearer to the record",
    "  (1.57 and 1.9) than 1.50 and 1.5 with 5.6 %. Both agree. The stated share was taken, and kept.",
    "- *beanstalkd, 3 s, second series*, and *2 s, a tenth crashes, first series*: how long the work takes was",
    "  drawn in each trial, and written down. In the one, 0.4 % of the first executions were longer than 3 s",
    "  (1.4 % are due), in the other 7.2 % longer than 2 s (6.3 %). The shares and late acks follow these.",
    "- *The never-ending case.* If each attempt at a task takes as long as the last, and a late ack is refused",
    "  once another has the task, a slow task is started for ever while workers are free. Measured with",
    "  beanstalkd and 2 s: 12 or 13 starts in 25 s, unless an expiry is missed, which lets the task end.",
    "  JetStream accepts the first ack, and the task ends.",
    "- *What comes first*: in the record one expired task in ten or twenty that had to wait was overtaken by",
    "  a new one, in hasim none. Why is not known; starts were timed by the workers, not by the queue. Among",
    "  expired tasks beanstalkd delivers the one that was put first, hasim the one that expired first. No",
    "  figure here tells these apart.",
    "- *Renewed deadlines*: in the first series 6 tasks of 1872 were executed twice in spite of renewals,",
    "  when clients stalled. hasim's do not stall.",
    "- *beanstalkd, killed*: the medians are compared. In the mean it took 52 ms, since processes of a busy",
    "  machine take their time to die.",
    "- Not compared: how many tasks are stuck after silent deaths of which the expiry was missed, since the",
    "  settings were not written down. In hasim such a task is freed when a worker of the same name asks",
    "  again; in beanstalkd it stays until the old connection is closed.",
    "- Among this many rows judged by two standard errors a few may differ by chance, and others agree by",
    "  it. Rows of one configuration hang together.",
)
