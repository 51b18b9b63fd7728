"""Object storage is down, slow, wrong or closed to us: Ray is thanked, nothing is lost, it mends itself."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from fake_oss import (
    INTERNAL,
    SERVER_BUSY,
    TOKEN_EXPIRED,
    TOO_MANY,
    UNAVAILABLE,
    ApplyLater,
    FakeOss,
    Fault,
    FlipBit,
    Html,
    LoseAnswer,
    Redirect,
    ResetAnswer,
    ResetRequest,
    Trickle,
    Wait,
    WrongChecksum,
)
from faults.rig.collecting import until
from faults.rig.in_oss import end_when_stored, metric, start_again
from faults.rig.rig import Rig

from archive.catalog import decode

CATALOG = "root/v1/catalog/*"
Rounds = Callable[[int, int], int]


@pytest.fixture
def rig(oss_rig: Rig) -> Rig:
    return oss_rig


def is_judged(rig: Rig) -> None:
    end_when_stored(rig)
    rig.judge()


@pytest.mark.parametrize("how", ["refused", "cut"])
def test_an_outage_loses_nothing_and_ray_is_answered_all_the_while(
    how: Any, rig: Rig, oss: FakeOss, rounds: Rounds
) -> None:
    rig.begin(flush_seconds=0.2)
    rig.keep_busy()
    until(lambda: metric(rig, "stored_bytes_total"))
    oss.down(how)
    stored = metric(rig, "stored_bytes_total")
    rig.answered(rounds(3_000, 400_000), 600)
    assert metric(rig, "stored_bytes_total") == stored
    oss.up()
    is_judged(rig)


FAULTS: dict[str, Any] = {
    "busy": SERVER_BUSY,
    "unavailable": UNAVAILABLE,
    "too many requests": TOO_MANY,
    "internal error": INTERNAL,
    "reset within the request": ResetRequest(1000),
    "reset before the answer": ResetAnswer(),
    "applied, and the answer lost": LoseAnswer(),
    "applied after its successor": ApplyLater(successor="other"),
    "applied after the next put of its name": ApplyLater(successor="same"),
    "slow": Trickle(30_000.0),
    "late": Wait(0.5),
    "a wrong checksum": WrongChecksum(),
    "a flipped bit": FlipBit("request"),
    "a page of a proxy": Html(),
    "a failure of a proxy": Html(502),
    "sent elsewhere": Redirect("http://127.0.0.1:9/"),
    "an expired token": TOKEN_EXPIRED,
}


def test_a_store_that_fails_in_every_way_there_is_loses_nothing(
    rig: Rig, oss: FakeOss, chance: random.Random, rounds: Rounds
) -> None:
    for act in FAULTS.values():
        oss.add(Fault(act, method="PUT", probability=0.02, seed=chance.randrange(1000)))
    rig.begin(flush_seconds=0.1)
    rig.keep_busy()
    rig.answered(rounds(10_000, 400_000), 600)
    until(lambda: metric(rig, "flushes_total"))
    oss.clear()
    end_when_stored(rig)
    oss.release()
    rig.judge()


@pytest.mark.soak
@pytest.mark.parametrize("fault", FAULTS)
def test_no_single_fault_loses_anything(fault: str, rig: Rig, oss: FakeOss, chance: random.Random) -> None:
    oss.add(Fault(FAULTS[fault], method="PUT", probability=0.5, seed=chance.randrange(1000)))
    rig.begin(flush_seconds=0.1)
    rig.keep_busy()
    rig.answered(50_000, 600)
    oss.clear()
    is_judged(rig)


def test_another_clock_than_the_stores_stops_nothing(rig: Rig, oss: FakeOss) -> None:
    oss.set_clock(-3600.0)
    rig.begin(flush_seconds=0.2)
    rig.keep_busy()
    until(lambda: metric(rig, "stored_bytes_total"))
    oss.set_clock(3600.0)
    stored = metric(rig, "stored_bytes_total")
    until(lambda: metric(rig, "stored_bytes_total") > stored)
    oss.set_clock(0.0)
    is_judged(rig)


def test_the_end_waits_for_no_store_that_swallows_everything(rig: Rig, oss: FakeOss) -> None:
    rig.begin(flush_seconds=0.2, end_seconds=1)
    rig.keep_busy()
    until(lambda: metric(rig, "stored_bytes_total"))
    oss.down("cut")
    rig.answered(100)
    rig.rest()
    assert rig.collecting.end(15) == 0
    oss.up()
    start_again(rig)
    is_judged(rig)


def test_a_heartbeat_that_takes_effect_after_the_end_does_not_make_the_session_look_lost(
    rig: Rig, oss: FakeOss
) -> None:
    oss.add(Fault(ApplyLater(hang=0.1), key=CATALOG, method="PUT", times=1))
    rig.begin(flush_seconds=0.2, end_seconds=4)
    rig.keep_busy()
    [key] = until(lambda: oss.keys("root/v1/catalog/"))
    rig.rest()

    def state() -> str:
        return decode(oss.get(key) or b"").state

    rig.collecting.supervisor.terminate()
    until(lambda: state() == "ended")
    oss.release()
    assert state() == "running"
    assert rig.collecting.supervisor.wait(15) == 0
    assert state() == "ended"
    rig.judge()
