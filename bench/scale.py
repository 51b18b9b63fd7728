"""Sessions at their largest: 1,000,000 tasks, 200 nodes, two weeks, opened and kept fresh.

Servers, object storage and memory are as in `bench.opening`. While the large session is opened, pages of a
small one are asked for all the time, and another one is opened. Two weeks are simulated: 4 nodes close a
segment every 5 minutes, a server opens the session again and again and stores what is new; what that costs is
counted in this process, on a folder, and the opening at the end with 20 ms a request.

python -m bench scale
"""

import contextlib
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from unittest.mock import patch

from archive.layout import SessionKey
from archive.store.base import Object, ObjectInfo, Store
from archive.store.local import LocalStore
from archive.store.url import open_store
from bench.cluster import NODES
from bench.figure import Figure
from bench.generate import Generator
from bench.opening import (
    SETTLED_SECONDS,
    VIEWS,
    Server,
    archive,
    forget_views,
    peak_memory,
    serving,
    tree_cpu,
)
from bench.oss import LATENCY
from bench.session import CLUSTER, NAMESPACE, SessionWriter, batches, write_session
from bench.shapes import SESSION
from server.fold.pool import FoldPool
from server.view import saving
from server.view.cache import Cache
from server.view.manifest import encoded
from server.view.opening import Opened, Opening
from server.view.saving import Saving
from server.view.stored import StoredViews

if TYPE_CHECKING:
    from fake_oss import FakeOss

TASKS = 1_000_000
SMALL_TASKS = 2_000
COLD_SECONDS = 20.0
COLD_MIB = 768.0
OTHERS_MS = 200.0
SMALL_SECONDS = 5.0
PAUSE = 0.05
PAGES = ("api/v0/tasks?limit=100", "api/v0/tasks/summarize", "nodes?view=summary", "api/v0/actors?detail=1")

MANY_NODES = 200
MANY_NODES_TASKS = 100_000
MANY_NODES_SECONDS = 3.0
MANY_NODES_MANIFEST_KIB = 128.0
LOOKS = 10
LOOK_REQUESTS = 10.0
LOOK_SECONDS = 0.1

WEEKS_NODES = 4
WEEKS_SEGMENTS = 4_032
WEEKS_REFRESHES = 252
TASKS_A_SEGMENT = 10
REWRITTEN = 2.0
REQUESTS = 60.0
MANIFEST_KIB = 64.0


def figures() -> Iterator[Figure]:
    yield from large()
    yield from many_nodes()
    yield from two_weeks()


def large(tasks: int = TASKS) -> Iterator[Figure]:
    """A session of 1,000,000 tasks, and two small ones meanwhile."""
    with archive() as store:
        key = write_session(store.url(), tasks)
        other = write_session(store.url(), SMALL_TASKS, cluster="other")
        third = write_session(store.url(), SMALL_TASKS, cluster="third")
        with serving(store) as server:
            time.sleep(SETTLED_SECONDS)
            server.ask(f"/clusters/{other.path}/{PAGES[0]}")
            with peak_memory(server.pid) as peak, asked_all_the_time(server, other) as waits:
                before = tree_cpu(server.pid)
                began = time.perf_counter()
                opener = threading.Thread(target=server.ask, args=(f"/clusters/{key.path}/{PAGES[0]}",))
                opener.start()
                time.sleep(1.0)
                small = time.perf_counter()
                server.ask(f"/clusters/{third.path}/{PAGES[0]}")
                small = time.perf_counter() - small
                opener.join()
                seconds = time.perf_counter() - began
                cpu = tree_cpu(server.pid) - before
    yield Figure(f"open {tasks:,} tasks cold", seconds, "s", COLD_SECONDS)
    yield Figure("  CPU of the whole process tree", cpu, "s", 2 * COLD_SECONDS)
    yield Figure("  memory of the whole process tree", max(peak), "MiB", COLD_MIB)
    p95 = statistics.quantiles(waits, n=20)[-1] * 1000
    yield Figure(f"  p95 of {len(waits)} pages of another session meanwhile", p95, "ms", OTHERS_MS)
    yield Figure("  a small session opened meanwhile", small, "s", SMALL_SECONDS)


