"""Ray's API asked in-process, over the recorded session and over sessions of a few rows."""

import asyncio
import copy
import dataclasses
import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.applications import Starlette

from archive.layout import SessionKey
from server.fold.tables import TABLES
from server.ray import routes
from server.view.view import SessionFacts, View

FIXTURES: Final = Path(__file__).parents[2] / "fixtures" / "ray"
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


@dataclasses.dataclass(frozen=True)
class Answered:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of a State API list."""
        rows: list[dict[str, Any]] = self.json["data"]["result"]["result"]
        return rows


class Opened:
    """What stands in `request.state.session`."""

    def __init__(self, view: View) -> None:
        self.key = view.key
        self._view = view

    async def view(self) -> View:
        return self._view


class Api:
    """Ray's API of one view, asked through ASGI."""

    def __init__(self, view: View) -> None:
        self.view = view
        self._app = Starlette(routes=routes)
        self._session = Opened(view)

    def ask(self, path: str, *, method: str = "GET", headers: Mapping[str, str] | None = None) -> Answered:
        place, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "scheme": "http",
            "http_version": "1.1",
            "path": unquote(place),
            "raw_path": place.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()],
            "server": ("127.0.0.1", 80),
            "client": None,
            "state": {"session": self._session},
        }
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(self._app(scope, receive, send))
        start = next(message for message in sent if message["type"] == "http.response.start")
        body = b"".join(
            message.get("body", b"") for message in sent if message["type"] == "http.response.body"
        )
        named = {name.decode(): value.decode() for name, value in start["headers"]}
        return Answered(start["status"], named, body)


Rows = Mapping[str, Sequence[Mapping[str, Any]]]
MakeApi = Callable[..., Api]


@pytest.fixture(scope="session")
def recorded_api(recorded_view: View) -> Api:
    """The recorded session after its end."""
    return Api(recorded_view)


@pytest.fixture(scope="session")
def live_api(recorded_view: View) -> Api:
    """The recorded session as it was when the recorded answers were given: still running."""
    live = copy.copy(recorded_view)
    live.facts = dataclasses.replace(recorded_view.facts, state="running", ended_ms=None, reason="")
    return Api(live)


@pytest.fixture
def make_api(tmp_path: Path) -> MakeApi:
    """Makes a session of a few merged rows, table by table as in `server/fold/tables.py`."""
    made = 0

    def make(rows: Rows, *, state: str = "running", reason: str = "") -> Api:
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
        return Api(View(KEY, "v1", facts, (), files))

    return make


def _table(folder: Path, table: str, rows: Sequence[Mapping[str, Any]]) -> Path:
    path = folder / f"{table}.parquet"
    columns = {
        name: pa.array([row.get(name) for row in rows], TYPES[column.type])
        for name, column in TABLES[table].items()
    }
    pq.write_table(pa.table(columns), path)
    return path


@pytest.fixture(scope="session")
def recorded() -> Callable[[str], Any]:
    """Gives a recorded answer of `http/` as plain values."""
    return _recorded


def _recorded(name: str) -> Any:
    """A recorded answer of `http/`, as plain values."""

    path = next((FIXTURES / "http").glob(f"{name}.*"))
    data = path.read_bytes()
    return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)


@pytest.fixture(scope="session")
def api_of() -> Callable[[View], Api]:
    """Makes the API of any view."""
    return Api
