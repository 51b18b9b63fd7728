"""100 people at once: each looks at one session after the other, ten sessions in all, 20 kinds of pages.

Object storage takes 20 ms a request. Of the server's opened sessions three stay in memory, or all of them. A
person asks for a page about every 4 seconds, as an open dashboard does, and after 20 pages goes on to another
session: half of them to one of the newest two.

python -m bench users
"""

import contextlib
import http.client
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from archive.layout import SessionKey
from bench.collector import free_port
from bench.figure import Figure
from bench.opening import Server, archive, peak_memory
from bench.session import write_session

if TYPE_CHECKING:
    from fake_oss import FakeOss

USERS = 100
SESSIONS = 10
TASKS = 10_000
KEPT_OPEN = 3
SECONDS = 60.0
THINK_SECONDS = 4.0
PAGES_A_SESSION = 20
P95_MS = 300.0
TIMEOUT = 60
PAGES = (
    "",
    "history/logs/",
    "nodes?view=summary",
    "api/jobs/",
    "api/v0/jobs?detail=1&limit=10000",
    "api/v0/tasks?detail=1&limit=100",
    "api/v0/tasks?limit=10000",
    "api/v0/tasks?filter_keys=state&filter_predicates=%3D&filter_values=FAILED",
    "api/v0/tasks/summarize",
    "api/v0/tasks/timeline?job_id=02000000",
    "api/v0/actors?detail=1&limit=10000",
    "api/v0/actors/summarize",
    "logical/actors",
    "api/v0/nodes?detail=1&limit=10000",
    "api/v0/workers?detail=1&limit=10000",
    "api/v0/placement_groups?detail=1",
    "api/v0/cluster_events",
    "api/v0/objects?limit=100",
    "events",
    "api/cluster_status",
)
_SERVE = """
import sys
from server.view import views
views.over_budget = lambda opened, limit: opened[{kept}:]
from server.main import main
sys.exit(main(sys.argv[1:]))
"""


@dataclass
class Told:
    """What all of them were told: how often which status, and how many milliseconds each good answer took.

    `broken`: pages answered 5xx otherwise than by 503 with Retry-After, which says that it is being opened.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    waits: list[float] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        return sorted(self.waits)[int(len(self.waits) * share)]


class User:
    """One of them, on one connection."""

    def __init__(self, port: int, keys: Sequence[SessionKey], told: Told, seed: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
        self._keys = keys
        self._told = told
        self._chance = random.Random(seed)  # noqa: S311 - the same users each time

    def look_around(self, until: float, think: float) -> None:
        """Page after page, until the monotonic clock says `until`."""
        with contextlib.closing(self._connection):
            self._pause(until, think)
            while time.monotonic() < until:
                newest = self._chance.random() < 0.5
                key = self._chance.choice(self._keys[: 2 if newest else None])
                for page in self._chance.sample(PAGES, PAGES_A_SESSION):
                    if time.monotonic() >= until:
                        return
                    self._ask(f"/clusters/{key.path}/{page}")
                    self._pause(until, think)

    def _pause(self, until: float, think: float) -> None:
        time.sleep(max(0.0, min(self._chance.uniform(0, 2 * think), until - time.monotonic())))

    def _ask(self, path: str) -> None:
        began = time.perf_counter()
        self._connection.request("GET", path)
        answer = self._connection.getresponse()
        answer.read()
        self._told.statuses[answer.status] += 1
        if answer.status == 200:
            self._told.waits.append((time.perf_counter() - began) * 1e3)
        elif answer.status >= 500 and not (answer.status == 503 and answer.getheader("Retry-After")):
            self._told.broken.append(f"{path}: {answer.status}")


def crowd(server: Server, keys: Sequence[SessionKey], users: int, seconds: float, think: float) -> Told:
    """So many people at once, for so long."""
    told = Told()
    until = time.monotonic() + seconds
    threads = [
        threading.Thread(target=User(server.port, keys, told, seed).look_around, args=(until, think))
        for seed in range(users)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return told


@contextlib.contextmanager
def serving(store: "FakeOss", kept: int) -> Iterator[Server]:
    """A server with an empty cache that keeps so many sessions opened."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bench-cache-") as cache:
        flags = [f"--store={store.url()}", f"--cache={cache}", f"--listen=127.0.0.1:{port}"]
        command = [sys.executable, "-c", _SERVE.format(kept=kept), *flags]
        rights = {**os.environ, **store.environment("server")}
        with subprocess.Popen(command, env=rights, stderr=subprocess.DEVNULL) as process:
            server = Server(process.pid, port)
            try:
                deadline = time.monotonic() + TIMEOUT
                while process.poll() is None and time.monotonic() < deadline:
                    with contextlib.suppress(OSError):
                        server.ask("/healthz")
                        break
                    time.sleep(0.02)
                yield server
            finally:
                process.terminate()


def sessions(store: "FakeOss", tasks: int = TASKS) -> list[SessionKey]:
    """Ten of them in the archive."""
    return [
        write_session(store.url(), tasks, cluster=f"of-{number}", seed=number) for number in range(SESSIONS)
    ]


def figures() -> Iterator[Figure]:
    with archive() as store:
        keys = sessions(store)
        for kept in (SESSIONS, KEPT_OPEN):
            with serving(store, kept) as server, peak_memory(server.pid) as peak:
                for key in keys:
                    server.ask(f"/clusters/{key.path}/{PAGES[2]}")
                told = crowd(server, keys, USERS, SECONDS, THINK_SECONDS)
            name = f"{USERS} users, {SESSIONS} sessions, {kept} kept open: p95 of {len(told.waits)} pages"
            yield Figure(name, told.percentile(0.95), "ms", P95_MS)
            yield Figure("  of them the median", told.percentile(0.5), "ms", P95_MS)
            yield Figure("  told that a session is being opened", told.statuses[503], "", USERS)
            yield Figure("  other answers of 5xx", len(told.broken), "", 0)
            yield Figure("  memory of the whole process tree", max(peak), "MiB", 1024)
