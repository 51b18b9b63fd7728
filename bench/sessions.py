"""An archive of 50,000 sessions in object storage that takes 20 ms a request: the list, fold and removal.

A new replica is a server process of its own; its time counts from the process' start, and from the moment it
listens. The rates of `historyserver fold` and `historyserver rm` are turned into times for so much work.

python -m bench sessions
"""

import contextlib
import hashlib
import http.client
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from unittest.mock import patch

from archive.catalog import CatalogEntry, encode
from archive.layout import CATALOG, CatalogName, Origin, Role, SegmentName, SessionKey
from archive.segment import Facts, Range, build
from archive.store.base import ObjectInfo
from archive.store.url import open_store
from bench.figure import Figure
from bench.opening import tree_mib
from bench.oss import oss
from server import catalog_index
from server.sessions import Entry, Session, entry_of

if TYPE_CHECKING:
    from fake_oss import FakeOss

SESSIONS = 50_000
RUNNING = 20
NEWEST = datetime(2026, 11, 23, tzinfo=UTC)
APART = timedelta(minutes=7)
TIMES = 15
STEADY_SECONDS = 30
WARM_MS = 300.0
REPLICA_SECONDS = 3.0
REPLICA_MIB = 500.0
LISTS_A_MINUTE = 60.0
FOLDED = 60
FOLD_SECONDS = 60.0
REMOVAL_SECONDS = 30.0
OBJECTS = 20_000
MILLION_SECONDS = 600.0
PAGES = {
    "first page": "/",
    "search": "/?q=cluster-17+rayjob&state=ended",
    "last page as JSON": "/api/sessions?limit=1000&since=2026-01-01&cursor=9",
}


def figures(sessions: int = SESSIONS) -> Iterator[Figure]:
    yield from _commands()
    with oss() as store, patch.dict(os.environ, store.environment("operator")):
        told = _fill(store, sessions)
        with _serving(store) as server:
            yield Figure("first page of a new replica, no index", server.first_page, "s", REPLICA_SECONDS)
        catalog_index.save(open_store(store.url()), told)
        with _serving(store) as server:
            yield Figure("first page of a new replica: process", server.first_page, "s", REPLICA_SECONDS)
            yield Figure("  of it since it listens", server.since_listening, "s", REPLICA_SECONDS)
            server.settle()
            for name, path in PAGES.items():
                yield Figure(
                    f"list of {sessions:,} sessions, warm: {name}", server.median_ms(path), "ms", WARM_MS
                )
            yield Figure("  memory of the server with them", tree_mib(server.pid), "MiB", REPLICA_MIB)
            store.forget_requests()
            server.look_for(STEADY_SECONDS)
            lists = len(store.requests(operation="ListObjectsV2", key="root/v1/catalog/*"))
            yield Figure("  requests to list, a minute", lists * 60 / STEADY_SECONDS, "", LISTS_A_MINUTE)


def _commands() -> Iterator[Figure]:
    """`historyserver fold` and `historyserver rm` as processes of their own."""
    with oss() as store:
        store.set_clock(-40 * 86_400.0)
        for number in range(FOLDED):
            _small_session(store, number)
        store.set_clock(0)
        seconds = _took(store, "server", "fold", "--all")
        yield Figure(f"fold of {FOLDED} small sessions on this machine", seconds, "s", FOLD_SECONDS)
        held = len(store.keys("root/v1/"))
        seconds = _took(store, "retention", "rm", "--older-than=30d")
        removed = held - len(store.keys("root/v1/"))
        yield Figure(f"rm of {FOLDED} sessions, {removed} objects", seconds, "s", REMOVAL_SECONDS)
        store.set_clock(-40 * 86_400.0)
        key = SessionKey("bench", "large", NEWEST.strftime("session_%Y-%m-%d_%H-%M-%S_000000_1"))
        for number in range(OBJECTS):
            store.put(f"root/{SegmentName(key, 'a' * 56, Origin(1, '0' * 8), number + 1).key}", b"x")
        store.set_clock(0)
        seconds = _took(store, "retention", "rm", key.path)
        yield Figure(
            f"rm of 1,000,000 objects, at the rate of {OBJECTS:,}",
            seconds / OBJECTS * 1e6,
            "s",
            MILLION_SECONDS,
        )


