from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from historyserver.canary.ledger import Ledger, Verdict


@pytest.fixture
def ledger() -> Ledger:
    """Ten were sent, one a second."""
    ledger = Ledger(late_after=15)
    for number in range(1, 11):
        ledger.sent(number, float(number))
    return ledger


def find(ledger: Ledger, *numbers: int, at: float = 12.0, before: int | None = 0, marked: int = 0) -> None:
    """Found one behind the other in one place; a gap is marked before `marked`."""
    for number in numbers:
        ledger.found(number, before=before, marked=number == marked, sent_at=float(number), at=at)
        before = max(before or 0, number)


def figures(verdict: Verdict) -> dict[str, int]:
    return {name: value for name, value in asdict(verdict).items() if value}


def test_all_is_well(ledger: Ledger) -> None:
    find(ledger, *range(1, 11))
    assert ledger.settled
    assert figures(ledger.verdict(1000.0, final=True)) == {"sent": 10, "seen": 10}
    assert ledger.verdict(1000.0, final=True).bad == 0


def test_what_is_passed_over_is_missing_at_once(ledger: Ledger) -> None:
    find(ledger, 1, 2, 5)
    assert figures(ledger.verdict(12.0)) == {"sent": 10, "seen": 3, "missing": 2}
    find(ledger, 6, 7, 8, 9, 10, before=5)
    assert ledger.settled
    assert figures(ledger.verdict(12.0, final=True)) == {"sent": 10, "seen": 8, "missing": 2}


def test_what_was_passed_over_is_missing_no_more_when_another_place_has_it(ledger: Ledger) -> None:
    find(ledger, 1, 2, 5)
    find(ledger, 3, 4, before=None)
    assert figures(ledger.verdict(12.0)) == {"sent": 10, "seen": 5}


def test_what_never_comes_is_missing_in_the_end_only(ledger: Ledger) -> None:
    find(ledger, *range(1, 8))
    assert not ledger.settled
    assert figures(ledger.verdict(12.0)) == {"sent": 10, "seen": 7}
    assert figures(ledger.verdict(12.0, final=True)) == {"sent": 10, "seen": 7, "missing": 3}
    assert ledger.verdict(12.0, final=True).bad == 3


def test_what_a_mark_tells_of_is_told(ledger: Ledger) -> None:
    find(ledger, 1, 2, 5, 6, 7, 8, 9, 10, marked=5)
    assert figures(ledger.verdict(12.0, final=True)) == {"sent": 10, "seen": 8, "told": 2}
    assert ledger.settled


def test_a_mark_where_a_place_begins_tells_of_what_came_before(ledger: Ledger) -> None:
    find(ledger, 1, 2, 3)
    find(ledger, 6, 7, 8, 9, 10, before=None, marked=6)
    assert figures(ledger.verdict(12.0, final=True)) == {"sent": 10, "seen": 8, "told": 2}


def test_without_a_mark_the_beginning_of_a_place_says_nothing(ledger: Ledger) -> None:
    find(ledger, 6, 7, 8, 9, 10, before=None)
    assert figures(ledger.verdict(12.0)) == {"sent": 10, "seen": 5}
    find(ledger, 1, 2, 3, 4, 5, before=None)
    assert figures(ledger.verdict(12.0, final=True)) == {"sent": 10, "seen": 10}


def test_what_was_told_and_comes_after_all_is_seen(ledger: Ledger) -> None:
    find(ledger, 1, 2, 5, marked=5)
    find(ledger, 3, 4, before=None)
    assert figures(ledger.verdict(12.0)) == {"sent": 10, "seen": 5}


def test_what_the_collector_counted_is_told_up_to_its_count(ledger: Ledger) -> None:
    find(ledger, 1, 2, 6, 7, 8, 9, 10)
    ledger.lost(2)
    assert figures(ledger.verdict(12.0, final=True)) == {"sent": 10, "seen": 7, "told": 2, "missing": 1}
    ledger.lost(1)  # of an older look
    ledger.lost(5)
    assert figures(ledger.verdict(12.0, final=True)) == {"sent": 10, "seen": 7, "told": 3}


def test_what_comes_again_in_its_place_is_doubled(ledger: Ledger) -> None:
    find(ledger, 1, 2, 3, 2, 3, 4, 4, 4, 5, 6, 7, 8, 9, 10)
    assert figures(ledger.verdict(12.0, final=True)) == {"sent": 10, "seen": 10, "doubled": 3}


