"""Parquet files of a part, written batch by batch so that memory stays bounded.

A table may be written as several files of different columns (definitions and lifecycles of tasks, say): a
column that a file lacks is absent in all its rows.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from server.fold.batch import Batch
from server.fold.tables import LAZY, TABLES

ROWS_A_GROUP: Final = 32_768
_TYPES: Final = {
    "VARCHAR": pa.string(),
    "BIGINT": pa.int64(),
    "INTEGER": pa.int32(),
    "BOOLEAN": pa.bool_(),
    "DOUBLE": pa.float64(),
}
_REPEATING: Final = frozenset(
    name
    for columns in TABLES.values()
    for name, column in columns.items()
    if column.type == "VARCHAR" and name not in {"task_id", "event_id", "error", "slices"}
)
"""Columns whose values come again and again."""


class PartWriter:
    """Writes batches into Parquet files in one folder; `close` gives them by table."""

    def __init__(self, folder: Path, prefix: str) -> None:
        self._folder = folder
        self._prefix = prefix
        self._waiting: dict[tuple[str, frozenset[str]], list[pa.RecordBatch]] = {}
        self._writers: dict[tuple[str, frozenset[str]], tuple[Path, pq.ParquetWriter]] = {}

    def add(self, batch: Batch) -> None:
        """Takes rows; columns that hold nothing at all still count as written."""
        names = [name for name in TABLES[batch.table] if name in batch.columns]
        shape = (batch.table, frozenset(names))
        arrays = [_array(batch.columns[name], TABLES[batch.table][name].type) for name in names]
        waiting = self._waiting.setdefault(shape, [])
        waiting.append(pa.RecordBatch.from_arrays(arrays, names=names))
        if sum(one.num_rows for one in waiting) >= ROWS_A_GROUP:
            self._flush(shape)

    def add_rows(self, table: str, rows: Sequence[dict[str, Any]]) -> None:
        """Takes rows of a small table."""
        columns = {name: [row.get(name) for row in rows] for name in TABLES[table]}
        self.add(Batch(table, columns))

    def close(self) -> list[tuple[str, Path]]:
        """Every file with its table."""
        for shape in list(self._waiting):
            self._flush(shape)
        for _, writer in self._writers.values():
            writer.close()
        return [(shape[0], path) for shape, (path, _) in self._writers.items()]

    def _flush(self, shape: tuple[str, frozenset[str]]) -> None:
        batches = self._waiting.pop(shape, [])
        if not batches:
            return
        if shape not in self._writers:
            path = self._folder / f"{self._prefix}-{shape[0]}-{len(self._writers)}.parquet"
            self._writers[shape] = path, _writer(path, shape[0], batches[0].schema)
        self._writers[shape][1].write_table(pa.Table.from_batches(batches))


def _writer(path: Path, table: str, schema: pa.Schema) -> pq.ParquetWriter:
    """Files of lazy tables last; the others are merged and gone within seconds."""
    lasting = table in LAZY
    return pq.ParquetWriter(
        path,
        schema,
        compression="zstd" if lasting else "snappy",
        use_dictionary=[name for name in schema.names if name in _REPEATING],
        write_statistics=lasting,
    )


def _array(values: Any, kind: str) -> pa.Array:
    if isinstance(values, pa.Array):
        return values
    said = [value or None for value in values] if kind == "VARCHAR" and "" in values else values
    try:
        return pa.array(said, _TYPES[kind])
    except (OverflowError, UnicodeError, pa.ArrowException):  # values that no column of this type can hold
        return pa.array([value if _fits(value, kind) else None for value in said], _TYPES[kind])


def _fits(value: Any, kind: str) -> bool:
    try:
        pa.scalar(value, _TYPES[kind])
    except (OverflowError, UnicodeError, pa.ArrowException):
        return False
    return True
