"""Worker and driver processes: `api/v0/workers`.

Ray 2.60 tells of workers by events, but not of drivers; what events lack is taken from a polled answer.
"""

from typing import Final

from server.ray import closing
from server.ray.closing import later, literal
from server.ray.columns import Column, Kind
from server.ray.listing import Noun
from server.ray.polled_lists import polled_rows
from server.view.view import SessionFacts

UNKNOWN_TIME: Final = "18446744073709551615"
"""How Ray prints the launch of a process that no raylet started: -1 without its sign."""

COLUMNS: Final = (
    Column("worker_id", Kind.ID),
    Column("is_alive", Kind.BOOLEAN),
    Column("worker_type"),
    Column("exit_type"),
    Column("node_id", Kind.ID),
    Column("ip"),
    Column("pid", Kind.INTEGER),
    Column("exit_detail", filterable=False, detail=True),
    Column("worker_launch_time_ms", Kind.INTEGER, filterable=False, detail=True),
    Column("worker_launched_time_ms", Kind.INTEGER, filterable=False, detail=True),
    Column("start_time_ms", Kind.INTEGER, filterable=False, detail=True),
    Column("end_time_ms", Kind.INTEGER, filterable=False, detail=True),
    Column("debugger_port", Kind.INTEGER, detail=True),
    Column("num_paused_threads", Kind.INTEGER, detail=True),
)


def relation(facts: SessionFacts) -> str:
    """Workers under Ray's names, closed."""
    names = ", ".join(column.name for column in COLUMNS)
    return f"""
        SELECT {names} FROM ({_told(facts)})
        UNION ALL
        SELECT {names} FROM ({_polled(facts)}) WHERE worker_id NOT IN (SELECT worker_id FROM workers)"""


def _polled(facts: SessionFacts) -> str:
    end = closing.ending(facts)
    rows = polled_rows("api/v0/workers", COLUMNS)
    if end.ms is None:
        return rows
    return f"""
        SELECT * REPLACE (FALSE AS is_alive,
            CASE WHEN is_alive THEN 'SYSTEM_ERROR' ELSE exit_type END AS exit_type,
            CASE WHEN is_alive THEN {literal(end.sentence)} ELSE exit_detail END AS exit_detail,
            CASE WHEN is_alive THEN {later(str(end.ms), "start_time_ms")} ELSE end_time_ms END AS end_time_ms)
        FROM ({rows})"""


def _told(facts: SessionFacts) -> str:
    return f"""
        SELECT worker_id, w.ended_ms IS NULL AS is_alive, worker_type,
            CASE WHEN w.ended_ms IS NOT NULL THEN exit_type END AS exit_type,
            w.node_id AS node_id, n.node_ip AS ip, pid,
            CASE WHEN w.ended_ms IS NOT NULL THEN exit_detail END AS exit_detail,
            coalesce(launch_ms::HUGEINT, {UNKNOWN_TIME}) AS worker_launch_time_ms,
            coalesce(launched_ms::HUGEINT, {UNKNOWN_TIME}) AS worker_launched_time_ms,
            coalesce(start_ms, 0) AS start_time_ms, coalesce(w.ended_ms, 0) AS end_time_ms,
            NULL::INTEGER AS debugger_port, NULL::INTEGER AS num_paused_threads
        FROM ({closing.workers(facts)}) w LEFT JOIN (SELECT node_id, node_ip FROM nodes) n USING (node_id)"""


WORKERS: Final = Noun("workers", COLUMNS, "worker_id", relation)
