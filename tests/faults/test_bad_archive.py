"""An archive that can not be used as it is set: that is told, Ray is thanked, and all is stored later."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_oss import FakeOss, Fault, Html, Refuse, collector
from faults.rig.collecting import until
from faults.rig.in_oss import end_when_stored, health, metric, rig_in, start_again
from faults.rig.judge import Archive
from faults.rig.rig import Rig


@pytest.fixture
def rig(oss_rig: Rig) -> Rig:
    return oss_rig


def is_judged(rig: Rig) -> None:
    end_when_stored(rig)
    rig.judge()


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
    rig.answered(100)
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
        rig.answered(100)
        oss.rrsa_environment(token, "collector")
        is_judged(rig)
    finally:
        rig.close()


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
    rig.answered(100)
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
