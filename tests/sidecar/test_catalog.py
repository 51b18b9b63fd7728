"""The thread that puts catalog entries."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from archive.catalog import CatalogEntry, decode, encode
from archive.layout import Role, SessionKey
from archive.store.url import open_store
from sidecar.catalog import Catalog, entry_of

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
    assert catalog.finish(10.0)
    found = entry(archived, SESSION)
    assert found is not None
    assert (found.role, found.state, found.last_seen_ms) == (Role.HEAD, "ended", 1_795_402_001_000)
