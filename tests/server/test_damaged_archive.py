"""An archive with damage in it: every session opens, what is left of it is shown, what is missing is told.

Each case is a session of its own in one archive, damaged in one way before a server sees it.
"""

import html
import json
import random
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from archive.compression import Compressor
from archive.layout import VIEWS, CatalogName, Origin, Role, SegmentName, SessionKey, segments_prefix
from archive.segment import Facts, Range, build
from archive.segment.format import MAGIC, TRAILER, TRAILER_SIZE
from archive.store.local import LocalStore
from server.catalog_index import KEY as CATALOG_INDEX

SESSION = "session_2026-11-23_02-43-27_490622_12278"
HEAD = "593fd952d75624efbbf93821c408b4a5b6ed6b4e138c1229c87eca3b"
WORKER = "df2adaacdb61804408645f058c837352ae132968e428d41b81027c2c"
ORIGIN = Origin(1795401810000, "0123abcd")
MADE_MS = 1795402103000
BROWSER = "text/html,application/xhtml+xml"
PATHS = (
    "",
    "api/v0/tasks?detail=true&limit=10000",
    "api/v0/tasks/summarize",
    "api/v0/tasks/timeline",
    "api/v0/nodes",
    "nodes?view=summary",
    "logical/actors",
    "api/jobs/",
    "events",
    "api/cluster_status",
    f"api/v0/logs?node_id={HEAD}",
    f"api/v0/logs/file?node_id={HEAD}&filename=raylet.out&lines=-1",
    f"api/v0/logs/file?node_id={HEAD}&filename=raylet.out&lines=3",
    f"api/v0/logs?node_id={WORKER}",
    "history/logs/",
    "api/history/logs/search?q=line",
    "api/history/logs/archive",
)

Serving = Callable[..., AbstractContextManager[Any]]
Change = Callable[[bytes], bytes]
Do = Callable[["Damaged"], None]


@dataclass(frozen=True)
class Damaged:
    """One session of the archive, to be damaged."""

    store: LocalStore
    key: SessionKey

    def segment(self, number: int, node_id: str = HEAD) -> str:
        return SegmentName(self.key, node_id, ORIGIN, number).key

    def change(self, key: str, change: Change) -> None:
        self.store.put(key, change(self.store.get(key).data))

    @property
    def entry(self) -> str:
        return CatalogName(self.key, Role.HEAD).key


@dataclass(frozen=True)
class Case:
    """`told`: a piece of what the bar says. `tasks`: whether every task is still listed."""

    do: Do
    told: str = ""
    tasks: bool = True


def truncated(data: bytes) -> bytes:
    return data[: len(data) * 2 // 3]


def flipped_at(part: float) -> Change:
    def change(data: bytes) -> bytes:
        place = int((len(data) - 1) * part)
        return data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]

    return change


def zeros(data: bytes) -> bytes:
    return bytes(len(data))


def garbage(data: bytes) -> bytes:
    return random.Random(len(data)).randbytes(len(data))


def newer(data: bytes) -> bytes:
    """A segment of the next version, in itself whole."""
    index_checksum, index_size, frames_size, version, flags = TRAILER.unpack(
        data[-TRAILER_SIZE : -TRAILER_SIZE + TRAILER.size]
    )
    trailer = TRAILER.pack(index_checksum, index_size, frames_size, version + 1, flags)
    return data[:-TRAILER_SIZE] + trailer + zlib.crc32(trailer).to_bytes(4, "little") + MAGIC


def first(change: Change) -> Do:
    return lambda session: session.change(session.segment(1), change)


def newest(change: Change) -> Do:
    return lambda session: session.change(session.segment(2), change)


def worker(change: Change) -> Do:
    return lambda session: session.change(session.segment(1, WORKER), change)


def entry(change: Change) -> Do:
    return lambda session: session.change(session.entry, change)


def fields(**told: object) -> Do:
    def change(data: bytes) -> bytes:
        return json.dumps(json.loads(data) | told).encode()

    return entry(change)


def lines(stream: str, *added: bytes) -> Do:
    """A third segment, sound, with lines that nobody can read."""

    def do(session: Damaged) -> None:
        store_segment(session, 3, [Range(stream, 10_000_000, b"".join(line + b"\n" for line in added))])

    return do


