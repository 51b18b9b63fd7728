"""What the archive holds no longer, the server forgets; what it never held, it does not remember."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from archive.layout import Origin, SegmentName, SessionKey
from archive.segment import Range
from archive.store.local import LocalStore
from server.view import views as views_module
from server.view.views import Views

NODE = "593fd952d75624efbbf93821c408b4a5b6ed6b4e138c1229c87eca3b"
ORIGIN = Origin(1795401810000, "0123abcd")
BROWSER = "text/html"
Serve = Callable[..., Any]
Put = Callable[..., None]


def key_of(number: int) -> SessionKey:
    return SessionKey("team", "many", f"session_2026-11-23_02-43-{number:02}_000000_1")


@pytest.fixture
def put(store_segment: Put, store_catalog: Put) -> Callable[[LocalStore, int], SessionKey]:
    """Stores a session that ended, with one node."""

    def stored(store: LocalStore, number: int) -> SessionKey:
        key = key_of(number)
        event = b'{"nodeDefinitionEvent": {"nodeId": "%s="}}\n' % (bytes([64 + number]) + b"T/ZUtdWJO4")
        store_segment(store, SegmentName(key, NODE, ORIGIN, 1), [Range("events", 0, event)])
        store_catalog(store, key)
        return key

    return stored


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    (tmp_path / "store").mkdir()
    return LocalStore(tmp_path / "store")


def await_that(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def remove(store: LocalStore, key: SessionKey, *prefixes: str) -> None:
    for prefix in prefixes:
        store.delete([info.key for info in store.list(prefix) if key.session in info.key])


def cached(tmp_path: Path) -> int:
    return len(list((tmp_path / "cache" / "parts").iterdir()))


def test_a_removed_session_leaves_the_list_its_page_and_the_cache(
    serve: Serve, put: Callable[..., SessionKey], store: LocalStore, tmp_path: Path
) -> None:
    key, other = put(store, 1), put(store, 2)
    server = serve(store)
    for one in (key, other):
        assert server.get(f"/clusters/{one.path}/api/v0/nodes").status == 200
    both = cached(tmp_path)
    remove(store, key, "v1/")
    await_that(lambda: server.get("/api/sessions").json["total"] == 1)
    page = server.get(f"/clusters/{key.path}/", accept=BROWSER)
    assert page.status == 404
    assert "it was deleted" in page.text
    assert server.get(f"/clusters/{key.path}/api/v0/nodes").status == 404
    await_that(lambda: cached(tmp_path) < both)
    assert server.get(f"/clusters/{other.path}/api/v0/nodes").status == 200
    assert not [info.key for info in store.list("v1/views/") if key.session in info.key]


def test_what_is_half_removed_is_not_listed_and_says_what_it_is(
    serve: Serve, put: Callable[..., SessionKey], store: LocalStore
) -> None:
    key = put(store, 1)
    remove(store, key, "v1/catalog/")
    server = serve(store)
    assert server.get("/api/sessions").json["sessions"] == []
    await_that(lambda: server.get(f"/clusters/{key.path}/", accept=BROWSER).status == 200)
    assert "It is not in the catalog" in server.get(f"/clusters/{key.path}/", accept=BROWSER).text


def test_latest_leads_to_a_session_though_the_list_is_not_known_yet(
    serve: Serve, put: Callable[..., SessionKey], store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, 1)
    newest = put(store, 2)
    remove(store, newest, "v1/catalog/")
    monkeypatch.setattr("server.session_index.SessionIndex._built", _incomplete)
    answer = serve(store).get("/clusters/team/many/latest/")
    assert answer.status == 302
    assert newest.session in answer.headers["location"]


def _incomplete(self: Any, clock_ms: int) -> Any:
    from server.sessions import Snapshot

    return Snapshot((), {}, (), (), clock_ms, unread=2, complete=False)


def test_who_asks_for_sessions_that_never_were_leaves_no_trace(
    serve: Serve, put: Callable[..., SessionKey], store: LocalStore, tmp_path: Path
) -> None:
    put(store, 1)
    with Views(store, tmp_path / "elsewhere", 1 << 30) as views:
        server = serve(store, views=views)
        for number in range(200):
            assert server.get(f"/clusters/team/many/nobody-{number}/api/v0/nodes").status == 404
        assert {key for key in views._sessions if "nobody" in key.session} == set()


def test_the_views_that_are_open_are_bounded_by_bytes_and_the_last_one_stays(
    put: Callable[..., SessionKey], store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views_module, "OPENED_BYTES", 1)
    monkeypatch.setattr(views_module, "TICK_SECONDS", 0.05)
    with Views(store, tmp_path / "cache", 1 << 30) as views:
        for number in range(1, 5):
            assert views.open(put(store, number), 30).memory() > 1
        await_that(lambda: [key for key, one in views._sessions.items() if one.opened] == [key_of(4)])
        assert views.open(key_of(1), 30).rows("SELECT count(*) FROM nodes") == [(1,)]


def test_what_is_neither_open_nor_new_is_forgotten(
    put: Callable[..., SessionKey], store: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views_module, "BACKGROUND_SESSIONS", 2)
    monkeypatch.setattr(views_module, "CATALOG_SECONDS", 0.0)
    monkeypatch.setattr(views_module, "TICK_SECONDS", 0.05)
    with Views(store, tmp_path / "cache", 1 << 30) as views:
        for number in range(1, 8):
            key = put(store, number)
            await_that(lambda key=key: key in views._sessions)
        await_that(lambda: set(views._sessions) == {key_of(6), key_of(7)})


def test_ten_sessions_with_a_cache_for_three_answer_many_at_once_without_a_fault(
    serve: Serve,
    put: Callable[..., SessionKey],
    store: LocalStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(views_module, "OPENED_BYTES", 3 * (5 << 20))
    monkeypatch.setattr(views_module, "TICK_SECONDS", 0.1)
    keys = [put(store, number) for number in range(1, 11)]
    statuses: list[int] = []
    with Views(store, tmp_path / "elsewhere", 4096) as views:
        server = serve(store, views=views)

        def ask(turn: int) -> None:
            for number in range(15):
                key = keys[(turn + number) % len(keys)]
                page = ("api/v0/nodes", "nodes?view=summary", "api/v0/tasks", "logical/actors")[number % 4]
                statuses.append(server.get(f"/clusters/{key.path}/{page}").status)

        threads = [threading.Thread(target=ask, args=(turn,)) for turn in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert statuses == [200] * 120
