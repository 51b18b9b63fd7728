"""The collector within one process: which node gets what, when nodes and sessions follow each other."""

import dataclasses
import threading
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from archive.catalog import CatalogEntry, decode
from archive.errors import TransientStoreError
from archive.layout import CATALOG
from archive.store.base import ObjectInfo
from archive.store.local import LocalStore
from archive.store.url import open_store
from sidecar.collector import LEFT_OVER, Collector
from sidecar.metrics import Metrics
from sidecar.settings import CollectorSettings
from sidecar.spool import Spool

SESSION = "session_2026-11-23_02-43-27_490622_12278"
LATER = "session_2026-11-23_05-00-00_000001_77"
FIRST = "593fd952d75624efbbf93821c408b4a5b6ed6b4e138c1229c87eca3b"
SECOND = "df2adaacdb61804408645f058c837352ae132968e428d41b81027c2c"
Eventually = Callable[..., Any]


def make_session(ray_dir: Path, session: str, *node_ids: str, head: bool = False) -> Path:
    """A session folder with the given nodes; its logs folder is returned."""
    folder = ray_dir / session
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    for node_id in node_ids:
        (folder / f"metrics_agent_port_{node_id}").write_text("1")
        if head:
            (folder / f"gcs_server_port_{node_id}").write_text("1")
    latest = ray_dir / "session_latest"
    latest.unlink(missing_ok=True)
    latest.symlink_to(folder)
    return folder / "logs"


class Shown(LocalStore):
    """Remembers every catalog entry that is put."""

    def __init__(self, url: str) -> None:
        super().__init__(Path(url.removeprefix("file://")))
        self.shown: list[CatalogEntry] = []

    def put(self, key: str, data: bytes) -> ObjectInfo:
        if key.startswith(CATALOG):
            self.shown.append(decode(data))
        return super().put(key, data)


class Hanging(LocalStore):
    """Once it hangs, no put returns before it is freed, and then it fails."""

    def __init__(self, url: str) -> None:
        super().__init__(Path(url.removeprefix("file://")))
        self.hangs = threading.Event()
        self.freed = threading.Event()

    def put(self, key: str, data: bytes) -> ObjectInfo:
        if self.hangs.is_set():
            self.freed.wait()
            raise TransientStoreError("it hung", effect_unknown=True)
        return super().put(key, data)


@pytest.fixture
def said() -> dict[str, str]:
    """What is wrong, by part."""
    return {}


@pytest.fixture
def settings(tmp_path: Path, archived: Any) -> CollectorSettings:
    return CollectorSettings(
        store=archived.url,
        namespace="ns",
        cluster="c",
        ray_dir=str(tmp_path),
        pod_uid="pod-7",
        pod_name="raycluster-head",
        flush_seconds=0.1,
        dashboard="http://127.0.0.1:1",
    )


@pytest.fixture
def collector(tmp_path: Path, settings: CollectorSettings, said: dict[str, str]) -> Iterator[Collector]:
    with Spool(tmp_path / "spool", 64 << 20) as spool:
        running = Collector(settings, spool, open_store(settings.store), Metrics(), said.__setitem__)
        running.start()
        yield running


