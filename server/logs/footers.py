"""The footers of one node's segments: what the log index is made of. Closed segments are read once.

A segment that can't be read is told in `troubles` and hides nothing but itself.
"""

import threading
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final

from archive.errors import FormatError, NameInvalid, ObjectChanged, ObjectMissing, SuffixTooShort
from archive.layout import SegmentName, SessionKey, segments_prefix
from archive.segment import Footer, footer_of
from archive.store.base import ObjectInfo, Store

_FIRST_SUFFIX: Final = 4 << 10
_TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Indexed:
    """A segment as it was listed, and its footer; None where it can't be read, with a sentence."""

    info: ObjectInfo
    footer: Footer | None
    trouble: str = ""


class NodeFooters:
    """Footers of one node's segments, kept up to date by listing. Thread-safe."""

    def __init__(self, store: Store, session: SessionKey, node_id: str, readers: Executor) -> None:
        self._store = store
        self._prefix = segments_prefix(session, node_id)
        self._readers = readers
        self._lock = threading.Lock()
        self._known: dict[str, Indexed] = {}
        self._version = 0

    def refresh(self) -> tuple[int, Mapping[str, Indexed]]:
        """All segments by key, in order, and a number that grows when they change. Raises: StoreError."""
        with self._lock:
            listed = [info for info in self._store.list(self._prefix) if _is_segment(info.key)]
            fresh = [
                info for info in listed if (old := self._known.get(info.key)) is None or old.info != info
            ]
            read = dict(zip((info.key for info in fresh), self._readers.map(self._read, fresh), strict=True))
            if fresh or len(listed) != len(self._known):
                known = {info.key: read.get(info.key) or self._known.get(info.key) for info in listed}
                self._known = {key: indexed for key, indexed in known.items() if indexed is not None}
                self._version += 1
            return self._version, self._known

    def _is_new(self, info: ObjectInfo) -> bool:
        known = self._known.get(info.key)
        return known is None or known.info != info

    def _read(self, listed: ObjectInfo) -> Indexed | None:
        info: ObjectInfo | None = listed
        for _ in range(_TRIES):
            if info is None:
                return None
            try:
                return Indexed(info, self._footer(info))
            except ObjectChanged:  # an open segment is put again every few seconds
                info = next(self._store.list(info.key), None)
            except ObjectMissing:
                return None
            except FormatError as error:
                return Indexed(info, None, f"a segment can't be read ({error})")
        return None

    def _footer(self, info: ObjectInfo) -> Footer:
        """The footer, in small steps: a long log has thousands, and most fit the first."""
        length = _FIRST_SUFFIX
        while True:
            suffix = self._store.get_suffix(info.key, length, if_match=info.etag)
            try:
                return footer_of(suffix.data, suffix.info.size)
            except SuffixTooShort as short:
                length = short.needed


def _is_segment(key: str) -> bool:
    try:
        SegmentName.parse(key)
    except NameInvalid:
        return False
    return True
