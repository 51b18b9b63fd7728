import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import (
    NameInvalid,
    ObjectChanged,
    ObjectMissing,
    StoreMisconfigured,
    StoreRefused,
    TransientStoreError,
)
from archive.store import open_store
from archive.store.local import LocalStore

NOBODY = 65534


def test_an_object_is_read_back_whole_and_in_ranges(store: LocalStore) -> None:
    store.put("v1/a/b", b"0123456789")
    assert store.get("v1/a/b").data == b"0123456789"
    assert store.get("v1/a/b", start=3, length=4).data == b"3456"
    assert store.get("v1/a/b", start=8, length=100).data == b"89"
    assert store.get("v1/a/b", start=100).data == b""
    suffix = store.get_suffix("v1/a/b", 3)
    assert (suffix.start, suffix.data) == (7, b"789")
    assert store.get_suffix("v1/a/b", 100).data == b"0123456789"


def test_a_put_replaces_the_object_and_changes_its_etag(store: LocalStore) -> None:
    first = store.put("a", b"one")
    second = store.put("a", b"two")
    assert first.etag != second.etag
    assert store.get("a", if_match=second.etag).data == b"two"
    with pytest.raises(ObjectChanged):
        store.get("a", if_match=first.etag)
    with pytest.raises(ObjectChanged):
        store.get_suffix("a", 1, if_match=first.etag)


def test_listing_and_put_tell_the_same_of_an_object(store: LocalStore) -> None:
    put = store.put("a/b", b"data")
    assert list(store.list("")) == [put]
    assert store.get("a/b").info == put
    assert abs(put.modified - store.now()) < 60


keys = st.lists(st.sampled_from(["a", "b", "a-b", "a.b", "ab"]), min_size=1, max_size=3).map("/".join)


@given(st.sets(keys), st.sampled_from(["", "a", "a/", "a-", "a/b/", "zz"]), keys)
def test_listing_is_in_key_order_from_any_prefix_and_after_any_key(
    tmp_path_factory: pytest.TempPathFactory, wanted: set[str], prefix: str, after: str
) -> None:
    store = LocalStore(tmp_path_factory.mktemp("store"))
    put = {key for key in wanted if not any(other.startswith(f"{key}/") for other in wanted)}
    for key in put:
        store.put(key, b"")
    assert [info.key for info in store.list(prefix)] == sorted(key for key in put if key.startswith(prefix))
    later = [info.key for info in store.list(prefix, after=after)]
    assert later == sorted(key for key in put if key.startswith(prefix) and key > after)


def test_folders_are_named_without_what_a_put_leaves_behind(store: LocalStore, tmp_path: Path) -> None:
    store.put("v1/b/x", b"")
    store.put("v1/a/x", b"")
    store.put("v1/file", b"")
    (tmp_path / "store" / ".incoming" / "torn").write_bytes(b"half")
    assert list(store.list_folders("v1/")) == ["a", "b"]
    assert list(store.list_folders("")) == ["v1"]
    assert [info.key for info in store.list("")] == ["v1/a/x", "v1/b/x", "v1/file"]


def test_deleting_is_fine_with_missing_objects_and_leaves_no_empty_folder(store: LocalStore) -> None:
    store.put("v1/a/x", b"")
    store.put("v1/b/x", b"")
    store.delete(["v1/a/x", "v1/a/y", "v2/z"])
    assert list(store.list_folders("v1/")) == ["b"]
    with pytest.raises(ObjectMissing):
        store.get("v1/a/x")


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/.", ".incoming/x", "a\0b", "\udc80"]
)
def test_a_key_that_would_leave_the_folder_is_refused(store: LocalStore, key: str) -> None:
    with pytest.raises(NameInvalid):
        store.put(key, b"")
    with pytest.raises(NameInvalid):
        store.get(key)
    with pytest.raises(NameInvalid):
        store.delete([key])


def test_a_link_out_of_the_folder_is_not_followed(store: LocalStore, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "store" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "store" / "folder").symlink_to(tmp_path)
    assert list(store.list("")) == []
    assert list(store.list_folders("")) == []
    with pytest.raises(TransientStoreError):
        store.get("link")


def test_a_missing_folder_is_named_and_not_made(tmp_path: Path) -> None:
    store = open_store((tmp_path / "none").as_uri())
    for act in (lambda: store.put("a", b""), lambda: store.get("a"), lambda: list(store.list(""))):
        with pytest.raises(StoreMisconfigured, match=r"none.*create it"):
            act()
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    "url", ["", "/var/lib", "s3://bucket", "file://host/path", "file:relative", "file:///a?b=c", "file://[a"]
)
def test_a_url_that_names_no_known_store_is_told(url: str) -> None:
    with pytest.raises(StoreMisconfigured):
        open_store(url)


def test_a_url_may_carry_escaped_letters(tmp_path: Path) -> None:
    (tmp_path / "my store").mkdir()
    open_store((tmp_path / "my store").as_uri()).put("a", b"")
    assert (tmp_path / "my store" / "a").exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.ESTALE])
def test_a_full_or_failing_disk_is_worth_another_try_and_changes_nothing(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: int
) -> None:
    store.put("a", b"old")

    def fsync(_: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", fsync)
        with pytest.raises(TransientStoreError) as caught:
            store.put("a", b"new")
    assert not caught.value.effect_unknown
    assert store.get("a").data == b"old"
    assert list((tmp_path / "store" / ".incoming").iterdir()) == []


@pytest.fixture
def as_nobody() -> Iterator[Path]:
    """A folder of one's own, outside of root's; root may write everywhere, so it is given up meanwhile."""
    root = os.geteuid() == 0
    with tempfile.TemporaryDirectory() as name:
        if root:
            os.chown(name, NOBODY, NOBODY)
            os.seteuid(NOBODY)
        try:
            yield Path(name)
        finally:
            if root:
                os.seteuid(0)


def test_a_folder_without_write_permission_is_a_refusal(as_nobody: Path) -> None:
    store = LocalStore(as_nobody)
    store.put("a", b"old")
    (as_nobody / ".incoming").rmdir()
    as_nobody.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(StoreRefused, match="give this process the right"):
        store.put("a", b"new")
    assert store.get("a").data == b"old"


def test_a_read_only_file_system_is_a_refusal(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def fsync(_: int) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(StoreRefused):
        store.put("a", b"")


def test_a_rename_that_fails_may_have_taken_effect(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rename(*_: object) -> None:
        raise OSError(errno.ETIMEDOUT, os.strerror(errno.ETIMEDOUT))

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(TransientStoreError) as caught:
        store.put("a", b"")
    assert caught.value.effect_unknown


def test_what_killed_writers_left_is_swept_after_an_hour(store: LocalStore, tmp_path: Path) -> None:
    incoming = tmp_path / "store" / ".incoming"
    incoming.mkdir()
    for name, age in (("old", 7200), ("young", 60)):
        (incoming / name).write_bytes(b"half")
        os.utime(incoming / name, (store.now() - age,) * 2)
    store.put("a", b"")
    assert [path.name for path in incoming.iterdir()] == ["young"]
