"""Servers as processes of their own, over one object storage, and a session for them to open."""

import base64
import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from archive.catalog import CatalogEntry, encode
from archive.layout import Origin, Role, SegmentName, SessionKey
from archive.segment import Facts, Range, build
from archive.store.base import Store

KEY = SessionKey("lab", "served", "session_2026-11-23_02-43-27_490622_12278")
NODES = ("59" * 28, "df" * 28)
ORIGIN = Origin(1795401810000, "0123abcd")
JOB = b"\x02\0\0\0"
STARTED = "2026-11-23T02:43:30"
SEGMENTS = 8
TASKS_A_SEGMENT = 500

PAGES = (
    "api/v0/tasks?limit=10000",
    "api/v0/tasks?detail=1&limit=500",
    "api/v0/tasks?filter_keys=state&filter_predicates=%3D&filter_values=FAILED",
    "api/v0/tasks/summarize",
    "api/v0/tasks/timeline",
    "api/v0/actors?detail=1",
    "api/v0/nodes?detail=1",
    "api/v0/workers?detail=1",
    "api/v0/jobs?detail=1",
    "api/v0/placement_groups",
    "api/v0/cluster_events",
    "api/jobs/",
    "nodes?view=summary",
    "logical/actors",
    "events",
)


def store_session(store: Store, segments: int = SEGMENTS, first: int = 1) -> None:
    """Two nodes' closed segments, each with tasks of which the other one tells the rest."""
    for number in range(first, first + segments):
        for place, node in enumerate(NODES):
            name = SegmentName(KEY, node, ORIGIN, number)
            tasks = range((number - 1) * TASKS_A_SEGMENT, number * TASKS_A_SEGMENT)
            lines = _node(node) + b"".join((_definition, _lifecycle)[place](task) for task in tasks)
            role = {"node_id": node, "role": "worker" if place else "head"}
            facts = Facts(name, 1795402103_000 + number, "test", role, {}, (), True, None)
            store.put(name.key, build(facts, [Range("events", (number - 1) << 32, lines)]))
    entry = CatalogEntry(
        namespace=KEY.namespace,
        cluster=KEY.cluster,
        session=KEY.session,
        role=Role.HEAD,
        node_id=NODES[0],
        started_ms=KEY.started_ms or 0,
        last_seen_ms=1795402103_000,
        state="ended",
        reason="the test says so",
    )
    store.put(entry.name.key, encode(entry))


def _task(number: int) -> str:
    return base64.b64encode(number.to_bytes(8, "big") + b"\xff" * 12 + JOB).decode()


def _node(node: str) -> bytes:
    node_id = base64.b64encode(bytes.fromhex(node)).decode()
    job = base64.b64encode(JOB).decode()
    return (
        f'{{"nodeDefinitionEvent": {{"nodeId": "{node_id}", "hostname": "host-{node[:4]}"}}}}\n'
        f'{{"driverJobDefinitionEvent": {{"jobId": "{job}", "entrypoint": "python work.py"}}}}\n'
    ).encode()


def _definition(number: int) -> bytes:
    job = base64.b64encode(JOB).decode()
    return (
        f'{{"eventType": "TASK_DEFINITION_EVENT", "timestamp": "{STARTED}.5Z", "taskDefinitionEvent": '
        f'{{"taskId": "{_task(number)}", "taskName": "task_{number % 7}", "jobId": "{job}", '
        f'"taskAttempt": 0, "taskType": "NORMAL_TASK", "language": "PYTHON", '
        f'"requiredResources": {{"CPU": 1.0}}}}}}\n'
    ).encode()


def _lifecycle(number: int) -> bytes:
    outcome = "FAILED" if number % 50 == 0 else "FINISHED"
    states = ", ".join(
        f'{{"state": "{state}", "timestamp": "{STARTED}.{number % 900 + ms:03d}Z"}}'
        for ms, state in enumerate(("PENDING_ARGS_AVAIL", "RUNNING", outcome))
    )
    return (
        f'{{"eventType": "TASK_LIFECYCLE_EVENT", "timestamp": "{STARTED}.9Z", "taskLifecycleEvent": '
        f'{{"taskId": "{_task(number)}", "taskAttempt": 0, "stateTransitions": [{states}]}}}}\n'
    ).encode()


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    """Waits for what has to come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


class Replica:
    """One server, started as often as the test likes, always with the same cache folder."""

    def __init__(self, url: str, environment: Mapping[str, str], folder: Path) -> None:
        self.cache = folder / "cache"
        self.log = folder / "log"
        self._url = url
        self._environment = {**os.environ, **environment}
        self._process: subprocess.Popen[bytes] | None = None
        self._port = 0
        folder.mkdir(parents=True, exist_ok=True)

    def start(self) -> None:
        """Until it answers."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._port = probe.getsockname()[1]
        command = [sys.executable, "-m", "historyserver", "serve", f"--store={self._url}"]
        command += [f"--cache={self.cache}", f"--listen=127.0.0.1:{self._port}"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, env=self._environment, stdout=log, stderr=log)
        until(self._healthy, 60)

    def _healthy(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.get("/healthz")[0] == 200
        return False

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def get(self, path: str) -> tuple[int, bytes]:
        """One request."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def pages(self) -> dict[str, tuple[int, bytes]]:
        """What it answers of the session to a dozen questions."""
        return {page: self.get(f"/clusters/{KEY.path}/{page}") for page in PAGES}

    def begin_to_open(self) -> None:
        """Asks for the session and doesn't wait for the answer."""
        with socket.create_connection(("127.0.0.1", self._port)) as connection:
            path = f"/clusters/{KEY.path}/api/v0/tasks"
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    def workers(self) -> list[psutil.Process]:
        """Its fold processes."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def kill(self) -> None:
        """SIGKILL to the server alone: what it started has to find out by itself."""
        workers = self.workers()
        self.process.kill()
        self.process.wait()
        until(lambda: not any(_lives(worker) for worker in workers))

    def end(self) -> None:
        """As an orchestrator does it."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(30)


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
