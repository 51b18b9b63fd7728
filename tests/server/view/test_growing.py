"""A session that grows under a server's eyes reads the same as one that is folded when all is there."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from archive.layout import Origin, SegmentName, SessionKey
from archive.segment import Range
from archive.store.local import LocalStore
from server.view import files, freshness, saving
from server.view.manifest import Manifest, decoded, manifests_prefix, prefix
from server.view.schema import RELATIONS
from server.view.view import View
from server.view.views import Views

KEY = SessionKey("lab", "growing", "session_2026-11-23_02-43-27_490622_12278")
NODES = (
    "593fd952d75624efbbf93821c408b4a5b6ed6b4e138c1229c87eca3b",
    "df2adaacdb61804408645f058c837352ae132968e428d41b81027c2c",
)
ORIGIN = Origin(1795401810000, "0123abcd")
FIRST = 1200
STEP = 60


@pytest.fixture(scope="session")
def lines(recorded_events: list[dict[str, object]]) -> list[bytes]:
    return [json.dumps(event).encode() + b"\n" for event in recorded_events]


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    root = tmp_path / "store"
    root.mkdir()
    return LocalStore(root)


@pytest.fixture
def grow(
    store: LocalStore,
    store_segment: Callable[..., None],
    store_catalog: Callable[..., None],
    lines: list[bytes],
) -> Callable[[], Iterator[int]]:
    """Stores the recorded events bit by bit, as two nodes' open segments and closed ones; gives each step."""

    def growing() -> Iterator[int]:
        store_catalog(store, KEY, state="running")
        ends = [0, 0]
        begun = [0, 0]
        cuts = [0, *range(FIRST, len(lines), STEP), len(lines)]
        for step in range(len(cuts) - 1):
            node = step % 2
            closed = step % 3 == 0
            piece = b"".join(lines[cuts[step] : cuts[step + 1]])
            start = ends[node]
            name = SegmentName(KEY, NODES[node], ORIGIN, begun[node] + 1)
            open_before = store_pending.pop(node, b"")
            data = open_before + piece
            store_segment(
                store, name, [Range("events", start - len(open_before), data)], closed=closed, final=None
            )
            ends[node] = start + len(piece)
            if closed:
                begun[node] += 1
            else:
                store_pending[node] = data
            yield step

    store_pending: dict[int, bytes] = {}
    return growing


def content(view: View) -> dict[str, list[tuple[object, ...]]]:
    return {relation: view.rows(f"SELECT * FROM {relation} ORDER BY ALL") for relation in RELATIONS}


def is_laid_over(view: View) -> bool:
    """Whether some rows of a file don't count, for newer ones beside it."""
    return bool(view.rows("FROM duckdb_views() WHERE schema_name = 'merged' AND sql LIKE '%ANTI JOIN%'"))


@contextmanager
def opened(store: LocalStore, cache: Path) -> Iterator[View]:
    with closing(Views(store, cache, 1 << 30)) as views:
        yield views.open(KEY, 60)


def manifests(store: LocalStore) -> list[Manifest]:
    return [decoded(store.get(info.key).data, info.key) for info in store.list(manifests_prefix(KEY))]


@pytest.mark.parametrize("save_seconds", [0.0, 1e9])
def test_what_came_bit_by_bit_is_what_came_at_once(
    store: LocalStore,
    grow: Callable[[], Iterator[int]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    save_seconds: float,
) -> None:
    monkeypatch.setattr(freshness, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(freshness, "GIVEN_SECONDS", 0.0)
    monkeypatch.setattr(freshness, "SHARE", 0.0)
    monkeypatch.setattr(saving, "SAVE_SECONDS", save_seconds)
    monkeypatch.setattr(files, "MOST_LAID_OVER", 9)
    monkeypatch.setattr(files, "SMALLEST_LAID_OVER", 0)  # however small the session is
    monkeypatch.setattr(files, "CHANGED", 0)
    laid_over = 0
    with closing(Views(store, tmp_path / "growing", 1 << 30)) as views:
        for _ in grow():
            view = views.open(KEY, 60)
            laid_over += is_laid_over(view)
        assert laid_over > 2
        with opened(store, tmp_path / "other") as other:
            deadline = time.monotonic() + 30
            while (view := views.open(KEY, 60)).version != other.version:
                assert time.monotonic() < deadline, "what is stored is not shown"
            seen = content(view)
            assert content(other) == seen
    store.delete([info.key for info in store.list(prefix(KEY))])
    with opened(store, tmp_path / "afresh") as afresh:
        assert content(afresh) == seen
