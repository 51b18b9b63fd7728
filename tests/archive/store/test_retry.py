"""How long to wait, and what is tried again."""

import logging
import pickle
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import ObjectMissing, StoreError, StoreRefused, TransientStoreError
from archive.store import open_store
from archive.store.base import Object, ObjectInfo, Store
from archive.store.local import LocalStore
from archive.store.retry import Backoff, Retrying

T = TypeVar("T")
BACKOFF = Backoff(first=1.0, most=8.0, patience=60.0)


class Time:
    """A clock that waiting moves, and nothing else."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waits: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


class Trouble:
    """What a Troubled store raises next, and after how many entries of a listing."""

    def __init__(self, time: Time) -> None:
        self._time = time
        self.takes = 0.0
        self.errors: list[StoreError] = []
        self.listed = 0
        self.asked: list[str] = []
        self.applied_first = False

    def meet(self, what: str) -> None:
        self.asked.append(what)
        self._time.now += self.takes
        if self.errors:
            raise self.errors.pop(0)


class Troubled:
    """A folder that fails as it is told: before the work, or after it."""

    def __init__(self, store: LocalStore, trouble: Trouble) -> None:
        self._store = store
        self._trouble = trouble

    def put(self, key: str, data: bytes) -> ObjectInfo:
        if self._trouble.applied_first:
            self._store.put(key, data)
        self._trouble.meet(f"put {key}")
        return self._store.put(key, data)

    def get(
        self, key: str, *, start: int = 0, length: int | None = None, if_match: str | None = None
    ) -> Object:
        self._trouble.meet(f"get {key} {start} {length} {if_match}")
        return self._store.get(key, start=start, length=length, if_match=if_match)

    def get_suffix(self, key: str, length: int, *, if_match: str | None = None) -> Object:
        self._trouble.meet(f"suffix {key} {length} {if_match}")
        return self._store.get_suffix(key, length, if_match=if_match)

    def list(self, prefix: str, *, after: str = "") -> Iterator[ObjectInfo]:
        return self._cut(self._store.list(prefix, after=after), f"list {prefix} {after}")

    def list_folders(self, prefix: str) -> Iterator[str]:
        return self._cut(self._store.list_folders(prefix), f"folders {prefix}")

    def delete(self, keys: Iterable[str]) -> None:
        asked = list(keys)
        self._store.delete(asked[: self._trouble.listed])
        self._trouble.meet(f"delete {len(asked)}")
        self._store.delete(asked)

    def now(self) -> float:
        self._trouble.meet("now")
        return self._store.now()

    def _cut(self, entries: Iterator[T], what: str) -> Iterator[T]:
        for number, entry in enumerate(entries):
            if number == self._trouble.listed:
                self._trouble.meet(what)
            yield entry


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def trouble(time: Time) -> Trouble:
    return Trouble(time)


@pytest.fixture
def folder(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path)


@pytest.fixture
def store(folder: LocalStore, trouble: Trouble, time: Time) -> Retrying:
    return Retrying(
        Troubled(folder, trouble), BACKOFF, clock=lambda: time.now, sleep=time.sleep, chance=lambda: 1.0
    )


def busy(count: int = 1) -> list[StoreError]:
    return [TransientStoreError("busy") for _ in range(count)]


@given(st.integers(0, 2000), st.floats(0, 1), st.floats(0.001, 10), st.floats(10, 1000))
def test_a_wait_is_between_half_and_the_whole_of_what_has_doubled_up_to_the_most(
    failures: int, chance: float, first: float, most: float
) -> None:
    longest = min(most, first * 2.0 ** min(failures, 100))
    assert longest / 2 <= Backoff(first, most).delay(failures, chance) <= longest


def test_what_passes_is_tried_again_with_longer_and_longer_waits(
    store: Retrying, trouble: Trouble, time: Time
) -> None:
    trouble.errors = busy(6)
    store.put("a", b"1")
    assert time.waits == [1, 2, 4, 8, 8, 8]
    assert store.retries == 6
    assert store.get("a").data == b"1"


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: store.put("a", b"1").size,
        lambda store: store.get("a", start=0, length=1).data,
        lambda store: store.get_suffix("a", 1).data,
        lambda store: [info.key for info in store.list("")],
        lambda store: list(store.list_folders("")),
        lambda store: store.delete(["b/c"]),
        lambda store: store.now() > 0,
    ],
    ids=["put", "get", "get_suffix", "list", "list_folders", "delete", "now"],
)
def test_every_operation_is_tried_again_and_then_answers_as_without_trouble(
    store: Retrying, folder: LocalStore, trouble: Trouble, ask: Callable[[Store], object]
) -> None:
    folder.put("a", b"1")
    folder.put("b/c", b"2")
    trouble.errors = busy(2)
    answer = ask(store)
    assert not trouble.errors
    assert store.retries == 2
    assert answer == ask(folder)


def test_patience_ends_with_the_error_of_the_last_try(store: Retrying, trouble: Trouble, time: Time) -> None:
    trouble.errors = [TransientStoreError(f"try {number}") for number in range(100)]
    with pytest.raises(TransientStoreError, match="try 9"):
        store.get("a")
    assert 52 < sum(time.waits) <= 60


def test_a_store_that_hangs_uses_up_patience_without_waits(
    store: Retrying, trouble: Trouble, time: Time
) -> None:
    trouble.takes = 25
    trouble.errors = busy(100)
    with pytest.raises(TransientStoreError):
        store.get("a")
    assert len(trouble.asked) == 3
    assert time.waits == [1, 2]


def test_long_waits_are_told_now_and_then_and_short_ones_never(
    store: Retrying, trouble: Trouble, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store.put("a", b"1")
    trouble.errors = busy(2)
    store.get("a")
    assert not caplog.messages
    trouble.errors = busy(100)
    with pytest.raises(TransientStoreError):
        store.get("a")
    assert caplog.messages == ["the archive does not answer, so it is asked again for a while: busy"] * 2


@pytest.mark.parametrize("error", [StoreRefused("no"), ObjectMissing("none")])
def test_what_will_not_pass_is_not_tried_again(store: Retrying, trouble: Trouble, error: StoreError) -> None:
    trouble.errors = [error]
    with pytest.raises(type(error)):
        store.get("a")
    assert trouble.asked == ["get a 0 None None"]
    assert store.retries == 0


def test_a_put_that_may_have_happened_is_put_again(
    store: Retrying, folder: LocalStore, trouble: Trouble
) -> None:
    trouble.applied_first = True
    trouble.errors = [TransientStoreError("lost", effect_unknown=True)]
    assert store.put("a", b"1").etag == folder.get("a").info.etag


def test_the_version_asked_for_is_asked_for_at_every_try(store: Retrying, trouble: Trouble) -> None:
    etag = store.put("a", b"12345").etag
    trouble.asked.clear()
    trouble.errors = busy(1)
    assert store.get_suffix("a", 2, if_match=etag).data == b"45"
    assert trouble.asked == [f"suffix a 2 {etag}"] * 2


def test_a_listing_goes_on_behind_the_last_key_that_came(
    store: Retrying, folder: LocalStore, trouble: Trouble, time: Time
) -> None:
    keys = [f"k{number:02}" for number in range(20)]
    for key in keys:
        folder.put(key, b"")
    trouble.listed = 5
    trouble.errors = busy(2)
    assert [info.key for info in store.list("k", after="k01")] == keys[2:]
    assert trouble.asked == ["list k k01", "list k k06", "list k k11"]
    assert time.waits == [1, 1]  # it went on in between


def test_a_listing_that_does_not_go_on_loses_patience(
    store: Retrying, folder: LocalStore, trouble: Trouble
) -> None:
    folder.put("a", b"")
    trouble.errors = busy(100)
    with pytest.raises(TransientStoreError):
        list(store.list(""))


def test_folders_come_once_though_their_listing_begins_anew(
    store: Retrying, folder: LocalStore, trouble: Trouble
) -> None:
    names = ["a", "a-b", "a.c", "b"]
    for name in names:
        folder.put(f"x/{name}/1", b"")
    trouble.listed = 2
    trouble.errors = busy(2)
    assert list(store.list_folders("x/")) == list(folder.list_folders("x/")) == ["a-b", "a.c", "a", "b"]


def test_a_delete_that_failed_half_way_is_done_again(
    store: Retrying, folder: LocalStore, trouble: Trouble
) -> None:
    keys = [f"k{number:04}" for number in range(1003)]
    for key in keys:
        folder.put(key, b"")
    trouble.listed = 5
    trouble.errors = busy(1)
    store.delete(iter(keys))
    assert list(folder.list("")) == []
    assert trouble.asked == ["delete 1000", "delete 1000", "delete 3"]


def test_a_process_it_is_sent_to_goes_on_by_itself(tmp_path: Path) -> None:
    store = Retrying(open_store(tmp_path.as_uri()), Backoff(0.001, 0.002, patience=0.01))
    copy = pickle.loads(pickle.dumps(store))  # noqa: S301 - our own bytes
    copy.put("a", b"1")
    assert store.get("a").data == b"1"
