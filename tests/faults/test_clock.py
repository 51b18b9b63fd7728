"""Clocks that are wrong, jump, or stand in another zone: neither order nor waiting minds."""

import datetime as dt
import random
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from fake_oss import FakeOss
from faults.rig.collecting import until
from faults.rig.in_oss import end_when_stored, metric
from faults.rig.judge import Archive
from faults.rig.ray_node import NODE
from faults.rig.rig import Rig

from archive.catalog import decode, encode
from archive.errors import TransientStoreError
from archive.layout import Role, SessionKey
from archive.store import ObjectInfo
from archive.store.local import LocalStore
from sidecar.entry import entry_of
from sidecar.flush import Clock, Flusher
from sidecar.spool import Spool

SESSION = SessionKey("ns", "c", "session_2024-02-29_23-59-59_490622_12278")
HOUR = 3600.0


class Jumping:
    """A wall clock that jumps by up to an hour at every look; the monotonic one is slept through."""

    def __init__(self, chance: random.Random) -> None:
        self.passed = 0.0
        self._chance = chance

    def wall(self) -> float:
        return 1_709_251_200.0 + self.passed + self._chance.uniform(-HOUR, HOUR)

    def sleep(self, seconds: float) -> None:
        self.passed += seconds

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.passed, self.wall, self.sleep, lambda: 0.5)


class Noting(LocalStore):
    """A folder that fails as long as it is told to, and notes when it was asked."""

    def __init__(self, root: Path, jumping: Jumping) -> None:
        root.mkdir()
        super().__init__(root)
        self._jumping = jumping
        self.asked: list[float] = []
        self.out = False

    def put(self, key: str, data: bytes) -> ObjectInfo:
        self.asked.append(self._jumping.passed)
        if self.out:
            raise TransientStoreError("the store is out")
        return super().put(key, data)


def test_a_wall_clock_that_jumps_changes_no_order_and_no_wait(tmp_path: Path, chance: random.Random) -> None:
    jumping = Jumping(chance)
    store = Noting(tmp_path / "store", jumping)
    expected = b""
    for life in range(3):
        with Spool(tmp_path / "spool", 64 << 20, wall=jumping.wall) as spool:
            node = spool.node(SESSION, NODE)
            flusher = Flusher(node, store, clock=jumping.clock)
            for number in range(60):
                line = b"%d %d\n" % (life, number)
                node.append("events", line)
                expected += line
                store.out = 20 <= number < 40
                jumping.sleep(5.0)
                jumping.sleep(flusher.step())
                assert flusher.oldest_unstored_seconds() >= 0
            assert flusher.finish("over", jumping.passed + 100)
    archive = Archive(store)
    assert archive.read(NODE, "events") == expected
    segments = archive.segments(NODE)
    assert [one.footer.facts.name for one in segments] == sorted(one.footer.facts.name for one in segments)
    assert len({one.footer.facts.name.origin for one in segments}) == 3
    assert max(later - earlier for earlier, later in pairwise(store.asked)) < 70


@pytest.fixture(params=["UTC", "XXX+12", "XXX-14"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with monkeypatch.context() as place:
        place.setenv("TZ", request.param)
        time.tzset()
        yield request.param
    time.tzset()


@pytest.mark.parametrize(
    "moment", ["2024-02-29_23-59-59", "2026-12-31_23-59-60", "2025-02-29_00-00-00", "2026-03-29_02-30-00"]
)
def test_sessions_of_days_that_some_years_lack_are_listed(zone: str, moment: str) -> None:
    name = f"session_{moment}_490622_12278"
    entry = entry_of(SessionKey("ns", "c", name), {"role": "head"})
    assert entry.name.role is Role.HEAD
    assert decode(encode(entry)) == entry
    if moment.startswith("2024"):
        began = dt.datetime(2024, 2, 29, 23, 59, 59, 490622).astimezone()
        assert entry.started_ms == int(began.timestamp() * 1000)


@pytest.mark.parametrize("ahead", [-HOUR, HOUR])
def test_a_store_with_another_clock_in_another_zone_gets_everything(
    oss_rig: Rig, oss: FakeOss, ahead: float
) -> None:
    oss_rig.environment = {**oss_rig.environment, "TZ": "XXX-14"}
    oss.set_clock(ahead)
    oss_rig.begin(flush_seconds=0.2)
    oss_rig.keep_busy()
    until(lambda: metric(oss_rig, "stored_bytes_total"))
    end_when_stored(oss_rig)
    oss.set_clock(0.0)
    oss_rig.judge()
    [info] = list(oss_rig.store.list("v1/catalog/"))
    assert abs(info.modified - time.time() - ahead) < 600
