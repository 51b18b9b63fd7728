"""A stored view that isn't what it was costs another fold, which mends it, and a line in the log."""

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from archive.layout import Origin, SegmentName, SessionKey
from archive.segment import Range
from archive.store.local import LocalStore
from server.view.manifest import prefix
from server.view.view import View
from server.view.views import Views

KEY = SessionKey("lab", "damaged", "session_2026-11-23_02-43-27_490622_12278")
NODE = "593fd952d75624efbbf93821c408b4a5b6ed6b4e138c1229c87eca3b"
SEGMENT = SegmentName(KEY, NODE, Origin(1795401810000, "0123abcd"), 1)


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "one bit flipped": flipped,
    "empty": lambda _: b"",
    "gone": lambda _: None,
    "something else": lambda _: b'{"format": 99}',
}


@pytest.fixture
def store(
    tmp_path: Path, store_segment: Callable[..., None], recorded_events: list[dict[str, object]]
) -> LocalStore:
    (tmp_path / "store").mkdir()
    store = LocalStore(tmp_path / "store")
    lines = b"".join(json.dumps(event).encode() + b"\n" for event in recorded_events)
    store_segment(store, SEGMENT, [Range("events", 0, lines)])
    return store


@contextmanager
def opened(store: LocalStore, cache: Path) -> Iterator[View]:
    """As a new server opens it."""
    views = Views(store, cache, 1 << 30)
    try:
        yield views.open(KEY, 60)
    finally:
        views.close()


def tasks(view: View) -> list[tuple[object, ...]]:
    return view.rows("SELECT * FROM tasks ORDER BY ALL")


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("kind", ["manifests", "parts"])
def test_a_damaged_view_is_folded_afresh_told_and_mended(
    store: LocalStore,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    damage: Callable[[bytes], bytes | None],
    kind: str,
) -> None:
    with opened(store, tmp_path / "one") as view:
        expected = tasks(view)
    for info in list(store.list(f"{prefix(KEY)}{kind}/")):
        data = damage(store.get(info.key).data)
        store.delete([info.key]) if data is None else store.put(info.key, data)
    with caplog.at_level(logging.WARNING), opened(store, tmp_path / "two") as view:
        assert tasks(view) == expected
        assert view.gaps == ()
    assert any(KEY.path in line for line in caplog.messages) or (kind, damage(b"x")) == ("manifests", None)
    store.put(SEGMENT.key, b"whoever folds again finds this unreadable")
    with opened(store, tmp_path / "three") as view:
        assert tasks(view) == expected
