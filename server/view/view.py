"""One version of one session, read with SQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import duckdb

from archive.layout import SessionKey
from server.fold.tables import LAZY, TABLES
from server.view.merge import RELATION_SQL, empty, hidden_of, merged, visible
from server.view.remembered import Remembered
from server.view.schema import RELATIONS

THREADS: Final = 2
MEMORY: Final = "200MB"
MOST_SPILLED: Final = "8GB"
REMEMBERED: Final = 8 << 20
"""Bytes of answers that a view keeps: a page that somebody has open asks the same every few seconds."""
EMPTY: Final = 4 << 20
"""About what a database takes before it has read anything."""
FETCHED: Final = 2_000
PAGE_ROWS: Final = 1_000
"""Pages up to this size read other columns for their own rows only."""


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What is known of a session beside its relations. Times are Unix milliseconds.

    `lost`: it says that it runs, but has been silent for too long; `ended_ms` is then the last thing seen of
    it.
    """

    state: Literal["running", "ended", "lost"]
    started_ms: int | None
    ended_ms: int | None
    reason: str
    ray_version: str
    python_version: str
    head_node_id: str


@dataclass(frozen=True, slots=True)
class Only:
    """The rows of some relations that have one of these keys (at least one, in order).

    A long query over them is planned and run sooner when they are read into memory first.
    """

    relations: tuple[str, ...]
    key: str
    keys: Sequence[str]

    def read(self, database: duckdb.DuckDBPyConnection) -> None:
        """Put them in the relations' place, for this connection."""
        for relation in self.relations:
            database.execute(
                f"CREATE TEMP TABLE {relation} AS SELECT * FROM main.{relation} "
                f"WHERE {self.key} BETWEEN ? AND ? AND {self.key} IN (SELECT unnest(?))",
                [self.keys[0], self.keys[-1], list(self.keys)],
            )


class View:
    """Read-only and thread-safe. `version` changes whenever an answer may; `gaps` are sentences: what is
    missing; `remembered` keeps answers worked out from this view.

    `files` are the merged tables; the caller sees to it that they outlive the view. `database`: a blank one,
    where the caller made it already.
    """

    def __init__(
        self,
        key: SessionKey,
        version: str,
        facts: SessionFacts,
        gaps: Sequence[str],
        files: Mapping[str, Sequence[Path]],
        *,
        database: duckdb.DuckDBPyConnection | None = None,
    ) -> None:
        self.remembered = Remembered(REMEMBERED)
        self.key = key
        self.version = version
        self.facts = facts
        self.gaps = tuple(gaps)
        self._database = database or blank()
        for table, query in tables(files).items():
            if files.get(table):
                self._database.execute(f"CREATE OR REPLACE VIEW merged.{table} AS {query}")

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query over the relations of `server/view/schema.py`."""
        with self._database.cursor() as cursor:
            return cursor.execute(sql, list(parameters)).fetchall()

    def json(self, sql: str, parameters: Sequence[Any] = (), only: Only | None = None) -> bytes:
        """The rows of a query as a JSON array of objects, built in SQL.

        Keys are the column names; columns of type JSON stand as they are.
        """
        with self._database.cursor() as cursor:
            if only is not None:
                only.read(cursor)
            cursor.execute(f"SELECT to_json(element)::VARCHAR FROM ({sql}) AS element", list(parameters))
            pieces: list[str] = []
            while rows := cursor.fetchmany(FETCHED):
                pieces.append(",".join([row[0] for row in rows]))
        return f"[{','.join(pieces)}]".encode()

    def memory(self) -> int:
        """About how many bytes it takes: the database's own, what it holds of its files, and answers."""
        (held,) = self.rows("SELECT sum(memory_usage_bytes)::BIGINT FROM duckdb_memory()")[0]
        return EMPTY + int(held) + self.remembered.taken


def blank(spill: Path | None = None) -> duckdb.DuckDBPyConnection:
    """A database whose relations are all there and empty."""
    database = connect(MEMORY, spill)
    database.execute("CREATE SCHEMA merged")
    for table, query in tables({}).items():
        database.execute(f"CREATE VIEW merged.{table} AS {query}")
    for relation, query in RELATION_SQL.items():
        columns = ", ".join(RELATIONS[relation])
        database.execute(f"CREATE VIEW {relation} AS SELECT {columns} FROM ({query})")
    return database


def connect(memory: str, spill: Path | None) -> duckdb.DuckDBPyConnection:
    """A database in memory that reads local files and nothing else. What doesn't fit into `memory` goes to
    the folder `spill`, which it makes when it needs it, and removes, or else fails.
    """
    return duckdb.connect(
        ":memory:",
        config={
            "threads": THREADS,
            "memory_limit": memory,
            "temp_directory": str(spill or ""),
            "max_temp_directory_size": MOST_SPILLED,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "preserve_insertion_order": False,
            "late_materialization_max_rows": PAGE_ROWS,
        },
    )


def tables(files: Mapping[str, Sequence[Path]]) -> dict[str, str]:
    """The query of each merged table. Lazy ones are merged when they are read; one of no file is empty."""
    queries = {}
    for table in TABLES:
        if not files.get(table):
            queries[table] = empty(table)
        elif table in LAZY:
            queries[table] = merged(table, files[table])
        else:
            queries[table] = visible(files[table], files.get(hidden_of(table), ()))
    return queries
