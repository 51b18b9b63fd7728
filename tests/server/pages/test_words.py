"""Times and amounts in words."""

import pytest

from server.pages.words import ago, duration, roughly


@pytest.mark.parametrize(
    ("ms", "whole", "rough"),
    [
        (0, "0 s", "0 s"),
        (999, "0 s", "0 s"),
        (68_000, "1 min 8 s", "1 min"),
        (90_000_000, "1 d 1 h", "1 d"),
        (3_600_000, "1 h 0 min", "1 h"),
        (None, "unknown", "unknown"),
    ],
)
def test_a_length_of_time_is_told_in_two_units_or_roughly_in_one(
    ms: int | None, whole: str, rough: str
) -> None:
    assert (duration(ms), roughly(ms)) == (whole, rough)


@pytest.mark.parametrize(
    ("ms", "words"), [(94_000, "1 min ago"), (999, "just now"), (-5_000, "just now"), (7_200_000, "2 h ago")]
)
def test_how_long_ago_something_was_is_told_in_one_unit(ms: int, words: str) -> None:
    now_ms = 1_795_402_103_000
    assert ago(now_ms - ms, now_ms) == words
