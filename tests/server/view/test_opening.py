"""Opening sessions whose archive is whole, growing, damaged, or being folded by somebody else as well."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from archive.layout import Origin, SegmentName, SessionKey, views_prefix
from archive.segment import Range
from archive.store.local import LocalStore
from server.view.errors import SessionUnknown
from server.view.manifest import Manifest, decoded, digest_of, encoded, manifest_key, manifests_prefix, prefix
from server.view.view import View
from server.view.views import Views

KEY = SessionKey("lab", "small", "session_2026-11-23_02-43-27_490622_12278")
NODE = "593fd952d75624efbbf93821c408b4a5b6ed6b4e138c1229c87eca3b"
OTHER = "df2adaacdb61804408645f058c837352ae132968e428d41b81027c2c"
ORIGIN = Origin(1795401810000, "0123abcd")

Put = Callable[..., None]


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    root = tmp_path / "store"
    root.mkdir()
    return LocalStore(root)


@pytest.fixture
def put(store: LocalStore, store_segment: Put) -> Put:
    """Stores a segment of events: `put(sequence, first, last)` with the recorded events of those places."""

    def putting(sequence: int, events: bytes, start: int = 0, node_id: str = NODE, **facts: object) -> None:
        name = SegmentName(KEY, node_id, ORIGIN, sequence)
        store_segment(store, name, [Range("events", start, events)], **facts)

    return putting


@pytest.fixture(scope="session")
def lines(recorded_events: list[dict[str, object]]) -> list[bytes]:
    return [json.dumps(event).encode() + b"\n" for event in recorded_events]


@contextmanager
def opened(store: LocalStore, cache: Path, key: SessionKey = KEY) -> Iterator[View]:
    """The view as a new server opens it."""
    views = Views(store, cache, 1 << 30)
    try:
        yield views.open(key, 60)
    finally:
        views.close()


def count(view: View) -> int:
    return int(view.rows("SELECT count(*) FROM tasks")[0][0])


def stored(store: LocalStore) -> list[str]:
    return [info.key for info in store.list(prefix(KEY))]


def test_an_unknown_session_is_told_so(store: LocalStore, tmp_path: Path) -> None:
    with pytest.raises(SessionUnknown), opened(store, tmp_path / "cache"):
        pass


def test_a_view_is_stored_and_opens_in_another_server_without_folding(
    store: LocalStore, put: Put, store_catalog: Put, lines: list[bytes], tmp_path: Path
) -> None:
    put(1, b"".join(lines))
    store_catalog(store, KEY)
    with opened(store, tmp_path / "one") as first:
        tasks, version = first.rows("SELECT * FROM tasks ORDER BY ALL"), first.version
    store.put(SegmentName(KEY, NODE, ORIGIN, 1).key, b"whoever folds again finds this unreadable")
    with opened(store, tmp_path / "two") as second:
        assert second.rows("SELECT * FROM tasks ORDER BY ALL") == tasks
        assert (second.version, second.gaps) == (version, ())
        assert second.facts.state == "ended"


def test_what_was_stored_later_is_added(
    store: LocalStore, put: Put, lines: list[bytes], tmp_path: Path
) -> None:
    first = b"".join(lines[:900])
    put(1, first, final=None)
    with opened(store, tmp_path / "cache") as before:
        few = count(before)
    put(2, b"".join(lines[900:]), start=len(first))
    with opened(store, tmp_path / "cache") as after:
        assert few < count(after) == 228


def test_an_open_segment_is_read_again_when_it_grew(
    store: LocalStore, put: Put, lines: list[bytes], tmp_path: Path
) -> None:
    put(1, b"".join(lines[:900]), closed=False, final=None)
    with opened(store, tmp_path / "cache") as before:
        few, version = count(before), before.version
    with opened(store, tmp_path / "cache") as same:
        assert same.version == version
    put(1, b"".join(lines))
    with opened(store, tmp_path / "cache") as after:
        assert few < count(after) == 228


def test_a_running_session_keeps_small_parts_apart_and_an_ended_one_has_one(
    store: LocalStore, put: Put, store_catalog: Put, lines: list[bytes], tmp_path: Path
) -> None:
    store_catalog(store, KEY, state="running")
    cuts = [0, 1400, 1450, 1500, len(lines)]
    start = 0
    for sequence in range(1, 5):
        piece = b"".join(lines[cuts[sequence - 1] : cuts[sequence]])
        put(sequence, piece, start=start, final=None)
        start += len(piece)
        if sequence == 4:
            store_catalog(store, KEY)
        with opened(store, tmp_path / f"cache{sequence}") as view:
            tasks = count(view)
    assert tasks == 228
    parts = [
        len(decoded(store.get(info.key).data, info.key).parts) for info in store.list(manifests_prefix(KEY))
    ]
    assert parts == [1, 2, 3, 1]


def test_a_segment_cut_short_is_a_gap_and_the_others_fold(
    store: LocalStore, put: Put, lines: list[bytes], tmp_path: Path
) -> None:
    put(1, b"".join(lines[:900]), final=None)
    put(1, b"".join(lines[900:]), node_id=OTHER)
    name = SegmentName(KEY, OTHER, ORIGIN, 1).key
    store.put(name, store.get(name).data[:-100])
    with opened(store, tmp_path / "cache") as view:
        assert 0 < count(view) < 228
        (gap,) = view.gaps
        assert "cut short" in gap
        assert OTHER[:8] in gap


def test_losses_that_the_collector_counted_are_gaps(
    store: LocalStore, store_segment: Put, lines: list[bytes], tmp_path: Path
) -> None:
    name = SegmentName(KEY, NODE, ORIGIN, 1)
    store_segment(store, name, [Range("events", 0, b"".join(lines))], losses={"events.dropped": 12})
    with opened(store, tmp_path / "cache") as view:
        assert view.gaps == (
            f"dropped from events for want of room on the node's disk: 12, on node {NODE[:8]}",
        )


def test_what_can_not_be_understood_is_a_gap(store: LocalStore, put: Put, tmp_path: Path) -> None:
    put(1, b'{"eventType": "TEA_EVENT"}\n{half\n{"nodeDefinitionEvent": {"nodeId": "WT/Z", "tea": 1}}\n')
    with opened(store, tmp_path / "cache") as view:
        assert view.gaps == (
            "1 record could not be used: undecodable event (DecodeError)",
            "1 record could not be used: unknown event type (TEA_EVENT)",
            (
                "events have fields unknown to this version, which are kept in the archive and not shown: "
                "nodeDefinitionEvent.tea (met 1 time in the events looked at)"
            ),
        )


def test_a_damaged_part_is_folded_afresh(
    store: LocalStore, put: Put, lines: list[bytes], tmp_path: Path
) -> None:
    put(1, b"".join(lines))
    with opened(store, tmp_path / "one"):
        pass
    for key in stored(store):
        if "/parts/" in key:
            store.put(key, store.get(key).data[:-1])
    with opened(store, tmp_path / "two") as view:
        assert count(view) == 228


def test_a_damaged_manifest_is_folded_afresh(
    store: LocalStore, put: Put, lines: list[bytes], tmp_path: Path
) -> None:
    put(1, b"".join(lines))
    with opened(store, tmp_path / "one"):
        pass
    (manifest,) = [key for key in stored(store) if "/manifests/" in key]
    store.put(manifest, b'{"format": 1}')
    with opened(store, tmp_path / "two") as view:
        assert count(view) == 228


def test_a_view_of_another_version_is_ignored(
    store: LocalStore, put: Put, lines: list[bytes], tmp_path: Path
) -> None:
    put(1, b"".join(lines))
    strange = Manifest(format=99)
    store.put(manifest_key(KEY, strange), encoded(strange))
    store.put(f"{views_prefix(KEY, '999.9')}manifests/9999999999999999-x.json", b"{}")
    with opened(store, tmp_path / "cache") as view:
        assert count(view) == 228


def test_a_lost_session_was_last_heard_of_at_the_same_time_whoever_asks(
    store: LocalStore, put: Put, lines: list[bytes], tmp_path: Path
) -> None:
    early, late, absurd = 1795402100_000, 1795402124_000, 2**62
    put(1, lines[0], written_ms=early, final=None)
    with opened(store, tmp_path / "one") as while_it_runs:
        assert while_it_runs.facts.ended_ms == early
    put(2, lines[1], len(lines[0]), written_ms=late, final=None)
    put(1, lines[2], node_id=OTHER, written_ms=absurd, final=None)
    copy = LocalStore(tmp_path / "copy")
    (tmp_path / "copy").mkdir()
    for info in store.list("v1/segments/"):
        copy.put(info.key, store.get(info.key).data)
    for number, where in enumerate((store, store, copy)):
        with opened(where, tmp_path / f"later{number}") as view:
            assert (view.facts.state, view.facts.ended_ms) == ("lost", late)


@pytest.mark.parametrize(
    "change", [lambda origin: origin.pop("written_ms"), lambda origin: origin.update(x=1)]
)
def test_a_manifest_that_lacks_a_field_or_has_one_more_is_folded_afresh(
    store: LocalStore, put: Put, lines: list[bytes], tmp_path: Path, change: Callable[[Any], object]
) -> None:
    put(1, b"".join(lines))
    with opened(store, tmp_path / "one") as view:
        ended_ms = view.facts.ended_ms
    (name,) = [key for key in stored(store) if "/manifests/" in key]
    manifest = json.loads(store.get(name).data)
    change(manifest["origins"][0])
    other = json.dumps(manifest).encode()
    store.delete([name])
    store.put(f"{name.rpartition('-')[0]}-{digest_of(other)}.json", other)
    with opened(store, tmp_path / "two") as view:
        assert view.facts.ended_ms == ended_ms == 1795402103_000
    assert len([key for key in stored(store) if "/manifests/" in key]) == 2


def test_two_servers_folding_the_same_session_collide_harmlessly(
    store: LocalStore, put: Put, lines: list[bytes], tmp_path: Path
) -> None:
    put(1, b"".join(lines))
    with opened(store, tmp_path / "one") as one, opened(store, tmp_path / "two") as two:
        assert one.rows("SELECT * FROM tasks ORDER BY ALL") == two.rows("SELECT * FROM tasks ORDER BY ALL")
        assert one.version == two.version
    with opened(store, tmp_path / "three") as three:
        assert count(three) == 228


def test_a_damaged_file_in_the_cache_is_fetched_again(
    store: LocalStore, put: Put, lines: list[bytes], tmp_path: Path
) -> None:
    put(1, b"".join(lines))
    with opened(store, tmp_path / "cache"):
        pass
    for file in (tmp_path / "cache" / "parts").iterdir():
        file.write_bytes(b"half a file")
    with opened(store, tmp_path / "cache") as view:
        assert count(view) == 228


def test_export_lines_cut_between_segments_are_whole_again(
    store: LocalStore, store_segment: Put, tmp_path: Path
) -> None:
    files = Path(__file__).parents[2] / "fixtures" / "ray" / "2.40" / "logs" / "export_events"
    data = (files / "event_EXPORT_ACTOR.log").read_bytes()
    for sequence, (begin, end) in enumerate([(0, 1000), (1000, 5000), (5000, len(data))], 1):
        pieces = [Range("exports/event_EXPORT_ACTOR.log", begin, data[begin:end])]
        name = SegmentName(KEY, NODE, ORIGIN, sequence)
        store_segment(store, name, pieces, final=None, closed=sequence < 3)
        with opened(store, tmp_path / "cache") as view:
            assert view.gaps == ()
            transitions = view.rows("SELECT sum(json_array_length(transitions))::INTEGER FROM actors")
    assert transitions == [(10,)]
