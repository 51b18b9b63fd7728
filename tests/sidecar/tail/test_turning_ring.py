"""A ring that turns while it is looked at: between any two looks at the disk, the writer may do any number of
steps. What then is missing is told.
"""

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.tail import tailer
from sidecar.tail.folder import Folder, Listing, Seen

LINE = re.compile(rb"\d{4};")


class Writer:
    """A writer's program, one system call a step: write, rename every backup up, touch, and again."""

    def __init__(self, ring: Any) -> None:
        self.ring = ring
        self.written: list[bytes] = []
        self.turns = 0
        self._program = self._run()

    def step(self, times: int) -> None:
        for _ in range(times):
            next(self._program)

    def _run(self) -> Iterator[None]:
        ring = self.ring
        for number in count():
            line = b"%04d;" % number
            with ring.path.open("ab") as file:
                file.write(line)
            self.written.append(line)
            yield
            if ring.name(ring.backups).exists():
                ring.name(ring.backups).unlink()
                yield
            for index in range(ring.backups - 1, -1, -1):
                if ring.name(index).exists():
                    ring.name(index).rename(ring.name(index + 1))
                    yield
            ring.path.touch()
            self.turns += 1
            yield


@pytest.fixture
def interleaved(monkeypatch: pytest.MonkeyPatch) -> Callable[[Writer, Sequence[int]], None]:
    """From now on the writer does so many steps before each of the tailer's looks, and then no more."""

    def interleave(writer: Writer, schedule: Sequence[int]) -> None:
        steps = iter(schedule)

        class Turning(Folder):
            def list(self, limit: int) -> Listing:
                writer.step(next(steps, 0))
                return super().list(limit)

            def stat(self, path: str) -> Seen | None:
                writer.step(next(steps, 0))
                return super().stat(path)

            def open_file(self, path: str) -> int:
                writer.step(next(steps, 0))
                return super().open_file(path)

        monkeypatch.setattr(tailer, "Folder", Turning)

    return interleave


def test_nothing_is_missing_silently_however_a_ring_turns_between_two_looks(
    collect: Callable[..., Any],
    ring: Callable[..., Any],
    interleaved: Callable[[Writer, Sequence[int]], None],
    tmp_path: Path,
    rounds: Callable[[int, int], int],
) -> None:
    numbers = count()

    @settings(
        max_examples=rounds(70, 10_000),
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(
        cpp=st.booleans(),
        backups=st.integers(2, 6),
        before=st.integers(0, 40),
        scans=st.lists(st.lists(st.integers(0, 9), max_size=25), min_size=1, max_size=6),
    )
    def run(cpp: bool, backups: int, before: int, scans: list[list[int]]) -> None:
        logs = tmp_path / f"run-{next(numbers)}"
        logs.mkdir()
        written = Writer(ring(f"{logs.name}/a.out", backups, cpp))
        written.ring.path = logs / "a.out"
        written.step(before)
        # A log that was never seen to turn might have been deleted just as well.
        while written.turns < 2 or not written.ring.path.exists():
            written.step(1)
        interleaved(written, [])
        collector = collect(logs)
        collector.scan()
        for schedule in scans:
            interleaved(written, schedule)
            collector.scan()
        interleaved(written, [])
        collector.scan(3)
        collector.finish()
        told(collector, written)
        collector.close()
        shutil.rmtree(logs)

    run()


def told(collector: Any, written: Writer) -> None:
    kept = LINE.findall(collector.text("logs/a.out"))
    marks = collector.marks("logs/a.out")
    known = written.written[written.written.index(kept[0]) :] if kept else []
    assert kept == sorted(set(kept)), marks
    if kept != known:
        assert marks
        assert collector.losses
