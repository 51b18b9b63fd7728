"""Reads back, from the archive, what the canary wrote: each byte once, in the order of `archive.stream`.

Only nodes of this machine's (or pod's) host name are looked at, and of them only what was stored since the
run began. Segments are let go once they are closed and looked through, so a look costs what is new.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

import msgspec

from archive.canary import CANARY_EVENT
from archive.errors import FormatError, NameInvalid, ObjectChanged, ObjectMissing
from archive.layout import Origin, SegmentName, SessionKey, segments_prefix
from archive.losses import Loss, dropped
from archive.segment import fetch_footer
from archive.store.base import ObjectInfo, Store
from archive.stream import Damage, Extents, Reader, Segment, extents
from historyserver.canary.message import Kind, Message, parse
from historyserver.canary.trail import Found, Trail

_EVENTS: Final = "events"
_EVENT_MARK: Final = CANARY_EVENT.encode()
_GAPS: Final = frozenset({"gap", "truncated"})
_FIRST_SUFFIX: Final = 8 << 10
_WINDOW: Final = 64
"""How many closed segments of an origin may wait for the rest of a line."""
_ORIGINS: Final = 2
"""How many of a node's origins are followed, the newest: what an older one still stores is not seen."""
_LINE_BYTES: Final = 100
_LOG_BYTES_LOST: Final = (Loss.LOGS_UNREAD, Loss.LOGS_DELETED, Loss.LOGS_CUT)


class Sink(Protocol):
    """Takes what is found, as it is found."""

    def found(self, kind: Kind, found: Found) -> None:
        """A message, or what should have been one."""
        ...

    def lost(self, kind: Kind, amount: int) -> None:
        """So many may be missing by the collector's own count."""
        ...

    def damaged(self, sentence: str) -> None:
        """A segment can't be read; what was in it is not there."""
        ...


@dataclass(frozen=True, slots=True)
class Sought:
    """What is looked for. `log`: the stream of the canary's log. `began_ms`: Unix milliseconds."""

    session: SessionKey
    log: str
    run: str
    began_ms: int

    @property
    def streams(self) -> Mapping[Kind, str]:
        return {Kind.LINES: self.log, Kind.EVENTS: _EVENTS}


class Reading(Protocol):
    """Where what was written is looked for."""

    @property
    def kinds(self) -> frozenset[Kind]:
        """What can be found there."""
        ...

    @property
    def trouble(self) -> str:
        """Why nothing is found, if that can be told."""
        ...

    def look(self, sink: Sink) -> None:
        """Tells what is new. Raises StoreError: what was not told by then, the next look tells."""
        ...


class ArchiveReading:
    """Of one run. Not thread-safe."""

    kinds = frozenset(Kind)

    def __init__(self, store: Store, sought: Sought) -> None:
        self._store = store
        self._sought = sought
        self._nodes: dict[str, _Node | None] = {}

    def look(self, sink: Sink) -> None:
        for node_id in self._store.list_folders(segments_prefix(self._sought.session)):
            if node_id not in self._nodes:
                self._meet(node_id)
            if (node := self._nodes.get(node_id)) is not None:
                node.look(sink)
        for kind in Kind:
            sink.lost(kind, sum(node.lost(kind) for node in self._nodes.values() if node is not None))

    @property
    def trouble(self) -> str:
        if not self._nodes or any(self._nodes.values()):
            return ""
        return f"none of the session's {len(self._nodes)} nodes has this host's name, {socket.gethostname()}"

    def _meet(self, node_id: str) -> None:
        """Finds out whether a node is one of ours, unless that can't be told yet."""
        infos = [
            info for info in self._store.list(segments_prefix(self._sought.session, node_id)) if _named(info)
        ]
        newest = _read(self._store, infos[-1]) if infos else None
        if newest is None:
            return
        ours = newest.footer.facts.node.get("hostname") == socket.gethostname()
        self._nodes[node_id] = self._node(node_id, infos) if ours else None

    def _node(self, node_id: str, infos: list[ObjectInfo]) -> _Node:
        """A node, from behind what was closed before the run began."""
        node = _Node(self._store, self._sought, node_id)
        for info in reversed(infos):
            segment = _read(self._store, info)
            if segment is not None and segment.footer.facts.written_ms < self._sought.began_ms:
                node.begin_behind(segment)
                break
        return node


