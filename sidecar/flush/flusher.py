"""Puts a node's spool into the store, segment by segment.

The open segment is built again from the journal and put whole at every flush. A put that failed for certain
is tried again under its number; one of unknown outcome ends its number, and what it held goes out again under
the next, so that a late commit of it hides nothing newer. Numbers are persisted before they are used, and are
put one after the other, since readers take a number as the end of those before it.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Final, Protocol

from archive.errors import PermanentStoreError, StoreError, TransientStoreError
from archive.layout import SegmentName
from archive.segment import Facts, assemble
from archive.segment.format import kind_of
from sidecar.errors import SpoolError
from sidecar.flush.content import Content
from sidecar.flush.schedule import Rest, Schedule
from sidecar.spool import NodeSpool, Position, Record

log = logging.getLogger(__name__)

FILES_OF_A_PUT: Final = 3
"""Files of the journal, the first and the last in part, that hold more than the largest put takes."""


class Puts(Protocol):
    """What a flusher needs of a store."""

    def put(self, key: str, data: bytes) -> object:
        """As archive.store.base.Store's. Raises StoreError."""


@dataclass(frozen=True, slots=True)
class Clock:
    """Time and chance, in seconds and from 0 to 1."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random.random


class Flusher:
    """Of one node spool. `step` from one thread; the rest from any.

    Raises nothing: `last_error` tells the last failure, empty after a success. No failure ends the trying, or
    drops anything: whatever is wrong with a store, people can put it right.
    """

    def __init__(
        self,
        spool: NodeSpool,
        store: Puts,
        *,
        collector: str = "",
        interval: float = 5.0,
        clock: Clock | None = None,
        rest: Rest | None = None,
    ) -> None:
        """`collector`: this collector's version. `interval`: for how long new bytes wait, in seconds.

        `rest`: the back-off that it shares with other flushers.
        """
        self.puts = 0
        self.failures = 0
        self.stored_bytes = 0
        self.last_put_seconds = 0.0
        self.last_error = ""
        self._spool = spool
        self._store = store
        self._collector = collector
        self._clock = clock or Clock()
        chance = self._clock.random
        self._schedule = Schedule(interval, chance, rest or Rest(chance))
        self._lock = threading.Lock()
        self._content = Content(spool.stored)
        self._confirmed = spool.stored
        self._confirmed_log_bytes = 0
        self._told: tuple[dict[str, int], dict[str, str]] = ({}, {})
        self._target = spool.stored
        self._sequence: int | None = None
        self._asked: float | None = None

    def begin_end(self) -> None:
        """The node's end has begun: flush every second from now on."""
        self._schedule.begin_end()

    def step(self) -> float:
        """Put what is due, one segment at most. Returns after how many seconds to call again."""
        with self._lock:
            now = self._clock.monotonic()
            if not self._spool.removed:
                if self._has_news():
                    self._schedule.noticed(now)
                if self._schedule.due(now, backlog=self._has_backlog()):
                    self._target = max(self._target, self._spool.written)
                    self._attempt(lambda: self._flush(None))
            return self._schedule.wait(self._clock.monotonic(), backlog=self._has_backlog())

    def finish(self, reason: str, deadline: float) -> bool:
        """Put everything, the newest first if it is much, then end the origin and remove its spool.

        Gives up at `deadline`, a time of the clock's `monotonic`, and returns whether all is stored; if not,
        nothing is lost, and it may be called again.
        """
        if not self._lock.acquire(timeout=max(0.0, deadline - self._clock.monotonic())):
            return False
        try:
            if self._spool.removed:
                return True
            if not self._insist(deadline, self._fill_open):
                return False
            if self._content.end < self._spool.written and not self._drain(deadline):
                return False
            return self._insist(deadline, lambda: self._flush_last(reason))
        finally:
            self._lock.release()

    def oldest_unstored_seconds(self) -> float:
        """For how long the oldest byte that no put has confirmed has waited; 0 if all is stored."""
        try:
            oldest = None if self._spool.removed else self._spool.oldest_ms(self._confirmed)
        except SpoolError:
            return 0.0
        return 0.0 if oldest is None else max(0.0, self._clock.wall() - oldest / 1000)

    def waiting_seconds(self) -> float:
        """For how long the store has not answered a put; 0 if it owes no answer."""
        asked = self._asked
        return 0.0 if asked is None else self._clock.monotonic() - asked

    def _has_news(self) -> bool:
        return self._spool.written > self._confirmed or self._told != (self._spool.losses, self._spool.facts)

    def _has_backlog(self) -> bool:
        """Whether more waits than the last put could take, or than the next one can."""
        behind = self._spool.written.file - self._content.end.file
        return self._target > self._content.end or behind >= FILES_OF_A_PUT

    def _insist(self, deadline: float, act: Callable[[], bool]) -> bool:
        """Try until it succeeds or the deadline is too near."""
        while not self._attempt(act):
            now = self._clock.monotonic()
            pause = self._schedule.wait(now, backlog=True)
            if now + pause >= deadline:
                return False
            self._clock.sleep(pause)
        return True

    def _attempt(self, act: Callable[[], bool]) -> bool:
        """Try once; False after a failure, which is noted."""
        try:
            return act()
        except StoreError as error:
            number_ended = isinstance(error, TransientStoreError) and error.effect_unknown
            lasting = isinstance(error, PermanentStoreError)
            self._schedule.refused(self._clock.monotonic(), number_ended=number_ended, lasting=lasting)
            self._note(str(error))
            if number_ended:
                self._sequence = None
                self._begin_anew()
        except SpoolError as error:
            self._schedule.troubled(self._clock.monotonic())
            self._note(str(error))
        except Exception as error:  # what nobody thought of must not end the thread, nor keep it busy
            log.exception("a flush of node %s failed", self._spool.node_id)
            self._schedule.troubled(self._clock.monotonic())
            self._note(f"a flush failed: {type(error).__name__} {error}; tried again, and nothing is dropped")
        return False

    def _note(self, error: str) -> None:
        self.failures += 1
        self.last_error = error

    def _fill_open(self) -> bool:
        """Take what came into the open segment, as far as one put takes it. Raises SpoolError."""
        self._fill(self._content, self._spool.written, _everything)
        return True

    def _fill(self, content: Content, until: Position, wanted: Callable[[Record], bool]) -> None:
        # What an earlier put of the same number had is never left out, so that no reader loses it again.
        largest = self._schedule.largest
        while content.end < until and (content.end < self._confirmed or not content.full(largest)):
            batch = self._spool.reads(content.end)
            for read in batch.reads:
                if wanted(read.record):
                    content.add(read)
                if content.full(largest) and content.end >= self._confirmed:
                    break
            else:
                content.end = batch.end

    def _flush(self, final: str | None) -> bool:
        """Build the open segment again and put it. Raises StoreError, SpoolError."""
        self._fill_open()
        self._put(self._content, full=self._content.ripe, final=final)
        self._confirmed = self._content.end
        self._confirmed_log_bytes = self._content.log_bytes
        if self._sequence is None:
            self._begin_anew()
        return True

    def _flush_last(self, reason: str) -> bool:
        """Put the rest with `final` and remove the spool; False if more is left. Raises as `_flush` does."""
        self._fill_open()
        if self._content.end < self._spool.written:
            self._flush(None)
            return False
        self._flush(reason)
        try:
            return self._spool.remove(self._confirmed)
        except SpoolError as error:
            self.last_error = str(error)
            return True

    def _drain(self, deadline: float) -> bool:
        """Put a backlog: the newest file of the journal first, and logs after everything else."""
        self._sequence = None
        self._begin_anew()
        end = self._spool.written
        spans = list(pairwise([*self._spool.files_after(self._confirmed), end]))
        log_bytes = 0
        for wanted in (_but_logs, _logs):
            for begin, stop in reversed(spans):
                position = begin
                while position < stop:
                    content = Content(position)
                    if not self._insist(deadline, partial(self._put_part, content, stop, wanted)):
                        return False
                    log_bytes += content.log_bytes
                    position = content.end
        self._confirmed, self._confirmed_log_bytes = end, log_bytes
        self._begin_anew()
        return True

    def _put_part(self, content: Content, stop: Position, wanted: Callable[[Record], bool]) -> bool:
        """Fill and put a part of a backlog. Raises StoreError, SpoolError."""
        self._fill(content, stop, wanted)
        if not content.empty:
            self._put(content, full=True, final=None)
        return True

    def _put(self, content: Content, *, full: bool, final: str | None) -> None:
        """Put it under the open number, which ends with a closed segment. Raises StoreError, SpoolError.

        What was put for good, as far as known, is held no longer; after a failure it is read again.
        """
        told = (self._spool.losses, self._spool.facts)
        name, closed, data = self._segment(content, told, full=full, final=final)
        if closed:
            content.let_go()
        self._asked = started = self._clock.monotonic()
        stored = False
        try:
            self._store.put(name.key, data)
            stored = True
        finally:
            self._asked = None
            if closed and not stored:
                content.restart()
        self.last_put_seconds = self._clock.monotonic() - started
        self.last_error = ""
        self.puts += 1
        self.stored_bytes += len(data)
        self._told = told
        self._schedule.stored(closed=closed)
        if closed:
            self._sequence = None

    def _segment(
        self, content: Content, told: tuple[dict[str, int], dict[str, str]], *, full: bool, final: str | None
    ) -> tuple[SegmentName, bool, bytes]:
        """The open number's name, whether this closes it, and the bytes. Raises SpoolError."""
        frames = content.frames()
        size = sum(len(frame.compressed) for frame in frames)
        closed = final is not None or self._schedule.closes(size, full=full)
        if self._sequence is None:
            self._sequence = self._spool.begin_sequence()
        name = SegmentName(self._spool.session, self._spool.node_id, self._spool.origin, self._sequence)
        facts = Facts(
            name=name,
            written_ms=int(self._clock.wall() * 1000),
            collector=self._collector,
            node=told[1],
            losses=told[0],
            marks=tuple(content.marks),
            closed=closed,
            final=final,
        )
        return name, closed, assemble(facts, frames)

    def _begin_anew(self) -> None:
        """The number has ended: drop what is confirmed; the next segment begins behind it."""
        try:
            self._confirmed = self._spool.store_until(self._confirmed, self._confirmed_log_bytes)
        except SpoolError as error:
            self.last_error = str(error)
        self._confirmed_log_bytes = 0
        self._content = Content(self._confirmed)


def _everything(_: Record) -> bool:
    return True


def _logs(record: Record) -> bool:
    return kind_of(record.stream) == "logs"


def _but_logs(record: Record) -> bool:
    return not _logs(record)
