"""Nodes as the dashboard's own pages want them: `nodes?view=…` and `nodes/<id>`.

A node's statistics are those of its last poll while it lived; zeros stand where there are none, since the
front end breaks on what is missing.
"""

from typing import Any, Final

from starlette.requests import Request

from server.ray.answers import Answer, wrapped
from server.ray.camel import camel, camel_name
from server.ray.closing import ending
from server.ray.logical import actors_of_node
from server.ray.nodes import NODES
from server.ray.polls import data, parsed, polled, polled_below
from server.view.view import View

_FIELDS: Final = [
    "node_id",
    "node_ip",
    "is_head_node",
    "state",
    "state_message",
    "node_name",
    "hostname",
    "resources_total",
    "labels",
    "start_time_ms",
    "end_time_ms",
]

_EMPTY: Final[dict[str, Any]] = {
    "now": 0.0,
    "cpu": 0.0,
    "cpus": [0, 0],
    "mem": [0, 0, 0.0, 0],
    "hostMem": [0, 0],
    "cgroupMem": [0, 0],
    "shm": 0,
    "bootTime": 0.0,
    "loadAvg": [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]],
    "disk": {"/": {"total": 0, "used": 0, "free": 0, "percent": 0.0}},
    "diskIo": [0, 0, 0, 0],
    "diskIoSpeed": [0.0, 0.0, 0.0, 0.0],
    "gpus": [],
    "tpus": [],
    "network": [0, 0],
    "networkSpeed": [0.0, 0.0],
    "cmdline": [],
}


def nodes(view: View, request: Request) -> Answer:
    """`nodes?view=summary` for the lists, `nodes?view=hostNameList` for the names of living hosts."""
    asked = request.query_params.get("view")
    if asked == "summary":
        return _summary(view)
    if asked is not None and asked.lower() == "hostnamelist":
        names = {row["hostname"] for row in _told(view) if row["state"] == "ALIVE" and row["hostname"]}
        return wrapped("Node hostname list fetched.", {"hostNameList": sorted(names)})
    return wrapped(f"Unknown view {asked}", {}, result=False, status=500)


def one_node(view: View, request: Request) -> Answer:
    """`nodes/<id>`: the node with its workers and actors; of an unknown node, zeros."""
    node_id = request.path_params["node_id"]
    told = next((row for row in _told(view) if row["node_id"] == node_id), None)
    whole = data(polled(view, f"nodes/{node_id}")).get("detail")
    known = whole if isinstance(whole, dict) else {}
    listed = polled(view, f"nodes#{node_id}")
    if told is None and not known and not isinstance(listed, dict):
        raylet = {"objectStoreUsedMemory": 0, "objectStoreAvailableMemory": 0, "stateMessage": None}
        empty = {**_EMPTY, "raylet": raylet, "actors": {}, "workers": []}
        return wrapped("Node details fetched.", {"detail": empty})
    detail = _node(view, told, {**(listed if isinstance(listed, dict) else {}), **known}, node_id)
    detail["raylet"].pop("coreWorkersStats", None)
    detail["actors"] = camel(actors_of_node(view, node_id))
    detail["workers"] = known.get("workers") or []
    return wrapped("Node details fetched.", {"detail": detail})


def _summary(view: View) -> Answer:
    living = polled_below(view, "nodes#")
    told = {row["node_id"]: row for row in _told(view)}
    summary = [
        _node(view, told.get(node_id), living.get(node_id), node_id)
        for node_id in sorted(
            {*told, *living}, key=lambda node_id: (not _is_head(told.get(node_id)), node_id)
        )
    ]
    resources = data(polled(view, "nodes?view=summary")).get("nodeLogicalResources")
    return wrapped(
        "Node summary fetched.",
        {"summary": summary, "nodeLogicalResources": resources if isinstance(resources, dict) else {}},
    )


def _is_head(told: dict[str, Any] | None) -> bool:
    return told is not None and bool(told["is_head_node"])


def _told(view: View) -> list[dict[str, Any]]:
    """Nodes by their events, closed."""
    rows = view.rows(f"SELECT {', '.join(_FIELDS)} FROM ({NODES.relation(view.facts)})")
    return [dict(zip(_FIELDS, row, strict=True)) for row in rows]


def _node(view: View, told: dict[str, Any] | None, living: Any, node_id: str) -> dict[str, Any]:
    """A node's statistics, with what its events say below `raylet`."""
    known = living if isinstance(living, dict) else {}
    raylet = {
        "coreWorkersStats": [],
        "numWorkers": 0,
        "objectStoreUsedMemory": 0,
        "objectStoreAvailableMemory": 0,
        "nodeId": node_id,
        "stateMessage": None,
        **(known.get("raylet") or {}),
    }
    node = {**_EMPTY, "hostname": "", "ip": "", "agent": None, "gcs": None, **known, "raylet": raylet}
    if told is not None:
        node["hostname"] = known.get("hostname") or told["hostname"] or told["node_ip"] or ""
        node["ip"] = known.get("ip") or told["node_ip"] or ""
        raylet.update(_raylet(told))
    elif view.facts.state != "running":
        raylet.update(state="DEAD", stateMessage=ending(view.facts).sentence)
    return node


def _raylet(told: dict[str, Any]) -> dict[str, Any]:
    resources = parsed(told["resources_total"]) or {}
    return {
        "state": told["state"],
        "stateMessage": told["state_message"],
        "isHeadNode": told["is_head_node"],
        "nodeManagerAddress": told["node_ip"] or "",
        "nodeManagerHostname": told["hostname"] or "",
        "nodeName": told["node_name"] or "",
        "labels": parsed(told["labels"]) or {},
        "resourcesTotal": {_resource_name(name): amount for name, amount in resources.items()},
        "startTimeMs": str(told["start_time_ms"]),
        "endTimeMs": str(told["end_time_ms"]),
    }


def _resource_name(name: str) -> str:
    """Ray puts these names through the same mill as field names."""
    return camel_name(name) if "_" in name else name
