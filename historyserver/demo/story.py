"""The story: a cluster works, a collector beside each node; all of it is killed; a server opens it again.

recording = record(folder, archive, print)
with serve(recording, "127.0.0.1:8080", folder) as server:
    server.session_url …
"""

import contextlib
import json
import socket
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

from historyserver.demo.addresses import free_ports
from historyserver.demo.cluster import Cluster, Node, clean_environment
from historyserver.demo.errors import ADVICE, DemoError, end_of
from historyserver.demo.processes import Family

NAMESPACE, CLUSTER = "demo", "shop"
FAILING_TASK = "read_orders"
JOB_SECONDS = 150
SERVER_SECONDS = 60
# What is older than ten seconds is in the archive, and the state of Serve is asked for every few seconds.
ORDINARY_SECONDS = 20
POLL_SECONDS = "5"

# Nothing in this archive lives any more, so the server need not wait for the usual three minutes of silence.
LOST_SECONDS = "3"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Recording:
    """A session whose cluster is dead; `killed` counts processes, `killed_at` is seconds since the epoch."""

    store: str
    session: str
    killed: int
    killed_at: float
    collector_logs: tuple[Path, ...]


def record(folder: Path, archive: Path, say: Say) -> Recording:
    """Runs two nodes with collectors that write into `archive`, and kills it all without a farewell.

    `folder` takes logs and temporary files, and must have a short name: Ray's sockets are in it. No process
    is left, however this ends.
    """
    archive.mkdir(parents=True, exist_ok=True)
    family = Family(folder / "logs", clean_environment())
    try:
        return _live_and_die(family, folder, archive, say)
    finally:
        family.kill()


def _live_and_die(family: Family, folder: Path, archive: Path, say: Say) -> Recording:
    gcs, client, dashboard, storefront, *rest = free_ports(10)
    cluster = Cluster(family, gcs_port=gcs, client_port=client, dashboard_port=dashboard)
    head = Node("head", "127.0.0.2", folder / "head", rest[0], rest[1])
    worker = Node("worker", "127.0.0.3", folder / "worker", rest[2], rest[3], '{"warehouse": 2}')
    say("Starting Ray on two nodes, a collector beside each.")
    for node, health in ((head, rest[4]), (worker, rest[5])):
        _start_collector(family, node, health, archive, cluster.dashboard)
    cluster.start(head, worker)
    session = (head.folder / "session_latest").resolve().name
    say(f"Ray runs: {session}. Its jobs: one fails, one crashes and recovers, one of Ray Data, one of Serve.")
    cluster.submit("daily-report", "daily_report.py")
    cluster.submit("shop-simulation", "shop_simulation.py", {"ATTEMPTS": str(folder / "attempts")})
    cluster.wait_for("daily-report", "FAILED", JOB_SECONDS)
    cluster.submit("sales-by-shop", "sales_by_shop.py")
    cluster.submit("storefront", "storefront.py", {"STOREFRONT_PORT": str(storefront)})
    cluster.wait_for("shop-simulation", "SUCCEEDED", JOB_SECONDS)
    cluster.wait_for("sales-by-shop", "SUCCEEDED", JOB_SECONDS)
    cluster.wait_for_line("storefront", "Welcome", JOB_SECONDS)
    say(f"The work is done but for the storefront, which is open; {ORDINARY_SECONDS} more seconds of it.")
    time.sleep(ORDINARY_SECONDS)
    killed_at, killed = time.time(), len(family.members())
    family.kill()
    say(f"Killed all {killed} processes of Ray and the collectors with SIGKILL: no farewell, no last flush.")
    return Recording(
        archive.as_uri(),
        session,
        killed,
        killed_at,
        tuple(family.log(f"collector-{n.name}") for n in (head, worker)),
    )


