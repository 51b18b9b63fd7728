"""Parts merge in any order, any number of times, from any split of the events: the tables stay the same."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.fold.attempts import Attempts
from server.fold.batch import Gathered
from server.fold.observe import observe_events
from server.fold.part import PartWriter
from server.fold.tables import TABLES
from server.view.files import merge_files
from server.view.view import connect, tables

Files = dict[str, list[Path]]


def part(lines: list[bytes], folder: Path, name: str) -> Files:
    """The part that these events fold to."""
    gathered, attempts, writer = Gathered(), Attempts(), PartWriter(folder, name)
    batch = observe_events(b"".join(lines), attempts, gathered)
    for one in (batch, attempts.taken(gathered)):
        if one is not None:
            writer.add(one)
    for table, rows in gathered.rows.items():
        writer.add_rows(table, rows)
    files: Files = {}
    for table, path in writer.close():
        files.setdefault(table, []).append(path)
    return files


def together(parts: list[Files], folder: Path) -> Files:
    """One part of several."""
    folder.mkdir()
    gathered: Files = {}
    for files in parts:
        for table, some in files.items():
            gathered.setdefault(table, []).extend(some)
    return merge_files(gathered, folder, rows_together=100)


def content(files: Files) -> dict[str, list[tuple[Any, ...]]]:
    with connect("200MB", None) as database:
        queries = tables(files)
        return {
            table: database.execute(f"SELECT * FROM ({queries[table]}) ORDER BY ALL").fetchall()
            for table in TABLES
        }


@pytest.fixture(scope="session")
def lines(recorded_events: list[dict[str, object]]) -> list[bytes]:
    return [json.dumps(event).encode() + b"\n" for event in recorded_events]


@pytest.fixture(scope="session")
def expected(
    lines: list[bytes], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[tuple[Any, ...]]]:
    folder = tmp_path_factory.mktemp("expected")
    return content(together([part(lines, folder, "whole")], folder / "merged"))


@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_any_split_order_and_repetition_gives_the_same_tables(
    data: st.DataObject, lines: list[bytes], expected: dict[str, list[tuple[Any, ...]]]
) -> None:
    random = data.draw(st.randoms(use_true_random=False))
    count = data.draw(st.integers(1, 4), label="parts")
    with TemporaryDirectory() as name:
        folder = Path(name)
        shuffled = random.sample(lines, len(lines))
        parts = [part(shuffled[number::count], folder, f"part{number}") for number in range(count)]
        repeated = part(random.sample(lines, 200), folder, "again")
        merged = together([*parts, repeated], folder / "first")
        for step, other in enumerate([random.choice(parts), merged, repeated]):
            pair = [merged, other] if random.random() < 0.5 else [other, merged]
            merged = together(pair, folder / f"step{step}")
        assert content(merged) == expected


def test_a_doubled_delivery_changes_nothing(
    lines: list[bytes], expected: dict[str, list[tuple[Any, ...]]], tmp_path: Path
) -> None:
    merged = together([part([*lines, *lines], tmp_path, "twice")], tmp_path / "merged")
    assert content(merged) == expected
