"""How long a session of 100,000 tasks takes to open, and what memory: cold, and again in a new server.

The server is a process of its own that listens; a page is asked for over HTTP. Memory is the most that the
server and its fold processes had at once, shared pages counted once (PSS). The second server has an empty
cache, and a store that takes 20 ms a request.

python -m bench opening
"""

import contextlib
import http.client
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import uvicorn

from archive.layout import SessionKey
from archive.store.local import LocalStore
from bench.figure import Figure
from bench.session import write_session
from bench.slow_store import SlowStore
from server.app import create_app
from server.parts import Parts
from server.view.views import Views

TASKS = 100_000
TIMES = 3
COLD_SECONDS = 2.0
COLD_MIB = 400.0
AGAIN_SECONDS = 0.3
REQUEST_SECONDS = 0.02
CACHE_BYTES = 4 << 30
SETTLED_SECONDS = 1.5
"""What a server gets to start its fold processes; the catalog is looked at for the first time after 2 s."""


def figures() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="bench-opening-") as name:
        folder = Path(name)
        store = folder / "store"
        store.mkdir()
        key = write_session(store.as_uri(), TASKS)
        cold = [opened(folder / f"cold{number}", store, key, 0.0, fresh=True) for number in range(TIMES)]
        yield Figure("open 100,000 tasks cold", min(seconds for seconds, _ in cold), "s", COLD_SECONDS)
        yield Figure(
            "  memory of the whole process tree meanwhile", max(mib for _, mib in cold), "MiB", COLD_MIB
        )
        again = [opened(folder / f"again{number}", store, key, REQUEST_SECONDS) for number in range(TIMES)]
        yield Figure(
            "open again: new process, empty cache, 20 ms a request",
            min(seconds for seconds, _ in again),
            "s",
            AGAIN_SECONDS,
        )


def opened(
    cache: Path, store: Path, key: SessionKey, latency: float, *, fresh: bool = False
) -> tuple[float, float]:
    """Seconds until a page is answered by a new server, and its most memory in MiB meanwhile."""
    if fresh:
        LocalStore(store).delete([info.key for info in LocalStore(store).list("v1/views/")])
    with serving(cache, store, latency) as (process, port):
        time.sleep(SETTLED_SECONDS)
        with peak_memory(process.pid) as peak:
            began = time.perf_counter()
            ask(port, f"/clusters/{key.path}/api/v0/tasks?limit=100")
            seconds = time.perf_counter() - began
        while not any(LocalStore(store).list("v1/views/")):  # the next server shall find the view
            time.sleep(0.05)
        time.sleep(1.0)
    return seconds, max(peak)


@contextlib.contextmanager
def serving(cache: Path, store: Path, latency: float) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A server process that listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "bench.opening", str(store), str(cache), str(port), str(latency)]
    with subprocess.Popen(command) as process:
        try:
            deadline = time.monotonic() + 60
            while process.poll() is None and time.monotonic() < deadline:
                with contextlib.suppress(OSError):
                    ask(port, "/healthz")
                    break
                time.sleep(0.02)
            yield process, port
        finally:
            process.terminate()


def ask(port: int, path: str) -> None:
    """One good answer, read to its end."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body[:500]


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


def tree_mib(pid: int) -> float:
    total = 0
    with contextlib.suppress(psutil.Error):
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                total += process.memory_full_info().pss
    return total / (1 << 20)


def main() -> None:
    """The server of this benchmark: STORE CACHE PORT SECONDS_A_REQUEST."""
    folder, cache, port, latency = sys.argv[1:]
    store = SlowStore(LocalStore(Path(folder)), float(latency))
    with Views(store, Path(cache), CACHE_BYTES) as views:
        parts = Parts(store=store, store_url=folder, views=views, frontend=None)
        uvicorn.run(create_app(parts), host="127.0.0.1", port=int(port), log_level="warning")


if __name__ == "__main__":
    main()
