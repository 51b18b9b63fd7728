"""One run: a few segments of one session, or lines joined from the edges of runs, folded into Parquet files.

Runs are what fold processes work on, side by side and in any order. A damaged segment is told and left out;
the others fold.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from archive.errors import (
    FormatError,
    ObjectChanged,
    ObjectMissing,
    SegmentDamaged,
    SuffixTooShort,
    TransientStoreError,
)
from archive.layout import SegmentName
from archive.segment import Facts, Footer, FrameEntry, footer_of, read_frame
from archive.store.base import ObjectInfo, Store
from server.fold.attempts import MOST_ROWS, Attempts
from server.fold.batch import Batch, Gathered
from server.fold.cluster_events import observe_cluster_events
from server.fold.exports import observe_exports
from server.fold.lines import Fragment, LineStream, numbered
from server.fold.observe import observe_events
from server.fold.part import PartWriter
from server.fold.polls import observe_polls
from server.fold.stats import observe_stats

WHOLE: Final = 2 << 20
"""Segments up to this size are read at once; of larger ones, the end, and then the frames that are folded."""
AHEAD: Final = 16
AHEAD_BYTES: Final = 6 << 20
"""How many segments are read ahead at most, and how many bytes of them."""
ALIGNED: Final = frozenset({"events", "events.profile", "polls", "stats"})
"""Streams of which every segment begins and ends with a line."""

StreamKey = tuple[str, str, str]
"""Node id, origin, stream."""

_Read = tuple[Footer, list[tuple[FrameEntry, bytes]]] | FormatError | None
"""A segment's footer and the frames that are folded, or why there are none; None when it is gone."""


@dataclass(frozen=True, slots=True)
class Run:
    """`segments` in order of node, origin and sequence, and `lines` of earlier runs' edges."""

    store: Store
    segments: tuple[ObjectInfo, ...]
    lines: tuple[tuple[StreamKey, Fragment], ...]
    folder: Path
    prefix: str


@dataclass(frozen=True, slots=True)
class SegmentRead:
    """What became of one segment: its facts, or the sentence that says why there are none.

    `gone`: it was removed or put again after the listing, so it is left to the next fold.
    """

    info: ObjectInfo
    facts: Facts | None
    damage: str = ""
    gone: bool = False


@dataclass(slots=True)
class RunResult:
    """`edges`: fragments of every stream; `lasting`: those without what segments still open brought."""

    files: list[tuple[str, Path]] = field(default_factory=list)
    segments: list[SegmentRead] = field(default_factory=list)
    edges: dict[StreamKey, list[Fragment]] = field(default_factory=dict)
    lasting: dict[StreamKey, list[Fragment]] = field(default_factory=dict)


def folded(stream: str) -> bool:
    """Whether a stream holds observations; other logs are only ever read as logs."""
    return (
        stream in ALIGNED
        or stream.startswith("exports/")
        or (stream.startswith("logs/events/event_") and stream.endswith(".log"))
    )


