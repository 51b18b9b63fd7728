"""The thread that puts catalog entries."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from archive.catalog import CatalogEntry, decode, encode
from archive.errors import StoreRefused, TransientStoreError
from archive.layout import Role, SessionKey
from archive.store import ObjectInfo
from archive.store.local import LocalStore
from archive.store.url import open_store
from sidecar.catalog import Catalog
from sidecar.entry import entry_of

SESSION = SessionKey("ns", "c", "session_2026-11-23_02-43-27_490622_12278")
EARLIER = SessionKey("ns", "c", "session_2026-11-22_01-00-00_000001_77")
HEAD = {"role": "head", "node_id": "ab" * 28}
Eventually = Callable[..., Any]


class Clock:
    """Seconds that pass with each look."""

    def __init__(self) -> None:
        self.now = 1_795_402_000.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


@pytest.fixture
def catalog(archived: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Catalog]:
    monkeypatch.setattr("sidecar.catalog.BEAT", 0.02)
    running = Catalog(open_store(archived.url), Clock())
    running.start()
    yield running
    assert running.finish(10.0)


@pytest.mark.parametrize("zone", ["UTC", "XXX+11", "XXX-14"])
@pytest.mark.parametrize("moment", ["0001-01-01_00-00-00", "1970-01-01_00-00-00", "9999-12-31_23-59-59"])
def test_a_session_named_after_an_absurd_time_is_listed_all_the_same(
    monkeypatch: pytest.MonkeyPatch, zone: str, moment: str
) -> None:
    with monkeypatch.context() as place:
        place.setenv("TZ", zone)
        time.tzset()
        written = entry_of(SessionKey("ns", "c", f"session_{moment}_999999_1"), HEAD)
    time.tzset()
    assert decode(encode(written)) == written


def entry(archived: Any, key: SessionKey) -> CatalogEntry | None:
    return next((one for one in archived.catalog() if one.session == key.session), None)


def beats(archived: Any, eventually: Eventually) -> bool:
    """Whether the session's entry is put again, and once more."""
    for _ in range(2):
        seen = eventually(lambda: entry(archived, SESSION)).last_seen_ms
        eventually(lambda before=seen: entry(archived, SESSION).last_seen_ms > before)
    return True


def test_a_heads_entry_is_put_again_and_again(
    catalog: Catalog, archived: Any, eventually: Eventually
) -> None:
    catalog.show(entry_of(SESSION, HEAD))
    assert beats(archived, eventually)


def test_the_end_of_another_session_does_not_stop_the_heartbeat(
    catalog: Catalog, archived: Any, eventually: Eventually
) -> None:
    catalog.show(entry_of(SESSION, HEAD))
    catalog.show(entry_of(EARLIER, HEAD, "ended", "left over", 1_795_300_000_000))
    assert beats(archived, eventually)
    earlier = eventually(lambda: entry(archived, EARLIER))
    assert (earlier.state, earlier.reason, earlier.last_seen_ms) == ("ended", "left over", 1_795_300_000_000)


