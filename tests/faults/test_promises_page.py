"""docs/promises.md names tests that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "promises.md").read_text()


def test_every_promise_names_tests_or_says_that_it_is_not_built_yet() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| **P")]
    assert len(rows) == 8
    for row in rows:
        assert "not built yet" in row or re.search(r"`tests/[\w/]+\.py::\w+`", row), row[:60]


def test_every_test_that_is_named_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)
    assert len(named) > 20
    for path, name in named:
        assert f"def {name}(" in (ROOT / path).read_text(), f"{path}::{name} is not there"
