from pathlib import Path

import msgspec
import pytest

from archive.compression import Compressor
from sidecar.spool import JournalDamaged, Position, Source, raw_bytes
from sidecar.spool.record import JournalTorn, Kind, MarkPayload, State, encode, records

GOLDEN = Path(__file__).parents[2] / "fixtures" / "spool" / "journal-v1.log"

SOURCE = Source("/tmp/ray/session_latest/logs/raylet.out", 64769, 4711, 4096, b"\x01\x02")
LOG = "logs/raylet.out"


def journal() -> bytes:
    """One record of each kind, at a fixed time."""
    state = msgspec.msgpack.encode(State(1, {LOG: 9}, {LOG: SOURCE}))
    mark = msgspec.msgpack.encode(MarkPayload("truncated", "shorter", 3))
    packed = Compressor().compress(b"x" * 5000)
    source = msgspec.msgpack.encode(SOURCE)
    return b"".join(
        (
            encode(Kind.STATE, "", 0, len(state), state, time_ms=1),
            encode(Kind.DATA, LOG, 9, 5000, packed, time_ms=2, compressed=True, more=True),
            encode(Kind.DATA, LOG, 5009, 3, b"end", time_ms=2, source=source),
            encode(Kind.MARK, LOG, 5012, 0, mark, time_ms=3),
        )
    )


def test_the_first_version_is_still_written_byte_for_byte() -> None:
    assert journal() == GOLDEN.read_bytes()


def test_a_journal_of_the_first_version_is_still_read() -> None:
    begin = Position(7, 100)
    found = list(records(GOLDEN.read_bytes(), begin))
    assert [read.record.kind for read in found] == [Kind.STATE, Kind.DATA, Kind.DATA, Kind.MARK]
    assert [read.record.more for read in found] == [False, True, False, False]
    assert [read.record.time_ms for read in found] == [1, 2, 2, 3]
    assert raw_bytes(found[1].record, found[1].payload) == b"x" * 5000
    assert raw_bytes(found[2].record, found[2].payload) == b"end"
    assert msgspec.msgpack.decode(found[2].source, type=Source) == SOURCE
    assert found[0].record.position == begin
    assert found[-1].record.end == Position(7, 100 + len(GOLDEN.read_bytes()))


def test_every_cut_is_told_as_torn_after_the_whole_records() -> None:
    whole = journal()
    ends = [read.record.end.place for read in records(whole, Position(1, 0))]
    for length in range(len(whole)):
        if length in {0, *ends}:
            assert len(list(records(whole[:length], Position(1, 0)))) == len([e for e in ends if e <= length])
        else:
            with pytest.raises(JournalTorn):
                list(records(whole[:length], Position(1, 0)))


def test_every_flipped_bit_is_told() -> None:
    whole = journal()
    for bit in range(len(whole) * 8):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(JournalDamaged):
            list(records(bytes(flipped), Position(1, 0)))
