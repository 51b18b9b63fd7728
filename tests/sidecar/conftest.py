"""What the tests of the collector's processes share."""

import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from archive.catalog import CatalogEntry, decode
from archive.layout import CATALOG, SEGMENTS
from archive.segment import Footer, footer_of, read_frame
from archive.store.url import open_store

HTTP = Path(__file__).parents[1] / "fixtures" / "ray" / "http"
HEAD = "593fd952d75624efbbf93821c408b4a5b6ed6b4e138c1229c87eca3b"
WORKER = "df2adaacdb61804408645f058c837352ae132968e428d41b81027c2c"


def _recorded(name: str) -> bytes:
    packed = HTTP / f"{name}.gz"
    return gzip.decompress(packed.read_bytes()) if packed.exists() else (HTTP / name).read_bytes()


@pytest.fixture
def recorded() -> Callable[[str], bytes]:
    """Answers of the recorded dashboard, by file name."""
    return _recorded


class Archived:
    """What a local store holds, read with the archive's own reader."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.url = f"file://{folder}"
        self._store = open_store(self.url)

    def footers(self) -> list[Footer]:
        """In the order of nodes, origins and numbers."""
        return [footer for footer, _ in self._segments()]

    def nodes(self) -> list[str]:
        return list(dict.fromkeys(footer.facts.name.node_id for footer in self.footers()))

    def stream(self, node_id: str, stream: str) -> bytes:
        """A stream's bytes, origin after origin; fails where they have a gap."""
        origins: dict[str, dict[int, bytes]] = {}
        for footer, data in self._segments():
            for entry in footer.frames:
                if footer.facts.name.node_id == node_id and entry.stream == stream:
                    raw = read_frame(entry, data[entry.place : entry.place + entry.size])
                    origins.setdefault(str(footer.facts.name.origin), {})[entry.start] = raw
        return b"".join(_joined(pieces) for _, pieces in sorted(origins.items()))

    def rows(self, node_id: str, stream: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream(node_id, stream).splitlines()]

    def catalog(self) -> list[CatalogEntry]:
        return [decode(self._store.get(info.key).data) for info in self._store.list(CATALOG)]

    def _segments(self) -> Iterator[tuple[Footer, bytes]]:
        for info in self._store.list(SEGMENTS):
            data = self._store.get(info.key).data
            yield footer_of(data, len(data)), data


def _joined(pieces: dict[int, bytes]) -> bytes:
    joined = b""
    for start, raw in sorted(pieces.items()):
        assert start <= len(joined), f"nothing from {len(joined)} to {start}"
        joined += raw[len(joined) - start :]
    return joined


@pytest.fixture
def archived(tmp_path: Path) -> Archived:
    return Archived(tmp_path / "store")


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """Waits for a condition: gives its first true value, fails when none comes in time."""

    def wait(holds: Callable[[], Any], seconds: float = 20.0) -> Any:
        deadline = time.monotonic() + seconds
        while not (value := holds()):
            assert time.monotonic() < deadline, f"not within {seconds} s"
            time.sleep(0.02)
        return value

    return wait


@dataclass
class Reply:
    """How a question is answered."""

    body: bytes = b"{}"
    status: int = 200
    delay: float = 0.0
    cut: bool = False
    """The body ends before its announced length."""
    header: bytes | None = None
    """Raw bytes in place of a status line and headers."""


@dataclass
class FakeDashboard:
    """A small strict dashboard: what it does not know is 404, what is not authorized is 401."""

    replies: dict[str, Reply] = field(default_factory=dict)
    token: str | None = None
    asked: list[tuple[float, str]] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)
    url: str = ""

    def paths(self) -> list[str]:
        return [path for _, path in self.asked]


def _handler(dashboard: FakeDashboard) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            dashboard.asked.append((time.monotonic(), self.path))
            dashboard.agents.add(self.headers["User-Agent"])
            reply = dashboard.replies.get(self.path, Reply(b"404: Not Found", 404))
            if dashboard.token and self.headers["Authorization"] != f"Bearer {dashboard.token}":
                reply = Reply(b"Unauthorized", 401)
            if reply.delay:
                threading.Event().wait(reply.delay)
            try:
                self._send(reply)
            except OSError:
                self.close_connection = True

        def _send(self, reply: Reply) -> None:
            if reply.header is not None:
                self.wfile.write(reply.header)
                return
            self.send_response(reply.status)
            self.send_header("Content-Length", str(len(reply.body) + (10 if reply.cut else 0)))
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


@pytest.fixture
def dashboard(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDashboard]:
    """The recorded head's dashboard, replayed; its session began at 02:43:27."""
    monkeypatch.setattr("sidecar.poll.schedule.REST", 0.0)  # a slow machine must not make tests wait
    known = FakeDashboard(
        {
            "/api/version": Reply(_recorded("api_version.json")),
            "/nodes?view=summary&nocache=1": Reply(_recorded("nodes_summary.json")),
            "/api/jobs/": Reply(_recorded("jobs.json")),
            "/logical/actors?nocache=1": Reply(_recorded("actors_logical.json")),
            "/api/v0/placement_groups?detail=1&limit=10000": Reply(_recorded("placement_groups.json")),
            "/api/cluster_status?format=1": Reply(_recorded("cluster_status_formatted.json")),
            "/events?nocache=1": Reply(_recorded("events.json")),
            "/timezone": Reply(_recorded("timezone.json")),
            "/api/v0/cluster_metadata": Reply(_recorded("cluster_metadata.json")),
            "/api/serve/applications/": Reply(_recorded("serve_applications.json")),
            "/api/train/v2/runs/v1": Reply(_recorded("train_runs_v1.json")),
            f"/nodes/{HEAD}?nocache=1": Reply(_recorded("node_detail_0.json")),
            f"/nodes/{WORKER}?nocache=1": Reply(_recorded("node_detail_1.json")),
            "/api/data/datasets/03000000": Reply(_recorded("datasets_03000000.json")),
            "/api/v0/workers?detail=1&limit=10000": Reply(_recorded("workers.json")),
            "/api/v0/tasks?detail=1&limit=10000": Reply(_recorded("tasks_withdriver.json")),
            "/api/v0/actors?detail=1&limit=10000": Reply(_recorded("actors_state.json")),
        }
    )
    server = _Server(("127.0.0.1", 0), _handler(known))
    known.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield known
    server.shutdown()
    thread.join()
    server.server_close()
