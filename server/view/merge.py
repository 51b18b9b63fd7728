"""SQL that merges files of one table, and the relations on top of merged tables."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from server.fold.tables import TABLES, Column, Merge

LARGE: Final = frozenset({"tasks"})
"""Tables of many rows, most of which stand alone, and whose keys are never absent."""
_IS_ROW: Final = "data.file_row_number = gone.row AND data.filename = gone.file"


def quoted(text: str) -> str:
    """As an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def source(files: Sequence[Path]) -> str:
    """The rows of some files as a table expression; a column that a file lacks is NULL there."""
    names = ", ".join(quoted(str(file)) for file in files)
    return f"read_parquet([{names}], union_by_name = true)"


def empty(table: str) -> str:
    """A query with a table's columns and no rows."""
    columns = ", ".join(f"NULL::{column.type} AS {name}" for name, column in TABLES[table].items())
    return f"SELECT {columns} WHERE false"


def merged(table: str, files: Sequence[Path]) -> str:
    """The query that merges a table's files: one row a key."""
    return f"SELECT {_columns_together(table)} FROM {_rows(table, files)} GROUP BY {_keys(table)}"


def several(table: str, files: Sequence[Path]) -> str:
    """The query of keys that come more than once, with how many rows they have."""
    keys = _keys(table)
    return f"SELECT {keys}, count(*) AS rows FROM {_rows(table, files)} GROUP BY {keys} HAVING rows > 1"


def alone(table: str, files: Sequence[Path], keys: str) -> str:
    """The query of rows whose key isn't in the table `keys`: nothing to merge."""
    return f"SELECT * FROM {_rows(table, files)} ANTI JOIN {keys} USING ({_keys(table)})"


def merged_share(table: str, files: Sequence[Path], share: int, shares: int, keys: str = "") -> str:
    """The query that merges one share of the keys: of all, or of those in the table `keys`."""
    these = f" SEMI JOIN {keys} USING ({_keys(table)})" if keys else ""
    return (
        f"SELECT {_columns_together(table)} FROM {_rows(table, files)}{these} "
        f"WHERE hash({_keys(table)}) % {shares} = {share} GROUP BY {_keys(table)}"
    )


def hidden_of(table: str) -> str:
    """The name under which files say which rows of a large table's files don't count: `file` and `row`."""
    return f"{table}.hidden"


def visible(files: Sequence[Path], hidden: Sequence[Path]) -> str:
    """The query of a large table's rows but for those that `hidden` names."""
    if not hidden:
        return f"SELECT * FROM {source(files)}"
    return f"SELECT data.* FROM {source(files)} AS data ANTI JOIN {source(hidden)} AS gone ON {_IS_ROW}"


def met_again(table: str, known: Sequence[Path], hidden: Sequence[Path], fresh: Sequence[Path]) -> str:
    """The query of keys that come more than once, in fresh files or in them and in visible rows of known
    ones, where no key comes twice.
    """
    keys = _keys(table)
    return (
        f"WITH fresh AS MATERIALIZED (SELECT {keys} FROM {source(fresh)}) "
        f"SELECT {keys} FROM fresh GROUP BY {keys} HAVING count(*) > 1 UNION "
        f"SELECT {keys} FROM ({visible(known, hidden)}) SEMI JOIN fresh USING ({keys})"
    )


def places(table: str, files: Sequence[Path], keys: str) -> str:
    """The query of where the rows are whose key is in the table `keys`."""
    return (
        f"SELECT filename AS file, file_row_number AS row "
        f"FROM {source(files)} SEMI JOIN {keys} USING ({_keys(table)})"
    )


def merged_places(table: str, files: Sequence[Path], places: str) -> str:
    """The query that merges the rows which the table `places` names."""
    return (
        f"SELECT {_columns_together(table)} FROM (SELECT data.* FROM {source(files)} AS data "
        f"SEMI JOIN {places} AS gone ON {_IS_ROW}) GROUP BY {_keys(table)}"
    )


def _keys(table: str) -> str:
    return ", ".join(name for name, column in TABLES[table].items() if column.merge is Merge.KEY)


def _rows(table: str, files: Sequence[Path]) -> str:
    return f"({empty(table)} UNION ALL BY NAME SELECT * FROM {source(files)})"


def _columns_together(table: str) -> str:
    return ", ".join(_together(name, column) for name, column in TABLES[table].items())


def _together(name: str, column: Column) -> str:
    if column.merge is Merge.KEY:
        return name
    return f"{'min' if column.merge is Merge.MIN else 'max'}({name}) AS {name}"


def _stamp(column: str) -> str:
    """The time of stamped text."""
    return f"substr({column}, 1, 20)::BIGINT"


def _first(column: str) -> str:
    """The first value behind the time."""
    return f"nullif(split_part({column}, chr(31), 2), '')"


def _second(column: str) -> str:
    """The rest behind time and first value; it may hold separators of its own."""
    return f"nullif(substr({column}, 23 + length(split_part({column}, chr(31), 2))), '')"


