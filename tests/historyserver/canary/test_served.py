"""The canary's reading through a server; this one says what the test puts into its log."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from archive.errors import TransientStoreError
from archive.layout import SessionKey
from historyserver.canary import served as module
from historyserver.canary.message import Kind, Message
from historyserver.canary.served import ServedReading
from historyserver.canary.trail import Found

SESSION = SessionKey("ns", "c ü", "session_2026-11-23_02-43-27_490622_12278")
GAP = b"[ray history: 200 bytes are missing here: deleted]\n"
TORN = b"[ray history: there may be more: a segment can't be read]\n"


def lines(*numbers: int) -> bytes:
    return b"".join(Message("0123abcd", Kind.LINES, n, 0).text.encode() + b"\n" for n in numbers)


class Server(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.log: bytes | None = None
        self.status = 200
        self.asked: list[str] = []


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        site = "/base/clusters/ns/c%20%C3%BC/session_2026-11-23_02-43-27_490622_12278/api/"
        assert parts.path.startswith(site)
        self.server.asked.append(parts.path.removeprefix(site))
        log = self.server.log
        body = b""
        if parts.path.endswith("/search"):
            hits = [{"node_id": "n1", "filename": asked["glob"], "line": "x"}] if log else []
            body = json.dumps({"result": True, "data": {"hits": hits}}).encode()
        elif log is not None:
            assert asked["node_id"] == "n1"
            body = b"".join(log.splitlines(keepends=True)[-int(asked["lines"]) :])
        self.send_response(self.server.status if log is not None else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


class Taken:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.seen: list[tuple[int | None, int | None, bool]] = []

    def found(self, kind: Kind, found: Found) -> None:
        assert kind is Kind.LINES
        self.seen.append((found.message.number if found.message else None, found.before, found.marked))

    def lost(self, kind: Kind, amount: int) -> None:
        raise AssertionError("a server does not tell")

    def damaged(self, sentence: str) -> None:
        raise AssertionError("a server does not tell")


@pytest.fixture
def reading(server: Server) -> ServedReading:
    log = "logs/historyserver-canary-0123abcd.log"
    return ServedReading(
        f"http://127.0.0.1:{server.server_port}/base", module.Sought(SESSION, log, "0123abcd", 0)
    )


def look(reading: ServedReading) -> list[tuple[int | None, int | None, bool]]:
    taken = Taken()
    reading.look(taken)
    return taken.seen


def test_lines_are_found_as_they_come(server: Server, reading: ServedReading) -> None:
    assert look(reading) == []
    server.log = lines(1, 2)
    assert look(reading) == [(1, None, False), (2, 1, False)]
    assert look(reading) == []
    server.log = lines(1, 2, 3, 4) + lines(5)[:30]
    assert look(reading) == [(3, 2, False), (4, 3, False)]
    server.log = lines(1, 2, 3, 4, 5)
    assert look(reading) == [(5, 4, False)]
    assert server.asked.count("history/logs/search") == 2


def test_the_end_of_a_long_log_is_asked_for_as_far_back_as_need_be(
    server: Server, reading: ServedReading, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LINES", 10)
    server.log = lines(*range(1, 41))
    assert [number for number, _, _ in look(reading)] == list(range(1, 41))
    server.asked.clear()
    server.log = lines(*range(1, 46))
    assert look(reading) == [(n, n - 1, False) for n in range(41, 46)]
    assert len(server.asked) == 1
    server.log = lines(*range(1, 101))
    assert look(reading) == [(n, n - 1, False) for n in range(46, 101)]


def test_doubled_missing_and_wrong_ones_are_found_once(server: Server, reading: ServedReading) -> None:
    server.log = lines(1, 2, 2, 5) + b"wrong\n"
    assert look(reading) == [
        (1, None, False),
        (2, 1, False),
        (2, 2, False),
        (5, 2, False),
        (None, None, False),
    ]
    assert look(reading) == []
    server.log += lines(5, 6)
    assert look(reading) == [(5, 5, False), (6, 5, False)]


def test_what_the_server_says_of_a_gap_is_its_mark(server: Server, reading: ServedReading) -> None:
    server.log = lines(1, 2) + GAP + lines(5)
    assert look(reading) == [(1, None, False), (2, 1, False), (5, None, True)]
    server.log += TORN
    assert look(reading) == []
    server.log = lines(1, 2) + GAP + lines(5, 6)
    assert look(reading) == [(6, 5, False)]


def test_a_server_that_does_not_answer_is_told(server: Server, reading: ServedReading) -> None:
    server.log = lines(1)
    server.status = 503
    with pytest.raises(TransientStoreError, match="503"):
        look(reading)
    server.status = 200
    assert look(reading) == [(1, None, False)]
    away = ServedReading("http://127.0.0.1:1", module.Sought(SESSION, "logs/x", "0123abcd", 0))
    with pytest.raises(TransientStoreError, match="does not answer"):
        look(away)
