"""`historyserver collect` as the process that it is: beside a folder that looks like Ray's."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

ROOT = Path(__file__).parents[2]
SESSION = "session_2026-11-23_02-43-27_490622_12278"
LATER = "session_2026-11-23_05-00-00_000001_77"
HEAD = "593fd952d75624efbbf93821c408b4a5b6ed6b4e138c1229c87eca3b"
Eventually = Callable[..., Any]


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def make_session(ray_dir: Path, session: str, node_id: str, *, head: bool = True) -> Path:
    """A folder as Ray leaves it; its log is returned."""
    folder = ray_dir / session
    (folder / "logs").mkdir(parents=True)
    (folder / f"metrics_agent_port_{node_id}").write_text("1")
    if head:
        (folder / f"gcs_server_port_{node_id}").write_text("1")
    latest = ray_dir / "session_latest"
    latest.unlink(missing_ok=True)
    latest.symlink_to(folder)
    log = folder / "logs" / "raylet.out"
    log.write_text("it begins\n")
    return log


def event(number: int) -> dict[str, object]:
    return {"eventId": f"id-{number}", "eventType": "NODE_DEFINITION_EVENT", "sessionName": SESSION}


class Collect:
    """One run of the command."""

    def __init__(self, folder: Path, store: str, **settings: object) -> None:
        self.listen, self.health = free_port(), free_port()
        self.spool = folder / "spool"
        given = {
            "store": store,
            "ray-dir": folder / "ray",
            "namespace": "ns",
            "cluster": "c",
            "listen": f"127.0.0.1:{self.listen}",
            "health": f"127.0.0.1:{self.health}",
            "spool": self.spool,
            "flush-seconds": 0.2,
            "poll-seconds": 0.2,
        } | {name.replace("_", "-"): value for name, value in settings.items()}
        flags = [part for name, value in given.items() for part in (f"--{name}", str(value))]
        self.process = subprocess.Popen([sys.executable, "-m", "historyserver", "collect", *flags], cwd=ROOT)
        self.pid = self.process.pid

    def child(self) -> int | None:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.pid).children():
                return child.pid
        return None

    def post(self, *events: dict[str, object]) -> int | None:
        """The answer's status; None when there was none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.listen, timeout=5)
        try:
            connection.request("POST", "/events", json.dumps(list(events)))
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def get(self, path: str) -> tuple[int, str] | None:
        connection = http.client.HTTPConnection("127.0.0.1", self.health, timeout=5)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def alive(self) -> bool:
        return self.process.poll() is None

    def end(self) -> int:
        self.process.terminate()
        return self.process.wait(30)

    def kill(self) -> None:
        """Supervisor and collector at once, as the death of a container does."""
        child = self.child()
        self.process.kill()
        if child is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def collect(tmp_path: Path, archived: Any) -> Iterator[Callable[..., Collect]]:
    started: list[Collect] = []
    (tmp_path / "ray").mkdir()

    def start(**settings: object) -> Collect:
        started.append(Collect(tmp_path, **{"store": archived.url} | settings))  # type: ignore[arg-type]
        return started[-1]

    yield start
    for one in started:
        if one.alive():
            one.kill()


def test_what_ray_posts_and_logs_is_stored_and_listed(
    collect: Callable[..., Collect], archived: Any, tmp_path: Path, eventually: Eventually
) -> None:
    log = make_session(tmp_path / "ray", SESSION, HEAD)
    running = collect()
    eventually(lambda: running.post(event(1), event(2)) == 200)
    entry = eventually(archived.catalog)[0]
    assert (entry.session, entry.state, entry.node_id, entry.role) == (SESSION, "running", HEAD, "head")
    with log.open("a") as file:
        file.write("it goes on\n")
    eventually(lambda: archived.stream(HEAD, "logs/raylet.out") == b"it begins\nit goes on\n")
    eventually(lambda: [row["eventId"] for row in archived.rows(HEAD, "events")] == ["id-1", "id-2"])
    assert eventually(lambda: running.get("/healthz"))[0] == 200
    assert (running.spool / "supervisor.pid").read_text() == f"{running.pid}\n"
    with log.open("a") as file:
        file.write("the last words\n")
    assert running.end() == 0
    assert archived.stream(HEAD, "logs/raylet.out").endswith(b"the last words\n")
    assert archived.footers()[-1].facts.final == "told to end by SIGTERM"
    assert archived.catalog()[0].state == "ended"


def test_bodies_that_come_before_any_session_are_kept_for_the_first_node(
    collect: Callable[..., Collect], archived: Any, tmp_path: Path, eventually: Eventually
) -> None:
    running = collect()
    eventually(lambda: running.post(event(1)) == 200)
    make_session(tmp_path / "ray", SESSION, HEAD)
    eventually(lambda: running.post(event(2)) == 200)
    eventually(lambda: [row["eventId"] for row in archived.rows(HEAD, "events")] == ["id-1", "id-2"])


