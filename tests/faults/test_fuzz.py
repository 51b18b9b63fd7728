"""Whatever the bytes are, a decoder gives what it can or says what is wrong, by the errors it declares."""

import gzip
import json
import random
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from archive import catalog
from archive.compression import Compressor, decompress
from archive.errors import FormatError
from archive.layout import Origin, Role, SegmentName, SessionKey
from archive.segment import Facts, Mark, Range, build, footer_of, read_frame
from archive.segment.format import HEADER, MAGIC, SKIPPABLE_MAGIC, TRAILER, TRAILER_SIZE
from server.fold.attempts import Attempts
from server.fold.batch import Batch, Gathered
from server.fold.exports import observe_exports
from server.fold.lines import numbered
from server.fold.observe import observe_events
from server.fold.part import PartWriter
from server.fold.polls import observe_polls
from server.fold.stats import observe_stats
from server.logs.errors import LogError
from server.logs.question import read_log_question
from sidecar.spool.checkpoint import CheckpointFile
from sidecar.spool.record import (
    JournalDamaged,
    JournalTorn,
    Kind,
    MarkPayload,
    Position,
    Source,
    State,
    encode,
    raw_bytes,
    records,
)

RAY = Path(__file__).parents[1] / "fixtures" / "ray"
SESSION = SessionKey("ns", "c", "session_2026-11-23_02-43-27_490622_12278")
NAME = SegmentName(SESSION, "ab" * 28, Origin(1795401810000, "0123abcd"), 1)
ODD: tuple[Any, ...] = (
    *(
        None,
        True,
        0,
        -1,
        1 << 63,
        -(1 << 70),
        1e308,
        -0.5,
        [],
        {},
        [[]],
        [None],
        {"": None},
        {"a": {"b": [1]}},
    ),
    *("", "\0", "☃", "x" * 5000, "1795402103", "=", "AAAA", "\ud800", "0001-01-01T00:00:00Z"),
    *("2026-13-40T99:00:00Z", "9999-12-31T23:59:59.999999999Z"),
)
DEEP = b"[" * 3000 + b"]" * 3000

Feed = Callable[[bytes], object]


def bent(value: Any, chance: random.Random) -> Any:
    """The value with one thing in it replaced, removed or repeated."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        name = chance.choice(list(value))
        deed = chance.random()
        if deed < 0.1:
            return {key: one for key, one in value.items() if key != name}
        if deed < 0.15:
            return value | {chance.choice(list(value)) + "x": value[name]}
        return value | {name: bent(value[name], chance)}
    if isinstance(value, list) and value and chance.random() < 0.9:
        place = chance.randrange(len(value))
        return [*value[:place], bent(value[place], chance), *value[place:]]
    return chance.choice(ODD)


def broken(data: bytes, chance: random.Random) -> bytes:
    """Bytes flipped, cut out, repeated or put in."""
    for _ in range(chance.randrange(1, 4)):
        place, other = sorted(chance.randrange(len(data) + 1) for _ in range(2))
        deed = chance.randrange(5)
        if deed == 0 and data:
            place = min(place, len(data) - 1)
            data = data[:place] + bytes([data[place] ^ 1 << chance.randrange(8)]) + data[place + 1 :]
        elif deed == 1:
            data = data[:place] + data[other:]
        elif deed == 2:
            data = data[:other] + data[place:]
        elif deed == 3:
            data = data[:place] + chance.randbytes(chance.randrange(20)) + data[place:]
        else:
            data = data[:place]
    return data


def changed_line(line: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.02:
        return line.replace(b'""', DEEP, 1).replace(b"{}", DEEP, 1)
    if chance.random() < 0.3:
        return broken(line, chance)
    value = json.loads(line)
    for _ in range(chance.randrange(1, 4)):
        value = bent(value, chance)
    return json.dumps(value, ensure_ascii=chance.random() < 0.5).encode(errors="surrogatepass")


def fed_events(data: bytes) -> None:
    written(lambda attempts, gathered: observe_events(data, attempts, gathered))


def fed_exports(data: bytes) -> None:
    written(lambda attempts, gathered: observe_exports(numbered(0, data), attempts, gathered))


def fed_polls(data: bytes) -> None:
    written(lambda _, gathered: observe_polls(numbered(0, data), gathered))


def fed_statistics(data: bytes) -> None:
    written(lambda _, gathered: observe_stats(numbered(0, data), gathered))


def written(observe: Callable[[Attempts, Gathered], Batch | None]) -> None:
    """What was observed, as a part's files take it."""
    gathered, attempts = Gathered(), Attempts()
    with tempfile.TemporaryDirectory() as folder:
        writer = PartWriter(Path(folder), "x")
        for batch in (observe(attempts, gathered), attempts.taken(gathered)):
            if batch is not None:
                writer.add(batch)
        for table, rows in gathered.rows.items():
            writer.add_rows(table, rows)
        writer.close()


