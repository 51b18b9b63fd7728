from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.errors import ObjectChanged, SegmentDamaged
from archive.layout import Origin, SegmentName, SessionKey
from archive.segment import Facts, Mark, Range, build, fetch_footer
from archive.store.local import LocalStore
from archive.stream import Damage, Extents, Reader, Segment, extents

SESSION = SessionKey("team", "raycluster", "session_2026-11-23_02-43-27_490622_12278")
OLDER = Origin(1795402103123, "9f3ac210")
YOUNGER = Origin(1795402105000, "00000000")
LOG = "logs/raylet.out"


def put(
    store: LocalStore,
    sequence: int,
    *ranges: Range,
    origin: Origin = OLDER,
    closed: bool = True,
    marks: tuple[Mark, ...] = (),
) -> None:
    name = SegmentName(SESSION, "ab" * 28, origin, sequence)
    store.put(name.key, build(Facts(name, 0, "", {}, {}, marks, closed, None), ranges))


def listed(store: LocalStore) -> list[Segment]:
    return [Segment(info, fetch_footer(store, info)) for info in store.list("v1/segments/")]


def opened(store: LocalStore, stream: str = LOG) -> Extents:
    return Reader(store).open(stream, listed(store))


def text(store: LocalStore, extent: Extents) -> bytes:
    return b"".join(data for _, data in Reader(store).read(extent))


def test_segments_follow_each_other(store: LocalStore) -> None:
    put(store, 1, Range(LOG, 0, b"one "), Range("events", 0, b"e"))
    put(store, 2, Range(LOG, 4, b"two"), closed=False)
    assert text(store, opened(store)) == b"one two"


def test_replays_change_nothing(store: LocalStore) -> None:
    put(store, 1, Range(LOG, 0, b"one two "))
    put(store, 2, Range(LOG, 0, b"one two "))
    put(store, 3, Range(LOG, 4, b"two three"))
    extent = opened(store)
    assert text(store, extent) == b"one two three"
    assert Reader(store).check(extent) == []


def test_equal_ranges_with_other_bytes_are_damage(store: LocalStore) -> None:
    put(store, 1, Range(LOG, 0, b"one"))
    put(store, 2, Range(LOG, 0, b"two"))
    [damage] = opened(store).damage
    assert (damage.offset, damage.size) == (0, 3)
    assert "00000001.seg" in damage.detail
    assert "00000002.seg" in damage.detail


def test_overlaps_with_other_bytes_are_damage_when_checked(store: LocalStore) -> None:
    put(store, 1, Range(LOG, 0, b"one two"))
    put(store, 2, Range(LOG, 4, b"TWO three"))
    extent = opened(store)
    assert text(store, extent) == b"one two three"
    assert [(damage.offset, damage.size) for damage in Reader(store).check(extent)] == [(4, 3)]


def test_what_no_segment_has_is_a_gap_and_offsets_stay(store: LocalStore) -> None:
    put(store, 1, Range(LOG, 0, b"one"))
    put(store, 3, Range(LOG, 8, b"three"))
    extent = opened(store)
    assert list(Reader(store).read(extent)) == [(0, b"one"), (8, b"three")]
    assert [(mark.kind, mark.offset, mark.size) for mark in extent.marks] == [("gap", 3, 5)]


def test_marks_are_ordered_and_told_once(store: LocalStore) -> None:
    cut = Mark(LOG, 3, "truncated")
    put(store, 1, Range(LOG, 0, b"one"), marks=(cut, Mark("events", 0, "gap")))
    put(store, 2, Range(LOG, 3, b"two"), marks=(Mark(LOG, 6, "rewritten"), cut))
    assert opened(store).marks == (cut, Mark(LOG, 6, "rewritten"))


def test_a_younger_origin_that_read_the_file_again_takes_the_place_if_it_is_longer(store: LocalStore) -> None:
    put(store, 1, Range(LOG, 0, b"begin middle"))
    put(store, 1, Range(LOG, 0, b"begin middle end"), origin=YOUNGER)
    assert text(store, opened(store)) == b"begin middle end"


def test_an_older_origin_stays_if_it_is_longer(store: LocalStore) -> None:
    put(store, 1, Range(LOG, 0, b"begin middle"))
    put(store, 1, Range(LOG, 0, b"begin"), origin=YOUNGER)
    assert text(store, opened(store)) == b"begin middle"


