"""The server over HTTP: the list, sessions and their dashboards, slow and broken archives."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest

from archive.catalog import CatalogEntry, encode
from archive.layout import Origin, Role, SegmentName, SessionKey
from archive.store.base import ObjectInfo
from archive.store.local import LocalStore

RECORDED = "/clusters/lab/recorded/session_2026-11-23_02-43-27_490622_12278/"
BROWSER = "text/html,application/xhtml+xml"
Serve = Callable[..., Any]


def put_session(
    store: LocalStore, cluster: str, session: str, namespace: str = "team", **told: Any
) -> SessionKey:
    key = SessionKey(namespace, cluster, session)
    entry = CatalogEntry(namespace=namespace, cluster=cluster, session=session, role=Role.HEAD, **told)
    store.put(entry.name.key, encode(entry))
    return key


class GatedStore(LocalStore):
    """A folder in which nobody finds one session's segments before the gate opens."""

    def __init__(self, root: Path, slow: str) -> None:
        super().__init__(root)
        self.root = root
        self.slow = slow
        self.gate = threading.Event()

    def __reduce__(self) -> tuple[type[LocalStore], tuple[Path]]:
        return LocalStore, (self.root,)  # other processes come later and need no gate

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        self._wait(prefix)
        return super().list(prefix, after=after)

    def list_folders(self, prefix: str) -> Iterator[str]:
        self._wait(prefix)
        return super().list_folders(prefix)

    def _wait(self, prefix: str) -> None:
        if prefix.startswith("v1/segments/") and self.slow in prefix:
            assert self.gate.wait(30)


@contextmanager
def opened_at_last(store: GatedStore) -> Iterator[None]:
    try:
        yield
    finally:
        store.gate.set()


def test_an_empty_archive_says_how_to_begin(serve: Serve, tmp_path: Path) -> None:
    server = serve(LocalStore(tmp_path), store_url="file:///somewhere/special")
    page = server.get("/", accept=BROWSER)
    assert page.status == 200
    assert "historyserver collect --store file:///somewhere/special" in page.text
    assert server.get("/api/sessions").json["sessions"] == []