def under_a_wrong_name(session: Damaged) -> None:
    session.store.put(session.segment(7), session.store.get(session.segment(1)).data)
    session.store.put(session.segment(8), session.store.get(session.segment(1, WORKER)).data)


def beside_names_that_are_none(session: Damaged) -> None:
    prefix = segments_prefix(session.key)
    for name in ("x", f"{HEAD}/x.seg", f"{HEAD}/{ORIGIN}-1.seg", f"{HEAD}/a/b/c", "~/~", f"{HEAD}/é"):
        session.store.put(prefix + name, b"what is it")


def without_a_node(session: Damaged) -> None:
    session.store.delete([session.segment(1, WORKER)])


def without_a_number(session: Damaged) -> None:
    session.store.delete([session.segment(1)])


def absurd_frame(session: Damaged) -> None:
    """Offsets at the end of what numbers can be."""
    store_segment(session, 3, [Range("logs/raylet.out", (1 << 62) - 4, b"end\n")])


DEEP = b"[" * 5000 + b'\n{"t": 1795402103, "path": "x", "status": 200, "body": ' + b"[" * 5000 + b"\n"
UNREAD = "could not be read"
ENTRY = "Its catalog entry can't be read"
CASES: dict[str, Case] = {
    "nothing": Case(lambda _: None),
    "a segment cut short": Case(first(truncated), UNREAD, tasks=False),
    "a segment cut to a byte": Case(first(lambda data: data[:1]), UNREAD, tasks=False),
    "a segment that is empty": Case(first(lambda _: b""), UNREAD, tasks=False),
    "a segment of zeros": Case(first(zeros), UNREAD, tasks=False),
    "a segment of garbage": Case(first(garbage), UNREAD, tasks=False),
    "a segment of a newer version": Case(first(newer), UNREAD, tasks=False),
    "a segment with a torn frame": Case(first(flipped_at(0.0005))),
    "a segment with a flipped bit": Case(first(flipped_at(0.5)), UNREAD, tasks=False),
    "a segment with a flipped index": Case(first(flipped_at(0.995)), UNREAD, tasks=False),
    "a segment with a flipped end": Case(first(flipped_at(1.0)), UNREAD, tasks=False),
    "a segment that grew": Case(first(lambda data: data + b"\0"), UNREAD, tasks=False),
    "an open segment cut short": Case(newest(truncated), UNREAD, tasks=False),
    "an open segment of zeros": Case(newest(zeros), UNREAD, tasks=False),
    "a final segment cut short": Case(worker(truncated), UNREAD),
    "a final segment of garbage": Case(worker(garbage), UNREAD),
    "a segment under a wrong name": Case(under_a_wrong_name, UNREAD),
    "names that are none": Case(beside_names_that_are_none),
    "a node's folder is gone": Case(without_a_node),
    "a number is gone": Case(without_a_number, tasks=False),
    "a frame at the end of all numbers": Case(absurd_frame),
    "lines that are no JSON": Case(
        lines("events", b"{", b"\xff\xfe", b"[]", b"1", b'"x"', b"null", b""), "6 records could not be used"
    ),
    "an event of an unknown type": Case(
        lines(
            "events", json.dumps({"eventId": "eA==", "eventType": "MOON_FULL", "sessionName": ""}).encode()
        ),
        "MOON_FULL",
    ),
    "events with absurd values": Case(
        lines(
            "events",
            *(
                json.dumps(
                    {
                        "eventId": f"x{number}",
                        "eventType": "TASK_LIFECYCLE_EVENT",
                        "timestamp": value,
                        "taskLifecycleEvent": {
                            "taskId": value,
                            "taskAttempt": value,
                            "stateTransitions": value,
                        },
                    }
                ).encode()
                for number, value in enumerate(
                    (None, -1, 1 << 70, "", "☃", [], {}, [[]], 1e308, "A" * 70_000, True, "=" * 8)
                )
            ),
        )
    ),
    "polls that are none": Case(
        lines(
            "polls",
            b"{",
            b'{"t": 1e400, "path": "nodes?view=summary", "status": 200, "body": {}}',
            b'{"t": 1795402103, "path": "nodes?view=summary", "status": 200, "body": {"data": 7}}',
            b'{"t": 1795402103, "path": "logical/actors", "status": 200, "body": null}',
            b'{"t": 1795402103, "path": "api/jobs/", "status": 200, "body": {"a": [1]}}',
            b'{"t": 1795402103, "path": "api/jobs/", "status": 200, "body": [[], 3, {"type": 5}]}',
            b'{"t": 1795402103, "path": "events", "status": 200, "body": {"data": {"events": 7}}}',
            b'{"t": 1795402103, "path": "api/cluster_status?format=1", "status": 200, "body": []}',
            b'{"t": 1795402103, "path": "api/v0/workers", "status": "x", "body": []}',
            b'{"t": 1795402103, "path": "api/version", "status": 200, "body": "\xff"}',
        )
    ),
    "statistics that are none": Case(
        lines(
            "stats",
            b"{",
            b'{"t": "x", "node_id": 1}',
            b'{"t": -1e300, "node_id": ""}',
            b'{"t": 1e309, "node_id": ""}',
        )
    ),
    "lines that are deep": Case(
        lambda session: store_segment(
            session, 3, [Range(stream, 10_000_000, DEEP) for stream in ("events", "polls", "stats")]
        ),
        "could not be used",
    ),
    "exports that are none": Case(
        lines(
            "exports/event_EXPORT_TASK_1.log", b"{", b'{"source_type": "EXPORT_TASK", "event_data": 7}', b"[]"
        )
    ),
    "an entry of bad JSON": Case(entry(lambda _: b"{"), ENTRY),
    "an entry that is empty": Case(entry(lambda _: b""), ENTRY),
    "an entry of garbage": Case(entry(garbage), ENTRY),
    "an entry cut short": Case(entry(truncated), ENTRY),
    "an entry of a newer format": Case(fields(format=2), ENTRY),
    "an entry with fields of the future": Case(fields(moon="full", tides=[1, 2])),
    "an entry with wrong types": Case(fields(started_ms="yesterday"), ENTRY),
    "an entry with times of no calendar": Case(fields(last_seen_ms=1 << 62), ENTRY),
    "an entry of another session": Case(fields(session="session_2020-01-01_00-00-00_000000_1", cluster="x")),
    "an entry that is a list": Case(entry(lambda _: b"[]"), ENTRY),
    "an entry that is deep": Case(entry(lambda _: b"[" * 100_000), ENTRY),
}


