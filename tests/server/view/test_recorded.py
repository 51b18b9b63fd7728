"""The recorded session through segments and fold, against what the live dashboard answered."""

import gzip
import json
from pathlib import Path
from typing import Any

from server.view.schema import RELATIONS
from server.view.view import View

HTTP = Path(__file__).parents[2] / "fixtures" / "ray" / "http"
STARTED_LATER = "ffffffffffffffffffffffffffffffffffffffff09000000"
"""A driver that the recorder's own questions started while they were being answered."""


def live_tasks() -> list[dict[str, Any]]:
    answer = json.loads(gzip.decompress((HTTP / "tasks_withdriver.json.gz").read_bytes()))
    return list(answer["data"]["result"]["result"])


def test_every_relation_has_the_columns_and_types_that_the_schema_lists(recorded_view: View) -> None:
    for relation, columns in RELATIONS.items():
        found = recorded_view.rows(f"SELECT column_name, column_type FROM (DESCRIBE {relation})")
        assert dict(found) == columns, relation


def test_all_227_attempts_are_there(recorded_view: View) -> None:
    found = recorded_view.rows("SELECT task_id, attempt_number FROM tasks WHERE defined")
    live = {(task["task_id"], task["attempt_number"]) for task in live_tasks()}
    assert len(live) == 227
    assert set(found) == live | {(STARTED_LATER, 0)}
