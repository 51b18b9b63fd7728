"""Sessions from the catalog: merging, the lost rule, incremental refresh, hostile names."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.catalog import CatalogEntry, encode
from archive.compression import Compressor
from archive.layout import CATALOG, CatalogName, Role, SessionKey
from archive.store.base import Object
from archive.store.local import LocalStore
from server import catalog_index
from server.session_index import SessionIndex
from server.sessions import Snapshot, State

KEY = SessionKey("team", "trainer", "session_2026-11-23_02-43-27_490622_12278")
LOST_AFTER_MS = 180_000


class CountingStore(LocalStore):
    """A folder that counts what is read from it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reads: list[str] = []

    def get(
        self, key: str, *, start: int = 0, length: int | None = None, if_match: str | None = None
    ) -> Object:
        self.reads.append(key)
        return super().get(key, start=start, length=length, if_match=if_match)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CountingStore]:
    return CountingStore(tmp_path)


def entry(role: Role = Role.HEAD, key: SessionKey = KEY, **told: object) -> CatalogEntry:
    return CatalogEntry(namespace=key.namespace, cluster=key.cluster, session=key.session, role=role, **told)


def put(store: LocalStore, told: CatalogEntry) -> str:
    store.put(told.name.key, encode(told))
    return told.name.key


def settled(index: SessionIndex) -> Snapshot:
    """The index when it has listed and read everything."""
    snapshot = index.refresh()
    while index.behind:
        snapshot = index.refresh()
    return snapshot