def test_rays_folder_is_left_to_ray_to_make(
    collect: Callable[..., Collect], archived: Any, tmp_path: Path, eventually: Eventually
) -> None:
    running = collect(spool="", ray_dir=tmp_path / "later")
    eventually(lambda: running.get("/healthz") == (200, "ok\n"))
    eventually(lambda: running.post(event(1)) == 200)
    assert not (tmp_path / "later").exists()
    make_session(tmp_path / "later", SESSION, HEAD)
    eventually(lambda: archived.stream(HEAD, "logs/raylet.out"))
    assert (tmp_path / "later" / "history-spool" / "supervisor.pid").exists()


def test_nothing_answered_is_lost_however_often_the_collector_is_killed(
    collect: Callable[..., Collect], archived: Any, tmp_path: Path, eventually: Eventually
) -> None:
    make_session(tmp_path / "ray", SESSION, HEAD)
    running = collect()
    answered = []
    for number in range(60):
        if eventually(lambda one=number: running.post(event(one))) == 200:
            answered.append(f"id-{number}")
        if number % 25 == 10:
            os.kill(eventually(running.child), signal.SIGKILL)
    assert len(answered) == 60
    assert running.end() == 0
    assert {row["eventId"] for row in archived.rows(HEAD, "events")} == set(answered)


def test_a_log_is_not_doubled_when_the_collector_is_killed(
    collect: Callable[..., Collect], archived: Any, tmp_path: Path, eventually: Eventually
) -> None:
    log = make_session(tmp_path / "ray", SESSION, HEAD)
    running = collect()
    eventually(lambda: archived.stream(HEAD, "logs/raylet.out"))
    first = eventually(running.child)
    os.kill(first, signal.SIGKILL)
    eventually(lambda: running.child() not in (None, first))
    with log.open("a") as file:
        file.write("again\n")
    eventually(lambda: archived.stream(HEAD, "logs/raylet.out").endswith(b"again\n"))
    assert archived.stream(HEAD, "logs/raylet.out") == b"it begins\nagain\n"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"namespace": "../other"}, "namespace"),
        ({"store": "nonsense://x"}, "nonsense"),
        ({"store": "file://[x"}, "Invalid IPv6 URL"),
        ({"flush_seconds": "soon"}, "--flush-seconds"),
        ({"poll_seconds": "0"}, "--poll-seconds"),
    ],
)
def test_bad_settings_end_nothing_and_are_told(
    collect: Callable[..., Collect], eventually: Eventually, settings: dict[str, str], sentence: str
) -> None:
    running = collect(**settings)
    eventually(lambda: running.post(event(1)) == 200)
    status, text = eventually(lambda: running.get("/healthz"))
    assert status == 503
    assert sentence in text
    assert 'problems{part="' in eventually(lambda: running.get("/metrics"))[1]
    assert running.alive()
    assert running.end() == 0


def test_an_unusable_spool_ends_nothing_and_is_used_once_it_can_be(
    collect: Callable[..., Collect], archived: Any, tmp_path: Path, eventually: Eventually
) -> None:
    make_session(tmp_path / "ray", SESSION, HEAD)
    (tmp_path / "spool").write_text("not a folder")
    running = collect()
    eventually(lambda: running.post(event(1)) == 200)
    status, text = eventually(lambda: running.get("/healthz"))
    assert (status, "spool" in text) == (503, True)
    assert "dropped_total{reason=" in eventually(lambda: running.get("/metrics"))[1]
    (tmp_path / "spool").unlink()
    eventually(lambda: archived.nodes() and archived.footers()[-1].facts.losses == {"events.dropped": 1})
    assert running.get("/healthz")[0] == 200
    assert running.post(event(2)) == 200
    eventually(lambda: [row["eventId"] for row in archived.rows(HEAD, "events")] == ["id-2"])


def test_a_second_collector_for_a_node_says_so_and_takes_over_when_the_first_is_gone(
    collect: Callable[..., Collect], archived: Any, tmp_path: Path, eventually: Eventually
) -> None:
    make_session(tmp_path / "ray", SESSION, HEAD)
    first = collect()
    eventually(lambda: archived.stream(HEAD, "logs/raylet.out"))
    second = collect()
    eventually(lambda: "another collector uses the spool" in (second.get("/healthz") or (0, ""))[1])
    first.kill()
    eventually(lambda: (second.get("/healthz") or (0, ""))[0] == 200)
    assert second.post(event(1)) == 200
    assert second.end() == 0
    assert [row["eventId"] for row in archived.rows(HEAD, "events")] == ["id-1"]
    assert len({footer.facts.name.origin for footer in archived.footers()}) == 1


def test_a_store_that_comes_back_gets_everything(
    collect: Callable[..., Collect], archived: Any, tmp_path: Path, eventually: Eventually
) -> None:
    (tmp_path / "store").rmdir()
    make_session(tmp_path / "ray", SESSION, HEAD)
    running = collect()
    eventually(lambda: running.post(event(1)) == 200)
    eventually(lambda: "store" in running.get("/healthz")[1])
    (tmp_path / "store").mkdir()
    eventually(lambda: archived.rows(HEAD, "events"))
    eventually(lambda: running.get("/healthz")[0] == 200)
    eventually(archived.catalog)