def test_what_comes_again_elsewhere_is_repeated(ledger: Ledger) -> None:
    find(ledger, *range(1, 11))
    find(ledger, 9, 10, before=None)
    assert figures(ledger.verdict(12.0, final=True)) == {"sent": 10, "seen": 10, "repeated": 2}
    assert ledger.verdict(12.0, final=True).bad == 0


def test_what_was_sent_twice_may_be_there_twice_and_not_three_times(ledger: Ledger) -> None:
    ledger.tried(4)
    find(ledger, 1, 2, 3, 4, 4, 5, 6, 7, 8, 9, 10)
    assert figures(ledger.verdict(12.0, final=True)) == {"sent": 10, "seen": 10, "repeated": 1}
    find(ledger, 4, before=10)
    assert figures(ledger.verdict(12.0, final=True)) == {"sent": 10, "seen": 10, "repeated": 1, "doubled": 1}


def test_what_comes_behind_a_later_one_is_out_of_order(ledger: Ledger) -> None:
    find(ledger, 1, 2, 4, 3, 5, 6, 7, 8, 9, 10)
    assert figures(ledger.verdict(12.0, final=True)) == {"sent": 10, "seen": 10, "out_of_order": 1}


def test_wrong_bytes_are_counted(ledger: Ledger) -> None:
    find(ledger, *range(1, 11))
    ledger.wrong()
    assert figures(ledger.verdict(12.0, final=True)) == {"sent": 10, "seen": 10, "wrong": 1}
    assert ledger.verdict(12.0, final=True).bad == 1


def test_what_takes_too_long_is_overdue_then_late(ledger: Ledger) -> None:
    find(ledger, 1, 2, at=12.0)
    assert figures(ledger.verdict(17.9)) == {"sent": 10, "seen": 2}
    assert figures(ledger.verdict(18.5)) == {"sent": 10, "seen": 2, "overdue": 1}
    assert figures(ledger.verdict(100.0)) == {"sent": 10, "seen": 2, "overdue": 8}
    find(ledger, *range(3, 11), before=2, at=20.0)
    assert figures(ledger.verdict(100.0, final=True)) == {"sent": 10, "seen": 10, "late": 2}
    assert ledger.slowest == 17.0
    assert ledger.verdict(100.0, final=True).bad == 0


def test_what_the_collector_has_though_it_never_said_so_is_no_loss_when_it_is_not_there() -> None:
    ledger = Ledger(late_after=15)
    ledger.sent(1, 1.0)
    ledger.tried(2)
    assert figures(ledger.verdict(100.0, final=True)) == {"sent": 1, "missing": 1}
    find(ledger, 1, 2)
    assert figures(ledger.verdict(100.0, final=True)) == {"sent": 1, "seen": 2}


def test_weeks_take_little_memory() -> None:
    ledger = Ledger(late_after=15)
    before = 0
    for number in range(1, 100_001):
        ledger.sent(number, number / 10)
        ledger.tried(number)
        if number % 1000 == 0:
            find(ledger, *range(before + 1, number + 1), before=before, at=number / 10)
            before = number
            ledger.verdict(number / 10)
    assert len(ledger._times) <= 1
    assert len(ledger._again) <= 10_000
    assert len(list(ledger._seen.ranges())) == 1


@given(st.lists(st.sampled_from(["keep", "lose", "double"]), min_size=1, max_size=40))
def test_every_fate_is_counted_once(fates: list[str]) -> None:
    ledger = Ledger(late_after=1000)
    found: list[int] = []
    for number, fate in enumerate([*fates, "keep"], 1):
        ledger.sent(number, 0.0)
        found += [number] * {"keep": 1, "lose": 0, "double": 2}[fate]
    find(ledger, *found)
    verdict = ledger.verdict(0.0, final=True)
    assert (verdict.missing, verdict.doubled) == (fates.count("lose"), fates.count("double"))
    assert verdict.seen + verdict.missing == verdict.sent


def test_verdicts_of_several_runs_add_up() -> None:
    assert Verdict(sent=2, seen=1, missing=1) + Verdict(sent=3, seen=3, late=1) == Verdict(
        sent=5, seen=4, missing=1, late=1
    )
