"""What the collector costs the machine it runs on: all of `historyserver collect`, real sizes, object storage
that takes 20 ms a request.

The figures come from the collector's own processes (/proc), the client being this one. "All in" means from
the connection to the object in the store: figures are read when nothing is left unstored.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from archive.segment import footer_of
from bench.figure import Figure
from bench.generate import Generator, bodies
from bench.oss import oss
from bench.shapes import SESSION

if TYPE_CHECKING:
    from fake_oss import FakeOss

TASKS = 50_000
SMALL_REQUESTS = 3_000
LOADS_EVENTS_PER_SECOND = 5_000, 10_000
LOAD_LOG_BYTES_PER_SECOND = 5_000_000
LOAD_SECONDS = 20
POST_EVERY = 0.1
QUIET_EVENTS_PER_SECOND = 1_000
LOGS = 10
TICKS = os.sysconf("SC_CLK_TCK")
MIB = 1 << 20


@dataclass(frozen=True)
class Collector:
    """A running `historyserver collect` beside a Ray folder that looks like a head's."""

    supervisor: int
    events: int
    health: int
    oss: "FakeOss"
    logs: Path

    @property
    def processes(self) -> tuple[int, ...]:
        """The supervisor and its child."""
        children = Path(f"/proc/{self.supervisor}/task/{self.supervisor}/children").read_text()
        return self.supervisor, *(int(pid) for pid in children.split())

    def cpu_seconds(self) -> float:
        total = 0.0
        for pid in self.processes:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) / TICKS
        return total

    def pss_mib(self) -> float:
        total = 0
        for pid in self.processes:
            found = re.search(
                r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE
            )
            total += int(found[1]) if found else 0
        return total / 1024

    def metric(self, name: str) -> float:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.health}/metrics", timeout=20) as answer:
            text = answer.read().decode()
        return sum(float(number) for number in re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE))

    def wait_until_stored(self, seconds: float = 120) -> None:
        deadline = time.monotonic() + seconds
        while self.metric("historyserver_collector_oldest_unstored_seconds"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"the collector did not store everything within {seconds:g} s")
            time.sleep(0.2)

    def stored_bytes(self, stream: str) -> int:
        """What the store holds of a stream's frames."""
        total = 0
        for key in self.oss.keys():  # noqa: SIM118 - not a mapping
            data = self.oss.get(key)
            if key.endswith(".seg") and data is not None:
                frames = footer_of(data, len(data)).frames
                total += sum(frame.size for frame in frames if frame.stream == stream)
        return total


@contextmanager
def collector() -> Iterator[Collector]:
    """Starts one in a folder of its own, and ends it."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-collector-") as name,
        oss(folder=Path(name) / "store") as store,
    ):
        folder = Path(name)
        ray = folder / "ray"
        logs = ray / SESSION / "logs"
        logs.mkdir(parents=True)
        (ray / "session_latest").symlink_to(ray / SESSION)
        node_id = Generator(0, 1).cluster.nodes[0].hex
        for port_file in ("metrics_agent_port", "gcs_server_port"):
            (ray / SESSION / f"{port_file}_{node_id}").write_text("1")
        events, health = free_port(), free_port()
        command = (
            f"{sys.executable} -m historyserver collect --namespace bench --cluster generated "
            f"--store {store.url()} --ray-dir {ray} --spool {folder}/spool "
            f"--listen 127.0.0.1:{events} --health 127.0.0.1:{health}"
        )
        environment = {**os.environ, **store.environment("collector")}
        with (folder / "output").open("wb") as output:
            process = subprocess.Popen(command.split(), env=environment, stdout=output, stderr=output)
        try:
            running = Collector(process.pid, events, health, store, logs)
            wait_for_segments(running)
            yield running
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def wait_for_segments(running: Collector) -> None:
    """Until it has found its node and stored something, so that starting is not part of what is measured."""
    (running.logs / "raylet.out").write_text("started\n")
    deadline = time.monotonic() + 30
    while not any(key.endswith(".seg") for key in running.oss.keys()):  # noqa: SIM118 - not a mapping
        if time.monotonic() > deadline:
            raise TimeoutError("the collector stored nothing within 30 s")
        time.sleep(0.2)


class Client:
    """Posts as Ray's agent does, on one connection."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.waits: list[float] = []

    def post(self, body: bytes) -> None:
        self._socket.sendall(
            b"POST /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n"
            b"Accept-Encoding: gzip, deflate\r\nUser-Agent: Python/3.11 aiohttp/3.13\r\n"
            b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
        )
        self._socket.sendall(body)
        began = time.perf_counter()
        answer = self._socket.recv(4096)
        self.waits.append(time.perf_counter() - began)
        if not answer.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"the collector answered {answer!r}")

    def close(self) -> None:
        self._socket.close()


