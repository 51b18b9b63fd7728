"""Task attempts while a run is folded: one row an attempt, joined from all that its events say.

Nine tenths of all events are about tasks, so this is where folding spends its time. Rows hold what events
hold, ids as base64 and times as text, and become columns in one go at the end. What comes twice is merged as
`tables.py` says.
"""

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from server.fold.batch import Batch, Gathered
from server.fold.events import TaskDefinition, TaskLifecycle, Transition, raw_text
from server.fold.functions import function_name
from server.fold.ids import hex_id, hex_task_ids
from server.fold.tables import TABLES, stamped
from server.fold.times import EARLIEST_NS, LATEST_NS, ns_of, second_is_known
from server.view.schema import TASK_STATES

MOST_ROWS: Final = 50_000

_COLUMNS: Final = tuple(name for name in TABLES["tasks"] if name not in {"task_id", "attempt_number"})
PLACE: Final = {name: place for place, name in enumerate(_COLUMNS)}
"""Where a column stands in a row."""
STATE_PLACE: Final = {state: PLACE[f"t_{state.lower()}"] for state in TASK_STATES}
_FIRST_TIME: Final = min(STATE_PLACE.values())
_IDS: Final = frozenset(
    {"job_id", "actor_id", "parent_task_id", "placement_group_id", "node_id", "worker_id"}
)
_LARGEST_COUNTS: Final = frozenset({"stdout_end", "stderr_end", "actor_repr_name", "paused"})
_EMPTY: Final[list[Any]] = [None] * len(_COLUMNS)

_DEFINED: Final = PLACE["defined"]
_JOB: Final = PLACE["job_id"]
_NODE: Final = PLACE["node_id"]
_WORKER: Final = PLACE["worker_id"]
_PID: Final = PLACE["worker_pid"]
_STDOUT: Final = PLACE["stdout_file"]
"""The first of six columns in the order of the table: files, then starts and ends."""

Row = list[Any]


class Attempts:
    """Rows by task id (base64) and attempt number."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, int], Row] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, task_id: str, attempt: int) -> Row:
        """The attempt's row, an empty one if nothing was said of it yet."""
        key = (task_id, attempt)
        row = self._rows.get(key)
        if row is None:
            row = self._rows[key] = _EMPTY.copy()
        return row

    def define(self, event: TaskDefinition) -> None:
        """`TASK_DEFINITION_EVENT` and `ACTOR_TASK_DEFINITION_EVENT`."""
        said = {
            "defined": True,
            "job_id": event.job_id,
            "actor_id": event.actor_id,
            "type": event.task_type,
            "name": event.task_name or event.actor_task_name,
            "func_or_class_name": function_name(event.task_func or event.actor_func),
            "parent_task_id": event.parent_task_id,
            "placement_group_id": event.placement_group_id,
            "language": event.language,
            "required_resources": raw_text(event.required_resources),
            "runtime_env": event.serialized_runtime_env,
            "label_selector": raw_text(event.label_selector),
            "fallback_strategy": raw_text(event.fallback_strategy),
            "call_site": event.call_site,
        }
        row = self.row(event.task_id, event.task_attempt)
        if row[_DEFINED]:
            put_all(row, said)
            return
        job_id = row[_JOB]
        row[: len(said)] = said.values()
        if job_id is not None and job_id != event.job_id:
            put(row, _JOB, job_id)

    def change(self, event: TaskLifecycle, timestamp: str, gathered: Gathered) -> None:
        """`TASK_LIFECYCLE_EVENT`; `timestamp` is the event's own, by which the first error is told."""
        row = self.row(event.task_id, event.task_attempt)
        for transition in event.state_transitions:
            at = transition.timestamp
            place = STATE_PLACE.get(transition.state)
            if place is not None and row[place] is None and second_is_known(at[:19]):
                row[place] = at
            else:
                _put_odd(row, place, transition, gathered)
        if event.job_id and row[_JOB] != event.job_id:
            put(row, _JOB, event.job_id)
        if event.node_id:
            put(row, _NODE, event.node_id)
        if event.worker_id:
            put(row, _WORKER, event.worker_id)
        if event.worker_pid:
            put(row, _PID, event.worker_pid)
        log = event.task_log_info
        if log is not None:
            put(row, _STDOUT, log.stdout_file)
            put(row, _STDOUT + 1, log.stderr_file)
            put(row, _STDOUT + 2, log.stdout_start)
            put(row, _STDOUT + 3, log.stdout_end)
            put(row, _STDOUT + 4, log.stderr_start)
            put(row, _STDOUT + 5, log.stderr_end)
        if event.ray_error_info is not None or event.is_debugger_paused is not None or event.actor_repr_name:
            _put_rare(row, event, timestamp)

    def taken(self, gathered: Gathered) -> Batch | None:
        """All rows as columns; nothing is left here afterwards."""
        if not self._rows:
            return None
        task_ids, attempts = zip(*self._rows, strict=True)
        hexed = hex_task_ids(list(task_ids))
        columns: dict[str, Any] = {"task_id": hexed, "attempt_number": attempts}
        for place, values in enumerate(zip(*self._rows.values(), strict=True)):
            name = _COLUMNS[place]
            if place >= _FIRST_TIME:
                columns[name] = _times(values, gathered)
            elif name in _IDS:
                columns[name] = [value and hex_id(value) for value in values]
            else:
                columns[name] = values
        # The id of a task that creates an actor ends with the actor's id.
        columns["actor_id"] = [
            task_id[16:] if kind == "ACTOR_CREATION_TASK" and task_id else actor_id
            for task_id, kind, actor_id in zip(hexed, columns["type"], columns["actor_id"], strict=True)
        ]
        self._rows = {}
        missing = hexed.count(None)
        if missing:
            gathered.fault("missing id", "task", missing)
            kept = [place for place, task_id in enumerate(hexed) if task_id]
            columns = {name: _picked(values, kept) for name, values in columns.items()}
        return Batch("tasks", columns)