def _took(store: "FakeOss", role: str, *arguments: str) -> float:
    """Seconds of a command that ends well."""
    command = [sys.executable, "-m", "historyserver", *arguments, f"--store={store.url()}"]
    began = time.perf_counter()
    subprocess.run(
        command, env={**os.environ, **store.environment(role)}, check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - began


def _small_session(store: "FakeOss", number: int) -> None:
    """One node, one segment, and an entry."""
    start = NEWEST - number * APART
    key = SessionKey("bench", "small", f"session_{start:%Y-%m-%d_%H-%M-%S}_{number:06d}_1")
    name = SegmentName(key, f"{number:056x}", Origin(1, "0" * 8), 1)
    event = b'{"nodeDefinitionEvent": {"nodeId": "QU9UL1pVdFdKTzQ="}}\n'
    facts = Facts(name, key.started_ms or 0, "bench", {"role": "head"}, {}, (), True, "stopped")
    store.put(f"root/{name.key}", build(facts, [Range("events", 0, event)]))
    _put(store, key, Role.HEAD, running=False)


def _fill(store: "FakeOss", sessions: int) -> list[Session]:
    """Catalog entries of head and worker, the newest ones running; gives them as a server knows them."""
    told = []
    for number in range(sessions):
        start = NEWEST - number * APART
        name = f"session_{start:%Y-%m-%d_%H-%M-%S}_{number:06d}_{1000 + number % 9000}"
        key = SessionKey(f"team-{number % 12}", f"cluster-{number % 200}", name)
        entries = {role: _put(store, key, role, running=number < RUNNING) for role in Role}
        told.append(_session(key, entries))
    return told


def _put(store: "FakeOss", key: SessionKey, role: Role, *, running: bool) -> Entry:
    started_ms = key.started_ms or 0
    entry = CatalogEntry(
        namespace=key.namespace,
        cluster=key.cluster,
        session=key.session,
        role=role,
        node_id=hashlib.sha256(key.path.encode()).hexdigest()[:56],
        owner_kind="RayJob",
        owner_name=f"{key.cluster}-nightly",
        ray_version="2.60.0",
        python_version="3.11.9",
        started_ms=started_ms,
        last_seen_ms=started_ms + 240_000,
        state="running" if running else "ended",
        reason="" if running else "stopped",
    )
    data = encode(entry)
    store.put(f"root/{entry.name.key}", data)
    etag = hashlib.md5(data, usedforsecurity=False).hexdigest().upper()
    return entry_of(ObjectInfo(entry.name.key, len(data), etag, float(int(time.time()))), entry)


def _session(key: SessionKey, entries: dict[Role, Entry]) -> Session:
    order = CatalogName(key, Role.HEAD).key.removeprefix(CATALOG).removesuffix("head.json")
    return Session(key, order, entries[Role.HEAD], entries[Role.WORKER], int(time.time() * 1000))


class _Server:
    """A server process; `first_page` and `since_listening` in seconds."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, began: float) -> None:
        self.pid = process.pid
        self._port = port
        while not self._answers("/healthz"):
            if process.poll() is not None:
                raise RuntimeError(f"the server ended with {process.returncode}")
            time.sleep(0.01)
        listening = time.perf_counter()
        while not self._answers("/"):
            time.sleep(0.01)
        ended = time.perf_counter()
        self.first_page, self.since_listening = ended - began, ended - listening

    def settle(self) -> None:
        """Until everything is listed and read."""
        while b'"complete":true' not in self._ask("/api/sessions?limit=1")[1]:
            time.sleep(0.5)

    def median_ms(self, path: str) -> float:
        times = []
        for _ in range(TIMES):
            began = time.perf_counter()
            status, _ = self._ask(path)
            times.append((time.perf_counter() - began) * 1000)
            assert status == 200
            time.sleep(0.2)
        return statistics.median(times)

    def look_for(self, seconds: float) -> None:
        """As somebody who loads the list all the time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._ask("/")
            time.sleep(0.5)

    def _answers(self, path: str) -> bool:
        try:
            return self._ask(path)[0] == 200
        except OSError:
            return False

    def _ask(self, path: str) -> tuple[int, bytes]:
        with contextlib.closing(
            http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        ) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()


@contextlib.contextmanager
def _serving(store: "FakeOss") -> Iterator[_Server]:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="bench-sessions-") as cache:
        command = [sys.executable, "-m", "historyserver", "serve", f"--store={store.url()}"]
        command += [f"--listen=127.0.0.1:{port}", f"--cache={cache}"]
        environment = {**os.environ, **store.environment("server")}
        began = time.perf_counter()
        with subprocess.Popen(command, env=environment) as process:
            try:
                yield _Server(process, port, began)
            finally:
                process.terminate()
