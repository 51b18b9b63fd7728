"""Placement groups, objects and runtime environments: lists that no event carries, read from polled
answers.
"""

from collections.abc import Callable
from typing import Final

from server.ray import closing
from server.ray.columns import Column, Kind, redacted
from server.ray.listing import Noun
from server.view.view import SessionFacts, View

_PLACEMENT_GROUPS: Final = (
    Column("placement_group_id"),
    Column("name"),
    Column("creator_job_id"),
    Column("state"),
    Column("bundles", Kind.JSON, filterable=False, detail=True),
    Column("is_detached", Kind.BOOLEAN, detail=True),
    Column("stats", Kind.JSON, filterable=False, detail=True),
    Column("topology_strategy", Kind.JSON, filterable=False, detail=True),
    Column("topology_assignments", Kind.JSON, filterable=False, detail=True),
)
_OBJECTS: Final = (
    Column("object_id"),
    Column("object_size", Kind.INTEGER),
    Column("task_status"),
    Column("attempt_number", Kind.INTEGER),
    Column("reference_type"),
    Column("call_site"),
    Column("type"),
    Column("pid", Kind.INTEGER),
    Column("ip"),
)
_RUNTIME_ENVS: Final = (
    Column("runtime_env", Kind.JSON),
    Column("success", Kind.BOOLEAN),
    Column("creation_time_ms", filterable=False),
    Column("node_id"),
    Column("ref_cnt", filterable=False, detail=True),
    Column("error", detail=True),
)


def polled_rows(path: str, columns: tuple[Column, ...]) -> str:
    """SQL of the rows of a polled list, column by column."""
    types = {Kind.INTEGER: "HUGEINT", Kind.NUMBER: "DOUBLE", Kind.BOOLEAN: "BOOLEAN", Kind.JSON: "JSON"}
    picked = ", ".join(
        f"try_cast(row ->{'' if column.kind is Kind.JSON else '>'} '$.{column.name}' AS "
        f"{types.get(column.kind, 'VARCHAR')}) AS {column.name}"
        for column in columns
    )
    return f"""
        SELECT {picked} FROM (
            SELECT unnest(CAST(body AS JSON) -> '$.data.result.result[*]') AS row FROM (
                SELECT body FROM polls WHERE path = '{path}' AND status BETWEEN 200 AND 299
                    AND json_valid(body)
                ORDER BY seen_ns DESC LIMIT 1))"""


def _placement_groups(facts: SessionFacts) -> str:
    rows = polled_rows("api/v0/placement_groups", _PLACEMENT_GROUPS)
    if closing.ending(facts).ms is None:
        return rows
    return f"SELECT * REPLACE ('REMOVED' AS state) FROM ({rows})"


def _objects(_facts: SessionFacts) -> str:
    return polled_rows("api/v0/objects", _OBJECTS)


def _runtime_envs(_facts: SessionFacts) -> str:
    rows = polled_rows("api/v0/runtime_envs", _RUNTIME_ENVS)
    hidden = redacted("CAST(runtime_env AS VARCHAR)")
    return f"SELECT * REPLACE (try_cast({hidden} AS JSON) AS runtime_env) FROM ({rows})"


def never_polled(noun: Noun) -> Callable[[View], list[str] | None]:
    """Warns that a list is empty because nobody asked for it while the cluster lived."""

    def warnings(view: View) -> list[str] | None:
        asked = view.rows(
            "SELECT count(*) FROM polls WHERE path = ? AND status BETWEEN 200 AND 299",
            (f"api/v0/{noun.name}",),
        )
        if asked[0][0]:
            return None
        words = noun.name.replace("_", " ")
        return [f"Ray keeps {words} in the live cluster only, and they were not recorded in this session."]

    return warnings


PLACEMENT_GROUPS: Final = Noun("placement_groups", _PLACEMENT_GROUPS, "placement_group_id", _placement_groups)
OBJECTS: Final = Noun("objects", _OBJECTS, "object_id", _objects)
RUNTIME_ENVS: Final = Noun(
    "runtime_envs",
    _RUNTIME_ENVS,
    "try_cast(creation_time_ms AS DOUBLE) DESC NULLS FIRST, node_id",
    _runtime_envs,
)
