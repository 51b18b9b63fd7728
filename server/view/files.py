"""Merging Parquet files of one table: into one, or with a few fresh ones laid over large ones."""

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import duckdb

from server.fold.tables import LAZY
from server.view.errors import FoldFailed
from server.view.merge import (
    LARGE,
    alone,
    hidden_of,
    merged,
    merged_places,
    merged_share,
    met_again,
    places,
    quoted,
    several,
    source,
)
from server.view.view import connect

MEMORY: Final = "128MB"
MOST_LAZY: Final = 160
ROWS_A_GROUP: Final = 8_192
ROWS_TOGETHER: Final = 50_000
"""How many rows are put together at once: some 50 MiB of tasks. Of twice as many some go to the disk and
come back, which takes twice the time.
"""
MOST_LAID_OVER: Final = 24
"""How many files of a large table are read side by side before they are merged."""
SMALLEST_LAID_OVER: Final = 256 << 10
"""Files that are together smaller are merged: that takes less than reading them side by side."""
CHANGED: Final = 4
"""Fresh files are laid over known ones unless one in so many rows or more is of a key that comes again."""


def merge_files(
    files: Mapping[str, Sequence[Path]],
    folder: Path,
    *,
    rows_together: int = ROWS_TOGETHER,
    most_lazy: int = MOST_LAZY,
) -> dict[str, list[Path]]:
    """Files that hold each key once, new ones in `folder`; lazy tables keep theirs until they are many.

    `rows_together`: how many rows of a large table are put together at once. Raises FoldFailed.
    """
    with _merging(folder, rows_together, most_lazy) as merging:
        return {table: merging.whole(table, some) for table, some in files.items() if some}


def lay_over(
    known: Mapping[str, Sequence[Path]], fresh: Mapping[str, Sequence[Path]], folder: Path
) -> dict[str, list[Path]]:
    """Merges fresh files into tables as they are read, where no key comes twice; large tables stay as they
    are, with the rows that fresh ones change hidden, and their merged successors in a file beside them.

    Raises FoldFailed.
    """
    result = {table: list(some) for table, some in known.items()}
    with _merging(folder, ROWS_TOGETHER, MOST_LAZY) as merging:
        for table, some in fresh.items():
            before = known.get(table, ())
            if table in LARGE and before:
                hidden = known.get(hidden_of(table), ())
                result[table], result[hidden_of(table)] = merging.over(table, before, hidden, some)
            else:
                result[table] = merging.whole(table, [*before, *some])
    return {table: some for table, some in result.items() if some}


def size(files: Iterable[Path]) -> int:
    """Bytes of files."""
    return sum(file.stat().st_size for file in files)


@contextmanager
def told() -> Iterator[None]:
    """Turns the database's errors into FoldFailed."""
    try:
        yield
    except duckdb.Error as error:
        raise FoldFailed(f"tables could not be merged: {error}; the next request tries again") from error


@contextmanager
def _merging(folder: Path, rows_together: int, most_lazy: int) -> "Iterator[_Merging]":
    with told(), connect(MEMORY, folder / "spilled") as database:
        yield _Merging(database, folder, rows_together, most_lazy)


@dataclass(frozen=True, slots=True)
class _Merging:
    database: duckdb.DuckDBPyConnection
    folder: Path
    rows_together: int
    most_lazy: int

    def whole(self, table: str, files: Sequence[Path]) -> list[Path]:
        """Files that hold each key of these once."""
        if table in LAZY and len(files) <= self.most_lazy:
            return list(files)
        if table not in LARGE:
            return [self._written(merged(table, files))]
        return [self._written(query) for query in self._shares(table, files)]

    def over(
        self, table: str, known: Sequence[Path], hidden: Sequence[Path], fresh: Sequence[Path]
    ) -> tuple[list[Path], list[Path]]:
        """All files of a large table, and the file of the rows that don't count, with fresh files beside."""
        together = [*known, *fresh]
        if len(together) >= MOST_LAID_OVER or size(together) < SMALLEST_LAID_OVER:
            return self.whole(table, together), []
        keys = self._made("again", met_again(table, known, hidden, fresh))
        if not keys:
            return together, list(hidden)
        if keys * CHANGED > self._one(f"SELECT count(*) FROM {source(together)}")[0]:
            return self.whole(table, together), []
        self._made("found", places(table, together, "again"))
        merged_rows = self._written(merged_places(table, together, "found"))
        gone = "SELECT file, row FROM found"
        if hidden:
            gone += f" UNION SELECT file, row FROM {source(hidden)}"
        return [*together, merged_rows], [self._written(gone)]

    def _shares(self, table: str, files: Sequence[Path]) -> list[str]:
        """Queries whose rows are the merged table: the rows that stand alone, and the others in shares, so
        that each fits into memory; all in shares, where most are such others.
        """
        self._made("again", several(table, files))
        (crowded,) = self._one("SELECT coalesce(sum(rows), 0)::BIGINT FROM again")
        (rows,) = self._one(f"SELECT count(*) FROM {source(files)}")
        if crowded * 2 > rows:
            shares = -(-rows // self.rows_together)
            return [merged_share(table, files, share, shares) for share in range(shares)]
        shares = -(-crowded // self.rows_together)
        return [
            alone(table, files, "again"),
            *(merged_share(table, files, share, shares, "again") for share in range(shares)),
        ]

    def _made(self, name: str, query: str) -> int:
        """Makes a table of that name anew; gives how many rows it has."""
        self.database.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {query}")
        return int(self._one(f"SELECT count(*) FROM {name}")[0])

    def _one(self, query: str) -> tuple[int, ...]:
        return self.database.execute(query).fetchone() or (0,)

    def _written(self, query: str) -> Path:
        target = self.folder / f"merged-{secrets.token_hex(8)}.parquet"
        options = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROWS_A_GROUP}"
        self.database.execute(f"COPY ({query}) TO {quoted(str(target))} ({options})")
        return target
