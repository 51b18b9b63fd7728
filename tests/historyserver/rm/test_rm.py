"""`historyserver rm` over a folder: what goes, what stays, what is said."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.catalog import CatalogEntry, encode
from archive.layout import Origin, Role, SegmentName, SessionKey, segments_prefix, views_prefix
from archive.store.base import ObjectInfo
from archive.store.local import LocalStore
from historyserver.__main__ import main

DAY = 86_400.0
OLD = SessionKey("team", "trainer", "session_2026-10-01_00-00-00_000000_1")
YOUNG = SessionKey("team", "trainer", "session_2026-11-22_00-00-00_000000_1")
OTHER = SessionKey("sales", "shop", "session_2026-10-01_00-00-00_000000_1")


class Archive:
    """A folder with sessions of any age."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = root.as_uri()
        self.store = LocalStore(root)

    def put(self, key: SessionKey, *, days: float, catalog: bool = True, segments: int = 3) -> None:
        keys = [SegmentName(key, "a" * 56, Origin(1, "0" * 8), number + 1).key for number in range(segments)]
        keys.append(f"{views_prefix(key, '1.1')}parts/x.parquet")
        for name in keys:
            self.store.put(name, b"0123456789")
        if catalog:
            for role in Role:
                entry = CatalogEntry(
                    namespace=key.namespace, cluster=key.cluster, session=key.session, role=role
                )
                self.store.put(entry.name.key, encode(entry))
                keys.append(entry.name.key)
        for name in keys:
            self.age(name, days)

    def age(self, key: str, days: float) -> None:
        then = time.time() - days * DAY
        os.utime(self.root / key, (then, then))

    def holds(self, key: SessionKey) -> bool:
        """Whether anything of a session is there."""
        return any(key.session in name and key.cluster in name for name in self.names())

    def names(self) -> list[str]:
        return [info.key for info in self.store.list("v1/")]


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    found = Archive(tmp_path)
    found.put(OLD, days=40)
    found.put(YOUNG, days=1)
    found.put(OTHER, days=40)
    return found


def rm(archive: Archive, *arguments: str) -> int:
    return main(["rm", *arguments, "--store", archive.url])


def test_what_ended_long_ago_goes_whole_and_the_rest_stays(
    archive: Archive, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rm(archive, "--older-than", "30d", "--namespace", "team") == 0
    assert not archive.holds(OLD)
    assert archive.holds(OTHER)
    assert sum(YOUNG.session in key for key in archive.names()) == 6
    told = capsys.readouterr().out
    assert f"{OLD.path}  ended 40 days ago  6 objects" in told
    assert "Removed 1 session: 6 objects" in told


def test_a_dry_run_says_the_same_and_removes_nothing(
    archive: Archive, capsys: pytest.CaptureFixture[str]
) -> None:
    before = archive.names()
    assert rm(archive, "--dry-run", "--older-than=30d") == 0
    assert archive.names() == before
    assert "Would remove 2 sessions: 12 objects" in capsys.readouterr().out


def test_a_second_run_finds_nothing(archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    assert rm(archive, "--older-than", "30d") == 0
    assert rm(archive, "--older-than", "30d") == 0
    assert "Removed 0 sessions: 0 objects" in capsys.readouterr().out


def test_a_session_is_as_young_as_its_newest_segment(archive: Archive) -> None:
    name = SegmentName(OLD, "b" * 56, Origin(2, "0" * 8), 1).key
    archive.store.put(name, b"still here")
    assert rm(archive, "--older-than", "30d") == 0
    assert archive.holds(OLD)
    assert not archive.holds(OTHER)


def test_what_is_left_of_a_removal_goes_by_its_own_age(archive: Archive) -> None:
    left = SessionKey("team", "left", "session_2026-09-01_00-00-00_000000_1")
    fresh = SessionKey("team", "fresh", "session_2026-09-02_00-00-00_000000_1")
    view = SessionKey("team", "view", "session_2026-09-03_00-00-00_000000_1")
    archive.put(left, days=60, catalog=False)
    archive.put(fresh, days=2, catalog=False)
    archive.put(view, days=0.1, catalog=False, segments=0)
    assert rm(archive, "--older-than", "30d") == 0
    assert (archive.holds(left), archive.holds(fresh), archive.holds(view)) == (False, True, False)


def test_named_sessions_go_whatever_their_age(archive: Archive) -> None:
    assert rm(archive, YOUNG.path, OTHER.path) == 0
    assert (archive.holds(OLD), archive.holds(YOUNG), archive.holds(OTHER)) == (True, False, False)


def test_a_session_that_may_run_is_not_removed_by_name_either(
    archive: Archive, capsys: pytest.CaptureFixture[str]
) -> None:
    archive.put(YOUNG, days=0)
    assert rm(archive, OLD.path, YOUNG.path) == 1
    assert (archive.holds(OLD), archive.holds(YOUNG)) == (False, True)
    assert "may still run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Say which sessions"),
        (["--older-than", "30d", OLD.path], "not both"),
        (["--older-than", "30"], "with its unit"),
        (["--older-than", "0d"], "1h at least"),
        (["--older-than", "-1d"], "with its unit"),
        (["--older-then", "30d"], "no setting here"),
        (["team/trainer"], "NAMESPACE/CLUSTER/SESSION"),
        (["team/../x"], "may not contain"),
    ],
)
def test_a_command_that_says_not_what_to_remove_removes_nothing(
    archive: Archive, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    before = archive.names()
    assert rm(archive, *arguments) == 2
    assert archive.names() == before
    assert sentence in capsys.readouterr().err


def test_an_unknown_session_is_told(archive: Archive, capsys: pytest.CaptureFixture[str]) -> None:
    assert rm(archive, "team/trainer/nobody") == 1
    assert "holds nothing of team/trainer/nobody" in capsys.readouterr().err


def test_an_archive_that_is_not_there_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rm", "--older-than", "30d", "--store", (tmp_path / "none").as_uri()]) == 1
    assert "does not exist" in capsys.readouterr().err


class BeatingStore(LocalStore):
    """A folder in which a collector puts a heartbeat as soon as somebody looks at a session's views."""

    def __init__(self, archive: Archive, key: SessionKey) -> None:
        super().__init__(archive.root)
        self._archive = archive
        self._key = key

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        if prefix.startswith("v1/views/"):
            self._archive.put(self._key, days=0, segments=1)
        return super().list(prefix, after=after)


def test_a_session_that_comes_to_life_while_it_is_looked_at_is_left_alone(
    archive: Archive, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "historyserver.rm.command.open_archive", lambda _url, _backoff: BeatingStore(archive, OLD)
    )
    assert rm(archive, OLD.path) == 1
    assert f"{OLD.path} lives" in capsys.readouterr().err
    assert sum(key.startswith(segments_prefix(OLD)) for key in archive.names()) == 3
