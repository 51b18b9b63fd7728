"""Polled answers.

`polls` lines are `{"t": seconds, "path", "status", "body"}`; the body is JSON, or text that a proxy answered.
Answers that list actors or nodes are also kept by entity, since Ray blanks what has died: the row of each
actor and node in the last answer in which it lived.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from server.fold.batch import UNREADABLE, Gathered
from server.fold.tables import stamped
from server.fold.times import plausible

ACTORS_PATH: Final = "logical/actors"
NODES_PATH: Final = "nodes?view=summary"


class Poll(Struct):
    t: float
    path: str
    status: int
    body: Raw


def observe_polls(lines: Iterator[tuple[int, bytes]], gathered: Gathered) -> None:
    """The newest answer of each path, the newest good one, and the newest of each living entity."""
    newest: dict[str, tuple[int, int, str]] = {}
    good: dict[str, tuple[int, int, str]] = {}
    for _, line in lines:
        try:
            poll = msgspec.json.decode(line, type=Poll)
            ns = plausible(int(poll.t * 1000) * 1_000_000)
            text = _text(poll.body)
        except UNREADABLE as error:
            gathered.fault("undecodable poll", type(error).__name__)
            continue
        if ns is None:
            gathered.fault("absurd timestamp", "poll")
            continue
        path = poll.path.lstrip("/")
        answer = (ns, poll.status, text)
        newest[path] = max(answer, newest.get(path, answer))
        if poll.status < 300:
            good[path] = max(answer, good.get(path, answer))
            for entity, body in _entities(path, text):
                key = f"{path.partition('?')[0]}#{entity}"
                alive = (ns, poll.status, body)
                good[key] = newest[key] = max(alive, good.get(key, alive))
    for path, answer in newest.items():
        row = {"path": path, "newest": _stamped(answer)}
        if path in good:
            row["newest_good"] = _stamped(good[path])
        gathered.add("polls", row)


def _stamped(answer: tuple[int, int, str]) -> str:
    ns, status, body = answer
    return stamped(ns, f"{status:03d}", body)


def _text(body: Raw) -> str:
    """The body as it was answered: JSON inside the line stays JSON, a string was the answer's text."""
    raw = bytes(body)
    if raw.startswith(b'"'):
        return msgspec.json.decode(raw, type=str)
    return raw.decode(errors="replace")


def _entities(path: str, text: str) -> Iterator[tuple[str, str]]:
    """Actors and nodes that lived when they were asked for, each with its row."""
    if path not in {ACTORS_PATH, NODES_PATH}:
        return
    try:
        data: Any = msgspec.json.decode(text)["data"]
        if path == ACTORS_PATH:
            rows = [(row["actorId"], row["state"], row) for row in data["actors"].values()]
        else:
            rows = [(row["raylet"]["nodeId"], row["raylet"]["state"], row) for row in data["summary"]]
    except UNREADABLE:
        return
    for entity, state, row in rows:
        if state == "ALIVE":
            yield str(entity), msgspec.json.encode(row).decode()