def store_segment(
    session: Damaged, number: int, ranges: list[Range], node_id: str = HEAD, **facts: Any
) -> None:
    name = SegmentName(session.key, node_id, ORIGIN, number)
    node = {"node_id": node_id, "role": "head" if node_id == HEAD else "worker", "node_ip": "192.0.2.1"}
    told: dict[str, Any] = {"closed": True, "final": None} | facts
    session.store.put(name.key, build(Facts(name, MADE_MS, "test", node, {}, (), **told), ranges))


def write_session(
    session: Damaged, events: list[dict[str, object]], store_catalog: Callable[..., None]
) -> None:
    """Events and a log in a closed segment and an open one of the head, a log in a worker's."""
    half = len(events) // 2
    start = 0
    for number, some in enumerate((events[:half], events[half:]), 1):
        data = b"".join(json.dumps(event).encode() + b"\n" for event in some)
        log = b"".join(b"line %d of %d\n" % (line, number) for line in range(100))
        ranges = [Range("events", start, data), Range("logs/raylet.out", (number - 1) * 1390, log)]
        store_segment(session, number, ranges, closed=number == 1)
        start += len(data)
    store_segment(session, 1, [Range("logs/raylet.out", 0, b"line\n")], WORKER, final="the end")
    store_catalog(session.store, session.key)


@pytest.fixture(scope="module")
def damaged_store(
    tmp_path_factory: pytest.TempPathFactory,
    recorded_events: list[dict[str, object]],
    store_catalog: Callable[..., None],
) -> LocalStore:
    """All cases, each the cluster of its number."""
    store = LocalStore(tmp_path_factory.mktemp("damaged"))
    events = [event for event in recorded_events if "taskProfileEvents" not in event][:300]
    for number, case in enumerate(CASES.values()):
        session = Damaged(store, SessionKey("lab", str(number), SESSION))
        write_session(session, events, store_catalog)
        case.do(session)
    store.put(CATALOG_INDEX, b"no index")
    return store


