"""Tasks as a tree of who started whom: `api/v0/tasks/summarize?summary_by=lineage`.

A task hangs below the task that started it, an actor's tasks below the actor, an actor below the task that
made it. Siblings of one name are joined in a group. What hangs below an unknown task is left out, as Ray
does.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

DRIVER_PREFIX: Final = "ffffffffffffffffffffffffffffffffffffffff"
DEEPEST: Final = 100
"""Deeper tasks hang at this depth: trees are walked by recursion, and no page can show more."""

_UNKNOWN: Final = "?"

RUNNING: Final = ("RUNNING", "RUNNING_IN_RAY_GET", "RUNNING_IN_RAY_WAIT")
PENDING: Final = (
    "PENDING_ARGS_AVAIL",
    "PENDING_NODE_ASSIGNMENT",
    "PENDING_OBJ_STORE_MEM_AVAIL",
    "PENDING_ARGS_FETCH",
)


class Attempt(NamedTuple):
    """What the tree needs to know of a task attempt."""

    task_id: str
    name: str
    type: str
    actor_id: str | None
    parent_task_id: str | None
    created_ms: int | None
    state: str
    function: str | None


@dataclass
class Group:
    """A task, an actor, or siblings of one name; `states` counts attempts by state."""

    name: str
    key: str
    type: str
    created_ms: int | None = None
    link: dict[str, str] | None = None
    states: dict[str, int] = field(default_factory=dict)
    children: list["Group"] = field(default_factory=list)

    def plain(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "key": self.key,
            "type": self.type,
            "timestamp": self.created_ms,
            "state_counts": self.states,
            "children": [child.plain() for child in self.children],
            "link": self.link,
        }


def tree(attempts: Sequence[Attempt], actors: Mapping[str, str]) -> list[Group]:
    """The groups at the top. `actors` gives an actor's name by its id."""
    forest = _Forest({attempt.task_id: attempt for attempt in attempts}, actors)
    for attempt in attempts:
        group = forest.place(attempt.task_id)
        group.states[attempt.state] = group.states.get(attempt.state, 0) + 1
    top, _ = _join_siblings(forest.top)
    for group in top:
        _add_up(group)
    return _sorted(top)


class _Forest:
    """Groups being hung below each other. A key is a task id, or `actor:<id>`."""

    def __init__(self, tasks: Mapping[str, Attempt], actors: Mapping[str, str]) -> None:
        self.top: list[Group] = []
        self._tasks = tasks
        self._actors = actors
        self._makers = {
            task.actor_id: task
            for task in tasks.values()
            if task.type == "ACTOR_CREATION_TASK" and task.actor_id
        }
        self._groups: dict[str, Group] = {}
        self._depths: dict[str, int] = {}
        self._holders: dict[str, str | None] = {}

    def place(self, task_id: str) -> Group:
        """The group of a known task, hung in its place together with all above it."""
        new: list[tuple[str, str | None]] = []
        key: str | None = task_id
        while key is not None and key not in self._groups:
            above = self._make(key)
            if above is _UNKNOWN:
                break
            new.append((key, above))
            key = above
        for made, above in reversed(new):
            self._hang(made, above)
        return self._groups[task_id]

    def _make(self, key: str) -> str | None:
        """Makes a group; returns the key above it, None at the top, `_UNKNOWN` if the key itself is
        unknown.
        """
        if key.startswith("actor:"):
            return self._make_actor(key, key.removeprefix("actor:"))
        task = self._tasks.get(key)
        if task is None:
            return _UNKNOWN
        self._groups[key] = Group(task.name, key, task.type, task.created_ms, {"type": "task", "id": key})
        if task.actor_id and task.type in {"ACTOR_TASK", "ACTOR_CREATION_TASK"}:
            return f"actor:{task.actor_id}"
        return _parent(task)

    def _make_actor(self, key: str, actor_id: str) -> str | None:
        maker = self._makers.get(actor_id)
        if maker is None:
            return _UNKNOWN
        name = self._actors.get(actor_id) or (maker.function or "").split(".")[0]
        self._groups[key] = Group(name, key, "ACTOR", None, {"type": "actor", "id": actor_id})
        return _parent(maker)

    def _hang(self, key: str, above: str | None) -> None:
        if above is not None and self._depths.get(above, 0) >= DEEPEST:
            above = self._holders[above]
        self._holders[key] = above
        if above is None:
            self._depths[key] = 1
            self.top.append(self._groups[key])
        elif above in self._groups:
            self._depths[key] = self._depths.get(above, 0) + 1
            self._groups[above].children.append(self._groups[key])


def _parent(task: Attempt) -> str | None:
    parent = task.parent_task_id
    return None if not parent or parent.startswith(DRIVER_PREFIX) else parent


def _join_siblings(siblings: list[Group]) -> tuple[list[Group], int | None]:
    """Siblings of one name as one group of theirs; and the earliest time among all of them."""
    by_name: dict[str, list[Group]] = {}
    for child in siblings:
        child.children, earliest = _join_siblings(child.children)
        child.created_ms = _earlier(child.created_ms, earliest)
        by_name.setdefault(child.name, []).append(child)
    joined = [
        alike[0] if len(alike) == 1 else Group(name, name, "GROUP", _earliest(alike), None, {}, alike)
        for name, alike in by_name.items()
    ]
    return joined, _earliest(siblings)


def _add_up(group: Group) -> None:
    """Adds the children's states to a group's own, and sorts the children."""
    for child in group.children:
        _add_up(child)
        for state, count in child.states.items():
            group.states[state] = group.states.get(state, 0) + count
    group.children = _sorted(group.children)


def _sorted(groups: list[Group]) -> list[Group]:
    """Running ones first, then pending, failed, older ones, and of equal age the making of an actor."""

    def rank(group: Group) -> tuple[int, int, int, int, int]:
        return (
            -sum(group.states.get(state, 0) for state in RUNNING),
            -sum(group.states.get(state, 0) for state in PENDING),
            -group.states.get("FAILED", 0),
            group.created_ms or sys.maxsize,
            0 if group.type == "ACTOR_CREATION_TASK" else 1,
        )

    return sorted(groups, key=rank)


def _earlier(one: int | None, other: int | None) -> int | None:
    return min((time for time in (one, other) if time), default=one)


def _earliest(groups: list[Group]) -> int | None:
    return min((group.created_ms for group in groups if group.created_ms), default=None)