def test_a_store_that_stays_away_does_not_hold_up_the_end(
    collect: Callable[..., Collect], archived: Any, tmp_path: Path, eventually: Eventually
) -> None:
    (tmp_path / "store").rmdir()
    make_session(tmp_path / "ray", SESSION, HEAD)
    running = collect(end_seconds=0.5)
    eventually(lambda: running.post(event(1)) == 200)
    eventually(lambda: "store" in running.get("/healthz")[1])
    assert running.end() == 0
    (tmp_path / "store").mkdir()
    again = collect()
    eventually(lambda: archived.rows(HEAD, "events"))
    assert again.end() == 0


def test_the_begin_of_the_end_polls_once_more_and_stores_every_second(
    collect: Callable[..., Collect], archived: Any, tmp_path: Path, eventually: Eventually, dashboard: Any
) -> None:
    make_session(tmp_path / "ray", SESSION, HEAD)
    running = collect(dashboard=dashboard.url, flush_seconds=3600, poll_seconds=3600)
    eventually(lambda: running.post(event(1)) == 200)
    eventually(lambda: "/api/serve/applications/" in dashboard.paths())
    assert archived.rows(HEAD, "polls") == []
    asked = len(dashboard.asked)
    running.process.send_signal(signal.SIGUSR1)
    eventually(lambda: "/api/jobs/" in dashboard.paths()[asked:])
    eventually(lambda: "api/jobs/" in [row["path"] for row in archived.rows(HEAD, "polls")])
    eventually(lambda: archived.rows(HEAD, "events"))
    assert running.alive()


def test_a_collector_without_its_supervisor_frees_the_port(
    collect: Callable[..., Collect], eventually: Eventually
) -> None:
    running = collect()
    eventually(lambda: running.post(event(1)) == 200)
    child = eventually(running.child)
    running.process.kill()
    running.process.wait()
    eventually(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == "zombie")
    assert running.post(event(2)) is None


def test_the_death_of_everything_leaves_a_node_that_the_next_collector_finishes(
    collect: Callable[..., Collect], archived: Any, tmp_path: Path, eventually: Eventually, dashboard: Any
) -> None:
    make_session(tmp_path / "ray", SESSION, HEAD)
    first = collect(flush_seconds=3600, dashboard=dashboard.url, owner_kind="RayJob", owner_name="nightly")
    eventually(lambda: first.post(event(1)) == 200)
    running = eventually(lambda: next((one for one in archived.catalog() if one.python_version), None))
    first.kill()
    dead_ms = time.time() * 1000
    assert archived.rows(HEAD, "events") == []
    other = HEAD[::-1]
    make_session(tmp_path / "ray", LATER, other)
    second = collect()
    eventually(lambda: [row["eventId"] for row in archived.rows(HEAD, "events")] == ["id-1"])
    finals = {footer.facts.name.node_id: footer.facts.final for footer in archived.footers()}
    assert "a later one finished it" in finals[HEAD]
    eventually(lambda: archived.stream(other, "logs/raylet.out"))
    ended = eventually(lambda: next((one for one in archived.catalog() if one.state == "ended"), None))
    assert running.started_ms < ended.last_seen_ms <= dead_ms
    assert ended == msgspec.structs.replace(
        running, state="ended", reason=finals[HEAD], last_seen_ms=ended.last_seen_ms
    )
    assert (ended.session, ended.owner_name, ended.ray_version) == (SESSION, "nightly", "2.60.0")
    eventually(lambda: {LATER: "running"}.items() <= {e.session: e.state for e in archived.catalog()}.items())
    assert second.alive()


def test_ray_gone_without_a_word_is_not_the_end(
    collect: Callable[..., Collect], archived: Any, tmp_path: Path, eventually: Eventually
) -> None:
    make_session(tmp_path / "ray", SESSION, HEAD)
    running = collect()
    eventually(lambda: archived.stream(HEAD, "logs/raylet.out"))
    (tmp_path / "ray" / "session_latest").unlink()
    (tmp_path / "ray" / SESSION).rename(tmp_path / "gone")
    other = HEAD[::-1]
    make_session(tmp_path / "ray", LATER, other)
    eventually(lambda: archived.stream(other, "logs/raylet.out"))
    eventually(
        lambda: (
            {entry.session: entry.state for entry in archived.catalog()}
            == {SESSION: "ended", LATER: "running"}
        )
    )
    assert running.alive()


def test_help_is_told_without_a_supervisor() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "historyserver", "collect", "--help"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    assert b"--ray-dir" in done.stdout


def test_an_unknown_command_is_refused() -> None:
    command = [sys.executable, "-m", "historyserver", "collekt"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 2
    assert b"no command 'collekt'" in done.stderr