def recorded_events() -> list[bytes]:
    posts = gzip.decompress((RAY / "events" / "session_2026-11-23_02-43-27_all_posts.jsonl.gz").read_bytes())
    by_type: dict[str, list[bytes]] = {}
    for post in map(json.loads, posts.splitlines()):
        for event in post["body"]:
            by_type.setdefault(event["eventType"], []).append(json.dumps(event).encode())
    return [line for lines in by_type.values() for line in lines[:20]]


def unpacked(file: Path) -> bytes:
    data = file.read_bytes()
    return gzip.decompress(data) if file.suffix == ".gz" else data


def recorded_exports() -> list[bytes]:
    files = (RAY / "export_events").glob("*event_*")
    return [line for file in files for line in unpacked(file).splitlines()[:20] if line.startswith(b"{")]


def made_polls() -> list[bytes]:
    actors = {"data": {"actors": {"a": {"actorId": "a", "state": "ALIVE"}}}}
    nodes = {"data": {"summary": [{"raylet": {"nodeId": "n", "state": "ALIVE"}}]}}
    bodies: dict[str, Any] = {
        "logical/actors": actors,
        "nodes?view=summary": nodes,
        "api/jobs/": [{}],
        "x": "text",
    }
    return [
        json.dumps({"t": 1795402103.5, "path": path, "status": 200, "body": body}).encode()
        for path, body in bodies.items()
    ]


def made_statistics() -> list[bytes]:
    row = {"t": 1795402103.5, "node_id": "n", "cpu": 1.5, "mem_used": 1, "net_sent": 2.5, "gpu": [{"x": 1}]}
    return [json.dumps(row).encode()]


LINES: dict[str, tuple[Callable[[], list[bytes]], Feed]] = {
    "events": (recorded_events, fed_events),
    "exports": (recorded_exports, fed_exports),
    "polls": (made_polls, fed_polls),
    "stats": (made_statistics, fed_statistics),
}


@pytest.mark.parametrize("kind", LINES)
def test_lines_that_are_bent_are_observed_or_counted(
    kind: str, chance: random.Random, rounds: Callable[[int, int], int]
) -> None:
    make, feed = LINES[kind]
    sound = make()
    for _ in range(rounds(150, 30_000)):
        lines = [changed_line(line, chance) for line in chance.choices(sound, k=4)]
        feed(b"\n".join(lines) + b"\n")


def read_whole(data: bytes) -> None:
    for entry in footer_of(data, len(data)).frames:
        read_frame(entry, data[entry.place : entry.place + entry.size])


def a_segment() -> bytes:
    marks = (Mark("logs/a.out", 3, "gap", "why", 7),)
    facts = Facts(
        NAME, 1795402103000, "test", {"node_id": "x"}, {"logs.cut": 1}, marks, closed=True, final="end"
    )
    return build(facts, [Range("events", 0, b'{"a": 1}\n' * 50), Range("logs/a.out", 5, b"log\n" * 50)])


def with_another_index(data: bytes, chance: random.Random) -> bytes:
    """A segment whose footer is whole, and tells something else."""
    _, index_size, frames_size, version, flags = TRAILER.unpack_from(data, len(data) - TRAILER_SIZE)
    index = json.loads(decompress(data[-TRAILER_SIZE - index_size : -TRAILER_SIZE], longest=1 << 20))
    packed = Compressor().compress(json.dumps(bent(index, chance)).encode())
    trailer = TRAILER.pack(zlib.crc32(packed), len(packed), frames_size, version, flags)
    trailer += zlib.crc32(trailer).to_bytes(4, "little") + MAGIC
    return data[:frames_size] + HEADER.pack(SKIPPABLE_MAGIC, len(packed) + len(trailer)) + packed + trailer


