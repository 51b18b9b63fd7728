"""Servers over one object storage agree, and one that is killed leaves nothing to trip over."""

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_oss import Fault, Withhold
from fake_oss.fake import FakeOss
from faults.replicas import KEY, SEGMENTS, Replica, store_session, until

from archive.credentials import source_from
from archive.store.base import Store
from archive.store.oss import OssStore
from archive.store.oss.address import parse
from archive.store.retry import Retrying
from server.view.manifest import Manifest, decoded, manifests_prefix, part_key, prefix

MANIFESTS = "root/v1/views/*/manifests/*"
PARTS = "root/v1/views/*/parts/*"
HOURS = 2 * 3600.0


@pytest.fixture
def oss() -> Iterator[FakeOss]:
    """Object storage in this process."""
    with FakeOss() as running:
        yield running


@pytest.fixture
def store(oss: FakeOss) -> Store:
    """All rights."""
    made = Retrying(OssStore(parse(oss.url()), source_from(oss.environment("operator"))))
    store_session(made)
    return made


@pytest.fixture
def replicas(oss: FakeOss, store: Store, tmp_path: Path) -> Iterator[tuple[Replica, Replica]]:
    """Two servers that aren't started yet."""
    rights = oss.environment("server")
    pair = Replica(oss.url(), rights, tmp_path / "one"), Replica(oss.url(), rights, tmp_path / "two")
    yield pair
    for replica in pair:
        replica.end()


def manifests(store: Store) -> list[Manifest]:
    """Every stored one, which have to be whole, and so have their parts."""
    found = [decoded(store.get(info.key).data, info.key) for info in store.list(manifests_prefix(KEY))]
    parts = {info.key for info in store.list(f"{prefix(KEY)}parts/")}
    for manifest in found:
        assert {part_key(KEY, file.digest) for file in manifest.files} <= parts, "half a view"
    return found


def forget_views(store: Store) -> None:
    store.delete([info.key for info in store.list(prefix(KEY))])


def segment_reads(oss: FakeOss) -> int:
    return len(oss.requests(operation="GetObject", key="root/v1/segments/*"))


def test_two_servers_that_fold_at_once_answer_alike_and_a_third_reads_what_they_stored(
    oss: FakeOss, store: Store, replicas: tuple[Replica, Replica], tmp_path: Path
) -> None:
    one, two = replicas
    one.start()
    two.start()
    one.begin_to_open()
    assert two.pages() == one.pages()
    until(lambda: manifests(store))
    before = segment_reads(oss)
    third = Replica(oss.url(), oss.environment("server"), tmp_path / "three")
    third.start()
    try:
        assert third.pages() == one.pages()
    finally:
        third.end()
    assert segment_reads(oss) == before, "it folded again what was stored"


def test_a_server_goes_on_from_what_another_one_stored(
    oss: FakeOss, store: Store, replicas: tuple[Replica, Replica]
) -> None:
    one, two = replicas
    one.start()
    one.pages()
    until(lambda: manifests(store))
    store_session(store, 1, SEGMENTS + 1)
    before = segment_reads(oss)
    two.start()
    two.pages()
    new = segment_reads(oss) - before
    assert 0 < new <= 6, "it read more than what was new"


def killed_in_fold(oss: FakeOss, store: Store, victim: Replica) -> None:
    victim.begin_to_open()
    until(lambda: segment_reads(oss))
    victim.kill()


def killed_while_merging(oss: FakeOss, store: Store, victim: Replica) -> None:
    victim.begin_to_open()
    until(lambda: any((victim.cache / "working").glob("**/merged-*.parquet")))
    victim.kill()


def killed_between_parts_and_manifest(oss: FakeOss, store: Store, victim: Replica) -> None:
    oss.add(Fault(Withhold(0.1), operation="PutObject", key=MANIFESTS))
    victim.begin_to_open()
    until(lambda: oss.requests(operation="PutObject", key=MANIFESTS))
    victim.kill()
    assert any(store.list(f"{prefix(KEY)}parts/"))


