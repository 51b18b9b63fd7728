"""The journal's files of one origin: append, roll, read, drop, recover. The format is in record.py."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from sidecar.errors import SpoolError, SpoolFull, SpoolUnusable
from sidecar.spool.budget import Budget
from sidecar.spool.record import (
    VERSION,
    JournalDamaged,
    JournalTorn,
    Kind,
    Position,
    Read,
    Source,
    State,
    encode,
    records,
)

_ROLL_SIZE: Final = 4 << 20
_PATTERN: Final = "journal-*.log"
NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(slots=True)
class Streams:
    """Each stream's end and newest source: what a state says, kept up to date."""

    ends: dict[str, int] = field(default_factory=dict)
    sources: dict[str, Source] = field(default_factory=dict)

    def apply(self, read: Read) -> None:
        """Take in one record. Raises JournalDamaged if it doesn't follow."""
        record = read.record
        if record.kind is not Kind.DATA:
            return
        if record.start != self.ends.get(record.stream, 0):
            raise JournalDamaged(f"the record at byte {record.position.place} doesn't follow its stream")
        self.ends[record.stream] = record.start + record.raw_length
        if read.source:
            self.sources[record.stream] = msgspec.msgpack.decode(read.source, type=Source)

    def encoded(self, time_ms: int) -> bytes:
        """The record that a file begins with."""
        payload = msgspec.msgpack.encode(State(VERSION, self.ends, self.sources))
        return encode(Kind.STATE, "", 0, len(payload), payload, time_ms=time_ms)


