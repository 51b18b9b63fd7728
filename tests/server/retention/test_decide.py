"""Which sessions are old enough: by the store's clock, from their end, never one that lives."""

import pytest

from archive.layout import SessionKey
from archive.store.base import ObjectInfo
from server.retention.decide import Amount, Stored, age_of, alive, amount_of, old_enough

KEY = SessionKey("team", "trainer", "session_2026-11-23_02-43-27_490622_12278")
DAY = 86_400.0
NOW = 1_800_000_000.0


def stored(
    *, catalog: float | None = None, segments: float | None = None, views: float | None = None
) -> Stored:
    """A session whose newest objects were put so many days ago; None: it has none."""

    def amount(days: float | None) -> Amount:
        return Amount() if days is None else Amount(1, 10, NOW - days * DAY)

    return Stored(KEY, amount(catalog), amount(segments), amount(views))


@pytest.mark.parametrize(
    ("found", "goes"),
    [
        (stored(catalog=31, segments=31, views=31), True),
        (stored(catalog=31, segments=31, views=1), True),
        (stored(catalog=29, segments=60), False),
        (stored(catalog=60, segments=29), False),
        (stored(catalog=60, segments=0.001), False),
        (stored(segments=31), True),
        (stored(segments=29), False),
        (stored(catalog=31), True),
        (stored(views=0.03), False),
        (stored(views=0.05), True),
        (stored(), False),
    ],
    ids=[
        "long over",
        "long over, and its view made anew",
        "the catalog heard of it lately",
        "a node put a segment lately",
        "its nodes still put segments, whatever the catalog says",
        "left of a removal that was killed",
        "segments without an entry, but young",
        "an entry alone",
        "a view alone that somebody puts to",
        "a view alone",
        "nothing",
    ],
)
def test_a_session_goes_when_its_end_is_old_enough(found: Stored, *, goes: bool) -> None:
    assert old_enough(found, NOW, 30 * DAY) is goes


def test_a_session_of_which_something_was_put_just_now_may_run() -> None:
    assert alive(stored(catalog=60, segments=0.001), NOW, 180)
    assert not alive(stored(catalog=60, segments=0.01), NOW, 180)
    assert not alive(stored(views=0), NOW, 180)


def test_amounts_add_up_and_the_newest_counts() -> None:
    infos = [ObjectInfo("a", 3, "1", 7.0), ObjectInfo("b", 4, "2", 5.0)]
    assert amount_of(infos) + amount_of([]) == Amount(2, 7, 7.0)


@pytest.mark.parametrize(
    ("text", "seconds"), [("30d", 30 * DAY), ("12h", DAY / 2), (" 8w ", 56 * DAY), ("1h", 3600)]
)
def test_an_age_has_a_unit(text: str, seconds: float) -> None:
    assert age_of(text) == seconds


@pytest.mark.parametrize(
    "text", ["30", "0d", "-1d", "", "d", "1.5d", "30 days", "59m", "0h", "99999999d", "999999w", "٣d"]
)
def test_an_age_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"hours, days or weeks|at least|more than"):
        age_of(text)
