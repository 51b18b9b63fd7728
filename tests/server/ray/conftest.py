"""Ray's API asked in-process, over the recorded session and over sessions of a few rows."""

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from archive.layout import SessionKey
from server.fold.tables import TABLES
from server.view.view import SessionFacts, View

KEY: Final = SessionKey("lab", "made", "session_2026-11-23_02-43-27_490622_12278")
STARTED_MS: Final = 1_795_401_807_490
ENDED_MS: Final = 1_795_402_500_000
TYPES: Final = {
    "VARCHAR": pa.string(),
    "BIGINT": pa.int64(),
    "INTEGER": pa.int32(),
    "BOOLEAN": pa.bool_(),
    "DOUBLE": pa.float64(),
}

Rows = Mapping[str, Sequence[Mapping[str, Any]]]


@pytest.fixture(scope="session")
def recorded_api(recorded_view: View, api_of: Callable[[View], Any]) -> Any:
    """The recorded session after its end."""
    return api_of(recorded_view)


@pytest.fixture(scope="session")
def live_api(recorded_view: View, api_of: Callable[[View], Any]) -> Any:
    """The recorded session as it was when the recorded answers were given: still running."""
    live = copy.copy(recorded_view)
    live.facts = dataclasses.replace(recorded_view.facts, state="running", ended_ms=None, reason="")
    return api_of(live)


@pytest.fixture
def make_api(tmp_path: Path, api_of: Callable[[View], Any]) -> Callable[..., Any]:
    """Makes a session of a few merged rows, table by table as in `server/fold/tables.py`."""
    made = 0

    def make(rows: Rows, *, state: str = "running", reason: str = "") -> Any:
        nonlocal made
        made += 1
        folder = tmp_path / str(made)
        folder.mkdir()
        facts = SessionFacts(
            state=state,  # type: ignore[arg-type]  # the tests name states as text
            started_ms=STARTED_MS,
            ended_ms=None if state == "running" else ENDED_MS,
            reason=reason,
            ray_version="2.60.0",
            python_version="3.11.2",
            head_node_id="",
        )
        files = {table: [_table(folder, table, found)] for table, found in rows.items()}
        return api_of(View(KEY, "v1", facts, (), files))

    return make


def _table(folder: Path, table: str, rows: Sequence[Mapping[str, Any]]) -> Path:
    path = folder / f"{table}.parquet"
    columns = {
        name: pa.array([row.get(name) for row in rows], TYPES[column.type])
        for name, column in TABLES[table].items()
    }
    pq.write_table(pa.table(columns), path)
    return path