def test_a_segment_is_read_or_damaged(chance: random.Random, rounds: Callable[[int, int], int]) -> None:
    sound = a_segment()
    read_whole(sound)
    for number in range(rounds(1_000, 200_000)):
        data = with_another_index(sound, chance) if number % 2 else broken(sound, chance)
        try:
            read_whole(data)
        except FormatError:
            continue


def test_a_catalog_entry_is_read_or_none(chance: random.Random, rounds: Callable[[int, int], int]) -> None:
    entry = catalog.CatalogEntry(
        namespace="ns", cluster="c", session=SESSION.session, role=Role.HEAD, started_ms=1, last_seen_ms=2
    )
    sound = catalog.encode(entry)
    for _ in range(rounds(2_000, 300_000)):
        try:
            catalog.decode(changed_line(sound, chance))
        except FormatError:
            continue


def some_records(chance: random.Random) -> bytes:
    """Records of a journal with right checksums and odd contents."""
    payloads = (
        msgspec.msgpack.encode(State(1, {"events": 0}, {})),
        msgspec.msgpack.encode(MarkPayload("gap", "", 0)),
        msgspec.msgpack.encode(Source("a.out", 1, 2, 3, b"")),
        Compressor().compress(b"x" * 5000),
        chance.randbytes(30),
    )
    return b"".join(
        encode(
            chance.choice(list(Kind)),
            chance.choice(("", "events", "logs/☃", "../x")),
            chance.choice((0, 1, (1 << 64) - 1)),
            chance.choice((0, 5000, (1 << 32) - 1)),
            broken(chance.choice(payloads), chance),
            time_ms=chance.choice((0, (1 << 64) - 1)),
            source=chance.choice((b"", *payloads)),
            compressed=chance.random() < 0.5,
            more=chance.random() < 0.2,
        )
        for _ in range(4)
    )


def test_a_journal_is_read_torn_or_damaged(chance: random.Random, rounds: Callable[[int, int], int]) -> None:
    for number in range(rounds(1_000, 200_000)):
        data = some_records(chance)
        try:
            for read in records(broken(data, chance) if number % 2 else data, Position(0, 0)):
                raw_bytes(read.record, read.payload)
        except (JournalDamaged, JournalTorn):
            continue


def test_a_checkpoint_is_read_or_damaged(
    tmp_path: Path, chance: random.Random, rounds: Callable[[int, int], int]
) -> None:
    sound: Any = {"sequence": 3, "stored": [1, 2], "losses": {"logs.cut": 1}, "facts": {"a": "b"}}
    path = tmp_path / "checkpoint"
    path.touch()
    file = CheckpointFile(path)
    for number in range(rounds(1_000, 100_000)):
        value = json.loads(json.dumps(bent(sound, chance), default=str))
        try:
            packed = msgspec.msgpack.encode(value)
        except (OverflowError, UnicodeEncodeError):
            continue
        packed = broken(packed, chance) if number % 2 else packed
        rest = len(packed).to_bytes(4, "little") + packed
        path.write_bytes(zlib.crc32(rest).to_bytes(4, "little") + rest)
        try:
            file.read()
        except JournalDamaged:
            continue
    file.close()


def test_a_question_for_a_log_is_understood_or_refused(
    chance: random.Random, rounds: Callable[[int, int], int]
) -> None:
    names = (
        "node_id",
        "node_ip",
        "filename",
        "actor_id",
        "task_id",
        "pid",
        "lines",
        "attempt_number",
        "suffix",
    )
    values = ("", "-1", "0", "1e9", "9" * 400, "-" * 5, "٣", "../x", "\0", "a/b", "out", "err", "☃", "nan")
    for _ in range(rounds(3_000, 300_000)):
        question = {chance.choice(names): chance.choice(values) for _ in range(chance.randrange(8))}
        try:
            read_log_question(question)
        except LogError:
            continue