def test_a_younger_origin_of_another_beginning_goes_on_behind_a_gap(store: LocalStore) -> None:
    put(store, 1, Range(LOG, 0, b"begin "))
    put(store, 1, Range(LOG, 0, b"end"), origin=YOUNGER, marks=(Mark(LOG, 3, "truncated"),))
    extent = opened(store)
    assert list(Reader(store).read(extent)) == [(0, b"begin "), (6, b"end")]
    assert [(mark.kind, mark.offset) for mark in extent.marks] == [("gap", 6), ("truncated", 9)]


def test_events_of_two_collectors_for_one_node_are_united(store: LocalStore) -> None:
    put(store, 1, Range("events", 0, b"same\n"))
    put(store, 1, Range("events", 0, b"same\nmore\n"), origin=YOUNGER)
    extent = opened(store, "events")
    assert text(store, extent) == b"same\nsame\nmore\n"
    assert extent.marks == ()


def test_origins_can_be_told_apart(store: LocalStore) -> None:
    put(store, 1, Range("events", 0, b"a"), origin=YOUNGER)
    put(store, 1, Range("events", 0, b"b"))
    put(store, 1, Range("polls", 0, b"c"), origin=Origin(1, "00000000"))
    assert [origin for origin, _ in extents("events", listed(store))] == [OLDER, YOUNGER]


def test_a_range_is_read_without_the_rest(store: LocalStore) -> None:
    data = bytes(range(256)) * 20_000
    put(store, 1, Range(LOG, 0, data))
    put(store, 2, Range(LOG, len(data), b"tail"))
    extent = opened(store)
    read = b"".join(found for _, found in Reader(store).read(extent, len(data) - 3, 5))
    assert read == data[-3:] + b"ta"


def test_an_open_segment_that_was_put_again_is_told(store: LocalStore) -> None:
    put(store, 1, Range(LOG, 0, b"one"), closed=False)
    extent = opened(store)
    put(store, 1, Range(LOG, 0, b"one two"))
    with pytest.raises(ObjectChanged):
        text(store, extent)


def test_a_damaged_frame_is_raised_or_told_and_passed_by(store: LocalStore) -> None:
    put(store, 1, Range(LOG, 0, b"one " * 20))
    put(store, 2, Range(LOG, 80, b"two"))
    [first, second] = listed(store)
    segment = bytearray(store.get(first.info.key).data)
    segment[12] ^= 0xFF
    broken = Segment(store.put(first.info.key, bytes(segment)), first.footer)
    extent = Reader(store).open(LOG, [broken, second])
    with pytest.raises(SegmentDamaged):
        text(store, extent)
    told: list[Damage] = []
    assert list(Reader(store).read(extent, damaged=told.append)) == [(80, b"two")]
    assert [(damage.offset, damage.size) for damage in told] == [(0, 80)]


def test_a_segment_shorter_than_its_footer_says_is_reported(store: LocalStore) -> None:
    put(store, 1, Range(LOG, 0, b"one"))
    [segment] = listed(store)
    short = replace(segment, info=store.put(segment.info.key, store.get(segment.info.key).data[:5]))
    with pytest.raises(SegmentDamaged, match="cut short"):
        text(store, Reader(store).open(LOG, [short]))


def test_an_unknown_stream_is_empty(store: LocalStore) -> None:
    put(store, 1, Range(LOG, 0, b"one"))
    assert opened(store, "logs/none") == Extents("logs/none", (), (), (), (), 0)


cuts = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 30)), min_size=1, max_size=8)


@settings(max_examples=60, deadline=None)
@given(cuts)
def test_any_pieces_in_any_order_read_back_as_what_they_cover(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[tuple[int, int]]
) -> None:
    whole = bytes(range(100))
    store = LocalStore(tmp_path_factory.mktemp("store"))
    for sequence, (start, length) in enumerate(pieces, 1):
        put(store, sequence, Range(LOG, start, whole[start : start + length]))
    extent = opened(store)
    covered = {place for start, length in pieces for place in range(start, start + length)}
    found = {
        offset + place: byte for offset, data in Reader(store).read(extent) for place, byte in enumerate(data)
    }
    assert found == {place: whole[place] for place in covered}
    assert sum(piece.length for piece in extent.pieces) == len(covered)
    assert sum(mark.size for mark in extent.marks) == extent.end - len(covered)
    assert Reader(store).check(extent) == []
