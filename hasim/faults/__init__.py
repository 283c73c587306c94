"""Things that go wrong on purpose, one kind a file."""

from __future__ import annotations

from hasim.faults.clock_jump import ClockJump
from hasim.faults.clock_skew import ClockSkew
from hasim.faults.crash import Crash
from hasim.faults.cut_link import CutLink
from hasim.faults.delays import Always, Delays
from hasim.faults.disk_full import DiskFull
from hasim.faults.disk_stall import DiskStall
from hasim.faults.drain import Drain
from hasim.faults.duplicate import Duplicate
from hasim.faults.error_answers import ErrorAnswers
from hasim.faults.fault import Fault, Held, Script, World
from hasim.faults.loss import Loss
from hasim.faults.one_way import OneWay
from hasim.faults.partition import Partition
from hasim.faults.pause import Pause
from hasim.faults.power_loss import PowerLoss
from hasim.faults.slow_disk import SlowDisk
from hasim.faults.slow_link import SlowLink
from hasim.faults.slow_server import SlowServer
from hasim.faults.stop import Stop
from hasim.faults.unready import Unready
from hasim.faults.verdict import DROP, PASS, Copies, Delay, Draw, Rule, Verdict

__all__ = [
    "DROP",
    "PASS",
    "Always",
    "ClockJump",
    "ClockSkew",
    "Copies",
    "Crash",
    "CutLink",
    "Delay",
    "Delays",
    "DiskFull",
    "DiskStall",
    "Drain",
    "Draw",
    "Duplicate",
    "ErrorAnswers",
    "Fault",
    "Held",
    "Loss",
    "OneWay",
    "Partition",
    "Pause",
    "PowerLoss",
    "Rule",
    "Script",
    "SlowDisk",
    "SlowLink",
    "SlowServer",
    "Stop",
    "Unready",
    "Verdict",
    "World",
]
