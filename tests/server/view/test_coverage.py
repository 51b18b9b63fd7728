"""What is folded, and what is left."""

from archive.layout import Origin, SegmentName, SessionKey
from archive.segment import Facts
from archive.store.base import ObjectInfo
from server.fold.run import SegmentRead
from server.view.coverage import advanced, left_to_fold, parsed
from server.view.manifest import Manifest

KEY = SessionKey("lab", "c", "session_2026-11-23_02-43-27_490622_12278")
NAMES = [SegmentName(KEY, "aa", Origin(1795401810000, "0123abcd"), sequence) for sequence in (1, 2, 3)]


def read(name: SegmentName, *, gone: bool = False) -> SegmentRead:
    facts = Facts(name, 1795402103_000, "test", {}, {}, (), True, None)
    return SegmentRead(ObjectInfo(name.key, 10, "e", 1.0), None if gone else facts, gone=gone)


def test_a_segment_that_changed_while_it_was_read_is_left_with_all_behind_it() -> None:
    reads = [read(name, gone=name.sequence == 2) for name in NAMES]
    listed = parsed(one.info for one in reads)
    origins, damaged = advanced(Manifest(), listed, reads)
    left = left_to_fold(Manifest(origins=origins, damaged=damaged), listed)
    assert [one.name for one in left] == NAMES[1:]
