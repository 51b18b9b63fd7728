"""Reading frames out of segments: ranged, verified, neighbours in one request, the latest kept."""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Final

from archive.errors import ObjectMissing, SegmentDamaged
from archive.segment import read_frame
from archive.store.base import Store
from server.logs.plan import Extent

_ONE_REQUEST: Final = 2 << 20
_KEPT_BYTES: Final = 32 << 20

_Place = tuple[str, str, int]


class Frames:
    """Frames of any session's segments. Thread-safe."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._kept: OrderedDict[_Place, bytes] = OrderedDict()
        self._size = 0

    def read_all(self, extents: Sequence[Extent]) -> Iterator[tuple[Extent, bytes | SegmentDamaged]]:
        """Each extent with its bytes, or with what is wrong with them. Raises: ObjectChanged, StoreError."""
        for together in _neighbours(extents):
            yield from self._read_together(together)

    def _read_together(self, extents: Sequence[Extent]) -> Iterator[tuple[Extent, bytes | SegmentDamaged]]:
        kept = [self._get(_place(extent)) for extent in extents]
        raw, begin = b"", extents[0].entry.place
        if None in kept:
            length = extents[-1].entry.place + extents[-1].entry.size - begin
            segment = extents[0].segment
            try:
                raw = self._store.get(segment.key, start=begin, length=length, if_match=segment.etag).data
            except ObjectMissing as error:
                yield from ((extent, SegmentDamaged(f"it was deleted: {error}")) for extent in extents)
                return
        for extent, found in zip(extents, kept, strict=True):
            data = found
            if data is None:
                at = extent.entry.place - begin
                try:
                    data = read_frame(extent.entry, raw[at : at + extent.entry.size])
                except SegmentDamaged as damage:
                    yield extent, damage
                    continue
                self._keep(_place(extent), data)
            yield extent, data[extent.skip : extent.skip + extent.end - extent.start]

    def _get(self, place: _Place) -> bytes | None:
        with self._lock:
            data = self._kept.get(place)
            if data is not None:
                self._kept.move_to_end(place)
            return data

    def _keep(self, place: _Place, data: bytes) -> None:
        with self._lock:
            if place in self._kept:
                return
            self._kept[place] = data
            self._size += len(data)
            while self._size > _KEPT_BYTES:
                _, oldest = self._kept.popitem(last=False)
                self._size -= len(oldest)


def _place(extent: Extent) -> _Place:
    return extent.segment.key, extent.segment.etag, extent.entry.place


def _neighbours(extents: Sequence[Extent]) -> Iterator[list[Extent]]:
    """Runs of extents whose frames lie side by side in one segment and are small enough for one request."""
    run: list[Extent] = []
    for extent in extents:
        if run and not (
            extent.segment == run[-1].segment
            and extent.entry.place == run[-1].entry.place + run[-1].entry.size
            and extent.entry.place + extent.entry.size - run[0].entry.place <= _ONE_REQUEST
        ):
            yield run
            run = []
        run.append(extent)
    if run:
        yield run
