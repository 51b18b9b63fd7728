"""The logs of sessions: nodes and their logs, kept for the sessions that somebody looks at. Thread-safe."""

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from archive.errors import NameInvalid, ObjectChanged, ObjectMissing, TransientStoreError
from archive.layout import SegmentName, SessionKey, segments_prefix
from archive.store.base import Store
from server.logs.footers import Indexed, NodeFooters
from server.logs.listing import stream_of
from server.logs.node import NodeLogs
from server.logs.reading import LogReader

_KEPT_SESSIONS: Final = 32
_KEPT_FRAMES: Final = 500_000
"""How many frames the footers of all kept sessions name: about 128 MiB. The session asked for last stays."""
_READERS: Final = 16
_FRESH_SECONDS: Final = 1.0
_TRIES: Final = 4


class SessionLogs:
    """One session's nodes and logs, at most a second old. Methods raise StoreError."""

    def __init__(self, store: Store, key: SessionKey, readers: ThreadPoolExecutor) -> None:
        self._store = store
        self._key = key
        self._readers = readers
        self._lock = threading.Lock()
        self._footers: dict[str, NodeFooters] = {}
        self._nodes: dict[str, tuple[float, Mapping[SegmentName, Indexed], NodeLogs]] = {}

    def nodes(self) -> list[NodeLogs]:
        """All nodes of which there are segments; a stand-in is told with the node it stood in for."""
        names = list(self._store.list_folders(segments_prefix(self._key)))
        found = [node for name in names if (node := self._own(name)) is not None]
        stand_ins = {node.facts.get("stands_in_for", "") for node in found}
        return [self._with_stand_in(node) for node in found if node.node_id not in stand_ins]

    def node(self, node_id: str) -> NodeLogs | None:
        """One node's logs; None if the archive holds nothing of it."""
        node = self._own(node_id)
        return None if node is None else self._with_stand_in(node)

    def node_of_ip(self, node_ip: str) -> str | None:
        """The node with that address; the one seen last if several had it one after the other."""
        found = [node for node in self.nodes() if node.facts.get("node_ip") == node_ip]
        return max(found, key=lambda node: node.seen_ms).node_id if found else None

    def reader(self, node_id: str, path: str) -> LogReader | None:
        """A log, ready to be read; None if there is no such log."""
        for _ in range(_TRIES):
            node = self.node(node_id)
            holders = node.holders(path) if node is not None else []
            if node is None or not holders:
                return None
            try:
                return LogReader(self._store, stream_of(path), holders, node.torn)
            except ObjectChanged:  # two origins were compared, and one of them was put again
                self._forget(node_id)
        raise TransientStoreError(f"the log {path!r} is written faster than it can be read")

    def last_lines(self, node_id: str, path: str, lines: int, span: tuple[int, int]) -> int:
        """Where the last `lines` lines of the bytes `span` of a log begin."""
        for _ in range(_TRIES):
            reader = self.reader(node_id, path)
            if reader is None:
                break
            try:
                return reader.last_lines(lines, *span)
            except ObjectChanged:
                self._forget(node_id)
        return span[0]

    def read(self, node_id: str, path: str, start: int, end: int) -> Iterator[bytes]:
        """The bytes [start, end) of a log, in pieces; a segment that is put again meanwhile is met calmly."""
        place, tries = start, _TRIES
        while True:
            reader = self.reader(node_id, path)
            if reader is None:
                raise ObjectMissing(f"the log {path!r} was deleted while it was read")
            try:
                for behind, piece in reader.parts(place, end):
                    yield piece
                    place, tries = behind, _TRIES
            except ObjectChanged:
                tries -= 1
                if not tries:
                    raise
                self._forget(node_id)
            else:
                return

    @property
    def frames(self) -> int:
        """How many frames the footers that are known name."""
        with self._lock:
            return sum(footers.frames for footers in self._footers.values())

    def _forget(self, node_id: str) -> None:
        with self._lock:
            self._nodes.pop(node_id, None)

    def _own(self, node_id: str) -> NodeLogs | None:
        with self._lock:
            known = self._nodes.get(node_id)
            if known is not None and time.monotonic() - known[0] < _FRESH_SECONDS:
                return known[2]
            try:
                footers = self._footers.get(node_id) or NodeFooters(
                    self._store, self._key, node_id, self._readers
                )
            except NameInvalid:
                return None
        segments = footers.refresh()
        fresh = known[2] if known and known[1] is segments else NodeLogs(node_id, segments.values())
        if not fresh.segments:
            return None
        with self._lock:
            self._footers[node_id] = footers
            self._nodes[node_id] = (time.monotonic(), segments, fresh)
        return fresh

    def _with_stand_in(self, node: NodeLogs) -> NodeLogs:
        """A node together with what was kept under a stand-in's id before the node's own was known."""
        stand_in = self._own(node.facts.get("stands_in_for", ""))
        return node if stand_in is None else node.joined_with(stand_in)


class LogShelf:
    """The logs of the sessions looked at last."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="footers")
        self._lock = threading.Lock()
        self._kept: OrderedDict[SessionKey, SessionLogs] = OrderedDict()

    def logs(self, key: SessionKey) -> SessionLogs:
        """One session's logs; nothing is read yet."""
        with self._lock:
            logs = self._kept.pop(key, None) or SessionLogs(self._store, key, self._readers)
            self._kept[key] = logs
            frames = sum(one.frames for one in self._kept.values())
            while len(self._kept) > 1 and (len(self._kept) > _KEPT_SESSIONS or frames > _KEPT_FRAMES):
                _, oldest = self._kept.popitem(last=False)
                frames -= oldest.frames
            return logs

    def forget(self, key: SessionKey) -> None:
        """Let go of a session that the archive holds no longer."""
        with self._lock:
            self._kept.pop(key, None)

    def close(self) -> None:
        """Let go of the readers' threads."""
        self._readers.shutdown(wait=False, cancel_futures=True)