class Journal:
    """The files below `folder`. Not thread-safe but for reading what was written before.

    `budget` counts their bytes. Disk errors of writing become SpoolFull or SpoolUnusable, and leave nothing.
    """

    def __init__(self, folder: Path, budget: Budget) -> None:
        self._folder = folder
        self._budget = budget
        self._sizes = {number: path.stat().st_size for number, path in _files(folder)}
        budget.take(sum(self._sizes.values()))
        self._descriptor = -1
        self._torn = False

    @property
    def end(self) -> Position:
        """Where the next record will be."""
        number = max(self._sizes, default=0)
        return Position(number, self._sizes.get(number, 0))

    def recover(self, stored: Position, seen: Callable[[Read], None]) -> Streams:
        """Verify everything, cut a torn tail off, tell each record, and return where the streams stand.

        `stored`: what the checkpoint says; a journal that ends before it lost something.

        Raises JournalDamaged, OSError.
        """
        streams = Streams()
        numbers = sorted(self._sizes)
        for expected, number in enumerate(numbers, numbers[0] if numbers else 0):
            if number != expected:
                raise JournalDamaged(f"a file before journal {number} is gone")
            whole = 0
            group: list[Read] = []
            try:
                for read in self._file(number):
                    group.append(read)
                    if not read.record.more:
                        _apply(streams, group, first=number == numbers[0])
                        for one in group:
                            seen(one)
                        group.clear()
                        whole = read.record.end.place
            except JournalTorn as torn:
                if number != numbers[-1]:
                    raise JournalDamaged(f"journal {number}: {torn}") from torn
            if whole < self._sizes[number] or (whole == 0 and number == numbers[-1]):
                self._cut(number, whole)
        if stored > self.end:
            raise JournalDamaged("the checkpoint is ahead of the journal")
        return streams

    def append(self, data: bytes) -> None:
        """Write whole records at the end, by one `write`. Raises SpoolFull, SpoolUnusable."""
        number, place = self.end
        try:
            if self._descriptor < 0:
                # A file that a failed roll left behind begins anew.
                flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | (0 if place else os.O_TRUNC)
                self._descriptor = os.open(self.path(number), flags, 0o600)
            if self._torn:
                os.ftruncate(self._descriptor, place)
            self._torn = True
            written = os.write(self._descriptor, data)
            if written < len(data):
                os.ftruncate(self._descriptor, place)
            self._torn = False
        except OSError as error:
            raise told(self._folder, error) from error
        if written < len(data):
            raise _full(self._folder)
        self._sizes[number] = place + written
        self._budget.take(written)

    @property
    def rolls(self) -> bool:
        """Whether the last file is long enough, or there is none yet."""
        return not self._sizes or self.end.place >= _ROLL_SIZE

    def roll(self, state: bytes) -> None:
        """Begin the next file with this record. Raises SpoolFull, SpoolUnusable; then the old one goes on."""
        number = self.end.file + 1
        old, torn = self._descriptor, self._torn
        self._descriptor, self._torn = -1, False
        self._sizes[number] = 0
        try:
            self.append(state)
        except SpoolError:
            self._forget(number)
            if self._descriptor >= 0:
                os.close(self._descriptor)
            self._descriptor, self._torn = old, torn
            raise
        if old >= 0:
            os.close(old)

    def end_after(self, after: Position) -> Position:
        """Where `read` from there ends: the next file's begin, or the journal's end."""
        number, place = self._begin(after)
        if number < self.end.file:
            return Position(number + 1, 0)
        return Position(number, max(place, self._sizes.get(number, 0)))

    def read(self, after: Position) -> Iterator[Read]:
        """The records from `after` to the end of its file; its bytes are read at once, and parsed when asked.

        Raises OSError; the iterator raises JournalDamaged.
        """
        begin = self._begin(after)
        size = self._sizes.get(begin.file, 0) - begin.place
        return _parsed(self._bytes(begin.file, begin.place, size), begin)

    def readable(self, after: Position, damaged: Callable[[int], None]) -> Iterator[Read]:
        """Whatever can be read from `after` on, whole appends only; `damaged` is told the files with more.

        Raises OSError.
        """
        for number in self.numbers:
            place = after.place if number == after.file else 0
            if number < after.file or place >= self._sizes[number]:
                continue
            group: list[Read] = []
            try:
                for read in records(
                    self._bytes(number, place, self._sizes[number] - place), Position(number, place)
                ):
                    group.append(read)
                    if not read.record.more:
                        yield from (one for one in group if one.record.kind is not Kind.STATE)
                        group.clear()
            except JournalTorn:
                if number != self.end.file:
                    damaged(number)
            except JournalDamaged:
                damaged(number)

    def drop_before(self, position: Position) -> None:
        """Remove files that end before `position`, but never the last one. Raises OSError."""
        for number in sorted(self._sizes):
            if number >= min(position.file, self.end.file):
                return
            self.path(number).unlink(missing_ok=True)
            self._forget(number)

    def path(self, number: int) -> Path:
        """The file of this number."""
        return self._folder / f"journal-{number:08d}.log"

    @property
    def numbers(self) -> list[int]:
        """The files there are, oldest first."""
        return sorted(self._sizes)

    def begins_after(self, position: Position) -> list[Position]:
        """Where the files begin that hold what came after, oldest first; the first from within, maybe."""
        begin = self._begin(position)
        return [begin, *(Position(number, 0) for number in self.numbers if number > begin.file)]

    def close(self) -> None:
        """Give the descriptor and the budget back; the files stay."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._budget.take(-sum(self._sizes.values()))
        self._sizes.clear()

    def _begin(self, after: Position) -> Position:
        return max(after, Position(min(self._sizes, default=0), 0))

    def _file(self, number: int) -> Iterator[Read]:
        return records(self._bytes(number, 0, self._sizes[number]), Position(number, 0))

    def _bytes(self, number: int, place: int, size: int) -> bytes:
        if size <= 0:
            return b""
        try:
            with self.path(number).open("rb", buffering=0) as file:
                file.seek(place)
                return file.read(size)
        except IsADirectoryError as error:
            raise JournalDamaged(f"there is a folder in the place of journal {number}") from error

    def _cut(self, number: int, place: int) -> None:
        if place:
            os.truncate(self.path(number), place)
            self._budget.take(place - self._sizes[number])
            self._sizes[number] = place
        else:
            self.path(number).unlink()
            self._forget(number)

    def _forget(self, number: int) -> None:
        self._budget.take(-self._sizes.pop(number))


def told(folder: Path, error: OSError) -> SpoolError:
    """A disk error of the spool as what it means."""
    if error.errno in NO_ROOM:
        return _full(folder)
    return SpoolUnusable(
        f"the spool {str(folder)!r} can't be used: {error.strerror}; give this process a writable folder"
    )


def _full(folder: Path) -> SpoolFull:
    return SpoolFull(f"the disk of the spool {str(folder)!r} is full: free some of it, or use another folder")


def _parsed(data: bytes, begin: Position) -> Iterator[Read]:
    try:
        for read in records(data, begin):
            if read.record.kind is not Kind.STATE:
                yield read
    except JournalTorn as torn:
        raise JournalDamaged(f"journal {begin.file}: {torn}") from torn


def _apply(streams: Streams, group: list[Read], *, first: bool) -> None:
    head = group[0].record
    if (head.position.place == 0) != (head.kind is Kind.STATE):
        raise JournalDamaged(f"journal {head.position.file} doesn't begin with a state")
    if head.kind is Kind.STATE:
        try:
            state = msgspec.msgpack.decode(group[0].payload, type=State)
        except msgspec.DecodeError as error:
            raise JournalDamaged(f"the state of journal {head.position.file} can't be read") from error
        if state.version != VERSION:
            raise JournalDamaged(f"the journal is of version {state.version}, not {VERSION}")
        if first:
            streams.ends, streams.sources = state.ends, state.sources
        elif state.ends != streams.ends:
            raise JournalDamaged(f"journal {head.position.file} doesn't follow the one before")
        return
    for read in group:
        streams.apply(read)


def _files(folder: Path) -> list[tuple[int, Path]]:
    numbered = ((path.stem.removeprefix("journal-"), path) for path in folder.glob(_PATTERN))
    return sorted((int(number), path) for number, path in numbered if number.isdecimal())
