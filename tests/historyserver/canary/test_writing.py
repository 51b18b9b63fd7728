import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from historyserver.canary.message import Kind, Message, parse
from historyserver.canary.writing import Events, Lines


def message(number: int, kind: Kind = Kind.LINES) -> Message:
    return Message("0123abcd", kind, number, 0)


def numbers(path: Path) -> list[int]:
    return [parsed.number for text in path.read_text().splitlines() if (parsed := parse(text))]


def test_a_log_turns_as_rays_logs_do_and_loses_its_oldest(tmp_path: Path) -> None:
    lines = Lines(tmp_path / "canary.log", turn_at=300)
    for number in range(1, 61):
        lines.write(message(number))
    files = [tmp_path / "canary.log", *(tmp_path / f"canary.log.{index}" for index in range(1, 11))]
    assert sorted(tmp_path.iterdir()) == sorted(files)
    kept = [number for path in reversed(files) for number in numbers(path)]
    assert kept == list(range(kept[0], 61))
    assert 1 < kept[0] < 40
    assert all(path.stat().st_size <= 300 for path in files)
    lines.remove()
    assert list(tmp_path.iterdir()) == []
    lines.remove()


def test_a_log_that_was_there_is_gone_on_with(tmp_path: Path) -> None:
    Lines(tmp_path / "canary.log").write(message(1))
    Lines(tmp_path / "canary.log").write(message(2))
    assert numbers(tmp_path / "canary.log") == [1, 2]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Lines(tmp_path / "nowhere" / "canary.log").write(message(1))


class Collector(ThreadingHTTPServer):
    """Takes events."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies: list[Any] = []
        self.paths: list[str] = []
        self.status = 200


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Collector

    def do_POST(self) -> None:
        self.server.paths.append(self.path)
        self.server.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_event_is_one_that_ray_could_have_posted(collector: Collector) -> None:
    events = Events(f"http://127.0.0.1:{collector.server_port}/base", "session_x")
    assert events.post(message(1, Kind.EVENTS)) == ""
    assert events.post(message(2, Kind.EVENTS)) == ""
    events.close()
    assert collector.paths == ["/base/events"] * 2
    [[first], [second]] = collector.bodies
    assert first["eventType"] == "HISTORYSERVER_CANARY"
    assert first["sessionName"] == "session_x"
    assert parse(first["message"]) == message(1, Kind.EVENTS)
    assert first["eventId"] != second["eventId"]


def test_what_keeps_the_collector_from_taking_events_is_told(collector: Collector) -> None:
    events = Events(f"http://127.0.0.1:{collector.server_port}", "session_x")
    collector.status = 503
    assert "503" in events.post(message(1, Kind.EVENTS))
    collector.status = 200
    assert events.post(message(1, Kind.EVENTS)) == ""
    events.close()
    assert "does not take events" in Events("http://127.0.0.1:1", "s").post(message(1, Kind.EVENTS))
