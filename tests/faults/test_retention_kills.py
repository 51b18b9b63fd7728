"""A removal that is killed: nothing half removed is shown as whole, nothing is left for ever, others stay.

Object storage holds each request at which the command is killed, so that every step of a removal is hit.
"""

import os
import subprocess
import sys
import time

import pytest
from fake_oss import FakeOss, Fault, Refuse, Withhold

from archive.catalog import CatalogEntry, encode
from archive.layout import Origin, Role, SegmentName, SessionKey, views_prefix

DAY = 86_400.0
OLD = SessionKey("team", "trainer", "session_2026-10-01_00-00-00_000000_1")
OLDER = SessionKey("team", "trainer", "session_2026-09-01_00-00-00_000000_1")
YOUNG = SessionKey("team", "trainer", "session_2026-11-22_00-00-00_000000_1")
SEGMENTS = 2_500
"""Three deletes of segments: with entries and views, and those of the other old session, eight in all."""
DELETE = "DeleteMultipleObjects"


@pytest.fixture
def oss_of_sessions(oss: FakeOss) -> FakeOss:
    """An archive with two sessions that ended 40 days ago, and one of yesterday."""
    oss.set_clock(-40 * DAY)
    put(oss, OLD, SEGMENTS)
    put(oss, OLDER, 3)
    oss.set_clock(-1 * DAY)
    put(oss, YOUNG, 3)
    oss.set_clock(0)
    return oss


def put(oss: FakeOss, key: SessionKey, segments: int) -> None:
    for number in range(segments):
        oss.put(f"root/{SegmentName(key, 'a' * 56, Origin(1, '0' * 8), number + 1).key}", b"0123456789")
    oss.put(f"root/{views_prefix(key, '1.1')}parts/x.parquet", b"0123456789")
    for role in Role:
        entry = CatalogEntry(namespace=key.namespace, cluster=key.cluster, session=key.session, role=role)
        oss.put(f"root/{entry.name.key}", encode(entry))


def rm(oss: FakeOss) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "historyserver", "rm", "--older-than=30d", f"--store={oss.url()}"],
        env={**os.environ, **oss.environment("retention")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def left(oss: FakeOss, key: SessionKey) -> list[str]:
    return [name for name in oss.keys("root/v1/") if key.session in name]


def listed(oss: FakeOss, key: SessionKey) -> bool:
    return any(key.session in name for name in oss.keys("root/v1/catalog/"))


@pytest.mark.parametrize("deletes", range(8))
def test_a_removal_killed_after_any_delete_is_finished_by_the_next_run(
    oss_of_sessions: FakeOss, deletes: int
) -> None:
    oss = oss_of_sessions
    oss.add(Fault(Withhold(60), operation=DELETE, skip=deletes))
    with rm(oss) as process:
        deadline = time.monotonic() + 40
        while len(oss.requests(operation=DELETE)) < deletes or not judged(oss):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, "it never got so far"
            time.sleep(0.02)
        process.kill()
        process.communicate(timeout=20)
    oss.clear()
    for key, segments in ((OLD, SEGMENTS), (OLDER, 3)):
        assert len(left(oss, key)) == segments + 3 or not listed(oss, key), "half a session is listed"
    assert deletes or len(left(oss, OLD)) == SEGMENTS + 3
    with rm(oss) as again:
        told, error = again.communicate(timeout=40)
        assert again.returncode == 0, error
    assert left(oss, OLD) == left(oss, OLDER) == []
    assert len(left(oss, YOUNG)) == 6
    assert "Removed" in told


def judged(oss: FakeOss) -> bool:
    """Whether the command has looked at what there is of the old sessions."""
    return bool(oss.requests(operation="ListObjectsV2", key=f"root/v1/views/{OLD.path}/"))


def test_two_removals_at_once_end_well(oss_of_sessions: FakeOss) -> None:
    with rm(oss_of_sessions) as one, rm(oss_of_sessions) as other:
        for process in (one, other):
            _, error = process.communicate(timeout=40)
            assert process.returncode == 0, error
    assert left(oss_of_sessions, OLD) == left(oss_of_sessions, OLDER) == []
    assert len(left(oss_of_sessions, YOUNG)) == 6


def test_a_right_that_is_missing_is_told_and_nothing_is_half_gone(oss_of_sessions: FakeOss) -> None:
    oss_of_sessions.add(Fault(Refuse(403, "AccessDenied"), operation=DELETE))
    with rm(oss_of_sessions) as process:
        _, error = process.communicate(timeout=40)
        assert process.returncode == 1
    assert f"{OLD.path} could not be removed whole" in error
    assert len(left(oss_of_sessions, OLD)) == SEGMENTS + 3
