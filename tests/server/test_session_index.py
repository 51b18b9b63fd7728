"""A catalog of more pages than one: rounds, heartbeats, what is gone, what is read when; few requests."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.catalog import CatalogEntry, encode
from archive.errors import TransientStoreError
from archive.layout import CATALOG, CatalogName, Role, SessionKey
from archive.store.base import Object, ObjectInfo
from archive.store.local import LocalStore
from server import catalog_index, catalog_listing, session_index
from server.session_index import SessionIndex
from server.sessions import Snapshot, State

LOST_AFTER_MS = 180_000
SESSIONS = 60


class PagedStore(LocalStore):
    """A folder that counts requests as object storage would, and whose clock can be moved."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reads: list[str] = []
        self.pages = 0
        self.later = 0.0
        self.broken = False

    def get(
        self, key: str, *, start: int = 0, length: int | None = None, if_match: str | None = None
    ) -> Object:
        self.reads.append(key)
        return super().get(key, start=start, length=length, if_match=if_match)

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        for number, info in enumerate(super().list(prefix, after=after)):
            if number % catalog_listing.PAGE == 0:
                self.pages += 1
                if self.broken:
                    raise TransientStoreError("the store is away")
            yield info

    def now(self) -> float:
        return time.time() + self.later


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PagedStore:
    """Pages of 20 objects, so that the catalog has six."""
    monkeypatch.setattr(catalog_listing, "PAGE", 20)
    monkeypatch.setattr(session_index, "STRETCH", 10)
    monkeypatch.setattr(session_index, "WORTH_AN_INDEX", 10)
    return PagedStore(tmp_path)


def key_of(number: int) -> SessionKey:
    """The larger the number, the older the session."""
    return SessionKey("team", f"c{number % 3}", f"session_2026-11-23_02-43-{59 - number:02}_000000_1")


def put(store: LocalStore, number: int, role: Role = Role.HEAD, *, ended: bool = True) -> str:
    key = key_of(number)
    entry = CatalogEntry(
        namespace=key.namespace,
        cluster=key.cluster,
        session=key.session,
        role=role,
        state="ended" if ended else "running",
        last_seen_ms=int(time.time() * 1000),
    )
    store.put(entry.name.key, encode(entry))
    return entry.name.key


def fill(store: LocalStore) -> None:
    for number in range(SESSIONS):
        for role in Role:
            put(store, number, role)


def settled(index: SessionIndex) -> Snapshot:
    """The index when all is listed and read."""
    for _ in range(100):
        snapshot = index.refresh()
        if not index.behind:
            return snapshot
    raise AssertionError("it never ends")


def names(snapshot: Snapshot) -> list[SessionKey]:
    return [session.key for session in snapshot.sessions]


