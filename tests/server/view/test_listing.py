"""Listing what is stored of a session takes few requests."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from archive.layout import Origin, SegmentName, SessionKey
from archive.store.base import ObjectInfo
from archive.store.local import LocalStore
from server.view import listing
from server.view.listing import Listing
from server.view.manifest import Manifest, OriginState

KEY = SessionKey("lab", "listed", "session_2026-11-23_02-43-27_490622_12278")
GONE, ALIVE = "59" * 28, "df" * 28
ORIGIN = Origin(1795401810000, "0123abcd")
LATER = Origin(1795401810001, "0123abcd")


class Asked(LocalStore):
    """Keeps the prefixes that are listed."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.asked: list[str] = []

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        self.asked.append(prefix)
        return super().list(prefix, after=after)


@pytest.fixture
def store(tmp_path: Path) -> Asked:
    return Asked(tmp_path)


def put(store: Asked, node_id: str, sequences: Iterable[int], origin: Origin = ORIGIN) -> None:
    for sequence in sequences:
        store.put(SegmentName(KEY, node_id, origin, sequence).key, b"a segment")


def told(store: Asked, known: Manifest, *, every_node: bool = True) -> set[tuple[str, int]]:
    with ThreadPoolExecutor(2) as threads:
        found = Listing(store, threads, KEY, known, every_node=every_node).behind(known)
        return {(one.name.node_id, one.name.sequence) for one in found}


def folded(closed: int) -> Manifest:
    """Of two nodes, one of which ended."""
    states = [
        OriginState(node_id=node, origin=str(ORIGIN), closed=closed, final=final)
        for node, final in ((GONE, "stopped"), (ALIVE, None))
    ]
    return Manifest(origins=tuple(states))


def test_few_segments_of_many_nodes_are_one_request(store: Asked) -> None:
    nodes = [f"{number:056x}" for number in range(30)]
    for node in nodes:
        put(store, node, [1])
    assert told(store, Manifest()) == {(node, 1) for node in nodes}
    assert len(store.asked) == 1


def test_many_segments_are_listed_node_by_node_behind_what_is_folded(
    store: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "FEW", 4)
    put(store, GONE, range(1, 4))
    put(store, ALIVE, range(1, 5))
    assert told(store, Manifest()) == {(GONE, 1), (GONE, 2), (GONE, 3)} | {(ALIVE, n) for n in range(1, 5)}
    assert told(store, folded(3)) == {(ALIVE, 4)}


def test_nodes_that_ended_are_listed_when_every_node_is(
    store: Asked, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "FEW", 1)
    put(store, GONE, [1])
    put(store, ALIVE, [1, 2])
    put(store, GONE, [1], LATER)
    assert told(store, folded(1), every_node=False) == {(ALIVE, 2)}
    assert told(store, folded(1)) == {(ALIVE, 2), (GONE, 1)}