def put_all(row: Row, said: dict[str, Any]) -> None:
    """Merges several values into a row."""
    for name, value in said.items():
        put(row, PLACE[name], value)


def put(row: Row, place: int, value: Any) -> None:
    """Merges one value into a row; what is None or empty text says nothing."""
    known = row[place]
    if known is None or known == "":
        row[place] = value
    elif value not in (None, "") and value != known:
        name = _COLUMNS[place]
        if name in _IDS:  # text of base64 and of hex differ in order
            row[place] = min(value, known, key=lambda text: hex_id(text) or "g")
        else:
            row[place] = max(value, known) if name in _LARGEST_COUNTS else min(value, known)


def _put_odd(row: Row, place: int | None, transition: Transition, gathered: Gathered) -> None:
    """A state that came twice, or that can't be told."""
    at = transition.timestamp
    if place is None:
        gathered.fault("unknown task state", transition.state)
    elif ns_of(at) is None:
        gathered.fault("absurd timestamp", "TASK_LIFECYCLE_EVENT")
    elif row[place] != at:
        row[place] = min(row[place], at, key=_ns)


def _ns(time: str | int) -> int:
    return time if isinstance(time, int) else ns_of(time) or LATEST_NS


def _put_rare(row: Row, event: TaskLifecycle, timestamp: str) -> None:
    ns = ns_of(timestamp) or 0
    put(row, PLACE["actor_repr_name"], event.actor_repr_name)
    if event.is_debugger_paused is not None:
        put(row, PLACE["paused"], stamped(ns, "true" if event.is_debugger_paused else "false"))
    error = event.ray_error_info
    if error is not None:
        put(row, PLACE["error"], stamped(ns, error.error_type, error.error_message))


def _picked(values: Any, places: list[int]) -> Any:
    if isinstance(values, pa.Array):
        return values.take(pa.array(places, pa.int64()))
    return [values[place] for place in places]


def _times(values: Sequence[Any], gathered: Gathered) -> pa.Array:
    """Times as nanoseconds: text all at once, and one by one where something among them is odd."""
    try:
        texts = pa.array(values, pa.string())
        times = texts.cast(pa.timestamp("ns", "UTC")).cast(pa.int64())
        bounds = pc.min_max(times).as_py()
        if bounds["min"] is None or EARLIEST_NS <= bounds["min"] <= bounds["max"] < LATEST_NS:
            return times
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        pass
    result = [value if value is None or isinstance(value, int) else ns_of(value) for value in values]
    odd = sum(1 for value, ns in zip(values, result, strict=True) if value is not None and ns is None)
    if odd:
        gathered.fault("absurd timestamp", "TASK_LIFECYCLE_EVENT", odd)
    return pa.array(result, pa.int64())
