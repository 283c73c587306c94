"""Golden stories: commands in, what a Raft cluster does out, as text that a person can judge.

A story is a file of comments, commands, `----` and what came of them, up to an empty line. Nothing happens by itself:
a message lies in a bag until it is delivered or dropped, a clock stands until it is told to tick. Every fact and every
record that is safe on a disk goes to `RaftInvariants` too, so that a story which breaks one cannot be recorded.

A line at the margin is an event, the indented ones are what it brings about, in order:

    n1 -> n2 VoteRequest(term=1, last=0/0)        arrives at n2; entries are written term/index, or term/index:data
      n2 save term=1 vote=n1 commit=0             is on the disk from here on; `note` is a save that nothing waits for
      n2 -> n1 VoteReply(term=1, granted)         leaves n2, after the save

The commands are the methods of `Story` called `do_…`; their docstrings are the manual.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from story_words import said_data, said_detail, said_log, said_message, said_record

from hasim.checks.raft import RaftInvariants
from hasim.machine import (
    Announce,
    Answer,
    CancelTimer,
    Draw,
    Drawn,
    Effect,
    Event,
    Exit,
    Fired,
    Proposed,
    Received,
    Save,
    Send,
    SetTimer,
    Started,
    Unlinked,
)
from hasim.protocols.raft import (
    Campaign,
    Change,
    Continuous,
    Entry,
    JointChange,
    RaftConfig,
    RaftMember,
    Read,
    Record,
    Saved,
    Ticks,
    TransferTo,
    Write,
    genesis,
    journal,
)
from hasim.trace import Fact

UNTOLD = {"appended", "log"}  # the saves say it; these facts are for the judge
ROUNDS_MAX = 200
RULE = "----"


class Packet(NamedTuple):
    """A message on its way."""

    sender: str
    to: str
    message: Any

    def __str__(self) -> str:
        return f"{self.sender} -> {self.to} {said_message(self.message)}"


@dataclass
class Node:
    """One server: its machine, its disk, and what waits for the disk."""

    config: RaftConfig
    member: RaftMember
    saved: Saved | None = None
    unsafe: list[Record] = field(default_factory=list)  # written, but lost when the power fails
    held: bool = False  # saves take until the story says so
    waiting: list[Effect] = field(default_factory=list)  # begins with the save under way
    up: bool = False
    draw: int | None = None  # None: the least


class Story:
    """A cluster, and what has been told of it."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._begin()

    def _begin(self) -> None:
        self.nodes: dict[str, Node] = {}
        self.judge = RaftInvariants()
        self.bag: list[Packet] = []
        self.now = 0.0
        self.isolated: set[str] = set()
        self.cut: set[frozenset[str]] = set()
        self.shown: set[str] = set()  # of draws and timers
        self.reads = 0

    def run(self, command: str) -> list[str]:
        """Do what one line says and tell what came of it."""
        words = command.split()
        quiet = words[0] == "quietly"
        if quiet:
            words = words[1:]
        do: Callable[..., None] | None = getattr(self, f"do_{words[0]}", None)
        if do is None:
            raise ValueError(f"no such command: {command}")
        options = dict(word.split("=", 1) for word in words[1:] if "=" in word)
        do([word for word in words[1:] if "=" not in word], **options)
        lines, self.lines = self.lines, []
        return [] if quiet else lines

    def tell(self, line: str) -> None:
        self.lines.append(line)

    # ---------------------------------------------------------------------------------- the cluster

    def do_cluster(
        self,
        names: list[str],
        timing: str = "ticks",
        pre_vote: str = "on",
        check_quorum: str = "on",
        learners: str = "",
        spare: str = "",
        window: str = "512",
        bytes_max: str = "1048576",
        lease: str = "",
        show: str = "",
        boot: str = "now",
    ) -> None:
        """cluster n1 n2 n3 [learners=n4] [spare=n5]: these voters, learners and members-to-be; all boot at once.

        A second one begins a story of its own. `boot=later` leaves them off, `show=draws,timers` tells of those too,
        `lease=1.1` allows lease reads.
        """
        self._begin()
        learning, spares = tuple(learners.split(",")) if learners else (), tuple(spare.split(",")) if spare else ()
        self.shown = set(show.split(","))
        for name in sorted((*names, *learning, *spares)):
            config = RaftConfig(
                name,
                genesis(tuple(names), learning),
                Ticks() if timing == "ticks" else Continuous(),
                pre_vote == "on",
                check_quorum == "on",
                float(lease) if lease else None,
                int(window),
                int(bytes_max),
                log_facts=True,
            )
            self.nodes[name] = Node(config, RaftMember(config))
        if boot == "now":
            self.do_boot(list(self.nodes))
            self.lines = [line for line in self.lines if "draws" in line or "timer" in line]

    def do_saved(self, words: list[str], term: str = "0", vote: str = "") -> None:
        """saved n1 1 1 2 [term=2] [vote=n2]: what the disk holds at the first boot, as the terms of its entries."""
        name, *terms = words
        node = self.nodes[name]
        assert not node.up, f"{name} is up; use `cluster … boot=later`"
        entries = tuple(Entry(int(each), index, None, 1) for index, each in enumerate(terms, 1))
        record = Record(max(int(term), *(entry.term for entry in entries), 0), vote or None, 0, entries)
        node.unsafe.append(record)
        self._make_safe(name, node)

    def do_boot(self, names: list[str]) -> None:
        """boot n1: start from what is on the disk."""
        for name in names or list(self.nodes):
            node = self.nodes[name]
            assert not node.up, f"{name} is up"
            saved: Saved | None = None
            if node.saved is not None:
                saved = Saved(**vars(node.saved))
                saved.entries = list(saved.entries)
            for record in node.unsafe:
                saved = journal(saved, record)
            node.member, node.up = RaftMember(node.config), True
            self.tell(f"{name} boots")
            self._step(name, Started(saved))

    def do_crash(self, words: list[str]) -> None:
        """crash n1 [power]: what a save under way was to write is lost; with the power, unsynced writes are, too."""
        name, *how = words
        node = self.nodes[name]
        node.up, node.waiting, node.held = False, [], False
        if how:
            node.unsafe = []
        self.bag = [packet for packet in self.bag if packet.to != name]
        self.tell(f"{name} crashes")

    def do_isolate(self, names: list[str]) -> None:
        """isolate n1: what it sends, and what is sent to it, is lost from now on."""
        self.isolated.update(names)

    def do_cut(self, pairs: list[str]) -> None:
        """cut n1-n2: what these two send each other is lost from now on."""
        self.cut.update(frozenset(pair.split("-")) for pair in pairs)

    def do_heal(self, words: list[str]) -> None:
        """heal: all links are whole again."""
        self.isolated, self.cut = set(), set()

    def do_unlinked(self, words: list[str]) -> None:
        """unlinked n1 n2: n1 hears that its connection to n2 has broken."""
        name, peer = words
        self.tell(f"{name} loses its connection to {peer}")
        self._step(name, Unlinked(peer))

    # ----------------------------------------------------------------------------------------- time

    def do_tick(self, words: list[str]) -> None:
        """tick n1 [times]: whole ticks of one member; those on which nothing happens are only counted."""
        name, times = words[0], int((*words[1:], "1")[0])
        node = self.nodes[name]
        assert isinstance(node.config.timing, Ticks)
        idle = 0
        for _ in range(times):
            told = len(self.lines)
            self._step(name, Fired("tick"))
            if len(self.lines) == told:
                idle += 1
                continue
            tick = f"{name} ticks" if idle == 0 else f"{name} ticks, and did {idle} times before"
            self.lines.insert(told, tick)
            idle = 0
        if idle:
            self.tell(f"{name} ticks {idle} times in vain")

    def do_fire(self, words: list[str]) -> None:
        """fire n1 election: a timer runs out (continuous time)."""
        name, timer = words
        self.tell(f"{name} timer {timer} fires")
        self._step(name, Fired(timer))

    def do_wait(self, words: list[str]) -> None:
        """wait 0.2: so many seconds go by on all clocks."""
        self.now += float(words[0])

    def do_draw(self, words: list[str]) -> None:
        """draw n1 12: the election timeout in ticks, now and whenever it is drawn from now on (the least otherwise)."""
        name, value = words
        self.nodes[name].draw = int(value)
        self._step(name, Drawn("election", int(value)))

    def do_campaign(self, words: list[str]) -> None:
        """campaign n1: it times out now."""
        self.tell(f"{words[0]} times out")
        self._propose(words[0], Campaign(), "")

    # ----------------------------------------------------------------------------------- the network

    def do_deliver(self, words: list[str]) -> None:
        """deliver [all] [n1->n2 | n1-> | ->n2 | n1+n2] [Kind] [#2] [reversed | twice]: what is in the bag arrives.

        Without `all` what is sent meanwhile stays in the bag; #2 is the second message that fits.
        """
        if "all" in words:
            words = [word for word in words if word != "all"]
            for _ in range(ROUNDS_MAX):
                packets = self._chosen(words)
                if not packets:
                    return
                self._arrive(packets)
            raise ValueError("the cluster does not fall silent")
        packets = self._chosen(words)
        if not packets:
            self.tell("nothing to deliver")
        self._arrive(packets[::-1] if "reversed" in words else packets, "twice" in words)

    def do_drop(self, words: list[str]) -> None:
        """drop [n1->n2 …]: what is in the bag is lost; chosen as by `deliver`."""
        for packet in self._chosen(words):
            self.bag.remove(packet)
            self.tell(f"{packet} is lost")

    def do_bag(self, words: list[str]) -> None:
        """bag: what is on its way."""
        for packet in self._chosen(words):
            self.tell(f"on its way: {packet}")

    def _chosen(self, words: Sequence[str]) -> list[Packet]:
        found = list(self.bag)
        for word in words:
            if "->" in word:
                sender, to = word.split("->")
                found = [each for each in found if sender in ("", each.sender) and to in ("", each.to)]
            elif "+" in word:
                among = word.split("+")
                found = [each for each in found if each.sender in among and each.to in among]
            elif word[0].isupper():
                found = [each for each in found if type(each.message).__name__ == word]
            elif word[0] == "#":
                found = found[int(word[1:]) - 1 : int(word[1:])]
            elif word not in ("reversed", "twice"):
                raise ValueError(f"not a choice of messages: {word}")
        return found

    def _arrive(self, packets: Sequence[Packet], keep: bool = False) -> None:
        for packet in packets:
            if not keep:
                self.bag.remove(packet)
            if self.nodes[packet.to].up:
                self.tell(str(packet))
                self._step(packet.to, Received(packet.sender, packet.message))
            else:
                self.tell(f"{packet} finds nobody")

    # -------------------------------------------------------------------------- clients and operators

    def do_propose(self, words: list[str], bytes: str = "0") -> None:
        """propose n1 x y: clients of n1 want these written."""
        for data in words[1:]:
            self.tell(f"{words[0]} is asked to write {data}")
            self._propose(words[0], Write(data, int(bytes)), data)

    def do_read(self, words: list[str]) -> None:
        """read n1 [lease]: a client of n1 asks for a linearizable read."""
        self.reads += 1
        ref = f"read{self.reads}"
        self.tell(f"{words[0]} is asked for {ref}")
        self._propose(words[0], Read("lease" in words), ref)

    def do_transfer(self, words: list[str]) -> None:
        """transfer n1 n2: n1 is asked to see that leadership goes to n2."""
        self.tell(f"{words[0]} is asked to hand over to {words[1]}")
        self._propose(words[0], TransferTo(words[1]), "")

    def do_change(self, words: list[str]) -> None:
        """change n1 add|learner|remove n4: one step of membership."""
        name, kind, member = words
        self._write_change(name, Change(kind, member))  # type: ignore[arg-type]

    def do_joint(self, words: list[str]) -> None:
        """joint n1 add n4 remove n1 [stay]: several at once; with `stay` only `leave` ends the joint configuration."""
        stay = words[-1] == "stay"
        pairs = words[1:-1] if stay else words[1:]
        changes = tuple(Change(kind, who) for kind, who in zip(pairs[::2], pairs[1::2], strict=True))  # type: ignore[arg-type]
        self._write_change(words[0], JointChange(changes, not stay))

    def do_leave(self, words: list[str]) -> None:
        """leave n1: end the joint configuration."""
        self._write_change(words[0], JointChange(()))

    def do_compact(self, words: list[str]) -> None:
        """compact n1 [keep]: a snapshot takes the place of what n1 has applied, but for the last entries."""
        name, keep = words[0], int((*words[1:], "0")[0])
        raft = self.nodes[name].member.raft
        self.tell(f"{name} compacts its log up to {raft.state.log.applied}, keeping {keep}")
        raft.compact(f"store{raft.state.log.applied}", 0, keep)
        self._perform(name, raft.collect())

    def do_disk(self, words: list[str]) -> None:
        """disk n1 hold|done|free: saves take their time; the one under way is done; no more of that."""
        name, what = words
        node = self.nodes[name]
        if what == "hold":
            node.held = True
            return
        assert what == "free" or node.waiting, f"nothing is under way to the disk of {name}"
        node.held = what == "done"
        while node.waiting:
            effects, node.waiting = node.waiting, []
            assert isinstance(effects[0], Save)
            self.tell(f"{name} disk has {said_record(effects[0].record)}")
            node.unsafe.append(effects[0].record)
            self._make_safe(name, node)
            self._perform(name, effects[1:])
            if what == "done":
                return

    def _write_change(self, name: str, change: Any) -> None:
        self.tell(f"{name} is asked for {said_data(change)}")
        self._propose(name, Write(change), said_data(change))

    def _propose(self, name: str, command: Any, ref: str) -> None:
        self._step(name, Proposed(command, ref))

    # ------------------------------------------------------------------------------------- to look at

    def do_show(self, names: list[str]) -> None:
        """show [n1 …]: what each member knows."""
        for name in names or self.nodes:
            node, state = self.nodes[name], self.nodes[name].member.raft.state
            if not node.up:
                self.tell(f"{name} down")
                continue
            known = f"term={state.term} vote={state.vote or '-'} leader={state.leader or '-'}"
            self.tell(f"{name} {state.role:<13} {known} {said_log(state.log)}")

    def do_progress(self, words: list[str]) -> None:
        """progress n1: what a leader knows of the others."""
        for name, progress in self.nodes[words[0]].member.raft.state.progress.items():
            extra = f" inflight={len(progress.flights)}" if progress.flights else ""
            extra += " paused" if progress.paused else ""
            extra += f" snapshot={progress.pending_snapshot}" if progress.pending_snapshot else ""
            extra += " learner" if progress.learner else ""
            self.tell(f"{name}: {progress.state} match={progress.match} next={progress.next}{extra}")

    # -------------------------------------------------------------------------------- what becomes of it

    def _step(self, name: str, event: Event) -> None:
        node = self.nodes[name]
        assert node.up, f"{name} is down"
        self._perform(name, node.member.step(event, self.now))

    def _perform(self, name: str, effects: Sequence[Effect]) -> None:
        node = self.nodes[name]
        own: list[Any] = []
        for effect in effects:
            if isinstance(effect, Announce | SetTimer | CancelTimer | Draw | Exit):
                self._at_once(name, node, effect)
            elif node.waiting:
                node.waiting.append(effect)
            elif isinstance(effect, Save):
                self._save(name, node, effect)
            elif isinstance(effect, Send):
                own += self._send(name, effect)
            elif isinstance(effect, Answer):
                self.tell(f"  {name} answers {effect.ref}: {'refused' if effect.result is None else effect.result}")
        for message in own:
            self._step(name, Received(name, message))

    def _at_once(self, name: str, node: Node, effect: Effect) -> None:
        if isinstance(effect, Announce):
            if effect.kind not in UNTOLD:
                self.tell(f"  {name} {said_detail(effect.kind, effect.detail)}".rstrip())
            self.judge.observe(Fact(self.now, effect.kind, name, effect.detail))
        elif isinstance(effect, Draw):
            value = effect.low if node.draw is None else node.draw
            assert effect.low <= value <= effect.high, f"{name} cannot draw {value}"
            if "draws" in self.shown:
                self.tell(f"  {name} draws {value} from {effect.low} to {effect.high}")
            self._perform(name, node.member.step(Drawn(effect.name, value), self.now))
        elif isinstance(effect, SetTimer) and "timers" in self.shown:
            self.tell(f"  {name} timer {effect.timer} {effect.low:g} to {effect.high:g} s")
        elif isinstance(effect, CancelTimer) and "timers" in self.shown:
            self.tell(f"  {name} timer {effect.timer} off")

    def _save(self, name: str, node: Node, save: Save) -> None:
        if save.sync and node.held:
            self.tell(f"  {name} saving {said_record(save.record)}")
            node.waiting.append(save)
            return
        node.unsafe.append(save.record)
        self.tell(f"  {name} {'save' if save.sync else 'note'} {said_record(save.record)}")
        if save.sync:
            self._make_safe(name, node)

    def _send(self, name: str, send: Send) -> list[Any]:
        """Put a message into the bag; those to oneself come back at once."""
        packet = Packet(name, send.to, send.message)
        if send.to == name:
            self.tell(f"  {packet}")
            return [send.message]
        lost = {name, send.to} & self.isolated or frozenset((name, send.to)) in self.cut or send.to not in self.nodes
        self.tell(f"  {packet}{' lost' if lost else ''}")
        if not lost:
            self.bag.append(packet)
        return []

    def _make_safe(self, name: str, node: Node) -> None:
        for record in node.unsafe:
            node.saved = journal(node.saved, record)
            self.judge.disk(name, record, self.now)
        node.unsafe = []


def retold(text: str) -> str:
    """The story with what its commands bring about now, in place of what was recorded."""
    story = Story()
    lines: list[str] = []
    commands: list[str] = []
    recorded = False  # within what was recorded, up to an empty line
    for line in text.splitlines():
        if recorded:
            recorded = line != ""
            if recorded:
                continue
        if line == RULE:
            came = [each for command in commands for each in story.run(command)]
            lines += [RULE, *(came or ["ok"])]
            commands, recorded = [], True
            continue
        lines.append(line)
        if line and not line.startswith("#"):
            commands.append(line)
    if commands:
        raise ValueError(f"no {RULE} after {commands[-1]}")
    return "\n".join(lines) + "\n"
