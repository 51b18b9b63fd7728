"""The recorded session of real Ray, as a collector would have stored it, opened by a server's own means."""

import asyncio
import gzip
import http.client
import json
import socket
import tarfile
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import uvicorn
from starlette.applications import Starlette

from archive.catalog import CatalogEntry, encode
from archive.layout import Origin, Role, SegmentName, SessionKey
from archive.segment import Facts, Range, build
from archive.store.base import Store
from archive.store.local import LocalStore
from server.app import create_app
from server.frontend.assets import Frontend
from server.frontend.wheel import installed_build
from server.parts import Parts
from server.ray import routes
from server.view.view import View
from server.view.views import Views

RAY = Path(__file__).parent.parent / "fixtures" / "ray"
RECORDED = SessionKey("lab", "recorded", "session_2026-11-23_02-43-27_490622_12278")
HEAD = "593fd952d75624efbbf93821c408b4a5b6ed6b4e138c1229c87eca3b"
WORKER = "df2adaacdb61804408645f058c837352ae132968e428d41b81027c2c"
ASKED_AT = 1795402103
"""When the recorded answers were given; events posted later are left out."""
POLLED = {
    "nodes?view=summary": "nodes_summary.json",
    f"nodes/{HEAD}": "node_detail_0.json.gz",
    f"nodes/{WORKER}": "node_detail_1.json.gz",
    "logical/actors": "actors_logical.json.gz",
    "api/v0/placement_groups": "placement_groups.json",
    "api/jobs/": "jobs.json",
    "api/cluster_status?format=1": "cluster_status_formatted.json",
    "events": "events.json",
    "api/serve/applications/": "serve_applications.json",
    "api/data/datasets/02000000": "datasets_02000000.json",
    "api/data/datasets/03000000": "datasets_03000000.json",
    "api/train/v2/runs/v1": "train_runs_v1.json",
    "api/version": "api_version.json",
    "timezone": "timezone.json",
    "api/v0/cluster_metadata": "cluster_metadata.json",
    "api/v0/workers": "workers.json.gz",
    "api/v0/tasks": "tasks_nodetail.json",
}


def recorded_bytes(path: Path) -> bytes:
    """A recording's content, whether it is packed or not."""
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def read_recorded_events() -> list[dict[str, object]]:
    """Every event that was posted before the answers were asked for, in order."""
    posts = recorded_bytes(RAY / "events" / "session_2026-11-23_02-43-27_all_posts.jsonl.gz").splitlines()
    return [event for post in map(json.loads, posts) if post["t"] <= ASKED_AT for event in post["body"]]


def event_ranges(events: list[dict[str, object]]) -> list[Range]:
    """Events as the two streams a collector keeps them in."""
    streams: dict[str, list[bytes]] = defaultdict(list)
    for event in events:
        stream = "events.profile" if "taskProfileEvents" in event else "events"
        streams[stream].append(json.dumps(event).encode() + b"\n")
    return [Range(stream, 0, b"".join(lines)) for stream, lines in streams.items()]


def recorded_polls() -> Range:
    """The recorded answers as the poller writes them."""
    lines = []
    for path, file in POLLED.items():
        body = json.loads(recorded_bytes(RAY / "http" / file))
        lines.append(json.dumps({"t": ASKED_AT + 0.5, "path": path, "status": 200, "body": body}))
    return Range("polls", 0, ("\n".join(lines) + "\n").encode())


def recorded_exports() -> list[Range]:
    """The export files that Ray's Python half wrote."""
    files = sorted((RAY / "export_events").glob("event_*.gz"))
    return [Range(f"exports/{file.stem}", 0, recorded_bytes(file)) for file in files]


def recorded_logs(archive: str) -> list[Range]:
    """Every log of one node that isn't empty."""
    ranges = []
    with tarfile.open(RAY / "logs" / archive) as logs:
        for member in logs:
            file = logs.extractfile(member) if member.isfile() else None
            if file is not None and (data := file.read()):
                ranges.append(Range(member.name, 0, data))
    return ranges


def put_segment(
    store: Store,
    name: SegmentName,
    ranges: list[Range],
    *,
    closed: bool = True,
    final: str | None = "the end",
    losses: dict[str, int] | None = None,
    written_ms: int = ASKED_AT * 1000,
) -> None:
    """Stores one segment, with the facts a collector would state."""
    role = "head" if name.node_id == HEAD else "worker"
    node = {"node_id": name.node_id, "role": role, "node_ip": "192.0.2.2", "hostname": "vm"}
    facts = Facts(name, written_ms, "test", node, losses or {}, (), closed, final)
    store.put(name.key, build(facts, ranges))


def put_catalog(store: Store, key: SessionKey, *, state: str = "ended", node_id: str = HEAD) -> None:
    """Stores the head's catalog entry."""
    entry = CatalogEntry(
        namespace=key.namespace,
        cluster=key.cluster,
        session=key.session,
        role=Role.HEAD,
        node_id=node_id,
        ray_version="2.60.0",
        python_version="3.11.2",
        started_ms=key.started_ms or 0,
        last_seen_ms=ASKED_AT * 1000,
        state="ended" if state == "ended" else "running",
        reason="the test says so" if state == "ended" else "",
    )
    store.put(entry.name.key, encode(entry))


