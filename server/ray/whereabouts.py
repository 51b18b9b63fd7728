"""Where the log of a task, an actor or a submitted job lies: node, file, byte range.

Pure questions to a view, for the log endpoints (`server/logs/`), by Ray's own rules for `api/v0/logs/file`.
File names are relative to the node's `logs` folder. What cannot be answered raises `NotRecorded` in the
words Ray uses.
"""

from dataclasses import dataclass
from typing import Literal

from server.ray import jobs
from server.ray.actors import TRANSITIONS
from server.ray.errors import NotRecorded, PartUnknown
from server.view.view import View

Suffix = Literal["out", "err"]


@dataclass(frozen=True)
class TaskLog:
    """The bytes [start, end) of a worker's output that one task attempt wrote; `end` is None if it never
    ended.
    """

    node_id: str
    file: str
    start: int
    end: int | None


@dataclass(frozen=True)
class ActorProcess:
    """A process in which an actor lived; its output is `worker-<worker_id>-*` on the node."""

    node_id: str
    worker_id: str
    pid: int | None


@dataclass(frozen=True)
class DriverLog:
    """The output of a submitted job's driver."""

    node_id: str
    file: str


def task_log(view: View, task_id: str, attempt: int, suffix: Suffix) -> TaskLog:
    """The output of one task attempt.

    `NotRecorded` when it, its node or its worker is unknown, `PartUnknown` when only its part of the worker's
    output is.
    """
    stream = "stderr" if suffix == "err" else "stdout"
    rows = view.rows(
        f"SELECT node_id, worker_id, actor_id, {stream}_file, {stream}_start, {stream}_end, type "
        "FROM tasks WHERE task_id = ? AND attempt_number = ? AND defined",
        (task_id, attempt),
    )
    if not rows:
        raise NotRecorded(
            f"Could not find log file for task: {task_id} (attempt {attempt}) with suffix: {suffix}"
        )
    node_id, worker_id, actor_id, file, start, end, kind = rows[0]
    if node_id is None:
        raise NotRecorded(
            f"Could not find log file for task attempt.{task_id}({attempt}) due to missing node info."
        )
    if file is None and kind == "ACTOR_TASK":
        raise _part_unknown(
            node_id,
            worker_id,
            f"For actor task, please query actor log for actor({actor_id}): e.g. ray logs actor "
            f"--id {actor_id} . Or set RAY_ENABLE_RECORD_ACTOR_TASK_LOGGING=1 in actor's runtime env or "
            "when starting the cluster. "
            "Ray leaves it off by default, since it can be expensive.",
        )
    if file is None:
        raise _part_unknown(
            node_id,
            worker_id,
            f"Could not find log file for task attempt:{task_id}({attempt}).Worker id = {worker_id}, "
            f"node id = {node_id},log_info = None",
        )
    return TaskLog(node_id, _below_logs(file), start or 0, end)


def actor_processes(view: View, actor_id: str) -> list[ActorProcess]:
    """The processes in which an actor lived, newest first; empty for an unknown actor or one that never
    started. Where its own events name no process, as in Ray 2.40, its tasks do.
    """
    rows = view.rows(
        "SELECT t.node_id, t.worker_id, max(t.pid), max(t.ns) AS newest FROM ("
        f"SELECT unnest(from_json(transitions, {TRANSITIONS})) AS t FROM actors WHERE actor_id = ?"
        ") WHERE t.node_id IS NOT NULL AND t.worker_id IS NOT NULL GROUP BY 1, 2 ORDER BY newest DESC",
        (actor_id,),
    ) or view.rows(
        "SELECT node_id, worker_id, max(worker_pid), max(t_running) AS newest FROM tasks "
        "WHERE actor_id = ? AND node_id IS NOT NULL AND worker_id IS NOT NULL "
        "GROUP BY 1, 2 ORDER BY newest DESC NULLS LAST",
        (actor_id,),
    )
    return [ActorProcess(node_id, worker_id, pid or None) for node_id, worker_id, pid, _ in rows]


def driver_log(view: View, job: str) -> DriverLog:
    """The driver's output of a submitted job, by submission id or job id. `NotRecorded` if its node is
    unknown.
    """
    rows = view.rows(
        f"SELECT submission_id, driver_node_id FROM ({jobs.relation(view.facts)}) "
        "WHERE submission_id = ? OR job_id = ? ORDER BY submission_id IS NULL LIMIT 1",
        (job, job),
    )
    if not rows or rows[0][0] is None:
        raise NotRecorded(
            f"Job {job} does not exist, or was not started by a submission: it has no driver log."
        )
    submission_id, node_id = rows[0]
    if node_id is None:
        raise NotRecorded(f"The node on which the driver of job {job} ran was not recorded.")
    return DriverLog(node_id, f"job-driver-{submission_id}.log")


def _part_unknown(node_id: str, worker_id: str | None, reason: str) -> NotRecorded:
    return NotRecorded(reason) if worker_id is None else PartUnknown(reason, node_id, worker_id)


def _below_logs(path: str) -> str:
    """Ray names log files by absolute path; all below the last `/logs/` belongs to the archive's stream
    name.
    """
    _, found, below = path.rpartition("/logs/")
    return below if found else path.rpartition("/")[2]