@contextlib.contextmanager
def asked_all_the_time(server: Server, key: SessionKey) -> Iterator[list[float]]:
    """How long pages of a session took, in seconds; the list grows while the block runs."""
    waits: list[float] = []
    done = threading.Event()

    def ask() -> None:
        while not done.wait(PAUSE):
            began = time.perf_counter()
            server.ask(f"/clusters/{key.path}/{PAGES[len(waits) % len(PAGES)]}")
            waits.append(time.perf_counter() - began)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield waits
    finally:
        done.set()
        asking.join()


def many_nodes(tasks: int = MANY_NODES_TASKS) -> Iterator[Figure]:
    """A session of 200 nodes, each with three segments and its share of every task."""
    with archive() as store:
        key = write_session(store.url(), tasks, nodes=MANY_NODES, segments=3)
        took = [_opened(store, key) for _ in range(2)]
        kept_fresh = list(_kept_fresh(store, key))
    name = f"open {tasks:,} tasks of {MANY_NODES} nodes cold"
    yield Figure(name, min(seconds for seconds, _ in took), "s", MANY_NODES_SECONDS)
    yield Figure("  CPU of the whole process tree", min(cpu for _, cpu in took), "s", 2 * MANY_NODES_SECONDS)
    yield from kept_fresh


def _opened(store: "FakeOss", key: SessionKey) -> tuple[float, float]:
    """Seconds and CPU seconds of a cold opening."""
    forget_views(store)
    with serving(store) as server:
        time.sleep(SETTLED_SECONDS)
        before = tree_cpu(server.pid)
        began = time.perf_counter()
        server.ask(f"/clusters/{key.path}/{PAGES[0]}")
        return time.perf_counter() - began, tree_cpu(server.pid) - before


def _kept_fresh(store: "FakeOss", key: SessionKey) -> Iterator[Figure]:
    """What a look at a session costs in which nothing is new."""
    with tempfile.TemporaryDirectory(prefix="bench-nodes-") as cache:
        with contextlib.closing(Keeper(open_store(store.url()), Path(cache))) as keeper:
            opened = keeper.refresh(key, None)
            store.forget_requests()
            cpu = time.process_time()
            for _ in range(LOOKS):
                opened = keeper.refresh(key, opened)
            cpu = time.process_time() - cpu
            requests = len(store.requests())
        yield Figure("  requests a look", requests / LOOKS, "", LOOK_REQUESTS)
        yield Figure("  CPU a look", cpu / LOOKS, "s", LOOK_SECONDS)
        yield Figure("  manifest", len(encoded(opened.manifest)) / 1024, "KiB", MANY_NODES_MANIFEST_KIB)
        del opened  # its files are below the folder


class Counted:
    """A store that counts what is asked of it, and takes its time for each."""

    def __init__(self, store: Store) -> None:
        self.seconds = 0.0
        self.requests = 0
        self.put_bytes = 0
        self._store = store

    def _count(self) -> None:
        self.requests += 1
        time.sleep(self.seconds)

    def put(self, key: str, data: bytes) -> ObjectInfo:
        self._count()
        self.put_bytes += len(data)
        return self._store.put(key, data)

    def get(
        self, key: str, *, start: int = 0, length: int | None = None, if_match: str | None = None
    ) -> Object:
        self._count()
        return self._store.get(key, start=start, length=length, if_match=if_match)

    def get_suffix(self, key: str, length: int, *, if_match: str | None = None) -> Object:
        return self._store.get_suffix(key, length, if_match=if_match)  # in fold processes, uncounted

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        self._count()
        return self._store.list(prefix, after=after)

    def list_folders(self, prefix: str) -> Iterator[str]:
        self._count()
        return self._store.list_folders(prefix)

    def delete(self, keys: Iterable[str]) -> None:
        self._count()
        self._store.delete(keys)

    def now(self) -> float:
        return self._store.now()


