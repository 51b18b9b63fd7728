"""What archive/store/base.py promises, of every kind of store."""

from __future__ import annotations

import contextlib
import itertools
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archive.errors import NameInvalid, ObjectChanged, ObjectMissing
from archive.layout import CatalogName, Origin, Role, SegmentName, SessionKey
from archive.store import ObjectInfo, Store

DATA = bytes(range(256)) * 5
SESSION = SessionKey("team", "raycluster", "session_2026-11-23_02-43-27_490622_12278")
NAMES = [
    SegmentName(SESSION, "ab" * 28, Origin(1795402103123, "9f3ac210"), 1).key,
    SegmentName(
        SessionKey("team", "clüster %2F+&", SESSION.session), "cd" * 28, Origin(1, "00000000"), 12345678
    ).key,
    CatalogName(SESSION, Role.HEAD).key,
]

# Folders never have a name that an object has, since a file system can't have both.
letters = st.sampled_from([*"ab-.~ %+&=?#'\"\\<>:;,!*()[]", "ü", "漢", "￼", "\U0001f600", "é"])
words = st.text(letters, min_size=1, max_size=4).filter(lambda word: word not in {".", ".."})
folders = st.lists(words.map(lambda word: f"{word}d"), max_size=3)
keys = st.tuples(folders, words.map(lambda word: f"{word}f")).map(
    lambda parts: "/".join([*parts[0], parts[1]])
)
prefixes = st.tuples(folders, words).map(lambda parts: "/".join([*parts[0], parts[1][:1]]))
datas = st.sampled_from([b"", b"0", b"0123456789", DATA])

steps = st.one_of(
    st.tuples(st.just("put"), keys, datas),
    st.tuples(st.just("delete"), st.lists(keys, max_size=3)),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(steps, max_size=25), st.data())
