"""One direction of the tcp connections between two nodes: in order, nothing lost but with the connection.

Modelled on etcd's rafthttp (server/etcdserver/api/rafthttp: stream.go, peer.go) over Linux's tcp. The receiver dials
and reads, the sender accepts and writes; each pair of nodes has one such stream in each direction. Where a kind of
message has a stream of its own, as appends in rafthttp, there are two, and each comes up and breaks by itself
(`two_streams`).

- What a rule drops is sent again after 0.2 s plus the round trip, then twice as long and so on (Linux: TCP_RTO_MIN;
  tail loss probes and fast retransmits, which may come a little sooner where much is sent, are left out), and all
  that follows waits. The same goes for what arrives but whose acknowledgement is dropped: after the first
  retransmission nothing new is sent until one is acknowledged, so a one-way cut stops both directions.
- An idle writer sends a sign of life every third of `io_timeout`; a reader that hears nothing for `io_timeout` gives
  up the connection and dials anew. Signs of life and the read deadline exist here only while something is wrong
  (a rule, a pause, a dead host), and are reckoned from when they would have been sent.
- A process that dies is told of by its kernel at once, a host without power by nobody.
- While a writer has no stream, it posts each message on a connection of its own (rafthttp's pipeline).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from hasim.engines.des.world.alarm import Alarm
from hasim.engines.des.world.dialer import Dialer
from hasim.engines.des.world.line import Line
from hasim.engines.des.world.wire import Wire
from hasim.machine import Received

if TYPE_CHECKING:
    from hasim.engines.des.world.network import Network
    from hasim.engines.des.world.node import Node

_SIGN_OF_LIFE: Final = object()


@dataclass(frozen=True)
class TcpTiming:
    """The time constants of the connections, in seconds."""

    io_timeout: float = 5.0  # rafthttp: ConnReadTimeout
    retransmit_min: float = 0.2  # Linux: TCP_RTO_MIN
    retransmit_max: float = 120.0  # Linux: TCP_RTO_MAX
    syn_retry: float = 1.0  # Linux: TCP_TIMEOUT_INIT
    dial_every: float = 0.1  # rafthttp: DialRetryFrequency
    dial_timeout: float = 2.0  # etcd: 1 s and the election timeout
    tail_probe: bool = False  # Linux sends the last segment again once more before waits begin to double (RFC 8985)
    unsent_max: int = 4096  # rafthttp: streamBufSize; what does not fit is lost


class Stream:
    """The way from a writer (`src`) to a reader (`dst`); each end has its own opinion whether it is up."""

    def __init__(
        self, network: Network, src: Node, dst: Node, latency: Callable[[], float], line: Line | None, trip: float
    ) -> None:
        self.network = network
        self.env = network.env
        self.src, self.dst = src, dst
        self.latency = latency
        self.timing = network.timing
        self.writer_up = False
        self.reader_up = False
        self.wire = Wire(self.env, src.name, dst)
        self.dialer = Dialer(self)
        self._line = line
        self._clear = False  # up at both ends with nothing in the way: the short path
        self._last = 0.0  # when the last message on its way arrives
        self._unsent: deque[tuple[Any, int]] = deque()  # lost or not yet sent, in order
        self._unacked_since: float | None = None  # since when acknowledgements have been lost
        self._patience = self._patience_first = self.timing.retransmit_min + trip  # till the next retransmission
        self._probing = self.timing.tail_probe  # whether the next retransmission is the tail loss probe
        self._resending: Alarm | None = None
        self._beat: Alarm | None = None  # the next sign of life, while watching
        self._deadline: Alarm | None = None  # of the reader, while watching
        self._beat_phase: float | None = None

    # Sending.

    def send(self, message: Any, size: int = 0) -> None:
        """Send a message; it arrives after all that were sent before it."""
        if not self._clear:
            self._send_in_trouble(message, size)
            return
        env = self.env
        at = env._now + self.latency()
        if self._line is not None:
            at += self._line.queue(size, env._now)
        if at < self._last:
            at = self._last
        else:
            self._last = at
        wire = self.wire
        wire.messages.append(message)
        env.push((at, 1, env.number(), wire))

    def _send_in_trouble(self, message: Any, size: int) -> None:
        if not self.writer_up:
            self._post(message, retry=True)
        elif self._unsent or self._is_muted():
            if len(self._unsent) < self.timing.unsent_max:
                self._unsent.append((message, size))
        else:
            self._transmit(deque([(message, size)]))

    def _is_muted(self) -> bool:
        """Whether the sender waits for an acknowledgement before it sends anything new."""
        return self._unacked_since is not None and self.env._now >= self._unacked_since + self._patience_first

    def _transmit(self, batch: deque[tuple[Any, int]]) -> None:
        """Send what is to be sent now; keep it and try again later if it is lost."""
        extra = self.network.extra(self.src, self.dst)
        if extra is None:
            self._unsent = batch
            self._resend_later()
            return
        if not self.reader_up:  # the other end has given up the connection, and says so
            self.writer_breaks()
            return
        acked = self.network.extra(self.dst, self.src) is not None
        while batch:
            self._put(*batch.popleft(), extra)
            if not acked:
                break  # the window is down to one segment
        self._unsent = batch
        if acked:
            self._unacked_since = None
            self._patience, self._probing = self._patience_first, self.timing.tail_probe
            self._stop_resending()
        else:
            if self._unacked_since is None:
                self._unacked_since = self.env._now
            self._resend_later()
        self._refresh()

    def _put(self, message: Any, size: int, extra: float) -> None:
        env, wire = self.env, self.wire
        at = env._now + self.latency() + extra
        if self._line is not None:
            at += self._line.queue(size, env._now)
        self._last = at = max(at, self._last)
        if message is _SIGN_OF_LIFE:
            Alarm(env, at, lambda: setattr(wire, "heard", env._now))
        else:
            wire.messages.append(message)
            env.schedule_at(wire, at)

    def _resend_later(self) -> None:
        if self._resending is None:
            self._resending = Alarm(self.env, self.env._now + self._patience, self._resend)

    def _resend(self) -> None:
        self._resending = None
        if not self.dst.powered:
            return  # nothing will come of it before the host is back, and then its process dials
        if self._probing:
            self._probing = False
        else:
            self._patience = min(2 * self._patience, self.timing.retransmit_max)
        if self._unacked_since is not None and not self._is_acked():
            self._resend_later()
            return
        batch, self._unsent = self._unsent, deque()
        self._transmit(batch)

    def _is_acked(self) -> bool:
        """Send once more what has arrived, and see whether its acknowledgement does."""
        there = self.network.extra(self.src, self.dst)
        return there is not None and self.network.extra(self.dst, self.src) is not None

    def _stop_resending(self) -> None:
        if self._resending is not None:
            self._resending.cancel()
            self._resending = None

    def _post(self, message: Any, retry: bool) -> None:
        """Send a message on a connection of its own: a handshake, then the message; one more try a second later."""
        if self.dst.process is None:
            return  # refused, or no answer: the message is lost
        env, network = self.env, self.network
        there, back = network.extra(self.src, self.dst), network.extra(self.dst, self.src)
        if there is not None and back is not None:
            at = env._now + 2 * there + back + self.latency() + self.latency() + self.latency()
            received, reader = Received(self.src.name, message), self.dst.process
            # The connection is to this process: to one that starts meanwhile the message never comes.
            Alarm(env, at, lambda: self.dst.take(received) if self.dst.process is reader else None)
        elif retry and self.timing.dial_timeout > self.timing.syn_retry:
            writer = self.src.process
            again = env._now + self.timing.syn_retry
            Alarm(env, again, lambda: self._post(message, retry=False) if self.src.process is writer else None)

    # Coming up and breaking.

    def attach(self) -> None:
        """The writer accepts a reader's connection, and leaves the one it had."""
        if self.writer_up:
            self.writer_breaks()
        if self.src.process is None or self.dst.process is None:
            return
        answer_at = self.env._now + self.latency()
        self.wire = Wire(self.env, self.src.name, self.dst)
        self._last = answer_at
        self.writer_up = self.reader_up = True
        self.weather_changed()
        wire = self.wire
        Alarm(self.env, answer_at, lambda: self._reader_hears(wire))
        self.src.process.link(self.dst.name)

    def _reader_hears(self, wire: Wire) -> None:
        if wire is self.wire and self.reader_up and self.dst.process is not None:
            self.dst.process.link(self.src.name)

    def reader_breaks(self) -> None:
        """The reader gives the connection up, and dials a new one."""
        self._stop_reading()
        if self.dst.process is not None:
            self.dialer.dial()
            self.dst.process.unlink(self.src.name)

    def writer_breaks(self) -> None:
        """The writer finds the connection broken; what it had not sent is lost."""
        self._stop_writing()
        if self.src.process is not None:
            self.src.process.unlink(self.dst.name)

    def writer_died(self) -> None:
        """The sending process has ended; its kernel tells the reader, if it can."""
        self._stop_writing()
        wire = self.wire
        if self.reader_up:
            extra = self.network.extra(self.src, self.dst)
            if extra is None:
                self._watch()  # the reader will find out by the silence
            else:
                at = max(self._last, self.env._now + self.latency() + extra)
                Alarm(self.env, at, lambda: self.reader_breaks() if wire is self.wire and self.reader_up else None)

    def reader_died(self) -> None:
        """The receiving process has ended; its kernel tells the writer, if it can."""
        self._stop_reading()
        self.dialer.stop()
        wire = self.wire
        extra = self.network.extra(self.dst, self.src)
        if self.writer_up and extra is not None:
            at = self.env._now + self.latency() + extra
            Alarm(self.env, at, lambda: self.writer_breaks() if wire is self.wire and self.writer_up else None)

    def _stop_reading(self) -> None:
        self.reader_up = False
        self.wire.messages.clear()
        self._stop_watching()
        self._refresh()

    def _stop_writing(self) -> None:
        self.writer_up = False
        self._unsent.clear()
        self._unacked_since = None
        self._patience, self._probing = self._patience_first, self.timing.tail_probe
        self._stop_resending()
        self._refresh()

    def _refresh(self) -> None:
        self._clear = (
            self.writer_up
            and self.reader_up
            and not self.network.rules
            and not self._unsent
            and self._unacked_since is None
        )

    # Watching for silence.

    def weather_changed(self) -> None:
        """A rule has come or gone, or the writer was paused."""
        self._refresh()
        if self._is_worth_watching():
            self._watch()

    def _is_worth_watching(self) -> bool:
        return self.reader_up and (not self._clear or self.src.paused)

    def _watch(self) -> None:
        if self._deadline is None and self.reader_up:
            third, now = self.timing.io_timeout / 3, self.env._now
            if self._beat_phase is None:  # tickers of processes have nothing to do with one another
                self._beat_phase = self.network.beat_phase(self.src, self.dst) * third
            last = self._beat_phase + (now - self._beat_phase) // third * third
            self.wire.heard = max(self.wire.heard, last)
            self._beat = Alarm(self.env, last + third, self._give_sign)
            self._deadline = Alarm(self.env, self.wire.heard + self.timing.io_timeout, self.look)

    def _stop_watching(self) -> None:
        for alarm in (self._beat, self._deadline):
            if alarm is not None:
                alarm.cancel()
        self._beat = self._deadline = None

    def _give_sign(self) -> None:
        """Send a sign of life, if the writer is there to do it; stop watching when all is well."""
        if not self._is_worth_watching():
            self._stop_watching()
            return
        self._beat = Alarm(self.env, self.env._now + self.timing.io_timeout / 3, self._give_sign)
        if self.src.process is not None and not self.src.paused and self.writer_up:
            self._send_in_trouble(_SIGN_OF_LIFE, 0)

    def look(self) -> None:
        """The reader breaks off if it has heard nothing for too long."""
        if self._deadline is None or self.dst.paused:  # who is paused looks when it goes on
            return
        self._deadline.cancel()
        due = self.wire.heard + self.timing.io_timeout
        if due > self.env._now:
            self._deadline = Alarm(self.env, due, self.look)
        else:
            self.reader_breaks()

    # Leaping.

    @property
    def is_calm(self) -> bool:
        """Whether nothing is under way but messages."""
        return self._deadline is None and self._resending is None and self.dialer.is_idle

    def shift(self, by: float) -> None:
        """The world has leapt over so many seconds, with what is on its way."""
        self._last += by
        self.wire.heard += by  # from which the reader counts its deadline