def age(tmp_path: Path, key: str, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(tmp_path / key, (then, then))


def test_head_and_worker_entries_make_one_session_and_the_heads_word_counts(store: CountingStore) -> None:
    put(
        store,
        entry(Role.HEAD, state="running", ray_version="2.60.0", owner_kind="RayJob", owner_name="nightly"),
    )
    put(store, entry(Role.WORKER, state="ended", ray_version="2.55.0", python_version="3.11.9"))
    snapshot = SessionIndex(store).refresh()
    (session,) = snapshot.sessions
    assert session.key == KEY
    assert session.state(snapshot.clock_ms, LOST_AFTER_MS) is State.RUNNING
    assert (session.ray_version, session.python_version) == ("2.60.0", "3.11.9")
    assert (session.owner_kind, session.owner_name) == ("RayJob", "nightly")
    assert session.missing(State.RUNNING) == ()


def test_a_session_that_says_running_and_is_silent_for_three_minutes_is_lost(
    store: CountingStore, tmp_path: Path
) -> None:
    key = put(store, entry(state="running"))
    index = SessionIndex(store)
    age(tmp_path, key, 179)
    snapshot = index.refresh()
    assert snapshot.sessions[0].state(snapshot.clock_ms, LOST_AFTER_MS) is State.RUNNING
    age(tmp_path, key, 181)
    snapshot = index.refresh()
    assert snapshot.sessions[0].state(snapshot.clock_ms, LOST_AFTER_MS) is State.LOST
    assert snapshot.sessions[0].missing(State.LOST) == ("Its end, and up to 10 s before it",)


def test_a_session_that_told_its_end_never_becomes_lost(store: CountingStore, tmp_path: Path) -> None:
    told = entry(
        state="ended", reason="head stopped", started_ms=1_795_000_000_000, last_seen_ms=1_795_000_060_000
    )
    age(tmp_path, put(store, told), 100_000)
    snapshot = SessionIndex(store).refresh()
    (session,) = snapshot.sessions
    assert session.state(snapshot.clock_ms, LOST_AFTER_MS) is State.ENDED
    assert session.duration_ms(snapshot.clock_ms, LOST_AFTER_MS) == 60_000
    assert session.reason == "head stopped"


def test_a_busy_workers_entry_does_not_keep_a_silent_head_alive(store: CountingStore, tmp_path: Path) -> None:
    age(tmp_path, put(store, entry(Role.HEAD)), 1000)
    put(store, entry(Role.WORKER))
    snapshot = SessionIndex(store).refresh()
    assert snapshot.sessions[0].state(snapshot.clock_ms, LOST_AFTER_MS) is State.LOST


def test_a_worker_that_ended_does_not_end_the_session(store: CountingStore) -> None:
    put(store, entry(Role.WORKER, state="ended", reason="scaled down"))
    (session,) = SessionIndex(store).refresh().sessions
    assert (session.ended, session.reason) == (False, "")


def test_a_session_known_by_its_workers_only_says_so(store: CountingStore) -> None:
    put(store, entry(Role.WORKER))
    assert SessionIndex(store).refresh().sessions[0].missing(State.RUNNING) == (
        "No collector on the head node",
    )


def test_sessions_come_newest_first_and_unreadable_names_last(store: CountingStore) -> None:
    keys = [
        SessionKey("a", "x", "session_2026-11-22_00-00-00_000000_1"),
        SessionKey("b", "x", "session_2026-11-23_00-00-00_000000_1"),
        SessionKey("a", "x", "a-name-without-a-time"),
        SessionKey("c", "x", "session_2025-01-01_00-00-00_000000_1"),
    ]
    for key in keys:
        put(store, entry(key=key))
    found = [session.key for session in SessionIndex(store).refresh().sessions]
    assert found == [keys[1], keys[0], keys[3], keys[2]]


def test_a_refresh_reads_only_what_changed_and_forgets_what_is_gone(store: CountingStore) -> None:
    other = SessionKey("team", "trainer", "session_2026-11-24_00-00-00_000000_1")
    first, second = put(store, entry()), put(store, entry(key=other))
    index = SessionIndex(store)
    index.refresh()
    store.reads.clear()
    index.refresh()
    assert store.reads == []
    put(store, entry(state="ended"))
    assert index.refresh().by_key[KEY].ended
    assert store.reads == [first]
    store.delete([second])
    assert list(index.refresh().by_key) == [KEY]


def test_an_entry_that_cant_be_read_hides_nothing_but_itself(store: CountingStore) -> None:
    store.put(CatalogName(KEY, Role.HEAD).key, b"\x00 not json")
    other = SessionKey("team", "other", "session_2026-11-22_00-00-00_000000_1")
    put(store, entry(key=other, ray_version="2.60.0"))
    snapshot = SessionIndex(store).refresh()
    assert [session.key for session in snapshot.sessions] == [KEY, other]
    (trouble,) = snapshot.by_key[KEY].missing(State.RUNNING)
    assert "can't be read" in trouble


@pytest.mark.parametrize(
    "name",
    [
        "0000000000000~ns~cluster~session~driver.json",
        "not-a-catalog-name",
        "9999999999999~..~cluster~session~head.json",
        "8204611392510~team~trainer~session_2026-11-23_02-43-27_490622_12278~head.json.tmp",
    ],
)
def test_objects_with_names_that_no_collector_writes_are_ignored(store: CountingStore, name: str) -> None:
    store.put(CATALOG + name, encode(entry()))
    assert SessionIndex(store).refresh().sessions == ()


def test_a_new_server_reads_the_shared_index_and_only_what_changed_since(store: CountingStore) -> None:
    keys = [SessionKey("team", "many", f"session_2026-11-23_02-43-27_{number:06}_1") for number in range(600)]
    for key in keys:
        put(store, entry(key=key, ray_version="2.60.0"))
    first = settled(SessionIndex(store))
    changed = put(store, entry(key=keys[7], state="ended", reason="later"))
    store.delete([CatalogName(keys[8], Role.HEAD).key])
    store.reads.clear()
    second = SessionIndex(store).refresh()
    assert store.reads == [catalog_index.KEY, changed]
    assert len(first.sessions) == 600
    assert len(second.sessions) == 599
    assert second.by_key[keys[7]].reason == "later"
    assert second.by_key[keys[9]].head == first.by_key[keys[9]].head


@pytest.mark.parametrize("damage", [b"", b"no index", Compressor().compress(b"\x93\x01\x02\x03")])
def test_an_index_that_cant_be_read_counts_as_absent(store: CountingStore, damage: bytes) -> None:
    put(store, entry())
    store.put(catalog_index.KEY, damage)
    assert [session.key for session in SessionIndex(store).refresh().sessions] == [KEY]
