"""How the reader of a stream gets a connection: it dials until somebody answers.

As rafthttp's streamReader does: one attempt at a time, at most one every `dial_every`, each given up after
`dial_timeout`. A connection request that gets lost is sent again after 1, 3, 7 … seconds (Linux). Who is refused (the
host is up, nobody listens) tries again at once, within the limit.

Nobody is polled: the dialer of a peer that is down knows when its attempts would fall, and makes the first of them
that finds somebody.
"""

from __future__ import annotations

from math import ceil, inf
from typing import TYPE_CHECKING

from hasim.engines.des.world.alarm import Alarm

if TYPE_CHECKING:
    from hasim.engines.des.world.stream import Stream


class Dialer:
    """Dials the writer of a stream on behalf of its reader."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._alarm: Alarm | None = None  # the next thing that happens to the attempt under way
        self._last_dial = -inf
        self._waits: tuple[float, float] | None = None  # attempts that find nobody: since when, how often

    @property
    def is_idle(self) -> bool:
        """Whether no attempt is under way that could succeed."""
        return self._alarm is None or not self._alarm.pending

    def dial(self) -> None:
        """Begin to dial, unless that is under way."""
        if self.is_idle and self._waits is None:
            self._dial_at(max(self._stream.env._now, self._last_dial + self._stream.timing.dial_every))

    def stop(self) -> None:
        """The reader's process is no more."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._waits = None

    def answered(self) -> None:
        """Somebody listens again: the next attempt may succeed."""
        if self._waits is not None:
            (since, every), self._waits = self._waits, None
            now = self._stream.env._now
            self._dial_at(max(now, since + ceil((now - since) / every) * every))
        elif self._stream.dst.process is not None and not self._stream.reader_up:
            self.dial()  # a new node

    def _dial_at(self, at: float) -> None:
        env = self._stream.env
        if at <= env._now:
            self._begin()
        else:
            self._alarm = Alarm(env, at, self._begin)

    def _begin(self) -> None:
        self._last_dial = self._stream.env._now
        self._request(self._last_dial, self._stream.timing.syn_retry)

    def _request(self, begun: float, retry: float) -> None:
        """Send a request for a connection; if it is lost, again after `retry` seconds."""
        stream = self._stream
        env, network = stream.env, stream.network
        if not stream.src.powered and not network.rules:
            self._alarm = None
            self._waits = (env._now, stream.timing.syn_retry)
            return
        extra = network.extra(stream.dst, stream.src)
        if extra is None:
            self._lost(begun, retry, 0.0)
        else:
            trip = stream.latency() + extra
            self._alarm = Alarm(env, env._now + trip, lambda: self._arrived(begun, retry, trip))

    def _lost(self, begun: float, retry: float, ago: float) -> None:
        """A request, sent some seconds ago, or its answer is lost."""
        env, timing = self._stream.env, self._stream.timing
        again = env._now - ago + retry
        if again < begun + timing.dial_timeout:
            self._alarm = Alarm(env, again, lambda: self._request(begun, 2 * retry))
        else:
            self._alarm = Alarm(env, max(env._now, begun + timing.dial_timeout), self._begin)

    def _arrived(self, begun: float, retry: float, ago: float) -> None:
        """A request has reached the host of the writer."""
        stream = self._stream
        env = stream.env
        extra = stream.network.extra(stream.src, stream.dst)
        if extra is None:
            self._lost(begun, retry, ago)
            return
        back = stream.latency() + extra
        if stream.src.process is None:  # refused
            self._alarm = None
            self._waits = (begun, max(stream.timing.dial_every, ago + back))
        elif stream.src.paused:  # its kernel accepts, and answers as soon as the process goes on
            self._alarm = None
            self._waits = (env._now, stream.timing.dial_every)
        else:
            writer = stream.src.process
            self._alarm = Alarm(env, env._now + back + ago, lambda: self._attach(writer))

    def _attach(self, writer: object) -> None:
        """The reader's first words on the new connection have reached the writer."""
        self._alarm = None
        stream = self._stream
        if stream.src.process is not writer:
            self.dial()
        elif stream.src.paused:
            self._waits = (stream.env._now, stream.timing.dial_every)
        else:
            stream.attach()