class Fold:
    """Folds one run; `segment_by_segment` does the work and tells each segment that is done."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._writer = PartWriter(run.folder, run.prefix)
        self._attempts = Attempts()
        self._streams: dict[StreamKey, LineStream] = {}
        self._lasting: dict[StreamKey, list[Fragment]] = {}
        self.result = RunResult()

    def segment_by_segment(self) -> Iterator[SegmentRead]:
        """Reads ahead a little, so that the store's latency and the decoding overlap."""
        self._fold_joined()
        with ThreadPoolExecutor(AHEAD) as pool:
            for info, reading in self._ahead(pool):
                read = self._fold_segment(info, reading.result())
                self.result.segments.append(read)
                yield read
        self._finish_attempts()
        self.result.files = self._writer.close()
        self.result.edges = {key: stream.fragments() for key, stream in self._streams.items()}
        self.result.lasting = self.result.edges | self._lasting

    def _ahead(self, pool: ThreadPoolExecutor) -> Iterator[tuple[ObjectInfo, Future[_Read]]]:
        """Each segment with its reading, which began some segments before."""
        reading: deque[tuple[ObjectInfo, Future[_Read]]] = deque()
        size = 0
        for info in self._run.segments:
            while reading and (len(reading) >= AHEAD or size + min(info.size, WHOLE) > AHEAD_BYTES):
                size -= min(reading[0][0].size, WHOLE)
                yield reading.popleft()
            reading.append((info, pool.submit(self._read, info)))
            size += min(info.size, WHOLE)
        yield from reading

    def _read(self, info: ObjectInfo) -> _Read:
        """Footer and the frames that are folded; None when the segment is gone or was put again."""
        for attempt in range(3):
            try:
                return read_segment(self._run.store, info)
            except FormatError as damage:
                return damage
            except TransientStoreError:
                if attempt == 2:
                    raise
            except (ObjectMissing, ObjectChanged):
                return None
        return None

    def _fold_segment(self, info: ObjectInfo, read: _Read) -> SegmentRead:
        if read is None:
            return SegmentRead(info, None, gone=True)
        if isinstance(read, FormatError):
            return SegmentRead(info, None, str(read))
        footer, frames = read
        facts = footer.facts
        name = facts.name
        if not facts.closed:
            self._lasting |= {
                key: stream.fragments()
                for key, stream in self._streams.items()
                if key[:2] == (name.node_id, str(name.origin))
            }
        damage = ""
        gathered = Gathered()
        begun: set[str] = set()
        for entry, compressed in frames:
            try:
                data = read_frame(entry, compressed)
            except FormatError as error:
                damage = str(error)
                continue
            first = entry.stream in ALIGNED and entry.stream not in begun
            begun.add(entry.stream)
            self._observe(name, entry, data, gathered, begins=first)
        if not facts.closed:
            fresh = (key for key in self._streams if key not in self._lasting)
            self._lasting |= {key: [] for key in fresh if key[:2] == (name.node_id, str(name.origin))}
        self._write(gathered, name.node_id, str(name.origin), f"{name.origin}-{name.sequence:08d}")
        return SegmentRead(info, facts, damage)

    def _observe(
        self, name: SegmentName, entry: FrameEntry, data: bytes, gathered: Gathered, *, begins: bool
    ) -> None:
        key = (name.node_id, str(name.origin), entry.stream)
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = LineStream()
        start, lines = stream.feed(entry.start, data, begins=begins)
        self._take(entry.stream, start, lines, gathered)

    def _fold_joined(self) -> None:
        for (node_id, origin, stream), fragment in self._run.lines:
            gathered = Gathered()
            self._take(stream, fragment.start, fragment.data, gathered)
            self._write(gathered, node_id, origin, f"{origin}-{stream}@{fragment.start}")

    def _take(self, stream: str, start: int, lines: bytes, gathered: Gathered) -> None:
        batch = observe(stream, start, lines, self._attempts, gathered)
        if batch is not None:
            self._writer.add(batch)
        if len(self._attempts) >= MOST_ROWS:
            self._take_attempts(gathered)

    def _take_attempts(self, gathered: Gathered) -> None:
        batch = self._attempts.taken(gathered)
        if batch is not None:
            self._writer.add(batch)

    def _finish_attempts(self) -> None:
        gathered = Gathered()
        self._take_attempts(gathered)
        if gathered.faults:
            first = SegmentName.parse(self._run.segments[0].key) if self._run.segments else None
            node_id, origin = (first.node_id, str(first.origin)) if first else ("-", "-")
            self._write(gathered, node_id, origin, f"{self._run.prefix} of {origin}")

    def _write(self, gathered: Gathered, node_id: str, origin: str, source: str) -> None:
        for (reason, detail), amount in gathered.faults.items():
            gathered.add(
                "completeness",
                {
                    "node_id": node_id,
                    "origin": origin,
                    "source": source,
                    "reason": reason,
                    "detail": detail[:200] or "-",
                    "amount": amount,
                },
            )
        for table, rows in gathered.rows.items():
            self._writer.add_rows(table, rows)


def observe(stream: str, start: int, lines: bytes, attempts: Attempts, gathered: Gathered) -> Batch | None:
    """What whole lines of one stream say: tasks into `attempts`, the rest into `gathered` or a batch."""
    if not lines:
        return None
    if stream.startswith("events"):
        return observe_events(lines, attempts, gathered)
    if stream.startswith("exports/"):
        return observe_exports(numbered(start, lines), attempts, gathered)
    if stream == "polls":
        observe_polls(numbered(start, lines), gathered)
    elif stream == "stats":
        observe_stats(numbered(start, lines), gathered)
    else:
        observe_cluster_events(numbered(start, lines), gathered)
    return None


def read_segment(store: Store, info: ObjectInfo) -> tuple[Footer, list[tuple[FrameEntry, bytes]]]:
    """A segment's footer and its folded frames, still compressed.

    Raises FormatError for a damaged one or another's, StoreError (ObjectChanged when it was put again after
    the listing).
    """
    length = min(info.size, WHOLE)
    while True:
        suffix = store.get_suffix(info.key, length, if_match=info.etag)
        try:
            footer = footer_of(suffix.data, suffix.info.size)
            break
        except SuffixTooShort as short:
            if length >= short.needed:
                raise
            length = short.needed
    if footer.facts.name.key != info.key:
        raise SegmentDamaged(f"it holds the segment {footer.facts.name.key!r}")
    frames: list[tuple[FrameEntry, bytes]] = []
    for entry in footer.frames:
        if not folded(entry.stream):
            continue
        place = entry.place - suffix.start
        if place >= 0:
            frames.append((entry, suffix.data[place : place + entry.size]))
        else:
            piece = store.get(info.key, start=entry.place, length=entry.size, if_match=info.etag)
            frames.append((entry, piece.data))
    return footer, frames
