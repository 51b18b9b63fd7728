import importlib
import io
import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.errors import FormatError, FormatUnknown, NameInvalid, SegmentDamaged, SuffixTooShort
from archive.layout import Origin, SegmentName, SessionKey
from archive.segment import (
    Facts,
    Footer,
    Frame,
    Mark,
    Range,
    assemble,
    build,
    compress,
    fetch_footer,
    footer_of,
    read_frame,
)
from archive.store.local import LocalStore

GOLDEN = Path(__file__).parents[2] / "fixtures" / "archive" / "segment-v1.seg"

WRITER = importlib.import_module("archive.segment.build")
SESSION = SessionKey("team", "raycluster", "session_2026-11-23_02-43-27_490622_12278")
FACTS = Facts(
    name=SegmentName(SESSION, "ab" * 28, Origin(1795402103123, "9f3ac210"), 7),
    written_ms=1795402110000,
    collector="0.1.0",
    node={"role": "head", "node_ip": "10.0.0.7"},
    losses={"budget": 3},
    marks=(Mark("logs/raylet.out", 12, "truncated"), Mark("events", 0, "gap", "why not", 5)),
    closed=True,
    final="sigterm",
)
RANGES = (
    Range("events", 100, b'{"eventId":"a"}\n' * 9),
    Range("logs/raylet.out", 0, b"one line\nand another\n"),
    Range("polls", 7, b'{"path":"/api/version"}\n'),
    Range("logs/raylet.err", 4096, bytes(range(256))),
    Range("events.profile", 0, b'{"profile":1}\n'),
    Range("exports/event_EXPORT_TASK.log", 0, b"{}\n"),
    Range("unheard/of", 0, b"later\n"),
)
SEGMENT = build(FACTS, RANGES)


def contents(segment: bytes) -> list[tuple[str, int, bytes]]:
    footer = footer_of(segment, len(segment))
    return [
        (entry.stream, entry.start, read_frame(entry, segment[entry.place : entry.place + entry.size]))
        for entry in footer.frames
    ]


def put_in(ranges: Iterable[Range]) -> list[tuple[str, int, bytes]]:
    return sorted((piece.stream, piece.start, bytes(piece.data)) for piece in ranges)


def test_the_first_version_is_still_written_byte_for_byte() -> None:
    assert build(FACTS, RANGES) == GOLDEN.read_bytes()


def test_a_segment_of_the_first_version_is_still_read() -> None:
    segment = GOLDEN.read_bytes()
    assert footer_of(segment, len(segment)).facts == FACTS
    assert sorted(contents(segment)) == put_in(RANGES)


def test_frames_are_sorted_so_that_events_lie_next_to_the_footer() -> None:
    assert [entry.stream for entry in footer_of(SEGMENT, len(SEGMENT)).frames] == [
        "unheard/of",
        "logs/raylet.err",
        "logs/raylet.out",
        "exports/event_EXPORT_TASK.log",
        "polls",
        "events.profile",
        "events",
    ]


def test_the_order_of_the_ranges_changes_nothing() -> None:
    assert build(FACTS, reversed(RANGES)) == SEGMENT


def test_the_stock_command_reads_a_segment_to_its_end() -> None:
    if shutil.which("zstd") is None:
        sentence = "There is no zstd command; on Debian: apt install zstd."
        if os.environ.get("CI"):
            pytest.fail(sentence)
        pytest.skip(sentence)
    printed = subprocess.run(["zstd", "-dc"], input=SEGMENT, capture_output=True, check=True).stdout
    assert printed == b"".join(data for _, _, data in contents(SEGMENT))


def test_a_stock_library_reads_a_segment_to_its_end() -> None:
    reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(SEGMENT), read_across_frames=True)
    assert reader.read() == b"".join(data for _, _, data in contents(SEGMENT))


def test_a_segment_may_hold_nothing_but_facts() -> None:
    segment = build(FACTS, [])
    assert footer_of(segment, len(segment)) == Footer(FACTS, ())


def test_large_ranges_become_frames_between_256_kib_and_1_mib() -> None:
    data = bytes(range(251)) * 12_000
    frames = compress(Range("logs/a", 50, data))
    assert all(256 << 10 <= frame.raw_length <= 1 << 20 for frame in frames)
    segment = assemble(FACTS, frames)
    assert b"".join(found for _, _, found in contents(segment)) == data
    assert contents(segment)[1][1] == 50 + frames[0].raw_length


@pytest.mark.parametrize("length", [0, 1, 31, 32, 33, 200])
def test_a_short_suffix_tells_how_much_is_needed(length: int) -> None:
    with pytest.raises(SuffixTooShort) as caught:
        footer_of(SEGMENT[len(SEGMENT) - length :], len(SEGMENT))
    assert length < caught.value.needed <= len(SEGMENT)
    assert footer_of(SEGMENT[-caught.value.needed :], len(SEGMENT)).facts == FACTS