def test_a_store_is_a_map_from_keys_to_bytes(
    make_store: Callable[[], Store], changes: list[tuple[str, object, bytes]], data: st.DataObject
) -> None:
    store, model = make_store(), dict[str, bytes]()
    for kind, what, *more in changes:
        if kind == "put":
            assert store.put(what, more[0]).key == what
            model[what] = more[0]
        else:
            # Whatever was put before is deleted now and then, not only what never was.
            chosen = [
                *what,
                *data.draw(st.lists(st.sampled_from(sorted(model)), max_size=2) if model else st.just([])),
            ]
            store.delete(iter(chosen))
            for key in chosen:
                model.pop(key, None)
    assert {info.key: info.size for info in store.list("")} == {key: len(model[key]) for key in model}
    for key, wanted in model.items():
        assert store.get(key).data == wanted
    for prefix in ["", *data.draw(st.lists(prefixes, max_size=3)), *[key[: len(key) // 2] for key in model]]:
        after = data.draw(st.one_of(st.just(""), keys, prefixes, st.sampled_from([*sorted(model), ""])))
        fitting = sorted(key for key in model if key.startswith(prefix))
        assert [info.key for info in store.list(prefix)] == fitting
        assert [info.key for info in store.list(prefix, after=after)] == [
            key for key in fitting if key > after
        ]
    for above in {"", *(key[: key.rindex("/") + 1] for key in model if "/" in key), "nothing/"}:
        below = {key.removeprefix(above) for key in model if key.startswith(above)}
        names = sorted({f"{rest.partition('/')[0]}/" for rest in below if "/" in rest})
        assert list(store.list_folders(above)) == [name[:-1] for name in names]


@pytest.mark.parametrize(
    ("size", "start", "length"),
    [
        *itertools.product([10], [0, 3, 9, 10, 11, 1 << 40], [None, 0, 1, 7, 10, 11, 1 << 40]),
        *itertools.product([0], [0, 1], [None, 0, 1]),
    ],
)
def test_a_read_gives_what_there_is_of_a_range(
    any_store: Store, size: int, start: int, length: int | None
) -> None:
    put = any_store.put("a", DATA[:size])
    read = any_store.get("a", start=start, length=length, if_match=put.etag)
    end = size if length is None else start + length
    assert (read.data, read.start) == (DATA[:size][start:end], start)
    assert (read.info.key, read.info.size, read.info.etag) == ("a", size, put.etag)


@pytest.mark.parametrize("size", [0, 1, 10])
@pytest.mark.parametrize("length", [0, 1, 9, 10, 11, 1 << 40])
def test_a_suffix_is_the_end_or_all_of_an_object(any_store: Store, size: int, length: int) -> None:
    put = any_store.put("a", DATA[:size])
    read = any_store.get_suffix("a", length, if_match=put.etag)
    assert (read.data, read.start) == (DATA[:size][max(0, size - length) :], max(0, size - length))
    assert (read.info.size, read.info.etag) == (size, put.etag)


def test_a_range_that_can_not_be_is_a_mistake(any_store: Store) -> None:
    any_store.put("a", DATA)
    for read in (
        lambda: any_store.get("a", start=-1),
        lambda: any_store.get("a", length=-1),
        lambda: any_store.get_suffix("a", -1),
    ):
        with pytest.raises(ValueError, match="from 0"):
            read()


def test_put_get_and_list_tell_the_same_of_an_object_by_the_stores_clock(any_store: Store) -> None:
    put = any_store.put("a/b", DATA)
    (listed,) = any_store.list("")
    told = [put, listed, any_store.get("a/b").info, any_store.get("a/b", start=5, length=1).info]
    assert {(info.key, info.size, info.etag) for info in told} == {("a/b", len(DATA), put.etag)}
    # A put's own answer may tell the time of the answer.
    assert max(info.modified for info in told) - min(info.modified for info in told) <= 2
    assert all(abs(info.modified - any_store.now()) < 5 for info in told)


def test_what_was_replaced_is_not_read_as_what_it_was(any_store: Store) -> None:
    first = any_store.put("a", b"0123456789")
    second = any_store.put("a", b"9876543210")
    assert first.etag != second.etag
    reads: list[Callable[[str], object]] = [
        lambda etag: any_store.get("a", if_match=etag).data,
        lambda etag: any_store.get("a", start=2, length=3, if_match=etag).data,
        lambda etag: any_store.get("a", start=100, if_match=etag).data,
        lambda etag: any_store.get("a", start=2, length=0, if_match=etag).data,
        lambda etag: any_store.get_suffix("a", 3, if_match=etag).data,
        lambda etag: any_store.get_suffix("a", 0, if_match=etag).data,
    ]
    assert [read(second.etag) for read in reads] == [b"9876543210", b"765", b"", b"", b"210", b""]
    for read in reads:
        with pytest.raises(ObjectChanged):
            read(first.etag)
    any_store.delete(["a"])
    for read in reads:
        with pytest.raises(ObjectMissing):
            read(second.etag)


def test_what_never_was_is_missing_and_nothing_is_listed(any_store: Store) -> None:
    assert list(any_store.list("v1/")) == []
    assert list(any_store.list_folders("v1/")) == []
    for read in (
        lambda: any_store.get("v1/a"),
        lambda: any_store.get("v1/a", length=0),
        lambda: any_store.get("v1/a", start=5),
        lambda: any_store.get_suffix("v1/a", 5),
    ):
        with pytest.raises(ObjectMissing):
            read()


@pytest.mark.parametrize("key", ["", "/a", "../a", "a/../../a", "a//b", "a/.", "a/", "a\0b", "\udc80"])
def test_a_key_that_is_no_plain_path_is_refused(any_store: Store, key: str) -> None:
    for use in (
        lambda: any_store.put(key, b""),
        lambda: any_store.get(key),
        lambda: any_store.get_suffix(key, 1),
        lambda: any_store.delete([key]),
    ):
        with pytest.raises(NameInvalid):
            use()


def test_more_than_a_page_is_listed_and_deleted_whole(any_store: Store) -> None:
    keys = [f"v1/{number:04d}/{number % 7}" for number in range(1005)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda key: any_store.put(key, b"x"), keys))
    assert [info.key for info in any_store.list("v1/")] == keys
    assert [info.key for info in any_store.list("v1/", after=keys[2])] == keys[3:]
    assert list(any_store.list_folders("v1/")) == [key[3:7] for key in keys]
    any_store.delete(key for key in [*keys, "v1/none"])
    assert list(any_store.list("")) == []


@pytest.mark.parametrize(
    "after", ["v1", "v1/a", "v1/a/", "v1/a/1", "v1/a/2", "v1/a/3/x", "v1/a0", "v1/b", "v2"]
)
def test_a_listing_goes_on_behind_any_place(any_store: Store, after: str) -> None:
    keys = ["v1/a/1", "v1/a/3", "v1/a/4/1", "v1/a-/1", "v1/b/1"]
    for key in keys:
        any_store.put(key, b"")
    for prefix in ("", "v1/", "v1/a", "v1/a/"):
        later = sorted(key for key in keys if key.startswith(prefix) and key > after)
        assert [info.key for info in any_store.list(prefix, after=after)] == later


def test_nothing_and_the_same_twice_can_be_deleted(any_store: Store) -> None:
    any_store.put("a", b"")
    any_store.put("b", b"")
    any_store.delete([])
    any_store.delete(["a", "a"])
    assert [info.key for info in any_store.list("")] == ["b"]


def test_a_listing_may_be_left_half_way(any_store: Store) -> None:
    any_store.put("a", b"")
    any_store.put("b", b"")
    listing = any_store.list("")
    assert next(listing).key == "a"
    any_store.delete(["a", "b"])
    del listing
    assert list(any_store.list("")) == []


def test_a_reader_sees_the_old_bytes_or_the_new(any_store: Store, rounds: Callable[[int, int], int]) -> None:
    sizes = {letter: 40_000 + letter * 300 for letter in b"abcd"}
    any_store.put("k", b"a" * sizes[ord("a")])
    done = threading.Event()

    def write(letter: int) -> None:
        for _ in range(rounds(25, 500)):
            any_store.put("k", bytes([letter]) * sizes[letter])

    def read(_: int) -> int:
        seen = 0
        while not done.is_set():
            whole = any_store.get("k")
            letter = whole.data[0]
            assert whole.data == bytes([letter]) * sizes[letter]
            assert whole.info.size == len(whole.data)
            (listed,) = any_store.list("")
            assert listed.size in sizes.values()
            with contextlib.suppress(ObjectChanged):
                part = any_store.get_suffix("k", 100, if_match=whole.info.etag)
                assert part.data == bytes([letter]) * 100
            seen += 1
        return seen

    with ThreadPoolExecutor(6) as threads:
        reading = [threads.submit(read, number) for number in range(2)]
        writing = [threads.submit(write, letter) for letter in b"abcd"]
        try:
            for future in writing:
                future.result()
        finally:
            done.set()
        assert all(future.result() for future in reading)


def test_a_store_survives_pickling(any_store: Store) -> None:
    any_store.put("a", DATA)
    copy: Store = pickle.loads(pickle.dumps(any_store))  # noqa: S301 - our own bytes
    assert copy.get("a").data == DATA
    copy.put("b", DATA)
    assert [info.key for info in any_store.list("")] == ["a", "b"]


@pytest.mark.parametrize("key", NAMES)
@pytest.mark.parametrize("size", [0, 1, 3_000_000])
def test_a_collector_puts_and_replaces(putting: Any, key: str, size: int) -> None:
    data = (DATA * 2400)[: min(size, 60_000) if key == NAMES[2] else size]
    first = putting.store.put(key, data)
    assert (first.key, first.size) == (key, len(data))
    assert putting.reading.get(key, if_match=first.etag).data == data
    second = putting.store.put(key, b"another")
    assert putting.reading.get(key).data == b"another"
    (listed,) = (info for info in putting.reading.list(key))
    assert described(listed) == described(second)
    assert second.etag != first.etag


def described(info: ObjectInfo) -> tuple[str, int, str]:
    return info.key, info.size, info.etag


@pytest.mark.parametrize("key", ["", "/a", "../a", "a//b", "a\0b", "\udc80"])
def test_a_collectors_key_is_a_plain_path(putting: Any, key: str) -> None:
    with pytest.raises(NameInvalid):
        putting.store.put(key, b"")


def test_collectors_put_many_at_once(putting: Any) -> None:
    names = [SegmentName(SESSION, "ef" * 28, Origin(2, "00000001"), number).key for number in range(1, 41)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda key: putting.store.put(key, key.encode() * 100), names))
    for key in names:
        assert putting.reading.get(key).data == key.encode() * 100
