"""One node's spool: what was accepted of its streams and is not yet in a closed segment."""

from __future__ import annotations

import contextlib
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import msgspec

from archive.compression import Buffer, Compressor
from archive.layout import Origin, SessionKey, checked_stream
from archive.losses import Loss
from archive.segment import MarkKind
from archive.segment.format import is_file
from sidecar.errors import SpoolFull, SpoolUnusable
from sidecar.spool.budget import Budget
from sidecar.spool.checkpoint import Checkpoint, CheckpointFile
from sidecar.spool.journal import Journal, Streams, told
from sidecar.spool.record import (
    COMPRESS_FROM,
    LARGEST_RECORD,
    JournalDamaged,
    Kind,
    MarkPayload,
    Position,
    Read,
    Source,
    encode,
    raw_bytes,
)

DISCARDED: Final = ".discarded"

_ENOUGH_TO_ROLL: Final = 64 << 10

_Result = TypeVar("_Result")


class Identity(NamedTuple):
    """Whose bytes a spool holds."""

    session: SessionKey
    node_id: str
    origin: Origin


class Batch(NamedTuple):
    """Verified records, and the position from which the next ones are to be asked for."""

    reads: list[Read]
    end: Position


class NodeSpool:
    """Thread-safe. Whatever a method was given is on the disk when it returns, and survives SIGKILL."""

    def __init__(
        self, folder: Path, identity: Identity, budget: Budget, log_room: int, wall: Callable[[], float]
    ) -> None:
        """Begins the origin or resumes it. Raises JournalDamaged, OSError."""
        self.session, self.node_id, self.origin = identity
        self.folder = folder
        self._budget = budget
        self._log_room = log_room
        self._wall = wall
        self._lock = threading.RLock()
        self._compressor = Compressor()
        self._successor: NodeSpool | None = None
        self._open = True
        self._removed = False
        self._log_bytes = 0
        self._newest_ms = 0
        self._damaged: set[int] = set()
        folder.mkdir(parents=True, exist_ok=True)
        self._file = CheckpointFile(folder / "checkpoint")
        self._journal = Journal(folder, budget)
        try:
            self._checkpoint = self._file.read() or self._first_checkpoint()
            self._streams: Streams = self._journal.recover(self._checkpoint.stored, self._resume)
        except BaseException:
            self.close()
            raise

    def append(self, stream: str, data: Buffer, *, source: Source | None = None) -> int:
        """Keep bytes at the stream's end and return the offset of the first.

        Raises SpoolFull, SpoolUnusable, NameInvalid: then nothing was kept.
        """
        with self._lock:
            if self._successor is not None:
                return self._successor.append(stream, data, source=source)
            return self._append(stream, data, source, within_budget=True)

    def mark(self, stream: str, kind: MarkKind, detail: str = "", size: int = 0) -> None:
        """Note something at the stream's end. Raises SpoolFull, SpoolUnusable, NameInvalid."""
        with self._lock:
            if self._successor is not None:
                self._successor.mark(stream, kind, detail, size)
                return
            payload = msgspec.msgpack.encode(MarkPayload(kind, detail, size))
            self._write_mark(checked_stream(stream), payload, within_budget=True)

    def count_loss(self, reason: str, amount: int = 1) -> None:
        """Add to what is known to be missing. Works on a full disk. Raises SpoolUnusable."""
        with self._lock:
            if self._successor is not None:
                self._successor.count_loss(reason, amount)
                return
            losses = {**self._checkpoint.losses, reason: self._checkpoint.losses.get(reason, 0) + amount}
            self._keep(msgspec.structs.replace(self._checkpoint, losses=losses))

    def set_facts(self, **facts: str) -> None:
        """Add node facts for the footers; the newest value of a name counts. Raises SpoolUnusable."""
        with self._lock:
            if self._successor is not None:
                self._successor.set_facts(**facts)
                return
            merged = {**self._checkpoint.facts, **facts}
            if merged != self._checkpoint.facts:
                self._keep(msgspec.structs.replace(self._checkpoint, facts=merged))

    def end(self, stream: str) -> int:
        """The offset that the stream's next byte will have."""
        with self._lock:
            return self._streams.ends.get(stream, 0)

    def sources(self) -> dict[str, Source]:
        """The newest source of each stream."""
        with self._lock:
            return dict(self._streams.sources)

    def room_for_logs(self) -> int:
        """Raw bytes that the tailer may append now, so that logs never take the room of events."""
        with self._lock:
            return max(0, min(self._log_room - self._log_bytes, self._budget.left_for_profile))

    # What follows is the flusher's.

    @property
    def facts(self) -> dict[str, str]:
        """Node facts for the footers."""
        return self._checkpoint.facts

    @property
    def losses(self) -> dict[str, int]:
        """What is missing, by reason, since the origin began."""
        return self._checkpoint.losses

    @property
    def stored(self) -> Position:
        """Everything before it is in closed segments."""
        return self._checkpoint.stored

    @property
    def written(self) -> Position:
        """Behind the last record."""
        with self._lock:
            return self._journal.end

    def reads(self, after: Position) -> Batch:
        """What came after a position, as far as its file goes. Damage is passed by, and counted once a file.

        Raises SpoolUnusable.
        """
        found: list[Read] = []
        with self._lock:
            end = self._journal.end_after(after)
            reads = self._read(after)
        # Outside the lock, since parsing a file of small records takes longer than a body may wait.
        try:
            found += reads
        except JournalDamaged:
            if after.file not in self._damaged:  # what could not be put is read again
                self._damaged.add(after.file)
                self.count_loss(Loss.JOURNAL_DAMAGED)
        return Batch(found, end)

    def files_after(self, position: Position) -> list[Position]:
        """Where the journal's files begin that hold what came after, oldest first."""
        with self._lock:
            return self._journal.begins_after(position)

    def oldest_ms(self, after: Position) -> int | None:
        """When the first record after a position was kept, in Unix milliseconds; None if nothing came.

        Raises SpoolUnusable.
        """
        with self._lock, contextlib.suppress(JournalDamaged):
            while after < self._journal.end:
                for read in self._read(after):
                    return read.record.time_ms
                after = self._journal.end_after(after)
        return None

    @property
    def newest_ms(self) -> int:
        """When an earlier life kept its last record, or began if it kept none, in Unix milliseconds."""
        return self._newest_ms or self.origin.started_ms

    def begin_sequence(self) -> int:
        """The next number, persisted as used. Raises SpoolUnusable."""
        with self._lock:
            sequence = self._checkpoint.sequence + 1
            self._keep(msgspec.structs.replace(self._checkpoint, sequence=sequence))
            return sequence

    def store_until(self, position: Position, log_bytes: int) -> Position:
        """Drop everything before `position`: it is stored for good, `log_bytes` of it logs.

        Returns the position where the rest begins. Raises SpoolUnusable.
        """
        with self._lock:
            self._log_bytes -= log_bytes
            if position == self._journal.end and position.place >= _ENOUGH_TO_ROLL:
                with contextlib.suppress(SpoolFull):
                    self._roll()
                    position = self._journal.end
            self._keep(msgspec.structs.replace(self._checkpoint, stored=position))
            self._guarded(lambda: self._journal.drop_before(position))
            return position

    def remove(self, stored: Position) -> bool:
        """Delete everything: the origin has ended. False, and nothing, if more came than is stored.

        Raises SpoolUnusable.
        """
        with self._lock:
            self._require_open()
            if self._journal.end > stored:
                return False
            self._removed = True
            self.close()
            self._guarded(lambda: discard(self.folder))
            return True

    @property
    def removed(self) -> bool:
        """Whether the origin has ended."""
        return self._removed

    def close(self) -> None:
        """Let go of the files; what they hold stays."""
        with self._lock:
            if self._open:
                self._open = False
                self._file.close()
                self._journal.close()

    def move_into(self, node: NodeSpool) -> None:
        """Append everything not yet stored to another spool, in order, and pass on whatever comes later.

        Raises SpoolFull, SpoolUnusable: then the rest waits on here.
        """
        with self._lock:
            reads = self._journal.readable(self.stored, lambda _: node.count_loss(Loss.JOURNAL_DAMAGED))
            node.take_over(reads, self.losses, lambda position: self.store_until(position, 0))
            self._successor = node
            # What a folder that can't be removed holds is moved once more after a restart.
            with contextlib.suppress(SpoolUnusable):
                self.remove(self.written)

    def take_over(
        self, reads: Iterable[Read], losses: Mapping[str, int], taken: Callable[[Position], object]
    ) -> None:
        """Append another spool's records; `taken` is told after each append how far that is.

        The budget is not asked: their bytes are on the disk already. Raises SpoolFull when the disk is full,
        SpoolUnusable.
        """
        pieces: list[bytes] = []
        with self._lock:
            for record, _, payload in self._reading(reads):
                self._newest_ms = max(self._newest_ms, record.time_ms)
                if record.kind is Kind.MARK:
                    self._write_mark(record.stream, payload, within_budget=False)
                else:
                    pieces.append(raw_bytes(record, payload))
                    if record.more:
                        continue
                    self._append(record.stream, b"".join(pieces), None, within_budget=False)
                    pieces.clear()
                taken(record.end)
            for reason, amount in losses.items():
                self.count_loss(reason, amount)

    def _append(self, stream: str, data: Buffer, source: Source | None, *, within_budget: bool) -> int:
        streams = self._streams
        if stream not in streams.ends:
            checked_stream(stream)
        start = streams.ends.get(stream, 0)
        encoded = b"" if source is None else msgspec.msgpack.encode(source)
        self._write(self._encoded(stream, start, data, encoded), stream, within_budget=within_budget)
        streams.ends[stream] = start + len(data)
        if source is not None:
            streams.sources[stream] = source
        if is_file(stream):
            self._log_bytes += len(data)
        return start

    def _first_checkpoint(self) -> Checkpoint:
        if self._journal.numbers:
            raise JournalDamaged("there is a journal but no checkpoint")
        checkpoint = Checkpoint()
        self._file.write(checkpoint)
        return checkpoint

    def _write_mark(self, stream: str, payload: bytes, *, within_budget: bool) -> None:
        record = encode(Kind.MARK, stream, self.end(stream), 0, payload, time_ms=self._time_ms())
        self._write(record, stream, within_budget=within_budget)

    def _encoded(self, stream: str, start: int, data: Buffer, source: bytes) -> bytes:
        time_ms = self._time_ms()
        pieces = []
        view = memoryview(data)
        for begin in range(0, max(1, len(view)), LARGEST_RECORD):
            piece = view[begin : begin + LARGEST_RECORD]
            last = begin + LARGEST_RECORD >= len(view)
            payload: Buffer = piece
            if len(piece) >= COMPRESS_FROM:
                payload = self._compressor.compress(piece)
                payload = payload if len(payload) < len(piece) else piece
            pieces.append(
                encode(
                    Kind.DATA,
                    stream,
                    start + begin,
                    len(piece),
                    payload,
                    time_ms=time_ms,
                    source=source if last else b"",
                    compressed=payload is not piece,
                    more=not last,
                )
            )
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _write(self, data: bytes, stream: str, *, within_budget: bool) -> None:
        self._require_open()
        if within_budget:
            self._budget.check(stream, len(data))
        if self._journal.rolls:
            self._roll()
        self._journal.append(data)

    def _roll(self) -> None:
        self._journal.roll(self._streams.encoded(self._time_ms()))

    def _keep(self, checkpoint: Checkpoint) -> None:
        self._require_open()
        self._guarded(lambda: self._file.write(checkpoint))
        self._checkpoint = checkpoint

    def _require_open(self) -> None:
        if not self._open:
            raise SpoolUnusable(f"the spool of node {self.node_id} was closed or has ended: nothing is kept")

    def _guarded(self, act: Callable[[], _Result]) -> _Result:
        try:
            return act()
        except OSError as error:
            raise told(self.folder, error) from error

    def _read(self, after: Position) -> Iterator[Read]:
        return self._guarded(lambda: self._journal.read(after))

    def _reading(self, reads: Iterable[Read]) -> Iterator[Read]:
        """What a journal reads, with its disk errors told as the spool's."""
        try:
            yield from reads
        except OSError as error:
            raise told(self.folder, error) from error

    def _time_ms(self) -> int:
        return int(self._wall() * 1000)

    def _resume(self, read: Read) -> None:
        record = read.record
        self._newest_ms = max(self._newest_ms, record.time_ms)
        if is_file(record.stream) and record.position >= self._checkpoint.stored:
            self._log_bytes += record.raw_length


def discard(folder: Path) -> None:
    """Remove an origin's folder, never by half: what is left of it when the process dies is no origin.

    Raises OSError.
    """
    gone = folder.with_name(folder.name + DISCARDED)
    folder.rename(gone)
    shutil.rmtree(gone)