def figures() -> Iterator[Figure]:
    yield from large_bodies()
    yield from small_bodies()
    yield from stored_size()
    for rate in LOADS_EVENTS_PER_SECOND:
        yield from memory(rate)


def large_bodies() -> Iterator[Figure]:
    """As fast as it goes, so that what the collector does each second anyway weighs little."""
    posts = list(bodies(TASKS, 500))
    events = sum(body.count(b'"eventId"') for body in posts)
    with collector() as running:
        spent = cpu_of(running, posts)
        yield Figure("collector: CPU all in, an event in bodies of 500", spent / events * 1e6, "µs", 6)


def small_bodies() -> Iterator[Figure]:
    posts = list(islice(small(), SMALL_REQUESTS))
    with collector() as running:
        spent = cpu_of(running, posts)
        yield Figure(
            "collector: CPU all in, a request of 1 to 5 events", spent / len(posts) * 1e3, "ms", 0.15
        )


def small() -> Iterator[bytes]:
    """Bodies of 1 to 5 events in turn."""
    size = 0
    events: list[str] = []
    for event in Generator(SMALL_REQUESTS, 1).events():
        events.append(event)
        if len(events) > size % 5:
            yield f"[{', '.join(events)}]".encode()
            size += 1
            events.clear()


def stored_size() -> Iterator[Figure]:
    """At the pace at which events come: what is put more often is compressed less well.

    Without task profile events, which nobody has to switch on and only the timeline needs.
    """
    tasks = QUIET_EVENTS_PER_SECOND * LOAD_SECONDS * 10 // 44
    posts = list(bodies(tasks, int(QUIET_EVENTS_PER_SECOND * POST_EVERY)))
    with collector() as running:
        pace(running, posts, logs=())
        running.wait_until_stored()
        size = running.stored_bytes("events")
        yield Figure(
            f"collector: stored a task, {QUIET_EVENTS_PER_SECOND:,} events/s", size / tasks / 1024, "KiB", 0.3
        )


def memory(rate: int) -> Iterator[Figure]:
    tasks = rate * LOAD_SECONDS * 10 // 44
    posts = list(bodies(tasks, int(rate * POST_EVERY)))
    with collector() as running:
        logs = [running.logs / f"worker-{number:02d}.out" for number in range(LOGS)]
        largest, waits = pace(running, posts, logs)
        yield Figure(
            f"collector: with its supervisor, PSS at {rate:,} events/s, 5 MB/s logs", largest, "MiB", 60
        )
        percentile = sorted(waits)[len(waits) * 99 // 100]
        yield Figure("collector: answers meanwhile, from a body's last byte, p99", percentile * 1e3, "ms", 50)


def cpu_of(running: Collector, posts: Sequence[bytes]) -> float:
    """Seconds of CPU until all of them are stored."""
    client = Client(running.events)
    before = running.cpu_seconds()
    for body in posts:
        client.post(body)
    running.wait_until_stored()
    client.close()
    return running.cpu_seconds() - before


def pace(running: Collector, posts: Sequence[bytes], logs: Sequence[Path]) -> tuple[float, list[float]]:
    """Posts one body each `POST_EVERY`, and writes logs; the largest PSS in MiB, the answers' waits in s."""
    client = Client(running.events)
    line = b"2026-11-23 02:44:53,113 INFO a line of some worker, with a number that changes: %012d\n"
    largest = 0.0
    written = 0
    due = time.monotonic()
    for number, body in enumerate(posts):
        client.post(body)
        for path in logs:
            count = int(LOAD_LOG_BYTES_PER_SECOND * POST_EVERY) // len(logs) // len(line % 0)
            with path.open("ab") as log:
                log.write(b"".join(line % (written + place) for place in range(count)))
            written += count
        if number % 5 == 0:
            largest = max(largest, running.pss_mib())
        due += POST_EVERY
        time.sleep(max(0.0, due - time.monotonic()))
    client.close()
    return largest, client.waits