def killed_between_parts(oss: FakeOss, store: Store, victim: Replica) -> None:
    oss.add(Fault(Withhold(0.1), operation="PutObject", key=PARTS, skip=1))
    victim.begin_to_open()
    until(lambda: len(oss.requests(operation="PutObject", key=PARTS)) > 1)
    victim.kill()


def killed_while_clearing(oss: FakeOss, store: Store, victim: Replica) -> None:
    leave_something_old(oss, store, victim)
    oss.add(Fault(Withhold(0.1), operation="DeleteMultipleObjects"))
    victim.begin_to_open()
    until(lambda: oss.requests(operation="DeleteMultipleObjects"))
    victim.kill()


def leave_something_old(oss: FakeOss, store: Store, victim: Replica) -> None:
    """A view that was replaced hours ago."""
    victim.pages()
    until(lambda: manifests(store))
    victim.kill()
    store_session(store, 1, SEGMENTS + 1)
    victim.start()
    victim.pages()
    until(lambda: len(manifests(store)) == 2)
    victim.kill()
    oss.set_clock(HOURS)
    oss.forget_requests()
    victim.start()


POINTS = [
    killed_while_merging,
    killed_between_parts_and_manifest,
    *(pytest.param(point, marks=pytest.mark.soak) for point in (killed_in_fold, killed_between_parts)),
    pytest.param(killed_while_clearing, marks=pytest.mark.soak),
]


@pytest.mark.parametrize("kill", POINTS, ids=lambda kill: kill.__name__)
def test_a_server_that_is_killed_leaves_no_half_view_and_is_no_loss(
    kill: Callable[[FakeOss, Store, Replica], None],
    oss: FakeOss,
    store: Store,
    replicas: tuple[Replica, Replica],
) -> None:
    victim, other = replicas
    victim.start()
    kill(oss, store, victim)
    oss.clear()
    manifests(store)
    victim.start()
    assert victim.pages() == (other.start() or other.pages())
    until(lambda: manifests(store))
    assert len(list((victim.cache / "working").iterdir())) == 1, (
        "what it left when it was killed is still there"
    )


def test_what_a_killed_server_left_without_manifest_goes_after_an_hour(
    oss: FakeOss, store: Store, replicas: tuple[Replica, Replica]
) -> None:
    victim, other = replicas
    orphan = part_key(KEY, "0" * 32)
    store.put(orphan, b"nobody names this")
    other.start()
    other.pages()
    until(lambda: manifests(store))
    other.end()
    assert orphan in {info.key for info in store.list(prefix(KEY))}
    oss.set_clock(HOURS)
    victim.start()  # asked by nobody, it looks after what is left
    until(lambda: orphan not in {info.key for info in store.list(prefix(KEY))})
    manifests(store)


@pytest.mark.timeout(240)
def test_a_server_that_is_killed_at_any_moment_opens_the_session_as_if_it_had_not_been(
    oss: FakeOss,
    store: Store,
    replicas: tuple[Replica, Replica],
    chance: random.Random,
    rounds: Callable[[int, int], int],
) -> None:
    victim, other = replicas
    other.start()
    victim.start()
    expected = other.pages()
    killed, ended = [], []
    for _ in range(rounds(2, 100)):
        forget_views(store)
        victim.begin_to_open()
        time.sleep(chance.uniform(0, 1.0))
        victim.kill()
        manifests(store)
        killed.append(seconds_to_open(victim, expected))
        until(lambda: manifests(store))
    for _ in range(rounds(1, 20)):
        victim.end()
        forget_views(store)
        ended.append(seconds_to_open(victim, expected))
    middle = [sorted(some)[len(some) // 2] for some in (killed, ended)]
    print(f"opened in {middle[0]:.2f} s after a kill, in {middle[1]:.2f} s after an orderly end")


def seconds_to_open(replica: Replica, expected: dict[str, tuple[int, bytes]]) -> float:
    """Of a server started anew, which answers as it should."""
    replica.start()
    began = time.perf_counter()
    assert replica.pages() == expected
    return time.perf_counter() - began