def test_a_segment_cut_short_anywhere_is_reported() -> None:
    for length in range(len(SEGMENT)):
        with pytest.raises(SegmentDamaged):
            footer_of(SEGMENT[:length], length)


def test_a_frame_cut_short_anywhere_is_reported() -> None:
    entry = footer_of(SEGMENT, len(SEGMENT)).frames[-1]
    frame = SEGMENT[entry.place : entry.place + entry.size]
    for length in range(len(frame)):
        with pytest.raises(SegmentDamaged, match="events"):
            read_frame(entry, frame[:length])
        with pytest.raises(SegmentDamaged, match="events"):
            read_frame(replace(entry, size=length), frame[:length])


def test_every_flipped_bit_is_reported_or_harmless() -> None:
    whole = contents(SEGMENT)
    reported = 0
    for bit in range(len(SEGMENT) * 8):
        flipped = bytearray(SEGMENT)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            assert footer_of(bytes(flipped), len(flipped)).facts == FACTS
            assert contents(bytes(flipped)) == whole
        except FormatError:
            reported += 1
    assert reported > len(SEGMENT) * 7


def test_bytes_behind_the_footer_are_reported() -> None:
    with pytest.raises(SegmentDamaged):
        footer_of(SEGMENT + b"\0", len(SEGMENT) + 1)


def test_a_newer_version_is_told_apart_from_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WRITER, "VERSION", 2)
    newer = build(FACTS, RANGES)
    with pytest.raises(FormatUnknown, match="version 2"):
        footer_of(newer, len(newer))


@pytest.mark.parametrize("stream", ["../x", "/etc/passwd", "logs//x", ""])
def test_a_stream_that_could_leave_its_folder_is_not_written(stream: str) -> None:
    with pytest.raises(NameInvalid):
        build(FACTS, [Range(stream, 0, b"x")])


def test_a_stream_that_could_leave_its_folder_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(WRITER, "checked_stream", str)
    hostile = build(FACTS, [Range("logs/../../x", 0, b"x")])
    with pytest.raises(SegmentDamaged, match=r"\.\./x"):
        footer_of(hostile, len(hostile))


def test_a_frame_that_claims_to_be_huge_is_refused_before_it_is_unpacked() -> None:
    bomb = zstandard.ZstdCompressor(write_checksum=True).compress(bytes(64 << 20))
    frame = Frame("events", 0, 64 << 20, int.from_bytes(bomb[-4:], "little"), bomb)
    segment = assemble(FACTS, [frame])
    with pytest.raises(SegmentDamaged, match="can't be read"):
        footer_of(segment, len(segment))
    small = assemble(FACTS, [replace(frame, raw_length=10)])
    entry = footer_of(small, len(small)).frames[0]
    with pytest.raises(SegmentDamaged, match="length"):
        read_frame(entry, small[entry.place : entry.place + entry.size])


def test_a_frame_of_other_bytes_is_not_the_one_that_the_footer_names() -> None:
    entry = footer_of(SEGMENT, len(SEGMENT)).frames[-1]
    other = compress(Range("events", 100, bytes(entry.raw_length)))[0].compressed
    with pytest.raises(SegmentDamaged, match="checksum differs"):
        read_frame(replace(entry, size=len(other)), other)


def test_a_large_footer_is_fetched_with_a_second_request(store: LocalStore) -> None:
    ranges = [Range(f"logs/worker-{number:05}-{number * 7919:x}.out", number, b"x") for number in range(9000)]
    segment = build(FACTS, ranges)
    info = store.put(FACTS.name.key, segment)
    assert len(segment) > 64 << 10
    assert len(fetch_footer(store, info).frames) == 9000


def test_a_segment_under_the_name_of_another_is_reported(store: LocalStore) -> None:
    other = replace(FACTS.name, sequence=8)
    with pytest.raises(SegmentDamaged, match=r"00000008\.seg.*00000007\.seg"):
        fetch_footer(store, store.put(other.key, SEGMENT))


@pytest.mark.parametrize("start", [-1, 1 << 63, 1 << 70])
def test_an_absurd_offset_is_reported(start: int) -> None:
    hostile = build(FACTS, [Range("events", start, b"x")])
    with pytest.raises(SegmentDamaged, match="can't be read"):
        footer_of(hostile, len(hostile))


streams = st.sampled_from(["events", "events.profile", "logs/a", "logs/a/b", "polls", "other"])
ranges = st.lists(
    st.builds(Range, streams, st.integers(0, 1 << 60), st.binary(min_size=1, max_size=300)), max_size=8
)


@settings(max_examples=60, deadline=None)
@given(ranges)
def test_whatever_is_put_in_is_read_back(pieces: list[Range]) -> None:
    assert sorted(contents(build(FACTS, pieces))) == put_in(pieces)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=400))
def test_bytes_that_are_no_segment_are_reported(data: bytes) -> None:
    with pytest.raises(SegmentDamaged):
        footer_of(data, len(data))