def test_the_list_shows_each_session_with_a_link_and_works_without_script(
    serve: Serve, tmp_path: Path
) -> None:
    store = LocalStore(tmp_path)
    key = put_session(
        store, "trainer", "session_2026-11-23_02-43-27_490622_1", ray_version="2.60.0", state="ended"
    )
    page = serve(store).get("/", accept=BROWSER)
    assert f'href="clusters/{key.path}/"' in page.text
    assert "2.60.0" in page.text
    assert "<script" not in page.text
    assert "script-src" not in page.headers["content-security-policy"]
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_names_from_the_archive_are_shown_and_not_obeyed(serve: Serve, tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    put_session(
        store,
        "<b>bold<",
        "session_2026-11-23_02-43-27_490622_1",
        owner_name='"><img src=x>',
        owner_kind="RayJob",
    )
    server = serve(store)
    page = server.get("/", accept=BROWSER).text
    assert "<b>bold" not in page
    assert "<img" not in page
    (told,) = server.get("/api/sessions").json["sessions"]
    assert told["href"] == "clusters/team/%3Cb%3Ebold%3C/session_2026-11-23_02-43-27_490622_1/"


def test_pages_of_the_json_list_together_hold_every_session_once(serve: Serve, tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    put = [
        put_session(store, f"c{n % 3}", f"session_2026-11-23_02-43-{n:02}_000000_1").path for n in range(25)
    ]
    server = serve(store)
    found, path = [], "/api/sessions?limit=10"
    while path:
        answer = server.get(path).json
        assert answer["total"] == 25
        found += ["/".join((one["namespace"], one["cluster"], one["session"])) for one in answer["sessions"]]
        path = answer["next_cursor"] and f"/api/sessions?limit=10&cursor={answer['next_cursor']}"
    assert found == list(reversed(put))


def test_a_session_that_begins_is_listed_at_the_next_look(serve: Serve, tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    server = serve(store)
    server.get("/api/sessions")
    put_session(store, "late", "session_2026-11-23_02-43-27_490622_1")
    for _ in range(200):
        if server.get("/api/sessions").json["total"]:
            break
        threading.Event().wait(0.05)
    assert server.get("/", accept=BROWSER).text.count("late") >= 1


@pytest.mark.parametrize("path", ["/?limit=0", "/api/sessions?state=asleep", "/?since=then"])
def test_a_question_without_meaning_is_400_with_a_sentence(recorded_server: Any, path: str) -> None:
    answer = recorded_server.get(path)
    assert answer.status == 400
    assert answer.json["result"] is False
    assert answer.json["msg"]


def test_an_archive_that_is_gone_is_503_with_a_sentence(serve: Serve, tmp_path: Path) -> None:
    server = serve(LocalStore(tmp_path / "nowhere"))
    for path in ("/", "/api/sessions", "/readyz", RECORDED):
        answer = server.get(path, accept=BROWSER)
        assert answer.status == 503, path
        assert "does not exist" in answer.text
        assert "Traceback" not in answer.text
        assert answer.headers["retry-after"]
    assert server.get("/healthz").status == 200


def test_probes_and_metrics_answer(recorded_server: Any) -> None:
    assert recorded_server.get("/healthz").text == "ok\n"
    assert recorded_server.get("/readyz").status == 200
    recorded_server.get("/api/sessions")
    metrics = recorded_server.get("/metrics").text
    assert 'historyserver_http_requests_total{area="list",status="200"}' in metrics


def test_a_sessions_address_is_rays_dashboard_with_the_bar_on_top(recorded_server: Any) -> None:
    page = recorded_server.get(RECORDED, accept=BROWSER)
    for _ in range(600):
        if page.status == 200:
            break
        page = recorded_server.get(RECORDED, accept=BROWSER)
    assert page.status == 200
    assert page.headers["cache-control"] == "no-store"
    assert '<header id="history-bar"' in page.text.partition("<body>")[2][:200]
    assert "lab / recorded" in page.text
    assert '<span class="state ended">ended</span>' in page.text
    assert 'href="../../../../"' in page.text
    assert "<title>Ray Dashboard</title>" in page.text


def test_the_front_ends_files_are_served_below_the_session_and_nothing_else_is(recorded_server: Any) -> None:
    page = recorded_server.get(f"{RECORDED}asset-manifest.json").json
    scripts = [file.removeprefix("./") for file in page["files"].values() if file.endswith(".js")]
    assert scripts
    for script in scripts:
        answer = recorded_server.get(RECORDED + script, **{"accept-encoding": "gzip"})
        assert answer.status == 200
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["content-encoding"] == "gzip"
        again = recorded_server.get(RECORDED + script, **{"if-none-match": answer.headers["etag"]})
        assert (again.status, again.body) == (304, b"")
        assert recorded_server.get(f"{RECORDED}{script}.map").status == 404
    for missing in ("static/js/none.js", "no/such/page", "static/../../index.html", "api/v0/nothing"):
        answer = recorded_server.get(RECORDED + missing)
        assert answer.status == 404, missing
        assert answer.json["result"] is False


def test_an_address_without_its_slash_is_redirected_by_a_relative_address(recorded_server: Any) -> None:
    answer = recorded_server.get(f"{RECORDED.rstrip('/')}?theme=dark")
    assert answer.status == 307
    assert answer.headers["location"] == "session_2026-11-23_02-43-27_490622_12278/?theme=dark"


def test_latest_leads_to_the_newest_session_of_the_cluster(serve: Serve, tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    put_session(store, "trainer", "session_2026-11-22_00-00-00_000000_1")
    put_session(store, "trainer", "session_2026-11-23_00-00-00_000000_1")
    put_session(store, "other", "session_2026-11-24_00-00-00_000000_1")
    server = serve(store)
    base, newest = "/clusters/team/trainer/", "session_2026-11-23_00-00-00_000000_1"
    assert server.get(f"{base}latest").headers["location"] == "latest/"
    for below in ("/", "/api/v0/tasks?limit=5", "/static/js/main.js"):
        answer = server.get(f"{base}latest{below}")
        assert answer.status == 302
        assert urljoin(f"{base}latest{below}", answer.headers["location"]) == f"{base}{newest}{below}"
    assert server.get("/clusters/team/nobody/latest/").status == 404


@pytest.mark.parametrize(
    "path",
    [
        "/clusters/lab/recorded/session_2020-01-01_00-00-00_000000_1/",
        "/clusters/..%2F..%2Fetc/recorded/passwd/",
        "/clusters/lab/recorded/..%2f..%2f..%2fetc/",
        "/clusters/lab/rec~orded/session_1/",
        "/clusters/lab/recorded/%00/",
        f"/clusters/lab/recorded/{'x' * 300}/",
    ],
)
def test_unknown_and_hostile_names_are_404_for_people_and_programs(recorded_server: Any, path: str) -> None:
    page = recorded_server.get(path, accept=BROWSER)
    assert page.status == 404
    assert page.headers["content-type"].startswith("text/html")
    answer = recorded_server.get(path)
    assert answer.status == 404
    assert answer.json["result"] is False


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_changed(recorded_server: Any, method: str) -> None:
    for path in ("/", RECORDED, f"{RECORDED}api/jobs/", f"{RECORDED}api/v0/tasks"):
        answer = recorded_server.get(path, method=method)
        assert answer.status == 405, path
        assert answer.json["msg"].endswith(".")


def test_everything_lives_below_a_base_path_and_links_stay_relative(
    recorded_store: Any, serve: Serve
) -> None:
    server = serve(recorded_store, base_path="/tools/history")
    assert server.get("/tools/history").headers["location"] == "history/"
    assert server.get("/").status == 404
    assert server.get("/healthz").status == 200
    page = server.get("/tools/history/", accept=BROWSER).text
    assert 'href="clusters/lab/recorded/' in page
    assert 'href="/' not in page
    assert server.get(f"/tools/history{RECORDED}static/js/none.js").status == 404
    assert server.get(f"/tools/history{RECORDED}api/version").status == 200
    unknown = server.get("/tools/history/clusters/lab/recorded/none/", accept=BROWSER)
    assert unknown.status == 404
    assert 'href="../../../../assets/pages.css"' in unknown.text


def copy_of(recorded_store: Any, root: Path) -> None:
    for info in recorded_store.list("v1/"):
        if not info.key.startswith("v1/views/"):
            LocalStore(root).put(info.key, recorded_store.get(info.key).data)


def test_a_slow_session_shows_people_a_page_and_programs_when_to_come_again(
    recorded_store: Any, serve: Serve, tmp_path: Path
) -> None:
    root = tmp_path / "store"
    root.mkdir()
    copy_of(recorded_store, root)
    store = GatedStore(root, "/lab/recorded/")
    put_session(store, "quick", "session_2026-11-22_00-00-00_000000_1")
    with opened_at_last(store):
        server = serve(store, patience_seconds=0.3)
        page = server.get(RECORDED, accept=BROWSER)
        assert page.status == 202
        assert '<meta http-equiv="refresh" content="1">' in page.text
        assert 'role="progressbar"' in page.text
        for path in (RECORDED, f"{RECORDED}api/v0/tasks", f"{RECORDED}nodes?view=summary"):
            answer = server.get(path)
            assert answer.status == 503, path
            assert answer.headers["retry-after"]
            assert answer.json["result"] is False
        assert server.get("/", accept=BROWSER).status == 200
        assert (
            server.get("/clusters/team/quick/session_2026-11-22_00-00-00_000000_1/api/version").status == 200
        )
        store.gate.set()
        for _ in range(300):
            page = server.get(RECORDED, accept=BROWSER)
            if page.status == 200:
                break
        assert "history-bar" in page.text


def test_a_segment_cut_short_hides_nothing_but_itself_and_is_told(
    recorded_store: Any, serve: Serve, tmp_path: Path
) -> None:
    root = tmp_path / "store"
    root.mkdir()
    copy_of(recorded_store, root)
    store = LocalStore(root)
    worker = next(info for info in store.list("v1/segments/") if "/df2adaac" in info.key)
    store.put(worker.key, store.get(worker.key).data[:-1000])
    server = serve(store)
    page = server.get(RECORDED, accept=BROWSER)
    for _ in range(300):
        if page.status == 200:
            break
        page = server.get(RECORDED, accept=BROWSER)
    assert "<b>Missing:</b>" in page.text
    assert "cut short" in page.text
    tasks = server.get(f"{RECORDED}api/v0/tasks?limit=10000")
    assert tasks.status == 200
    assert json.loads(tasks.body)["data"]["result"]["total"] > 100
    assert (
        server.get(
            f"{RECORDED}api/v0/logs?node_id=593fd952d75624efbbf93821c408b4a5b6ed6b4e138c1229c87eca3b"
        ).status
        == 200
    )


def test_the_bar_of_a_lost_session_says_that_its_end_is_missing_and_what_else_is(
    serve: Serve, store_segment: Callable[..., None], tmp_path: Path
) -> None:
    root = tmp_path / "store"
    root.mkdir()
    store = LocalStore(root)
    key = put_session(store, "trainer", "session_2026-11-23_02-43-27_490622_1")
    for entry in (root / "v1/catalog").iterdir():
        os.utime(entry, (1_795_000_000, 1_795_000_000))
    segment = SegmentName(key, "ab" * 28, Origin(1_795_402_103_000, "0123abcd"), 1)
    store_segment(store, segment, [], closed=False, final=None, losses={"logs.cut": 5})
    server = serve(store)
    page = server.get(f"/clusters/{key.path}/", accept=BROWSER)
    for _ in range(300):
        if page.status == 200:
            break
        page = server.get(f"/clusters/{key.path}/", accept=BROWSER)
    bar = page.text.partition("</header>")[0]
    assert "its end, and up to 10 s before it <b>and 1 more</b></summary>" in bar
    assert "<li>Its end, and up to 10 s before it</li><li>bytes of logs cut off" in bar
    assert "last heard of" in bar
    assert "last heard of" in server.get("/", accept=BROWSER).text


def test_without_a_front_end_apis_answer_and_the_page_says_what_to_do(
    recorded_store: Any, serve: Serve
) -> None:
    server = serve(recorded_store, frontend=None, frontend_trouble="Run `historyserver frontend` first.")
    page = server.get(RECORDED, accept=BROWSER)
    for _ in range(300):
        if page.status != 202:
            break
        page = server.get(RECORDED, accept=BROWSER)
    assert page.status == 503
    assert "historyserver frontend" in page.text
    assert server.get(f"{RECORDED}api/version").status == 200
