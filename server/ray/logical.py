"""Actors as the dashboard's own pages want them: `logical/actors[/<id>]`.

Where an actor was polled while it lived, its last statistics are shown with it; the events say what became
of it.
"""

import re
from collections.abc import Callable
from typing import Any, Final

from starlette.requests import Request

from server.ray.actors import ACTORS
from server.ray.answers import Answer, wrapped
from server.ray.camel import camel
from server.ray.columns import Condition
from server.ray.polls import bodies, parsed, shallow
from server.view.view import View

_FIELDS: Final = [
    "actor_id",
    "job_id",
    "node_id",
    "worker_id",
    "port",
    "class_name",
    "state",
    "num_restarts",
    "name",
    "changed_ms",
    "pid",
    "started_ms",
    "ended_ms",
    "repr_name",
    "label_selector",
    "death_cause",
    "required_resources",
    "placement_group_id",
]
_POLLED: Final = "logical/actors#"
"""Below this path the view keeps each actor's row of the last poll in which it lived."""
_DEATHS: Final = (
    ("actor_died_error_context", "error_message"),
    ("runtime_env_failed_context", "error_message"),
    ("actor_unschedulable_context", "error_message"),
    ("creation_task_failure_context", "formatted_exception_string"),
    ("oom_context", "error_message"),
)
"""Where a death cause says why, in the order in which Ray looks."""

_IN_GROUP: Final = re.compile(r"(?P<resource>.+)_group_(?:(?P<index>\d+)_)?[0-9a-f]+")


def all_actors(view: View, _request: Request) -> Answer:
    """`logical/actors`, by actor id."""
    return wrapped("All actors fetched.", {"actors": _actors(view, Condition("TRUE"), shallow)})


def one_actor(view: View, request: Request) -> Answer:
    """`logical/actors/<id>`; its detail is null if there is no such actor."""
    asked = request.path_params["actor_id"]
    found = _actors(view, Condition("actor_id = ?", (asked,)), parsed)
    return wrapped("Actor details fetched.", {"detail": camel(found.get(asked))})


def actors_of_node(view: View, node_id: str) -> dict[str, dict[str, Any]]:
    """The actors that ever lived on a node, by actor id."""
    return _actors(view, Condition("list_contains(lived_on, ?)", (node_id,)), parsed)


def _actors(view: View, chosen: Condition, read: Callable[[str | None], Any]) -> dict[str, dict[str, Any]]:
    """Actors as the front end names their fields; `read` makes a value of what was polled of them."""
    rows = view.rows(
        f"SELECT {', '.join(_FIELDS)} FROM ({ACTORS.relation(view.facts)}) WHERE {chosen.sql} "
        "ORDER BY actor_id",
        chosen.parameters,
    )
    addresses = dict(view.rows("SELECT node_id, node_ip FROM nodes"))
    memory = _memory(view)
    living = bodies(view, [_POLLED + row[0] for row in rows])
    return {
        row[0]: _actor(
            dict(zip(_FIELDS, row, strict=True)), addresses, memory, read(living.get(_POLLED + row[0]))
        )
        for row in rows
    }


def _actor(
    row: dict[str, Any], addresses: dict[str, str], memory: dict[str, Any], living: Any
) -> dict[str, Any]:
    """`living` is the actor's row when it was last polled alive; what the events say replaces its."""
    node_id, placement_group = row["node_id"], row["placement_group_id"]
    told = {
        "actorId": row["actor_id"],
        "jobId": row["job_id"],
        "address": {
            "nodeId": node_id or "",
            "ipAddress": addresses.get(node_id) or "",
            "port": row["port"],
            "workerId": row["worker_id"] or "",
        },
        "className": row["class_name"] or "",
        "actorClass": row["class_name"] or "",
        "state": row["state"],
        "numRestarts": row["num_restarts"],
        "name": row["name"],
        "timestamp": row["changed_ms"],
        "pid": row["pid"],
        "startTime": row["started_ms"] or 0,
        "endTime": row["ended_ms"] or 0,
        "reprName": row["repr_name"],
        "labelSelector": parsed(row["label_selector"]) or {},
        "exitDetail": _why(parsed(row["death_cause"])),
        "requiredResources": _original(parsed(row["required_resources"]) or {}),
    }
    without = {"gpus": [], "processStats": None, "mem": memory.get(node_id, []), "tpus": []}
    extra = {"placementGroupId": placement_group} if placement_group else {}
    known = living if isinstance(living, dict) else {}
    return {**without, **known, **told, **extra}


def _memory(view: View) -> dict[str, Any]:
    """The memory of each node as last polled: total, available, percent, used."""
    rows = view.rows(
        "SELECT path[7:], CAST(CAST(body AS JSON) -> '$.mem' AS VARCHAR) FROM polls "
        "WHERE starts_with(path, 'nodes#') AND json_valid(body)"
    )
    return {node_id: parsed(text) for node_id, text in rows if text is not None}


def _why(death: Any) -> str:
    for context, text in _DEATHS:
        if isinstance(death, dict) and context in death:
            return str(death[context].get(text) or "-")
    return "-"


def _original(resources: dict[str, float]) -> dict[str, float]:
    """What was asked for: Ray renames the resources of a placement group after group and bundle."""
    original: dict[str, float] = {}
    for name, amount in resources.items():
        renamed = _IN_GROUP.fullmatch(name)
        if renamed is None:
            original[name] = amount
        elif renamed["resource"] != "bundle":
            original[renamed["resource"]] = amount
    return original
