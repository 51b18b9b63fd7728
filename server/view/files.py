"""Merging Parquet files of one table into one."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb

from server.fold.tables import LAZY
from server.view.errors import FoldFailed
from server.view.merge import merged, quoted
from server.view.view import connect

MEMORY: Final = "128MB"
MOST_LAZY: Final = 16
ROWS_A_GROUP: Final = 8_192


def merge_files(files: Mapping[str, Sequence[Path]], folder: Path) -> dict[str, list[Path]]:
    """One file for each table that has any, in `folder`; lazy tables keep theirs until they are many."""
    result: dict[str, list[Path]] = {}
    with told(), connect(MEMORY) as database:
        database.execute(f"SET temp_directory = {quoted(str(folder))}")
        for table, some in files.items():
            if table in LAZY and len(some) <= MOST_LAZY:
                result[table] = list(some)
            elif some:
                result[table] = [_merge(database, table, some, folder)]
    return result


@contextmanager
def told() -> Iterator[None]:
    """Turns the database's errors into FoldFailed."""
    try:
        yield
    except duckdb.Error as error:
        raise FoldFailed(f"the session's tables could not be merged: {error}") from error


def _merge(database: duckdb.DuckDBPyConnection, table: str, files: Sequence[Path], folder: Path) -> Path:
    target = folder / f"merged-{table}.parquet"
    options = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROWS_A_GROUP}"
    database.execute(f"COPY ({merged(table, files)}) TO {quoted(str(target))} ({options})")
    return target