def write_recorded_session(store: Store) -> None:
    """The whole recorded session: head and worker, one segment each."""
    origin = Origin(ASKED_AT * 1000 - 400_000, "0123abcd")
    head = [*event_ranges(read_recorded_events()), recorded_polls(), *recorded_exports()]
    head += recorded_logs("session_head_logs.tar.gz")
    put_segment(store, SegmentName(RECORDED, HEAD, origin, 1), head)
    worker = recorded_logs("session_worker_logs.tar.gz")
    put_segment(store, SegmentName(RECORDED, WORKER, origin, 1), worker)
    put_catalog(store, RECORDED)


@pytest.fixture(scope="session")
def recorded_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A local store with the recorded session in it; read-only, please."""
    store = LocalStore(tmp_path_factory.mktemp("recorded"))
    write_recorded_session(store)
    return store


@pytest.fixture(scope="session")
def recorded_view(recorded_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[View]:
    """The recorded session, opened."""
    with Views(recorded_store, tmp_path_factory.mktemp("cache"), 1 << 30) as views:
        yield views.open(RECORDED, 60)


@dataclass(frozen=True)
class Answer:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of a State API list."""
        rows: list[dict[str, Any]] = self.json["data"]["result"]["result"]
        return rows

    @property
    def text(self) -> str:
        return self.body.decode()


class Opened:
    """What stands in `request.state.session`."""

    def __init__(self, view: View) -> None:
        self.key = view.key
        self._view = view

    async def view(self) -> View:
        return self._view


class Api:
    """Ray's API of one view, asked through ASGI."""

    def __init__(self, view: View) -> None:
        self.view = view
        self._app = Starlette(routes=routes)
        self._session = Opened(view)

    def ask(self, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None) -> Answer:
        place, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "scheme": "http",
            "http_version": "1.1",
            "path": unquote(place),
            "raw_path": place.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
            "server": ("127.0.0.1", 80),
            "client": None,
            "state": {"session": self._session},
        }
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(self._app(scope, receive, send))
        start = next(message for message in sent if message["type"] == "http.response.start")
        body = b"".join(
            message.get("body", b"") for message in sent if message["type"] == "http.response.body"
        )
        named = {name.decode(): value.decode() for name, value in start["headers"]}
        return Answer(start["status"], named, body)


@dataclass(frozen=True)
class Serving:
    """A server that answers on a port of its own."""

    port: int

    def get(self, path: str, *, method: str = "GET", **headers: str) -> Answer:
        """One request on a connection of its own; `accept="text/html"` is a browser."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(
                method, path, headers={name.replace("_", "-"): v for name, v in headers.items()}
            )
            response = connection.getresponse()
            told = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, told, response.read())
        finally:
            connection.close()

    def opened(self, address: str) -> None:
        """Waits until a session is open; a request waits up to 20 s for it, and may be told to come again."""
        for _ in range(3):
            if self.get(f"{address}api/v0/tasks?limit=1").status != 503:
                return


@contextmanager
def serving(store: Store, cache: Path, **parts: Any) -> Iterator[Serving]:
    """A real server over a store; `parts` are further fields of `Parts`."""
    build = installed_build()
    with Views(store, cache, 1 << 30) as views, socket.create_server(("127.0.0.1", 0)) as listener:
        frontend = Frontend(build) if build else None
        values = {"store_url": "file:///archive", "frontend": frontend, "views": views} | parts
        app = create_app(Parts(store=store, **values))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield Serving(listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(30)


@pytest.fixture(scope="session")
def serving_store() -> Callable[..., AbstractContextManager[Serving]]:
    """A real server over a store, with its cache in a folder, as long as the `with` lasts."""
    return serving


@pytest.fixture(scope="session")
def recorded_server(recorded_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """A server over the recorded session."""
    with serving(recorded_store, tmp_path_factory.mktemp("cache")) as server:
        yield server


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Serving]]:
    """Starts servers; they end with the test."""
    with ExitStack() as stack:

        def start(store: Store, **parts: Any) -> Serving:
            return stack.enter_context(serving(store, tmp_path / "cache", **parts))

        yield start


@pytest.fixture(scope="session")
def recorded_events() -> list[dict[str, object]]:
    """Every event that was posted before the recorded answers were asked for."""
    return read_recorded_events()


@pytest.fixture(scope="session")
def store_segment() -> Callable[..., None]:
    """Stores one segment, with the facts a collector would state."""
    return put_segment


@pytest.fixture(scope="session")
def store_catalog() -> Callable[..., None]:
    """Stores a head's catalog entry."""
    return put_catalog


@pytest.fixture(scope="session")
def api_of() -> Callable[[View], Api]:
    """Makes the API of any view."""
    return Api


@pytest.fixture(scope="session")
def recorded() -> Callable[[str], Any]:
    """Gives a recorded answer of `http/` as plain values."""

    def read(name: str) -> Any:
        return json.loads(recorded_bytes(next((RAY / "http").glob(f"{name}.*"))))

    return read