def _start_collector(family: Family, node: Node, health_port: int, archive: Path, dashboard: str) -> None:
    name = f"collector-{node.name}"
    family.start(
        name,
        [
            *(sys.executable, "-m", "historyserver", "collect"),
            *("--store", archive.as_uri()),
            *("--ray-dir", str(node.folder)),
            *("--spool", f"{node.folder}-spool"),
            *("--namespace", NAMESPACE, "--cluster", CLUSTER),
            *("--listen", f"127.0.0.1:{node.events_port}"),
            *("--health", f"127.0.0.1:{health_port}"),
            *("--dashboard", dashboard, "--poll-seconds", POLL_SECONDS),
        ],
        folder=Path.cwd(),
    )
    deadline = time.monotonic() + 20
    while not _listens(node.events_port):
        if time.monotonic() > deadline:
            raise DemoError(
                f"The collector of the {node.name} node does not listen.", end_of(family.log(name)), ADVICE
            )
        time.sleep(0.1)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@dataclass(frozen=True)
class Server:
    """A history server that has the recording open; URLs end with a slash."""

    url: str
    session_url: str
    wait: Callable[[], int]

    def failing_task(self) -> str:
        """The id of the workload's failing task, as the State API gives it."""
        filters = (("func_or_class_name", FAILING_TASK), ("state", "FAILED"))
        query = [("detail", "1"), ("limit", "1")]
        for key, value in filters:
            query += [("filter_keys", key), ("filter_predicates", "="), ("filter_values", value)]
        question = f"{self.session_url}api/v0/tasks?{urlencode(query)}"
        try:
            rows = json.loads(_get(question))["data"]["result"]["result"]
        except OSError as error:
            raise DemoError(
                "The server does not name the failing task.", f"{question}: {error}", ADVICE
            ) from error
        if not rows:
            raise DemoError("The failing task is not in the archive.", f"{question} finds none.", ADVICE)
        return str(rows[0]["task_id"])


@contextlib.contextmanager
def serve(recording: Recording, listen: str, folder: Path) -> Iterator[Server]:
    """Runs a server on the recording's archive until the block is left."""
    family = Family(folder / "logs", clean_environment())
    log = family.log("server")
    try:
        child = family.start(
            "server",
            [
                *(sys.executable, "-m", "historyserver", "serve"),
                *("--store", recording.store),
                *("--listen", listen),
                *("--cache", str(folder / "cache")),
                *("--lost-seconds", LOST_SECONDS),
            ],
            folder=Path.cwd(),
        )
        url = f"http://{listen}/"
        path = "/".join(map(quote, (NAMESPACE, CLUSTER, recording.session)))
        server = Server(url, f"{url}clusters/{path}/", child.wait)
        _wait_until_open(server, recording, lambda: child.poll() is None, log)
        yield server
    finally:
        family.stop()


def _wait_until_open(server: Server, recording: Recording, alive: Callable[[], bool], log: Path) -> None:
    """Until the server counts the session as lost, and shows none of its jobs as running."""
    deadline = time.monotonic() + SERVER_SECONDS
    answer = "it does not answer yet"
    while alive() and time.monotonic() < deadline:
        try:
            sessions = json.loads(_get(f"{server.url}api/sessions"))["sessions"]
            states = {each["session"]: each["state"] for each in sessions}
            if (state := states.get(recording.session)) is None:
                answer = f"the session is not in its list; {end_of(recording.collector_logs[0])}"
            elif state == "running":
                answer = "the session counts as running"
            elif any(
                job["status"] == "RUNNING" for job in json.loads(_get(f"{server.session_url}api/jobs/"))
            ):
                answer = "jobs count as running"
            else:
                return
        except OSError as error:
            answer = str(error)
        time.sleep(0.5)
    how = f"did not open the session within {SERVER_SECONDS} s: {answer}" if alive() else "ended"
    raise DemoError("The server does not show the session.", f"It {how}. Of its log, {end_of(log)}", ADVICE)


def _get(url: str) -> bytes:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=30) as response:
        body: bytes = response.read()
    return body
