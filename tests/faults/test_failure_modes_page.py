"""docs/failure-modes.md names tests that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "failure-modes.md").read_text()


def test_every_row_names_a_test_that_is_there() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| **")]
    assert len(rows) > 12
    for row in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row.rsplit("|", 2)[1])
        assert named, f"no test: {row[:60]}"
        for path, name in named:
            assert f"def {name}(" in (ROOT / path).read_text(), f"{path}::{name} is not there"


def test_every_metric_that_is_named_is_there() -> None:
    metrics = (ROOT / "sidecar" / "metrics.py").read_text()
    for name in re.findall(r"historyserver_collector_(\w+)", PAGE):
        assert f'"{name}"' in metrics, name
