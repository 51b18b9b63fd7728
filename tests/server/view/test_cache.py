"""The disk cache keeps what is used and forgets the rest."""

import os
from pathlib import Path

import pytest

from server.view.cache import Cache


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path, 250)


def test_the_longest_unused_file_goes_first_and_leased_ones_stay(cache: Cache) -> None:
    old, leased, new = (cache.add(bytes([number]) * 100) for number in range(3))
    for age, digest in enumerate((new, leased, old)):
        os.utime(cache.path(digest), (1_000_000 - age, 1_000_000 - age))
    assert cache.path(old).exists()
    cache.release([old])
    assert not cache.path(old).exists()
    cache.release([leased, new])
    assert cache.path(leased).exists()
    assert cache.path(new).exists()


def test_a_lease_ends_when_it_is_released_as_often_as_taken(cache: Cache) -> None:
    digest = cache.add(b"x" * 300)
    assert cache.lease(digest) is not None
    cache.release([digest])
    assert cache.path(digest).exists()
    cache.release([digest])
    assert not cache.path(digest).exists()
    assert cache.lease(digest) is None


def test_what_a_crash_left_half_written_is_removed_at_start(cache: Cache, tmp_path: Path) -> None:
    kept = cache.add(b"whole")
    (cache.working_folder() / "half.parquet").write_bytes(b"ha")
    again = Cache(tmp_path, 250)
    assert list((tmp_path / "working").iterdir()) == []
    assert again.lease(kept) is not None


def test_a_file_that_is_not_what_it_is_called_is_not_given(cache: Cache, tmp_path: Path) -> None:
    digest = cache.add(b"whole")
    cache.path(digest).write_bytes(b"whol")
    assert Cache(tmp_path, 250).lease(digest) is None
