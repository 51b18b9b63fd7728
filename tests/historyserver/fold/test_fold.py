"""`historyserver fold` on this machine: what is made, skipped, failed, and gone on with."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from archive.errors import StoreRefused
from archive.layout import SessionKey
from archive.store.base import ObjectInfo
from archive.store.local import LocalStore
from historyserver.__main__ import main
from historyserver.fold.one import Outcome, Result
from historyserver.fold.progress import Progress

KEY = SessionKey("team", "folded", "session_2026-11-23_02-43-27_490622_12278")


def fold(archive: Any, *arguments: str) -> int:
    return main(["fold", *arguments, "--store", archive.url, "--parallel=2"])


def test_all_sessions_get_views_once(archive: Any, capsys: pytest.CaptureFixture[str]) -> None:
    keys = archive.put(3)
    assert fold(archive, "--all") == 0
    assert archive.viewed(keys) == keys
    assert "3 folded, 0 had a current view" in capsys.readouterr().out
    before = archive.views()
    assert fold(archive, "--all") == 0
    assert "0 folded, 3 had a current view" in capsys.readouterr().out
    assert archive.views() == before


def test_a_session_that_has_grown_is_folded_again(archive: Any, capsys: pytest.CaptureFixture[str]) -> None:
    keys = archive.put(2)
    assert fold(archive, "--all") == 0
    archive.put_segment(keys[0], 2)
    assert fold(archive, "--all") == 0
    assert "1 folded, 1 had a current view" in capsys.readouterr().out


def test_only_those_that_are_named_or_of_the_namespace_are_folded(archive: Any) -> None:
    first, second = archive.put(2)
    (other,) = archive.put(1, namespace="sales")
    assert fold(archive, second.path) == 0
    assert archive.viewed([first, second, other]) == [second]
    assert fold(archive, "--all", "--namespace", "sales") == 0
    assert archive.viewed([first, second, other]) == [second, other]


class RefusingStore(LocalStore):
    """A folder in which nothing of one session's view may be put."""

    def __init__(self, root: Path, refused: str) -> None:
        super().__init__(root)
        self._root_here = root
        self._refused = refused

    def __reduce__(self) -> tuple[type[LocalStore], tuple[Path]]:
        return LocalStore, (self._root_here,)  # fold processes put nothing

    def put(self, key: str, data: bytes) -> ObjectInfo:
        if self._refused in key:
            raise StoreRefused("no right to put that")
        return super().put(key, data)


def test_what_fails_is_named_and_the_others_are_folded(
    archive: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = archive.put(3)
    store = RefusingStore(archive.root, keys[1].session)
    monkeypatch.setattr("historyserver.fold.command.open_archive", lambda _url, _backoff: store)
    assert fold(archive, "--all") == 1
    captured = capsys.readouterr()
    assert f"{keys[1].path} failed: no right to put that" in captured.err
    assert "2 folded" in captured.out
    assert archive.viewed(keys) == [keys[0], keys[2]]


def test_a_session_that_is_gone_is_no_failure(archive: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert fold(archive, KEY.path) == 0
    assert "1 were gone" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Say which sessions"),
        (["--all", KEY.path], "not both"),
        (["team/x"], "NAMESPACE/CLUSTER/SESSION"),
        (["--all", "--parallel", "many"], "no whole number"),
    ],
)
def test_a_command_that_cant_be_is_refused(
    archive: Any, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert main(["fold", "--store", archive.url, *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_it_can_be_stopped_and_goes_on_where_it_was(archive: Any) -> None:
    keys = archive.put(40)
    command = [
        sys.executable,
        "-m",
        "historyserver",
        "fold",
        "--all",
        "--parallel=1",
        f"--store={archive.url}",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 50
        while len(archive.viewed(keys)) < 2:
            assert process.poll() is None, "it has ended already"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=30)
        assert process.returncode == 130
        assert "Run it again to go on" in error
    done = len(archive.viewed(keys))
    assert 2 <= done < len(keys)
    again = subprocess.run(
        [*command[:-2], "--parallel=2", command[-1]], capture_output=True, text=True, check=True
    )
    told = re.search(r"(\d+) folded, (\d+) had a current view", again.stdout)
    assert told is not None
    assert (int(told[1]), int(told[2])) == (len(keys) - done, done)


def test_progress_tells_failures_at_once_and_the_rest_from_time_to_time() -> None:
    said: list[str] = []
    now = [0.0]
    progress = Progress(100, said.append, lambda: now[0])
    progress.take(Result(KEY, Outcome.FAILED, "the store is gone"))
    assert said == [f"{KEY.path} FAILED: the store is gone"]
    for _ in range(9):
        now[0] += 1.0
        progress.take(Result(KEY, Outcome.FOLDED))
    assert said[1:] == ["6 of 100 sessions done, about 78 s left at most"]
    assert progress.summary().startswith(
        "9 folded, 0 had a current view, 0 were gone, 1 failed, 90 not begun"
    )