def test_a_session_that_has_ended_beats_no_more(archived: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.catalog.BEAT", 0.0)
    catalog = Catalog(open_store(archived.url), Clock())
    catalog.show(entry_of(SESSION, HEAD))
    catalog.show(entry_of(SESSION, HEAD, "ended", "over"))
    catalog.start()
    assert catalog.finish(30.0)
    found = entry(archived, SESSION)
    assert found is not None
    assert (found.role, found.state, found.last_seen_ms) == (Role.HEAD, "ended", 1_795_402_001_000)


class Doubtful(LocalStore):
    """A folder in which the first heartbeat's put is held up, and arrives late.

    It arrives when `arrive` is set, or without a word when `gives_up` is set before.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.asked = threading.Event()
        self.arrive = threading.Event()
        self.gives_up = threading.Event()
        self.states: list[str] = []

    def put(self, key: str, data: bytes) -> ObjectInfo:
        if not self.asked.is_set():
            self.asked.set()
            while not self.arrive.wait(0.01):
                if self.gives_up.is_set():
                    raise TransientStoreError("no answer came", effect_unknown=True)
        info = super().put(key, data)
        self.states.append(decode(data).state)
        return info


@pytest.fixture
def doubtful(archived: Any, tmp_path: Path) -> Doubtful:
    return Doubtful(tmp_path / "store")


def test_the_end_waits_for_no_heartbeat_that_hangs_and_is_put_again_behind_it(
    archived: Any, doubtful: Doubtful, eventually: Eventually
) -> None:
    catalog = Catalog(doubtful, Clock())
    catalog.start()
    catalog.show(entry_of(SESSION, HEAD))
    assert doubtful.asked.wait(10)
    catalog.show(entry_of(SESSION, HEAD, "ended", "over"))
    eventually(lambda: doubtful.states == ["ended"])
    doubtful.arrive.set()
    assert catalog.finish(30.0)
    assert doubtful.states == ["ended", "running", "ended"]
    found = entry(archived, SESSION)
    assert found is not None
    assert (found.state, found.reason, found.last_seen_ms) == ("ended", "over", 1_795_402_002_000)


def test_a_heartbeat_that_takes_effect_after_the_end_hides_nothing(
    archived: Any, doubtful: Doubtful, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.catalog.LATE", 0.3)
    catalog = Catalog(doubtful, Clock())
    catalog.start()
    catalog.show(entry_of(SESSION, HEAD))
    assert doubtful.asked.wait(10)
    doubtful.gives_up.set()
    catalog.show(entry_of(SESSION, HEAD, "ended", "over"))
    eventually(lambda: "ended" in doubtful.states)
    late = entry_of(SESSION, HEAD)
    LocalStore.put(doubtful, late.name.key, encode(late))
    eventually(lambda: (found := entry(archived, SESSION)) is not None and found.state == "ended")
    assert doubtful.states == ["ended", "ended"]
    assert catalog.finish(30.0)


def test_at_the_end_the_last_moment_counts_for_a_doubtful_heartbeat(
    archived: Any, doubtful: Doubtful, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.catalog.LAST_MOMENT", 0.1)
    catalog = Catalog(doubtful, Clock())
    catalog.start()
    catalog.show(entry_of(SESSION, HEAD))
    assert doubtful.asked.wait(10)
    doubtful.gives_up.set()
    catalog.show(entry_of(SESSION, HEAD, "ended", "over"))
    assert catalog.finish(0.6)
    assert doubtful.states == ["ended", "ended"]


def test_a_store_that_refuses_is_told_and_tried_again_until_it_does_not(
    archived: Any, tmp_path: Path, eventually: Eventually
) -> None:
    class Refusing(LocalStore):
        refuses = True

        def put(self, key: str, data: bytes) -> ObjectInfo:
            if self.refuses:
                raise StoreRefused("no right to put")
            return super().put(key, data)

    store = Refusing(tmp_path / "store")
    said: list[str] = []
    catalog = Catalog(store, Clock(), said.append)
    catalog.start()
    catalog.show(entry_of(SESSION, HEAD))
    eventually(lambda: said == ["no right to put"])
    store.refuses = False
    eventually(lambda: entry(archived, SESSION))
    eventually(lambda: said[-1] == "")
    assert catalog.finish(1.0)


def test_a_heartbeat_that_never_comes_back_is_followed_by_the_end_at_the_last_moment(
    doubtful: Doubtful, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.catalog.LAST_MOMENT", 0.1)
    catalog = Catalog(doubtful, Clock())
    catalog.start()
    catalog.show(entry_of(SESSION, HEAD))
    assert doubtful.asked.wait(10)
    catalog.show(entry_of(SESSION, HEAD, "ended", "over"))
    assert catalog.finish(0.6)
    assert doubtful.states == ["ended", "ended"]
    doubtful.gives_up.set()


def test_an_entry_that_can_not_be_written_down_ends_no_heartbeat(
    archived: Any, tmp_path: Path, eventually: Eventually
) -> None:
    said: list[str] = []
    catalog = Catalog(LocalStore(tmp_path / "store"), Clock(), said.append)
    catalog.start()
    catalog.show(entry_of(SESSION, {**HEAD, "owner_name": "\udcff"}))
    eventually(lambda: any("UnicodeEncodeError" in problem for problem in said))
    catalog.show(entry_of(SESSION, HEAD))
    eventually(lambda: entry(archived, SESSION))
    assert catalog.finish(1.0)
