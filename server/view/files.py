"""Merging Parquet files of one table."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb

from server.fold.tables import LAZY
from server.view.errors import FoldFailed
from server.view.merge import LARGE, alone, crowded, merged, merged_share, quoted
from server.view.view import connect

MEMORY: Final = "128MB"
MOST_LAZY: Final = 16
ROWS_A_GROUP: Final = 8_192
ROWS_TOGETHER: Final = 40_000
"""How many rows are put together at once: some 60 MiB of tasks."""


def merge_files(
    files: Mapping[str, Sequence[Path]], folder: Path, rows_together: int = ROWS_TOGETHER
) -> dict[str, list[Path]]:
    """Files in `folder` that hold each key once; lazy tables keep theirs until they are many.

    `rows_together`: how many rows of a large table are put together at once. Raises FoldFailed.
    """
    result: dict[str, list[Path]] = {}
    with told(), connect(MEMORY) as database:
        database.execute(f"SET temp_directory = {quoted(str(folder))}")
        for table, some in files.items():
            if table in LAZY and len(some) <= MOST_LAZY:
                result[table] = list(some)
            elif some:
                queries = _queries(database, table, some, rows_together)
                result[table] = [_written(database, query, folder) for query in queries]
    return result


@contextmanager
def told() -> Iterator[None]:
    """Turns the database's errors into FoldFailed."""
    try:
        yield
    except duckdb.Error as error:
        raise FoldFailed(f"tables could not be merged: {error}; the next request tries again") from error


def _queries(
    database: duckdb.DuckDBPyConnection, table: str, files: Sequence[Path], rows_together: int
) -> list[str]:
    """Queries whose rows are the merged table. A large one comes in shares, so that each fits into memory."""
    if table not in LARGE:
        return [merged(table, files)]
    (rows,) = database.execute(crowded(table, files)).fetchone() or (0,)
    shares = -(-rows // rows_together)
    return [alone(table, files), *(merged_share(table, files, share, shares) for share in range(shares))]


def _written(database: duckdb.DuckDBPyConnection, query: str, folder: Path) -> Path:
    target = folder / f"merged-{secrets.token_hex(8)}.parquet"
    options = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROWS_A_GROUP}"
    database.execute(f"COPY ({query}) TO {quoted(str(target))} ({options})")
    return target
