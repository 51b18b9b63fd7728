"""From a question to one log: node, path below its `logs` folder, byte range. Ray's rules and Ray's words.

Source: `GET api/v0/logs/file|stream` of Ray 2.60. What names a log by node and file needs no view; what names
it by task, actor or submission asks the view where it lies (`server.ray.whereabouts`).
"""

import asyncio
import posixpath
from dataclasses import dataclass
from typing import Final

from server.logs.errors import LogMissing, LogUnclear
from server.logs.listing import worker_file
from server.logs.node import NodeLogs
from server.logs.question import LogQuestion
from server.logs.session import SessionLogs
from server.opening import OpenSession
from server.ray.errors import NotRecorded, PartUnknown
from server.ray.whereabouts import actor_processes, driver_log, task_log

WHOLE_OUTPUT: Final = "which part this task wrote was not recorded; this is all that its worker wrote"


@dataclass(frozen=True)
class Whereabouts:
    """The bytes [start, end) of one log; `end` is None where it ends. `note`: what a reader must know."""

    node_id: str
    path: str
    start: int = 0
    end: int | None = None
    note: str = ""


async def resolve(session: OpenSession, question: LogQuestion) -> Whereabouts:
    """Where the log that is asked for lies. Raises: LogError, StoreError, ViewPending."""
    try:
        if question.actor_id:
            return await _of_actor(session, question.actor_id, question)
        if question.task_id:
            return await _of_task(session, question.task_id, question)
        if question.submission_id:
            return await of_driver(session, question.submission_id)
    except NotRecorded as error:
        raise LogMissing(str(error)) from error
    if not question.filename and question.pid is None:
        raise LogUnclear(
            "None of actor_id, task_id, pid, submission_id or filename is provided."
            " At least one of them is required to fetch logs."
        )
    node = await asyncio.to_thread(find_node, session.logs, question.node_id, question.node_ip)
    if question.filename:
        return Whereabouts(node.node_id, path_below_logs(question.filename, node.logs_folder))
    path = worker_file(node.paths, question.suffix, pid=question.pid)
    if path is None:
        raise _not_found(question, node.node_id)
    return Whereabouts(node.node_id, path)


def find_node(logs: SessionLogs, node_id: str | None, node_ip: str | None) -> NodeLogs:
    """The node that is named by id or address. Raises: LogUnclear, LogMissing, StoreError."""
    if not node_id and not node_ip:
        raise LogUnclear("Both node id and node ip are not provided. Please provide at least one of them.")
    if not node_id and node_ip:
        node_id = logs.node_of_ip(node_ip)
        if node_id is None:
            raise LogMissing(f"Cannot find matching node_id for a given node ip {node_ip}")
    node = logs.node(node_id or "")
    if node is None:
        raise LogMissing(
            f"Agent for node id: {node_id} doesn't exist. The archive holds nothing of such a node."
        )
    return node


def path_below_logs(filename: str, logs_folder: str) -> str:
    """A file's path below the logs folder, which it may not leave; it may be absolute. Raises: LogMissing."""
    absolute = posixpath.normpath(posixpath.join(logs_folder, filename))
    below = posixpath.relpath(absolute, logs_folder) if absolute != logs_folder else ""
    if not below or below.split("/")[0] == ".." or "\0" in filename:
        raise LogMissing(f"A file is not found at: {absolute}")
    return below


async def of_driver(session: OpenSession, job: str) -> Whereabouts:
    """The driver's log of a submitted job. Raises: NotRecorded, ViewPending, StoreError.

    A job that is stopped before its driver connects may leave nothing but a log, so the logs are asked too.
    """
    view = await session.view()
    try:
        found = await asyncio.to_thread(driver_log, view, job)
    except NotRecorded:
        path = f"job-driver-{job}.log"
        node_id = await asyncio.to_thread(_holder_of, session.logs, path)
        if node_id is None:
            raise
        return Whereabouts(node_id, path)
    return Whereabouts(found.node_id, found.file)


def _holder_of(logs: SessionLogs, path: str) -> str | None:
    return next((node.node_id for node in logs.nodes() if path in node.paths), None)


async def _of_task(session: OpenSession, task_id: str, question: LogQuestion) -> Whereabouts:
    """The part of its worker's output that a task wrote; all of it where the part is not known.

    Ray shows nothing then.
    """
    view = await session.view()
    try:
        found = await asyncio.to_thread(task_log, view, task_id, question.attempt, question.suffix)
    except PartUnknown as error:
        node = await asyncio.to_thread(session.logs.node, error.node_id)
        path = worker_file(node.paths, question.suffix, worker_id=error.worker_id) if node else None
        if path is None:
            raise
        return Whereabouts(error.node_id, path, note=WHOLE_OUTPUT)
    return Whereabouts(found.node_id, found.file, found.start, found.end)


async def _of_actor(session: OpenSession, actor_id: str, question: LogQuestion) -> Whereabouts:
    """The output of the process an actor lived in last, or of an earlier one where the last left none."""
    view = await session.view()
    processes = await asyncio.to_thread(actor_processes, view, actor_id)
    if not processes:
        raise LogMissing(
            f"Worker ID for Actor ID {actor_id} not found. Actor is not known or was never scheduled."
        )
    for process in processes:
        node = await asyncio.to_thread(session.logs.node, process.node_id)
        path = worker_file(node.paths, question.suffix, worker_id=process.worker_id) if node else None
        if path is not None:
            return Whereabouts(process.node_id, path)
    raise _not_found(question, processes[0].node_id)


def _not_found(question: LogQuestion, node_id: str) -> LogMissing:
    return LogMissing(
        "Could not find a log file. Please make sure the given option exists in the cluster.\n"
        f"\tnode_id: {node_id}\n"
        "\tfilename: None\n"
        f"\tactor_id: {question.actor_id}\n"
        f"\ttask_id: {question.task_id}\n"
        f"\tpid: {question.pid}\n"
        f"\tsuffix: {question.suffix}\n"
        f"\tsubmission_id: {question.submission_id}\n"
        f"\tattempt_number: {question.attempt}\n"
    )