class Keeper:
    """What keeps one session fresh in a server, without its clock."""

    def __init__(self, store: Store, cache: Path) -> None:
        self._pool = FoldPool()
        self._threads = ThreadPoolExecutor(24)
        stored = StoredViews(store, Cache(cache, 4 << 30), self._threads)
        self._saving = Saving(stored)
        self._opening = Opening(store, self._pool, self._threads, stored, 1e9)
        self._pool.warm()

    def refresh(self, key: SessionKey, before: Opened | None) -> Opened:
        """Up to date, and stored."""
        opened = self._opening.up_to_date(key, before, lambda _done, _total: None)
        if self._saving.due(opened, final=False):
            opened = self._saving.save(key, opened, final=False)
        return opened

    def open(self, key: SessionKey) -> None:
        """As a server that never saw it."""
        self._opening.up_to_date(key, None, lambda _done, _total: None)

    def close(self) -> None:
        self._pool.close()
        self._threads.shutdown()


def two_weeks() -> Iterator[Figure]:
    """4,032 segments a node, folded 16 at a time, each time stored."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-weeks-") as name,
        patch.object(saving, "SAVE_SECONDS", 0.0),
    ):
        folder = Path(name)
        (folder / "store").mkdir()
        store = Counted(LocalStore(folder / "store"))
        key = SessionKey(NAMESPACE, CLUSTER, SESSION)
        with contextlib.closing(Keeper(store, folder / "cache")) as keeper:
            opened, costs, written, requests = _grown(LocalStore(folder / "store"), store, key, keeper)
        yield Figure("two weeks: bytes stored in views a byte of segments", written, "", REWRITTEN)
        yield Figure("  CPU of the last refreshes", costs, "s", 1.0)
        yield Figure("  requests a refresh, but for segments", requests, "", REQUESTS)
        yield Figure("  parts at the end", len(opened.saved.parts), "", 20)
        manifest = max(
            (info for info in LocalStore(folder / "store").list(VIEWS) if "/manifests/" in info.key),
            key=lambda info: info.key,
        )
        yield Figure("  manifest", manifest.size / 1024, "KiB", MANIFEST_KIB)
        store.seconds = LATENCY
        with contextlib.closing(Keeper(store, folder / "other")) as keeper:
            began, cpu = time.perf_counter(), tree_cpu(os.getpid())
            keeper.open(key)
            seconds, cpu = time.perf_counter() - began, tree_cpu(os.getpid()) - cpu
        yield Figure("  open it in a new server, 20 ms a request", seconds, "s", 1.0)
        yield Figure("    CPU", cpu, "s", 2.0)
        del opened  # its files are below the folder


def _grown(
    archive: Store, counted: Counted, key: SessionKey, keeper: Keeper
) -> tuple[Opened, float, float, float]:
    """Two weeks; what a refresh cost in CPU at the end, bytes stored per byte, requests a refresh."""
    rounds = WEEKS_SEGMENTS // WEEKS_REFRESHES
    generator = Generator(WEEKS_SEGMENTS * WEEKS_NODES * TASKS_A_SEGMENT, 1, NODES)
    writer = SessionWriter(archive, generator, WEEKS_NODES, key)
    writer.catalog("running")
    opened: Opened | None = None
    costs: list[float] = []
    events = int(WEEKS_NODES * TASKS_A_SEGMENT * 4.4)
    for number, batch in enumerate(batches(generator.events(), events), 1):
        for event in batch:
            writer.add(event)
        writer.close_segments()
        if number % rounds == 0:
            before = tree_cpu(os.getpid())
            opened = keeper.refresh(key, opened)
            costs.append(tree_cpu(os.getpid()) - before)
    opened = keeper.refresh(key, opened)
    return (
        opened,
        statistics.median(costs[-20:]),
        counted.put_bytes / writer.stored_bytes,
        counted.requests / len(costs),
    )
