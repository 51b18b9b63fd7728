"""Object storage is down, slow, wrong or closed to us: Ray is thanked, nothing is lost, it mends itself."""

import random
import time
from collections.abc import Callable
from pathlib import Path
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
    Refuse,
    ResetAnswer,
    ResetRequest,
    Trickle,
    Wait,
    WrongChecksum,
    collector,
)
from faults.rig.collecting import until
from faults.rig.in_oss import end_when_stored, health, metric, rig_in, start_again
from faults.rig.judge import Archive
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
    answered = len(rig.aggregator.acknowledged)
    time.sleep(rounds(2, 300))
    assert metric(rig, "stored_bytes_total") == stored
    assert len(rig.aggregator.acknowledged) > answered + 100
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
    time.sleep(rounds(4, 300))
    until(lambda: metric(rig, "flushes_total"))
    oss.clear()
    is_judged(rig)


@pytest.mark.soak
@pytest.mark.parametrize("fault", FAULTS)
def test_no_single_fault_loses_anything(fault: str, rig: Rig, oss: FakeOss, chance: random.Random) -> None:
    oss.add(Fault(FAULTS[fault], method="PUT", probability=0.5, seed=chance.randrange(1000)))
    rig.begin(flush_seconds=0.1)
    rig.keep_busy()
    time.sleep(20)
    oss.clear()
    is_judged(rig)


def closed(oss: FakeOss) -> Callable[[], None]:
    oss.add_identity(collector("elsewhere"))
    return lambda: oss.add_identity(collector("root"))


def revoked(oss: FakeOss) -> Callable[[], None]:
    oss.remove_identity("collector")
    return lambda: oss.add_identity(collector("root"))


def answering(act: Any) -> Callable[[FakeOss], Callable[[], None]]:
    def struck(oss: FakeOss) -> Callable[[], None]:
        oss.add(Fault(act, method="PUT"))
        return oss.clear

    return struck


PROBLEMS: dict[str, tuple[str, Callable[[FakeOss], Callable[[], None]]]] = {
    "no right to put": ("refused", closed),
    "its key is revoked": ("refused", revoked),
    "the bucket is gone": ("misconfigured", answering(Refuse(404, "NoSuchBucket"))),
    "the bucket keeps what it has": ("misconfigured", answering(Refuse(409, "FileImmutable"))),
    "a page where object storage should be": ("misconfigured", answering(Html())),
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_what_only_people_can_mend_is_told_and_nothing_is_dropped_until_they_do(
    problem: str, rig: Rig, oss: FakeOss
) -> None:
    kind, happens = PROBLEMS[problem]
    environment = oss.environment("collector")
    mended = happens(oss)
    rig.environment = environment
    rig.begin(flush_seconds=0.2)
    rig.keep_busy()
    until(lambda: metric(rig, f'store_problem{{kind="{kind}"}}'))
    until(lambda: len(rig.aggregator.acknowledged) > 100)
    told = until(lambda: health(rig))
    assert "store: " in told or "catalog: " in told
    assert metric(rig, "last_put_timestamp_seconds") == 0
    mended()
    is_judged(rig)


def test_a_node_without_its_identity_waits_for_it(
    tmp_path: Path, oss: FakeOss, chance: random.Random
) -> None:
    token = tmp_path / "token"
    environment = oss.rrsa_environment(token, "collector")
    token.unlink()
    rig = rig_in(oss, tmp_path / "node", chance, environment)
    try:
        rig.begin(flush_seconds=0.2)
        rig.keep_busy()
        assert str(token) in until(lambda: health(rig))
        until(lambda: len(rig.aggregator.acknowledged) > 100)
        oss.rrsa_environment(token, "collector")
        is_judged(rig)
    finally:
        rig.close()


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


@pytest.mark.parametrize(
    "wrong", [{"region": "cn-beijing"}, {"bucket": "another"}], ids=["the region", "the bucket"]
)
def test_a_wrong_address_is_told_and_what_was_kept_is_stored_under_the_right_one(
    wrong: dict[str, str], rig: Rig, oss: FakeOss
) -> None:
    right, rig.url = rig.url, oss.url(**wrong)
    rig.begin(flush_seconds=0.2, end_seconds=1)
    rig.keep_busy()
    assert until(lambda: health(rig))
    until(lambda: len(rig.aggregator.acknowledged) > 100)
    rig.rest()
    assert rig.collecting.end() == 0
    assert Archive(rig.store).nodes == []
    rig.url = right
    start_again(rig)
    is_judged(rig)


@pytest.mark.parametrize(("namespace", "cluster"), [("über ~eck", "c"), ("..", "c"), ("ns", "a/b")])
def test_names_that_can_not_be_kept_are_told_and_ray_is_thanked(
    rig: Rig, namespace: str, cluster: str
) -> None:
    rig.begin(namespace=namespace, cluster=cluster)
    until(rig.aggregator.post)
    assert "archive: " in health(rig)
    assert rig.collecting.end() == 0


@pytest.mark.parametrize("name", ["Ünï.cödé 日本", "a b+c%2F&d=e?-.-"])
def test_odd_names_are_kept_as_they_are(rig: Rig, name: str) -> None:
    rig.begin(flush_seconds=0.2, namespace=name, cluster=name)
    rig.keep_busy()
    until(lambda: metric(rig, "stored_bytes_total"))
    is_judged(rig)
    [entry] = Archive(rig.store).catalog
    assert (entry.namespace, entry.cluster, entry.state) == (name, name, "ended")


def test_the_end_waits_for_no_store_that_swallows_everything(rig: Rig, oss: FakeOss) -> None:
    rig.begin(flush_seconds=0.2, end_seconds=1)
    rig.keep_busy()
    until(lambda: metric(rig, "stored_bytes_total"))
    oss.down("cut")
    answered = len(rig.aggregator.acknowledged)
    until(lambda: len(rig.aggregator.acknowledged) > answered + 100)
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