def test_a_head_that_dies_at_its_start_is_kept_under_its_pods_name(
    collector: Collector, archived: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.discovery.STAND_IN_AFTER", 0.0)
    logs = make_session(tmp_path, SESSION)
    (logs / "gcs_server.out").write_text("no redis\n")
    collector.turn()
    assert collector.end("over")
    assert archived.stream("pod-7", "logs/gcs_server.out") == b"no redis\n"
    assert archived.footers()[-1].facts.node["role"] == "head"
    assert [(entry.node_id, entry.state) for entry in archived.catalog()] == [("pod-7", "ended")]


def test_a_head_is_listed_before_it_has_a_node_id(
    collector: Collector, archived: Any, tmp_path: Path, eventually: Eventually
) -> None:
    logs = make_session(tmp_path, SESSION)
    (logs / "gcs_server.out").touch()
    collector.turn()
    entry = eventually(archived.catalog)[0]
    assert (entry.session, entry.role, entry.state, entry.node_id) == (SESSION, "head", "running", "")
    make_session(tmp_path, SESSION, FIRST, head=True)
    collector.turn()
    eventually(lambda: archived.catalog()[0].node_id == FIRST)
    assert collector.end("over")


def test_a_head_that_is_ended_before_it_has_a_node_id_is_kept(
    collector: Collector, archived: Any, tmp_path: Path
) -> None:
    logs = make_session(tmp_path, SESSION)
    (logs / "gcs_server.out").write_text("no redis\n")
    collector.sink().append("events", b'{"eventId":"a"}\n')
    collector.turn()
    assert archived.nodes() == []
    assert collector.end("over")
    assert archived.stream("pod-7", "logs/gcs_server.out") == b"no redis\n"
    assert archived.rows("pod-7", "events") == [{"eventId": "a"}]


def test_the_real_node_goes_on_where_its_stand_in_stopped(
    collector: Collector, archived: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.discovery.STAND_IN_AFTER", 0.0)
    logs = make_session(tmp_path, SESSION)
    (logs / "gcs_server.out").write_text("early\n")
    collector.turn()
    make_session(tmp_path, SESSION, FIRST, head=True)
    with (logs / "gcs_server.out").open("a") as file:
        file.write("late\n")
    collector.turn()
    assert collector.end("over")
    assert archived.stream("pod-7", "logs/gcs_server.out") + archived.stream(
        FIRST, "logs/gcs_server.out"
    ) == (b"early\nlate\n")
    first = next(footer for footer in archived.footers() if footer.facts.name.node_id == FIRST)
    assert first.facts.node["stands_in_for"] == "pod-7"


def test_a_collector_that_starts_again_knows_what_stood_in(
    settings: CollectorSettings, archived: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.discovery.STAND_IN_AFTER", 0.0)
    logs = make_session(tmp_path, SESSION)
    (logs / "raylet.out").write_text("early\n")
    store = open_store(settings.store)
    with Spool(tmp_path / "spool", 64 << 20) as spool:
        Collector(settings, spool, store, Metrics(), {}.__setitem__).turn()
    make_session(tmp_path, SESSION, FIRST)
    with Spool(tmp_path / "spool", 64 << 20) as spool:
        second = Collector(settings, spool, store, Metrics(), {}.__setitem__)
        second.start()
        second.turn()
        assert second.end("over")
    assert archived.stream("pod-7", "logs/raylet.out") == b"early\n"
    facts = [footer.facts.node for footer in archived.footers() if footer.facts.name.node_id == FIRST]
    assert facts[-1]["stands_in_for"] == "pod-7"


def test_a_worker_that_restarts_in_its_folder_goes_on_with_its_logs_as_another_node(
    collector: Collector, archived: Any, tmp_path: Path
) -> None:
    logs = make_session(tmp_path, SESSION, FIRST)
    (logs / "log_monitor.log").write_text("one\n")
    collector.turn()
    make_session(tmp_path, SESSION, FIRST, SECOND)
    with (logs / "log_monitor.log").open("a") as file:
        file.write("two\n")
    (logs / "raylet.1.out").write_text("the second raylet\n")
    collector.sink().append("events", b'{"eventId":"a"}\n')
    collector.turn()
    with (logs / "log_monitor.log").open("a") as file:
        file.write("three\n")
    collector.sink().append("events", b'{"eventId":"b"}\n')
    assert collector.end("over")
    for name, whole in (("log_monitor.log", b"one\ntwo\nthree\n"), ("raylet.1.out", b"the second raylet\n")):
        assert archived.stream(FIRST, f"logs/{name}") + archived.stream(SECOND, f"logs/{name}") == whole
    assert archived.rows(SECOND, "events") == [{"eventId": "b"}]
    last = {footer.facts.name.node_id: footer.facts for footer in archived.footers()}
    assert last[SECOND].node["continues"] == FIRST
    assert last[FIRST].final == f"node {SECOND} took its place"
    marks = [mark for footer in archived.footers() for mark in footer.facts.marks if mark.kind == "continues"]
    assert sorted((mark.stream, mark.detail) for mark in marks) == [
        ("logs/log_monitor.log", FIRST),
        ("logs/raylet.1.out", FIRST),
    ]


def test_what_the_end_came_too_soon_for_is_counted(
    settings: CollectorSettings, archived: Any, tmp_path: Path
) -> None:
    logs = make_session(tmp_path, SESSION, FIRST)
    (logs / "raylet.out").write_bytes(b"a line\n" * 1000)
    with Spool(tmp_path / "spool", 64 << 20, log_room=0) as spool:
        hurried = Collector(settings, spool, open_store(settings.store), Metrics(), {}.__setitem__)
        hurried.start()
        hurried.turn()
        assert hurried.end("over")
    assert archived.footers()[-1].facts.losses == {"logs.unread": 7000}


def test_two_heads_of_one_session_are_kept_apart(collector: Collector, archived: Any, tmp_path: Path) -> None:
    make_session(tmp_path, SESSION, FIRST, head=True)
    collector.turn()
    collector.sink().append("events", b'{"eventId":"a"}\n')
    make_session(tmp_path, SESSION, SECOND, head=True)
    collector.turn()
    collector.sink().append("events", b'{"eventId":"b"}\n')
    assert collector.end("over")
    assert archived.rows(FIRST, "events") == [{"eventId": "a"}]
    assert archived.rows(SECOND, "events") == [{"eventId": "b"}]
    roles = {footer.facts.name.node_id: footer.facts.node["role"] for footer in archived.footers()}
    assert roles == {FIRST: "head", SECOND: "head"}
    assert [(entry.node_id, entry.reason) for entry in archived.catalog()] == [(SECOND, "over")]


def test_what_comes_between_two_sessions_is_the_second_ones(
    collector: Collector, archived: Any, tmp_path: Path, eventually: Eventually
) -> None:
    make_session(tmp_path, SESSION, FIRST, head=True)
    collector.turn()
    make_session(tmp_path, LATER)
    collector.turn()
    collector.sink().append("events", b'{"eventId":"early"}\n')
    make_session(tmp_path, LATER, SECOND, head=True)
    collector.turn()
    collector.sink().append("events", b'{"eventId":"late"}\n')
    eventually(lambda: {entry.session: entry.state for entry in archived.catalog()}.get(SESSION) == "ended")
    assert collector.end("over")
    assert archived.rows(SECOND, "events") == [{"eventId": "early"}, {"eventId": "late"}]
    reasons = {entry.session: entry.reason for entry in archived.catalog()}
    assert reasons == {SESSION: f"{LATER} followed", LATER: "over"}


def test_the_first_event_names_a_node_that_the_folder_does_not(
    collector: Collector, archived: Any, tmp_path: Path
) -> None:
    make_session(tmp_path, SESSION)
    collector.turn()
    event = b'{"eventId":"a","sessionName":"%s","nodeId":"WT/ZUtdWJO+7+TghxAi0pbbta04TjBIpyH7KOw=="}\n'
    collector.sink().append("events", event % SESSION.encode())
    collector.turn()
    assert collector.end("over")
    assert archived.nodes() == [FIRST]


def test_an_event_of_another_session_names_nobody(
    collector: Collector, archived: Any, tmp_path: Path
) -> None:
    make_session(tmp_path, SESSION)
    event = b'{"eventId":"a","sessionName":"%s","nodeId":"WT/ZUtdWJO+7+TghxAi0pbbta04TjBIpyH7KOw=="}\n'
    collector.sink().append("events", event % LATER.encode())
    collector.turn()
    collector.turn()
    assert collector.end("over")
    assert archived.nodes() == ["pod-7"]


def test_a_workers_entry_does_not_touch_the_heads(
    collector: Collector, archived: Any, tmp_path: Path
) -> None:
    make_session(tmp_path, SESSION, FIRST)
    collector.turn()
    assert collector.end("over")
    assert [(entry.role, entry.state) for entry in archived.catalog()] == [("worker", "ended")]


def dead(settings: CollectorSettings, folder: Path) -> None:
    """One turn of a collector, of which nothing but its spool is left: its threads never began."""
    with Spool(folder, 64 << 20) as spool:
        Collector(settings, spool, open_store(settings.store), Metrics(), {}.__setitem__).turn()


def told_to_end(settings: CollectorSettings, folder: Path) -> None:
    """One turn and the end of a collector whose store hangs."""
    store = Hanging(settings.store)
    store.hangs.set()
    with Spool(folder, 64 << 20) as spool:
        hurried = dataclasses.replace(settings, end_seconds=0.2)
        first = Collector(hurried, spool, store, Metrics(), {}.__setitem__)
        first.turn()
        assert not first.end("told to end")
    store.freed.set()


def test_of_left_over_nodes_the_last_one_of_another_session_lists_it_as_ended(
    settings: CollectorSettings, archived: Any, tmp_path: Path, eventually: Eventually
) -> None:
    for node_id in (FIRST, SECOND):
        logs = make_session(tmp_path, SESSION, node_id)
        (logs / "raylet.out").write_text(f"{node_id}\n")
        dead(dataclasses.replace(settings, owner_name="nightly"), tmp_path / "spool")
        (logs.parent / f"metrics_agent_port_{node_id}").unlink()
    make_session(tmp_path, LATER, FIRST)
    with Spool(tmp_path / "spool", 64 << 20) as spool:
        later = Collector(settings, spool, open_store(settings.store), Metrics(), {}.__setitem__)
        later.start()
        later.turn()
        eventually(lambda: len(archived.catalog()) == 2)
        entries = {entry.session: entry for entry in archived.catalog()}
        assert (entries[LATER].state, entries[LATER].node_id) == ("running", FIRST)
        ended = entries[SESSION]
        assert (ended.state, ended.reason, ended.role) == ("ended", LEFT_OVER, "worker")
        assert (ended.node_id, ended.owner_name) == (SECOND, "nightly")
        assert later.end("over")


def test_a_left_over_node_never_ends_the_session_that_lives(
    settings: CollectorSettings, archived: Any, tmp_path: Path
) -> None:
    make_session(tmp_path, SESSION, FIRST)
    dead(settings, tmp_path / "spool")
    make_session(tmp_path, SESSION, FIRST, SECOND)
    store = Shown(archived.url)
    with Spool(tmp_path / "spool", 64 << 20) as spool:
        later = Collector(settings, spool, store, Metrics(), {}.__setitem__)
        later.start()
        later.turn()
        assert later.end("over")
    assert {footer.facts.final for footer in archived.footers()} == {LEFT_OVER, "over"}
    assert LEFT_OVER not in {entry.reason for entry in store.shown}


def test_a_node_that_was_told_to_end_keeps_the_reason_until_a_later_collector_stores_it(
    settings: CollectorSettings, archived: Any, tmp_path: Path
) -> None:
    make_session(tmp_path, SESSION, FIRST)
    told_to_end(settings, tmp_path / "spool")
    make_session(tmp_path, LATER, SECOND)
    with Spool(tmp_path / "spool", 64 << 20) as spool:
        later = Collector(settings, spool, open_store(settings.store), Metrics(), {}.__setitem__)
        later.start()
        later.turn()
        assert later.end("over")
    finals = {footer.facts.name.node_id: footer.facts.final for footer in archived.footers()}
    assert finals == {FIRST: "told to end", SECOND: "over"}
    assert {entry.session: entry.reason for entry in archived.catalog()} == {
        SESSION: "told to end",
        LATER: "over",
    }


def test_a_node_that_lives_on_after_its_collector_was_told_to_end_has_not_ended(
    settings: CollectorSettings, archived: Any, tmp_path: Path
) -> None:
    make_session(tmp_path, SESSION, FIRST)
    told_to_end(settings, tmp_path / "spool")
    dead(settings, tmp_path / "spool")
    make_session(tmp_path, LATER, SECOND)
    with Spool(tmp_path / "spool", 64 << 20) as spool:
        later = Collector(settings, spool, open_store(settings.store), Metrics(), {}.__setitem__)
        later.start()
        later.turn()
        assert later.end("over")
    assert {entry.session: entry.reason for entry in archived.catalog()} == {
        SESSION: LEFT_OVER,
        LATER: "over",
    }


@pytest.mark.parametrize("hangs_at_first", [True, False])
def test_a_store_that_hangs_does_not_hold_up_the_end_and_costs_nothing(
    settings: CollectorSettings, archived: Any, tmp_path: Path, eventually: Eventually, hangs_at_first: bool
) -> None:
    make_session(tmp_path, SESSION, FIRST)
    store = Hanging(archived.url)
    if hangs_at_first:
        store.hangs.set()
    with Spool(tmp_path / "spool", 64 << 20) as spool:
        stuck = Collector(
            dataclasses.replace(settings, end_seconds=0.5), spool, store, Metrics(), {}.__setitem__
        )
        stuck.start()
        stuck.turn()
        stuck.sink().append("events", b'{"eventId":"a"}\n')
        if not hangs_at_first:
            eventually(lambda: archived.rows(FIRST, "events"))
        store.hangs.set()
        stuck.sink().append("events", b'{"eventId":"b"}\n')
        assert not stuck.end("over")
    with Spool(tmp_path / "spool", 64 << 20) as spool:
        later = Collector(settings, spool, open_store(settings.store), Metrics(), {}.__setitem__)
        later.start()
        later.turn()
        assert later.end("over")
    store.freed.set()
    assert archived.rows(FIRST, "events") == [{"eventId": "a"}, {"eventId": "b"}]


def test_a_store_that_hangs_is_told_until_it_answers(
    settings: CollectorSettings,
    tmp_path: Path,
    eventually: Eventually,
    said: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sidecar.flushing.HANGS_AFTER", 0.1)
    # What hung is put again a second before the end's deadline.
    settings = dataclasses.replace(settings, end_seconds=3.0)
    make_session(tmp_path, SESSION, FIRST)
    store = Hanging(settings.store)
    store.hangs.set()

    def told() -> bool:
        collector.turn()
        return "hangs" in said.get("store", "")

    with Spool(tmp_path / "spool", 64 << 20) as spool:
        collector = Collector(settings, spool, store, Metrics(), said.__setitem__)
        collector.start()
        eventually(told)
        store.hangs.clear()
        store.freed.set()
        eventually(lambda: said["store"] == "")
        assert collector.end("over")


def test_a_broken_turn_is_told_and_the_next_one_tries_again(
    collector: Collector, tmp_path: Path, said: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_session(tmp_path, SESSION, FIRST)

    def broken(_: Path) -> None:
        raise RuntimeError("no luck")

    with monkeypatch.context() as patch:
        patch.setattr("sidecar.collector.look", broken)
        collector.turn()
        assert "no luck" in said["collector"]
    collector.turn()
    assert said["collector"] == ""
    assert collector.end("over")


def test_segments_name_the_version_that_is_distributed(
    collector: Collector, archived: Any, tmp_path: Path
) -> None:
    make_session(tmp_path, SESSION, FIRST)
    collector.turn()
    assert collector.end("over")
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert {footer.facts.collector for footer in archived.footers()} == {project["version"]}