@pytest.fixture(scope="module")
def server(
    damaged_store: LocalStore, serving_store: Serving, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    with serving_store(damaged_store, tmp_path_factory.mktemp("cache")) as server:
        yield server


def address(number: int) -> str:
    return f"/clusters/lab/{number}/{SESSION}/"


def tasks(server: Any, number: int) -> list[Any]:
    rows: list[Any] = server.get(f"{address(number)}api/v0/tasks?detail=true&limit=10000").rows
    return rows


def test_every_session_is_listed_whatever_its_entry_is(server: Any) -> None:
    answer = server.get("/api/sessions?limit=1000")
    listed = {one["cluster"] for one in answer.json["sessions"]}
    assert listed == {str(number) for number in range(len(CASES))}
    assert server.get("/", accept=BROWSER).status == 200


@pytest.mark.parametrize("name", CASES)
def test_a_session_with_damage_opens_and_tells(server: Any, name: str) -> None:
    number, case = list(CASES).index(name), CASES[name]
    server.opened(address(number))
    answers = {path: server.get(address(number) + path) for path in PATHS}
    bar = server.get(address(number), accept=BROWSER)
    assert bar.status == 200
    assert {path: answer.status for path, answer in answers.items() if answer.status >= 500} == {}
    assert case.told in html.unescape(bar.text)
    whole = tasks(server, 0)
    assert whole
    found = tasks(server, number)
    ids = {row["task_id"] for row in whole}
    assert {row["task_id"] for row in found} - ids <= {None, ""} | {row["task_id"] for row in found[:12]}
    assert (ids <= {row["task_id"] for row in found}) or not case.tasks


def test_a_log_says_where_a_frame_of_it_is_torn(server: Any) -> None:
    number = list(CASES).index("a segment with a torn frame")
    log = server.get(f"{address(number)}api/v0/logs/file?node_id={HEAD}&filename=raylet.out&lines=-1").text
    assert "[ray history: " in log
    assert "line 99 of 2" in log
    assert "line 99 of 1" not in log


def test_what_a_server_keeps_by_itself_is_made_anew_when_it_is_damaged(
    damaged_store: LocalStore, serving_store: Serving, tmp_path: Path, server: Any, chance: random.Random
) -> None:
    """Stored views and files of the cache, each damaged in another way."""
    expected = tasks(server, 0)
    views = [info.key for info in damaged_store.list(f"{VIEWS}lab/0/")]
    assert views
    ways: list[Change] = [truncated, flipped_at(0.5), zeros, garbage, lambda _: b"", lambda _: b"{}"]
    for key in views:
        damaged_store.put(key, chance.choice(ways)(damaged_store.get(key).data))
    cache = tmp_path / "cache"
    for _ in range(2):
        with serving_store(damaged_store, cache) as again:
            assert tasks(again, 0) == expected
        for number, file in enumerate(path for path in cache.rglob("*") if path.is_file()):
            file.write_bytes(ways[number % len(ways)](file.read_bytes()))
    with serving_store(damaged_store, cache) as again:
        assert tasks(again, 0) == expected


def test_a_catalog_index_of_another_make_is_none(
    damaged_store: LocalStore, serving_store: Serving, tmp_path: Path
) -> None:
    indexes: list[object] = [
        [],
        {"version": 3, "rows": 7},
        {"version": 2, "rows": [["x~y", 0, None, None]]},
        {"version": 2, "rows": [["a~lab~0~../../x~", 0, None, None]]},
        {"version": 2, "rows": [["a~lab~nobody~s~", -(1 << 60), None, None]]},
    ]
    for number, index in enumerate(indexes):
        damaged_store.put(CATALOG_INDEX, Compressor().compress(msgspec.msgpack.encode(index)))
        with serving_store(damaged_store, tmp_path / str(number)) as server:
            assert server.get("/api/sessions?limit=1000").json["total"] >= len(CASES)