def a_round(index: SessionIndex) -> Snapshot:
    snapshot = index.refresh()
    for _ in range(SESSIONS // session_index.STRETCH + 1):
        snapshot = index.refresh()
    return snapshot


def test_the_newest_are_known_at_once_and_all_in_the_end(
    store: PagedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_index, "READ_FIRST", 5)
    fill(store)
    index = SessionIndex(store)
    first = index.refresh()
    assert names(first) == [key_of(number) for number in range(5)]
    assert first.unread == 4, "the last of a page may not be whole"
    assert not first.complete
    whole = settled(index)
    assert names(whole) == [key_of(number) for number in range(SESSIONS)]
    assert (whole.unread, whole.complete) == (0, True)
    assert all(session.head and session.worker for session in whole.sessions)


def test_a_refresh_takes_two_requests_to_list_however_many_sessions_there_are(store: PagedStore) -> None:
    fill(store)
    index = SessionIndex(store)
    settled(index)
    store.pages = 0
    store.reads.clear()
    for _ in range(20):
        index.refresh()
    assert index.requests == 2
    assert store.pages <= 20 * index.requests + 4, "a round has a page that is listed in part"
    assert store.reads == []


def test_a_new_session_is_seen_at_once(store: PagedStore) -> None:
    fill(store)
    index = SessionIndex(store)
    settled(index)
    fresh = SessionKey("team", "new", "session_2026-11-24_00-00-00_000000_1")
    entry = CatalogEntry(namespace="team", cluster="new", session=fresh.session, role=Role.HEAD)
    store.put(entry.name.key, encode(entry))
    assert names(index.refresh())[0] == fresh


def test_sessions_that_are_gone_are_noticed_within_a_round(store: PagedStore) -> None:
    fill(store)
    index = SessionIndex(store)
    settled(index)
    gone = [key_of(2), key_of(41), key_of(SESSIONS - 1)]
    store.delete([CatalogName(key, role).key for key in gone for role in Role])
    assert key_of(2) not in index.refresh().by_key
    snapshot = a_round(index)
    assert not set(gone) & set(names(snapshot))
    assert len(snapshot.sessions) == SESSIONS - len(gone)
    assert sorted(index.taken_gone()) == sorted(gone)
    assert index.taken_gone() == []


def test_an_old_session_that_is_put_late_is_found_by_the_round(store: PagedStore) -> None:
    fill(store)
    late = [CatalogName(key_of(50), role).key for role in Role]
    store.delete(late)
    index = SessionIndex(store)
    assert key_of(50) not in settled(index).by_key
    put(store, 50)
    assert key_of(50) in a_round(index).by_key


def test_one_that_runs_far_down_the_list_keeps_running_by_its_heartbeats(store: PagedStore) -> None:
    fill(store)
    put(store, 45, ended=False)
    index = SessionIndex(store)
    settled(index)
    store.reads.clear()
    store.later = 40.0
    heartbeat = put(store, 45, ended=False)
    session = index.refresh().by_key[key_of(45)]
    assert store.reads == [heartbeat]
    assert session.state(int(store.now() * 1000), LOST_AFTER_MS) is State.RUNNING
    store.later = 400.0
    snapshot = index.refresh()
    assert snapshot.by_key[key_of(45)].state(snapshot.clock_ms, LOST_AFTER_MS) is State.LOST


def test_a_session_is_lost_only_when_it_was_silent_as_it_was_looked_at(store: PagedStore) -> None:
    fill(store)
    put(store, 45, ended=False)
    snapshot = settled(SessionIndex(store))
    much_later = snapshot.clock_ms + 10 * LOST_AFTER_MS
    assert snapshot.by_key[key_of(45)].state(much_later, LOST_AFTER_MS) is State.RUNNING


def test_a_running_session_whose_entry_is_gone_is_gone(store: PagedStore) -> None:
    fill(store)
    store.delete([CatalogName(key_of(45), Role.WORKER).key])
    put(store, 45, ended=False)
    index = SessionIndex(store)
    settled(index)
    store.delete([CatalogName(key_of(45), Role.HEAD).key])
    store.later = 40.0
    assert key_of(45) not in index.refresh().by_key


def test_a_new_server_shows_the_index_at_once_and_reads_nothing_again(store: PagedStore) -> None:
    fill(store)
    settled(SessionIndex(store))
    store.reads.clear()
    index = SessionIndex(store)
    first = index.refresh()
    assert len(first.sessions) == SESSIONS
    assert not first.complete
    assert settled(index).complete
    assert store.reads == [catalog_index.KEY]


def test_what_changed_while_no_server_ran_is_read_again(store: PagedStore) -> None:
    fill(store)
    put(store, 45, ended=False)
    settled(SessionIndex(store))
    put(store, 45)
    store.delete([CatalogName(key_of(46), role).key for role in Role])
    index = SessionIndex(store)
    assert not index.refresh().by_key[key_of(45)].ended
    snapshot = settled(index)
    assert snapshot.by_key[key_of(45)].ended
    assert key_of(46) not in snapshot.by_key


@pytest.mark.parametrize("version", [1, 3])
def test_an_index_of_another_version_is_made_again(
    store: PagedStore, version: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(store)
    settled(SessionIndex(store))
    name = catalog_index.KEY
    kept = store.get(name).data
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(catalog_index, "VERSION", version)
        catalog_index.save(store, [])
    assert len(settled(SessionIndex(store)).sessions) == SESSIONS
    assert len(store.get(name).data) > len(kept) // 2, "the index was not written again"


def test_a_store_that_is_away_for_a_while_costs_nothing_but_the_time(store: PagedStore) -> None:
    fill(store)
    index = SessionIndex(store)
    index.refresh()
    store.broken = True
    with pytest.raises(TransientStoreError):
        index.refresh()
    store.broken = False
    assert names(settled(index)) == [key_of(number) for number in range(SESSIONS)]


def test_names_that_no_collector_writes_are_left_out_of_every_page(store: PagedStore) -> None:
    fill(store)
    for number in range(30):
        store.put(f"{CATALOG}{number:04d}-not-ours", b"")
    assert len(settled(SessionIndex(store)).sessions) == SESSIONS
