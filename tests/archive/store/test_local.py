import errno
import os
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.errors import (
    NameInvalid,
    StoreMisconfigured,
    StoreRefused,
    TransientStoreError,
)
from archive.store import open_store
from archive.store.local import LocalStore

NOBODY = 65534


def test_folders_are_named_without_what_a_put_leaves_behind(store: LocalStore, tmp_path: Path) -> None:
    store.put("v1/b/x", b"")
    store.put("v1/a/x", b"")
    store.put("v1/file", b"")
    (tmp_path / "store" / ".incoming" / "torn").write_bytes(b"half")
    assert list(store.list_folders("v1/")) == ["a", "b"]
    assert list(store.list_folders("")) == ["v1"]
    assert [info.key for info in store.list("")] == ["v1/a/x", "v1/b/x", "v1/file"]


def test_deleting_leaves_no_empty_folder(store: LocalStore, tmp_path: Path) -> None:
    store.put("v1/a/b/x", b"")
    store.put("v1/c/x", b"")
    store.delete(["v1/a/b/x"])
    assert sorted(path.name for path in (tmp_path / "store" / "v1").iterdir()) == ["c"]


def test_what_is_on_its_way_in_has_no_key(store: LocalStore) -> None:
    for use in (store.get, lambda key: store.put(key, b""), lambda key: store.delete([key])):
        with pytest.raises(NameInvalid):
            use(".incoming/x")


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
