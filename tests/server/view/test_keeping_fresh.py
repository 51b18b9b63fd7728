"""A session that runs while somebody looks: what is new shows up, what it takes is told, what is old goes."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from archive.errors import TransientStoreError
from archive.layout import Origin, SegmentName, SessionKey, segments_prefix
from archive.segment import Range
from archive.store.base import Object, ObjectInfo
from archive.store.local import LocalStore
from server.view import freshness, saving, views
from server.view.errors import ViewPending
from server.view.manifest import manifests_prefix, prefix
from server.view.view import View
from server.view.views import Views

KEY = SessionKey("lab", "growing", "session_2026-11-23_02-43-27_490622_12278")
NODE = "593fd952d75624efbbf93821c408b4a5b6ed6b4e138c1229c87eca3b"
ORIGIN = Origin(1795401810000, "0123abcd")
HOURS = 7200


class GatedStore(LocalStore):
    """Its second segments are not given before somebody writes to the pipe `gate`, once for each."""

    def __init__(self, root: Path, gate: Path) -> None:
        super().__init__(root)
        self._gate = gate

    def get_suffix(self, key: str, length: int, *, if_match: str | None = None) -> Object:
        if SegmentName.parse(key).sequence == 2:
            with self._gate.open("rb", buffering=0) as gate:
                gate.read(1)
        return super().get_suffix(key, length, if_match=if_match)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    root = tmp_path / "store"
    root.mkdir()
    return LocalStore(root)


class FailingStore(LocalStore):
    """Can be listed no more once `down` is set."""

    down = False

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        if self.down:
            raise TransientStoreError("the test says so")
        return super().list(prefix, after=after)


@pytest.fixture
def put_node(store: LocalStore, store_segment: Callable[..., None]) -> Callable[[int], None]:
    """Stores a segment that tells of one more node."""
    ends = [0]

    def put(sequence: int) -> None:
        event = b'{"nodeDefinitionEvent": {"nodeId": "%s="}}\n' % (bytes([64 + sequence]) + b"T/ZUtdWJO4")
        name = SegmentName(KEY, NODE, ORIGIN, sequence)
        store_segment(store, name, [Range("events", ends[-1], event)], final=None)
        ends.append(ends[-1] + len(event))

    return put


def nodes(view: View) -> int:
    return int(view.rows("SELECT count(*) FROM nodes")[0][0])


def covered(store: LocalStore) -> int:
    """Bytes of segments that the newest stored view covers."""
    names = [info.key.rpartition("/")[2] for info in store.list(manifests_prefix(KEY))]
    return max((int(name.partition("-")[0]) for name in names), default=0)


def await_that(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def test_what_is_stored_while_somebody_looks_is_shown_without_anybody_asking(
    store: LocalStore,
    put_node: Callable[[int], None],
    store_catalog: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert freshness.FRESH_SECONDS + views.TICK_SECONDS < 15
    monkeypatch.setattr(freshness, "FRESH_SECONDS", 0.5)
    monkeypatch.setattr(views, "TICK_SECONDS", 0.1)
    monkeypatch.setattr(saving, "SAVE_SECONDS", 0.0)
    store_catalog(store, KEY, state="running")
    put_node(1)
    with Views(store, tmp_path / "cache", 1 << 30) as kept_fresh:
        assert nodes(kept_fresh.open(KEY, 60)) == 1
        for sequence in (2, 3):
            put_node(sequence)
            stored = sum(info.size for info in store.list(segments_prefix(KEY)))
            await_that(lambda stored=stored: covered(store) == stored)
        assert nodes(kept_fresh.open(KEY, 0)) == 3


def test_how_far_a_fold_is_is_told_while_it_runs(
    store: LocalStore, put_node: Callable[[int], None], tmp_path: Path
) -> None:
    put_node(1)
    put_node(2)
    os.mkfifo(tmp_path / "gate")
    gate = os.open(tmp_path / "gate", os.O_RDWR)
    pending = Views(GatedStore(tmp_path / "store", tmp_path / "gate"), tmp_path / "cache", 1 << 30)

    def progress() -> tuple[int, int]:
        with pytest.raises(ViewPending) as told:
            pending.open(KEY, 0)
        return told.value.done, told.value.total

    try:
        await_that(lambda: progress() == (1, 2))
        os.write(gate, b"1")
        assert nodes(pending.open(KEY, 60)) == 2
    finally:
        pending.close()
        os.close(gate)


def test_an_opened_session_is_shown_as_it_was_while_the_store_is_out(
    store: LocalStore,
    put_node: Callable[[int], None],
    store_catalog: Callable[..., None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(freshness, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(freshness, "SHARE", 0.0)
    store_catalog(store, KEY, state="running")
    put_node(1)
    failing = FailingStore(tmp_path / "store")
    with closing(Views(failing, tmp_path / "cache", 1 << 30)) as opened:
        view = opened.open(KEY, 60)
        failing.down = True
        put_node(2)
        assert [nodes(opened.open(KEY, 60)) for _ in range(3)] == [1, 1, 1]
        failing.down = False
        await_that(lambda: nodes(opened.open(KEY, 60)) == 2)
        assert nodes(view) == 1


def test_what_was_replaced_goes_after_an_hour(
    store: LocalStore, put_node: Callable[[int], None], tmp_path: Path
) -> None:
    def fold(sequence: int) -> set[str]:
        put_node(sequence)
        with Views(store, tmp_path / "cache", 1 << 30) as opened:
            opened.open(KEY, 60)
        return {info.key for info in store.list(prefix(KEY))}

    def let_hours_pass() -> None:
        for info in store.list(prefix(KEY)):
            path = tmp_path / "store" / info.key
            os.utime(path, (info.modified - HOURS, info.modified - HOURS))

    first = fold(1)
    second = fold(2)
    assert first < second
    let_hours_pass()
    third = fold(3)
    assert first - third, "what was replaced hours ago is still there"
    assert second - first <= third, "what was replaced just now is gone"
    let_hours_pass()
    fourth = fold(4)
    assert not [key for key in first | second if key in fourth and "/manifests/" in key]
    with Views(store, tmp_path / "other cache", 1 << 30) as opened:
        assert nodes(opened.open(KEY, 60)) == 4
