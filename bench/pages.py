"""How long a page takes, warm: each endpoint of Ray's API in-process, over a generated session of 100,000
tasks.

python -m bench pages
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from starlette.applications import Starlette

from archive.store.url import open_store
from bench.figure import Figure
from bench.session import write_session
from server.ray import routes
from server.view.remembered import Remembered
from server.view.view import View
from server.view.views import Views

TASKS = 100_000
TIMES = 9
PAGE_MS = 50.0
BIG_PAGE_MS = 400.0
BY_JOB = "filter_keys=job_id&filter_predicates=%3D&filter_values=02000000"
PAGES = (
    "/api/v0/tasks",
    "/api/v0/tasks?detail=1&limit=100",
    "/api/v0/tasks?filter_keys=state&filter_predicates=%3D&filter_values=FAILED",
    f"/api/v0/tasks?{BY_JOB}",
    "/api/v0/tasks?detail=1&limit=1&filter_keys=task_id&filter_predicates=%3D&filter_values={task}",
    "/api/v0/tasks/summarize",
    f"/api/v0/tasks/summarize?{BY_JOB}",
    "/api/v0/actors?detail=1&limit=10000",
    "/api/v0/actors/summarize",
    "/logical/actors",
    "/api/v0/nodes?detail=1&limit=10000",
    "/nodes?view=summary",
    "/nodes/{node}",
    "/api/v0/workers?detail=1&limit=10000",
    "/api/v0/jobs?detail=1&limit=10000",
    "/api/jobs/",
    "/events",
    "/api/v0/cluster_events",
    "/api/v0/placement_groups",
)
BIG_PAGES = (
    "/api/v0/tasks?detail=1&limit=10000",
    f"/api/v0/tasks/summarize?{BY_JOB}&summary_by=lineage",
    "/api/v0/tasks/timeline?job_id=02000000",
)


class Opened:
    """What stands in `request.state.session`."""

    def __init__(self, view: View) -> None:
        self.key = view.key
        self._view = view

    async def view(self) -> View:
        return self._view


async def ask(app: Starlette, session: Opened, path: str) -> tuple[int, int]:
    """Status and size of an answer."""
    place, _, query = path.partition("?")
    scope: dict[str, Any] = {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "path": place,
        "query_string": query.encode(),
        "root_path": "",
        "headers": [],
        "server": ("127.0.0.1", 80),
        "client": None,
        "state": {"session": session},
    }
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent[0]["status"], sum(len(message.get("body", b"")) for message in sent)


async def median_ms(app: Starlette, session: Opened, path: str) -> tuple[float, int]:
    """The median time of several questions, each worked out anew, and the answer's size."""
    status, size = await ask(app, session, path)
    if status != 200:
        raise RuntimeError(f"{path} was answered with {status}")
    times = []
    for _ in range(TIMES):
        began = time.perf_counter()
        await ask(app, session, path)
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times), size


def figures(tasks: int = TASKS) -> Iterator[Figure]:
    """A figure a page."""
    with tempfile.TemporaryDirectory() as folder:
        yield from _figures(Path(folder), tasks)


def _figures(folder: Path, tasks: int) -> Iterator[Figure]:
    (folder / "store").mkdir()
    url = f"file://{folder}/store"
    key = write_session(url, tasks)
    with Views(open_store(url), folder / "cache", 4 << 30) as views:
        view = views.open(key, 600)
        view.remembered = Remembered(0)
        app, session = Starlette(routes=routes), Opened(view)
        named = {
            "task": view.rows("SELECT max(task_id) FROM tasks WHERE defined")[0][0],
            "node": view.rows("SELECT max(node_id) FROM nodes")[0][0],
        }
        for path, goal in (
            *((page, PAGE_MS) for page in PAGES),
            *((page, BIG_PAGE_MS) for page in BIG_PAGES),
        ):
            took, size = asyncio.run(median_ms(app, session, path.format(**named)))
            name = path.replace("filter_keys", "k").replace("filter_predicates=%3D&filter_values", "v")
            yield Figure(f"p50 {name[:44]} ({size / 1e6:.2f} MB)", took, "ms", goal)
