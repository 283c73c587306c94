"""The world that pure machines run in: processes on nodes, with clocks, disks and a network between them.

    env = LeapingEnvironment()
    world = World(env, Streams(seed), note, transport="tcp", latency=Fixed(value="0.3ms"))
    for name in ("n1", "n2", "n3"):
        world.add(name, build, journal)         # build() makes a Machine, journal adds a Record to what is saved
    for node in world.nodes.values():
        node.start()
    env.run(until=60)

A node is a place with a power switch, a clock and a disk; a process is one life of a machine on it.

- `node.start()`, `crash()` (what was written survives), `power_off()` (only what was synced does), `pause()`,
  `resume()`, `stop()` (the machine is asked to leave), `propose(command, ref, answer)`; an answer that can no
  longer come is `Gone`. `node.process` is None while nothing runs.
- `node.clock`: offset and rate; `node.set_rate(rate)` and `node.jump(by)` also re-time what is pending.
- `node.disk`: what is saved, how long a sync takes, and what faults do to it.
- `world.rule(…)`, `held_down`, `powered_off`, `paused`, `slow_disk`, `stalled_disk`, `full_disk`, `clock_rate`,
  `jump_clock` are the verbs of faults: context managers that heal when they are left and give a `Touch`,
  whose `touched` says whether it made any difference.
- `world.leap(rhythm)` skips over calm: all ticks and messages on their way are moved later by whole periods;
  `leap_together` does so for several worlds of one environment.

One place decides whether a process runs, `node.upkeep`: somebody wants one (a `start`; a `crash` by hand or a `stop` is
the contrary), no fault holds the node down, the last one has not left by itself, and the disk has had room since. Who
pauses a process lets it go on, and it runs again when all have; a process that starts meanwhile was never paused.

The facts that the world itself notes: "process started", "process crashed", "process exited", "power lost", "process
paused" and "process resumed"; all others are announced by machines.

Random streams: "<node>/<timer>" and "<node>/<what is drawn>", "<node>/fsync", "<node>/slow disk", "<a>><b>/latency",
"<a>><b>/rules" and "<a>><b>/signs of life".

One concept a file: `leap` (the event loop), `leaping` (when and how far), `alarm`, `clock`, `disk`, `timer`,
`process`, `upkeep`, `node`, `wire`, `line`, `datagram` (udp), `stream`, `two_streams` and `dialer` (tcp), `network`,
`touch`, `verbs`, `watched` (one fault at play, with `playing`) and `world`.
"""

from __future__ import annotations

from hasim.engines.des.world.clock import Clock
from hasim.engines.des.world.disk import Disk
from hasim.engines.des.world.leap import LeapingEnvironment
from hasim.engines.des.world.leaping import Calm, Rhythm, leap_again_and_again, leap_together
from hasim.engines.des.world.node import Node
from hasim.engines.des.world.playing import Playing
from hasim.engines.des.world.stream import TcpTiming
from hasim.engines.des.world.touch import Touch
from hasim.engines.des.world.watched import Watched
from hasim.engines.des.world.world import World

__all__ = [
    "Calm",
    "Clock",
    "Disk",
    "LeapingEnvironment",
    "Node",
    "Playing",
    "Rhythm",
    "TcpTiming",
    "Touch",
    "Watched",
    "World",
    "leap_again_and_again",
    "leap_together",
]
