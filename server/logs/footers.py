"""The footers of one node's segments: what the log index is made of. Closed segments are read once.

A segment that can't be read is told in `trouble` and hides nothing but itself.
"""

import threading
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final

from archive.errors import FormatError, NameInvalid, ObjectChanged, ObjectMissing
from archive.layout import SegmentName, SessionKey, segments_prefix
from archive.segment import fetch_footer
from archive.store.base import ObjectInfo, Store
from archive.stream import Segment

# A long log has thousands of segments, and most footers are small.
_FIRST_SUFFIX: Final = 8 << 10
_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Indexed:
    """A listed segment with its footer, or with a sentence on why it has none."""

    name: SegmentName
    info: ObjectInfo
    segment: Segment | None
    trouble: str = ""


class NodeFooters:
    """Footers of one node's segments, kept up to date by listing. Thread-safe."""

    def __init__(self, store: Store, session: SessionKey, node_id: str, readers: Executor) -> None:
        self._store = store
        self._prefix = segments_prefix(session, node_id)
        self._readers = readers
        self._lock = threading.Lock()
        self._known: Mapping[SegmentName, Indexed] = {}
        self.frames = 0
        """How many frames the footers name: what they take of the memory."""

    def refresh(self) -> Mapping[SegmentName, Indexed]:
        """All segments; the same object until something changes. Raises: StoreError."""
        with self._lock:
            listed = {name: info for info in self._store.list(self._prefix) if (name := _parsed(info.key))}
            fresh = [name for name, info in listed.items() if self._is_new(name, info)]
            read = self._readers.map(self._read, fresh, [listed[name] for name in fresh])
            found = {indexed.name: indexed for indexed in read if indexed is not None}
            if found or len(listed) != len(self._known):
                kept = {name: indexed for name, indexed in self._known.items() if name in listed}
                self._known = kept | found
                self.frames = sum(
                    len(one.segment.footer.frames) for one in self._known.values() if one.segment is not None
                )
            return self._known

    def _is_new(self, name: SegmentName, info: ObjectInfo) -> bool:
        known = self._known.get(name)
        return known is None or known.info != info

    def _read(self, name: SegmentName, listed: ObjectInfo) -> Indexed | None:
        """The footer; None for a segment that is gone again, or changes too fast: the next refresh tells."""
        info: ObjectInfo | None = listed
        for _ in range(_TRIES):
            if info is None:
                return None
            try:
                return Indexed(
                    name, info, Segment(info, fetch_footer(self._store, info, first=_FIRST_SUFFIX))
                )
            except ObjectChanged:  # an open segment is put again every few seconds
                info = next(self._store.list(info.key), None)
            except ObjectMissing:
                return None
            except FormatError as error:
                return Indexed(name, info, None, f"a segment can't be read ({error})")
        return None


def _parsed(key: str) -> SegmentName | None:
    try:
        return SegmentName.parse(key)
    except NameInvalid:
        return None