class _Node:
    """What is known of one node."""

    def __init__(self, store: Store, sought: Sought, node_id: str) -> None:
        self._store = store
        self._sought = sought
        self._prefix = segments_prefix(sought.session, node_id)
        self._done: dict[Origin, str] = {}
        """The key of each origin's last segment that is done with."""
        self._open: dict[str, Segment] = {}
        self._unreadable: set[str] = set()
        self._trails: dict[tuple[Origin, Kind], Trail] = {}
        self._losses: dict[Origin, Mapping[str, int]] = {}
        self._losses_before: dict[Origin, Mapping[str, int]] = {}

    def begin_behind(self, segment: Segment) -> None:
        facts = segment.footer.facts
        self._losses_before[facts.name.origin] = facts.losses
        if facts.closed:
            self._done[facts.name.origin] = segment.info.key

    def look(self, sink: Sink) -> None:
        """Raises StoreError."""
        window: list[Segment] = []
        waiting: set[Origin] = set()
        for name, info in self._listed():
            segment = self._segment(info, sink)
            if segment is not None:
                window.append(segment)
                self._losses[name.origin] = segment.footer.facts.losses
            elif info.key not in self._unreadable:
                waiting.add(name.origin)
        reader = Reader(self._store)
        # An open segment that was put again meanwhile is read at the next look.
        with contextlib.suppress(ObjectChanged):
            for kind, stream in self._sought.streams.items():
                for origin, extent in extents(stream, window):
                    trail = self._trails.setdefault((origin, kind), self._trail(kind))
                    trail.marked |= _marked(stream, origin, window)
                    _follow(reader, extent, trail, kind, sink)
        self._let_go(window, waiting)

    def _trail(self, kind: Kind) -> Trail:
        return Trail(partial(_READ[kind], self._sought.run), whole=kind is Kind.EVENTS)

    def lost(self, kind: Kind) -> int:
        """How many messages the collector may have counted as lost since the run began."""
        lost = 0
        for origin, losses in self._losses.items():
            before = self._losses_before.get(origin, {})

            def since(reason: str, now: Mapping[str, int] = losses, then: Mapping[str, int] = before) -> int:
                return now.get(reason, 0) - then.get(reason, 0)

            if kind is Kind.EVENTS:
                lost += since(dropped(_EVENTS)) + since(Loss.JOURNAL_DAMAGED)
            else:
                lost += -(-sum(map(since, _LOG_BYTES_LOST)) // _LINE_BYTES)
        return lost

    def _listed(self) -> list[tuple[SegmentName, ObjectInfo]]:
        """Segments that are not done with."""
        followed = sorted(self._done)[-_ORIGINS:]
        since = min((self._done[origin] for origin in followed), default="")
        found = []
        for info in self._store.list(self._prefix, after=since):
            name = _named(info)
            if name is not None and info.key > self._done.get(name.origin, ""):
                found.append((name, info))
        return found

    def _segment(self, info: ObjectInfo, sink: Sink) -> Segment | None:
        known = self._open.get(info.key)
        if known is None or known.info != info:
            if info.key in self._unreadable:
                return None
            try:
                known = _fetched(self._store, info)
            except FormatError as error:
                self._unreadable.add(info.key)
                sink.damaged(f"{info.key} can't be read: {error}")
                return None
            if known is not None:
                self._open[info.key] = known
        return known

    def _let_go(self, window: list[Segment], stuck: set[Origin]) -> None:
        """Of closed segments those that were looked through, from each origin's first on.

        `stuck`: origins that have a segment which could not be read just now.
        """
        for place, segment in enumerate(window):
            name, origin = segment.footer.facts.name, segment.footer.facts.name.origin
            through = segment.footer.facts.closed and self._is_through(segment)
            if origin in stuck or not (through or len(window) - place > _WINDOW):
                stuck.add(origin)
                continue
            self._done[origin] = name.key
            self._open.pop(name.key, None)

    def _is_through(self, segment: Segment) -> bool:
        kinds = {stream: kind for kind, stream in self._sought.streams.items()}
        origin = segment.footer.facts.name.origin
        return all(
            (trail := self._trails.get((origin, kinds[entry.stream]))) and trail.has(entry.start, entry.end)
            for entry in segment.footer.frames
            if entry.stream in kinds and entry.raw_length
        )


def _follow(reader: Reader, extent: Extents, trail: Trail, kind: Kind, sink: Sink) -> None:
    """Looks at what is new in an extent. Raises StoreError."""
    pieces = [(piece.offset, piece.end) for piece in extent.pieces]
    looked_at = -1
    while trail.looked_at > looked_at:
        looked_at = trail.looked_at
        for start, stop in list(trail.unread(pieces)):
            broken: list[Damage] = []
            read = reader.read(extent, start, stop - start, damaged=broken.append)
            for found in trail.take(start, _adjacent(start, read)):
                sink.found(kind, found)
            for damage in broken:
                sink.damaged(f"{kind}: {damage.detail}")
                trail.skip(damage.offset, damage.offset + damage.size)


def _adjacent(start: int, read: Iterable[tuple[int, bytes]]) -> Iterator[bytes]:
    """What is read from `start` on, up to the first byte that can't be."""
    for offset, data in read:
        if offset != start:
            return
        yield data
        start += len(data)


def _marked(stream: str, origin: Origin, window: list[Segment]) -> set[int]:
    return {
        mark.offset
        for segment in window
        if segment.footer.facts.name.origin == origin
        for mark in segment.footer.facts.marks
        if mark.stream == stream and mark.kind in _GAPS
    }


def _named(info: ObjectInfo) -> SegmentName | None:
    with contextlib.suppress(NameInvalid):
        return SegmentName.parse(info.key)
    return None


def _read(store: Store, info: ObjectInfo) -> Segment | None:
    """The segment's footer; None where it can't be read, or not just now."""
    with contextlib.suppress(FormatError):
        return _fetched(store, info)
    return None


def _fetched(store: Store, info: ObjectInfo) -> Segment | None:
    """None if it was put again, or removed, since it was listed. Raises FormatError."""
    with contextlib.suppress(ObjectChanged, ObjectMissing):
        return Segment(info, fetch_footer(store, info, first=_FIRST_SUFFIX))
    return None


class _Event(msgspec.Struct):
    event_type: str = msgspec.field(default="", name="eventType")
    message: str = ""


def read_line(run: str, line: bytes) -> Message | bool:
    """Every line of the canary's log is a message."""
    return _of_run(line.decode("utf-8", "replace"), Kind.LINES, run)


def _read_event(run: str, line: bytes) -> Message | bool:
    """Among Ray's events are the canary's, and those of other runs."""
    if _EVENT_MARK not in line:
        return True
    try:
        event = msgspec.json.decode(line, type=_Event)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    if event.event_type != CANARY_EVENT:
        return True
    return _of_run(event.message, Kind.EVENTS, run)


_READ: Final = {Kind.LINES: read_line, Kind.EVENTS: _read_event}


def _of_run(text: str, kind: Kind, run: str) -> Message | bool:
    message = parse(text)
    if message is None or message.kind is not kind:
        return False
    return message if message.run == run else True