_TASK_COLUMNS: Final = ", ".join(
    name for name in TABLES["tasks"] if name not in {"defined", "paused", "error"}
)
_ACTOR_COLUMNS: Final = ", ".join(f"known.{name}" for name in TABLES["actors"] if name != "actor_id")
_NODE_COLUMNS: Final = "node_id, node_ip, node_name, hostname, labels, start_ns"
_WORKER_COLUMNS: Final = (
    "worker_id, node_id, worker_type, pid, job_id, launch_ms, launched_ms, start_ms, end_ms, alive_ns"
)
_SUBMISSION: Final = {
    "status": "status",
    "entrypoint": "entrypoint",
    "message": "message",
    "error_type": "error_type",
    "metadata": "metadata",
    "runtime_env": "runtime_env_json",
    "driver_agent_http_address": "driver_agent_http_address",
    "driver_node_id": "driver_node_id",
}

_SLICES: Final = '[{"startTime":"VARCHAR","endTime":"VARCHAR","eventName":"VARCHAR","extraData":"VARCHAR"}]'

# An actor's job's end kills it a second time: of deaths one after the other the first is told.
_TRANSITIONS: Final = """
    SELECT actor_id, '[' || string_agg(body, ',' ORDER BY ns, place, state, body) || ']' AS transitions
    FROM (
        SELECT *, lag(state) OVER (PARTITION BY actor_id ORDER BY ns, place, state, body) AS before
        FROM merged.actor_transitions
    ) WHERE state != 'DEAD' OR before IS DISTINCT FROM 'DEAD'
    GROUP BY actor_id
"""

RELATION_SQL: Final[dict[str, str]] = {
    "tasks": (
        f"SELECT {_TASK_COLUMNS}, coalesce(defined, false) AS defined, "
        f"{_first('paused')}::BOOLEAN AS is_debugger_paused, "
        f"{_first('error')} AS error_type, {_second('error')} AS error_message FROM merged.tasks"
    ),
    "profile": (
        "SELECT task_id, attempt_number, job_id, component_type, component_id, node_ip_address, "
        "try_cast(slice.startTime AS BIGINT) AS start_ns, try_cast(slice.endTime AS BIGINT) AS end_ns, "
        "slice.eventName AS event_name, slice.extraData AS extra_data FROM (SELECT *, "
        f"unnest(from_json(slices, '{_SLICES}')) AS slice FROM merged.profile)"
    ),
    "actors": (
        f"SELECT {_ACTOR_COLUMNS}, "
        "coalesce(known.actor_id, seen.actor_id) AS actor_id, coalesce(transitions, '[]') AS transitions "
        f"FROM merged.actors AS known FULL JOIN ({_TRANSITIONS}) AS seen ON known.actor_id = seen.actor_id"
    ),
    "nodes": (
        f"SELECT {_NODE_COLUMNS}, coalesce(is_head, false) AS is_head, substr(resources, 22) AS resources, "
        f"{_stamp('death')} AS end_ns, {_first('death')} AS death_reason, "
        f"{_second('death')} AS death_message FROM merged.nodes"
    ),
    "workers": (
        f"SELECT {_WORKER_COLUMNS}, {_stamp('death')} AS dead_ns, {_first('death')} AS exit_type, "
        f"{_second('death')} AS exit_detail FROM merged.workers"
    ),
    "jobs": f"SELECT {', '.join(TABLES['jobs'])} FROM merged.jobs",
    "submissions": (
        "SELECT submission_id, "
        + ", ".join(f"nullif(body ->> '$.{field}', '') AS {name}" for name, field in _SUBMISSION.items())
        + ", nullif((body ->> '$.start_time')::BIGINT, 0) AS start_ms"
        ", nullif((body ->> '$.end_time')::BIGINT, 0) AS end_ms"
        ", (body ->> '$.driver_exit_code')::INTEGER AS driver_exit_code, seen_ns "
        f"FROM (SELECT submission_id, {_second('newest')} AS body, {_stamp('newest')} AS seen_ns "
        "FROM merged.submissions)"
    ),
    "polls": (
        f"SELECT path, {_stamp('coalesce(newest_good, newest)')} AS seen_ns, "
        f"{_first('coalesce(newest_good, newest)')}::INTEGER AS status, "
        f"{_second('coalesce(newest_good, newest)')} AS body, "
        f"{_stamp('newest')} AS last_ns, {_first('newest')}::INTEGER AS last_status FROM merged.polls"
    ),
    "exports": (
        f"SELECT kind, id, {_stamp('newest')} AS seen_ns, {_second('newest')} AS body FROM merged.exports"
    ),
    "cluster_events": f"SELECT {', '.join(TABLES['cluster_events'])} FROM merged.cluster_events",
    "stats": f"SELECT {', '.join(TABLES['stats'])} FROM merged.stats",
    "completeness": (
        "SELECT node_id, origin, reason, sum(amount)::BIGINT AS amount, "
        "string_agg(DISTINCT detail, ', ' ORDER BY detail) AS detail "
        "FROM merged.completeness GROUP BY node_id, origin, reason"
    ),
}
