"""How long a session of 100,000 tasks takes to open, and what memory: cold, and again in a new server.

The archive is in object storage that takes 20 ms a request. The server is `historyserver serve` in a process
of its own, and listens; a page is asked for over HTTP. Memory is the most that the server and its fold
processes had at once, shared pages counted once (PSS). Each server has an empty cache.

python -m bench opening
"""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from unittest.mock import patch

import psutil

from archive.layout import SessionKey
from archive.store.url import open_store
from bench.figure import Figure
from bench.oss import oss
from bench.session import write_session

if TYPE_CHECKING:
    from fake_oss import FakeOss

TASKS = 100_000
TIMES = 3
COLD_SECONDS = 2.0
COLD_MIB = 400.0
AGAIN_SECONDS = 0.3
SETTLED_SECONDS = 1.5
"""What a server gets to start its fold processes; the catalog is looked at for the first time after 2 s."""
VIEWS = "v1/views/"


def figures() -> Iterator[Figure]:
    with archive() as store:
        key = write_session(store.url(), TASKS)
        cold = [opened(store, key, fresh=True) for _ in range(TIMES)]
        yield Figure("open 100,000 tasks cold", min(seconds for seconds, _ in cold), "s", COLD_SECONDS)
        yield Figure("  memory of the whole process tree", max(mib for _, mib in cold), "MiB", COLD_MIB)
        again = [opened(store, key) for _ in range(TIMES)]
        seconds = min(seconds for seconds, _ in again)
        yield Figure("open again: new process, empty cache", seconds, "s", AGAIN_SECONDS)


@contextlib.contextmanager
def archive() -> Iterator["FakeOss"]:
    """Object storage, and the rights to fill it."""
    with oss() as store, patch.dict(os.environ, store.environment("operator")):
        yield store


def opened(store: "FakeOss", key: SessionKey, *, fresh: bool = False) -> tuple[float, float]:
    """Seconds until a page is answered by a new server, and its most memory in MiB meanwhile."""
    if fresh:
        forget_views(store)
    with serving(store) as server:
        time.sleep(SETTLED_SECONDS)
        with peak_memory(server.pid) as peak:
            began = time.perf_counter()
            server.ask(f"/clusters/{key.path}/api/v0/tasks?limit=100")
            seconds = time.perf_counter() - began
        await_view(store)  # the next server shall find it
    return seconds, max(peak)


def forget_views(store: "FakeOss") -> None:
    """The next opening has to fold."""
    here = open_store(store.url())
    here.delete([info.key for info in here.list(VIEWS)])


def await_view(store: "FakeOss") -> None:
    """Until a manifest is stored."""
    here = open_store(store.url())
    while not any("/manifests/" in info.key for info in here.list(VIEWS)):
        time.sleep(0.1)


@dataclass(frozen=True)
class Server:
    """A server process that listens."""

    pid: int
    port: int

    def ask(self, path: str) -> bytes:
        """One good answer, read to its end; a session that is being opened is waited for."""
        while True:
            status, body = self.answer(path)
            if status == 200:
                return body
            if status != 503:
                raise RuntimeError(f"{path} was answered with {status}: {body[:500]!r}")

    def answer(self, path: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()


@contextlib.contextmanager
def serving(store: "FakeOss", environment: Mapping[str, str] = {}) -> Iterator[Server]:
    """A server with an empty cache, until the end of the block."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="bench-cache-") as cache:
        command = [sys.executable, "-m", "historyserver", "serve", f"--store={store.url()}"]
        command += [f"--cache={cache}", f"--listen=127.0.0.1:{port}"]
        rights = {**os.environ, **store.environment("server"), **environment}
        with subprocess.Popen(command, env=rights, stderr=subprocess.DEVNULL) as process:
            try:
                server = Server(process.pid, port)
                deadline = time.monotonic() + 60
                while process.poll() is None and time.monotonic() < deadline:
                    with contextlib.suppress(OSError):
                        server.ask("/healthz")
                        break
                    time.sleep(0.02)
                yield server
            finally:
                process.terminate()


@contextlib.contextmanager
def peak_memory(pid: int) -> Iterator[list[float]]:
    """Samples of a process tree's PSS in MiB; the list grows while the block runs."""
    samples = [tree_mib(pid)]
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            samples.append(tree_mib(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield samples
    finally:
        done.set()
        watcher.join()


def tree(pid: int) -> list[psutil.Process]:
    """A process and what it started."""
    with contextlib.suppress(psutil.Error):
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    return []


def tree_mib(pid: int) -> float:
    """The PSS of a process tree."""
    total = 0
    for process in tree(pid):
        with contextlib.suppress(psutil.Error):
            total += process.memory_full_info().pss
    return total / (1 << 20)


def tree_cpu(pid: int) -> float:
    """Seconds of CPU that a process tree has used."""
    total = 0.0
    for process in tree(pid):
        with contextlib.suppress(psutil.Error):
            times = process.cpu_times()
            total += times.user + times.system
    return total
