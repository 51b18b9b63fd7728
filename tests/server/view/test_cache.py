"""The disk cache keeps what is used and forgets the rest."""

import os
from pathlib import Path

import pytest

from server.view.cache import Cache


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path, 250)


def kept(folder: Path) -> set[str]:
    return {path.stem for path in (folder / "parts").iterdir()}


def test_the_longest_unused_file_goes_first_and_leased_ones_stay(cache: Cache, tmp_path: Path) -> None:
    old, leased, new = (cache.add(bytes([number]) * 100) for number in range(3))
    for age, digest in enumerate((new, leased, old)):
        os.utime(cache.path(digest), (1_000_000 - age, 1_000_000 - age))
    assert kept(tmp_path) == {old, leased, new}
    cache.release([old])
    assert kept(tmp_path) == {leased, new}
    cache.release([leased, new])
    assert kept(tmp_path) == {leased, new}


def test_a_lease_ends_when_it_is_released_as_often_as_taken(cache: Cache) -> None:
    digest = cache.add(b"x" * 300)
    assert cache.lease(digest) is not None
    cache.release([digest])
    assert cache.path(digest).exists()
    cache.release([digest])
    assert not cache.path(digest).exists()
    assert cache.lease(digest) is None


def test_what_a_server_left_that_ended_is_removed_at_the_next_start(tmp_path: Path) -> None:
    ended = Cache(tmp_path, 250)
    whole = ended.add(b"whole")
    (ended.working_folder() / "half.parquet").write_bytes(b"ha")
    del ended  # and with it the lock, as when a process is killed
    again = Cache(tmp_path, 250)
    assert len(list((tmp_path / "working").iterdir())) == 1
    assert not list((tmp_path / "working").rglob("*.parquet"))
    assert again.lease(whole) is not None


def test_servers_that_share_a_folder_leave_each_other_alone(cache: Cache, tmp_path: Path) -> None:
    folder = cache.working_folder()
    mine = cache.add(b"m" * 200)
    other = Cache(tmp_path, 250)
    other.release([other.add(b"o" * 200)])
    assert mine not in kept(tmp_path), "it was not the oldest"
    assert cache.path(mine).read_bytes() == b"m" * 200
    assert folder.is_dir()


def test_a_file_that_is_not_what_it_is_called_is_not_given(cache: Cache, tmp_path: Path) -> None:
    digest = cache.add(b"whole")
    cache.path(digest).write_bytes(b"whol")
    assert Cache(tmp_path, 250).lease(digest) is None
