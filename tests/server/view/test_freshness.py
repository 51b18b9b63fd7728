"""Which session is brought up to date next."""

import pytest

from archive.layout import SessionKey
from server.view.freshness import Known, due, fresh, given, most_urgent, settled
from server.view.view import SessionFacts

NOW = 10_000.0


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        (Known(), True),
        (Known(asked=NOW - 1, checked=NOW - 11), True),
        (Known(asked=NOW - 1, checked=NOW - 9), False),
        (Known(asked=NOW - 1, checked=NOW - 30, cost=5.0), False),
        (Known(asked=NOW - 1, checked=NOW - 51, cost=5.0), True),
        (Known(asked=NOW - 600, checked=NOW - 60), False),
        (Known(checked=NOW - 301), True),
        (Known(asked=NOW - 1, checked=NOW - 1000, settled=True), False),
    ],
)
def test_a_view_is_refreshed_when_it_is_older_than_its_use_and_cost_allow(
    known: Known, expected: bool
) -> None:
    assert (due(known, NOW) is not None) == expected


def test_nobody_waits_for_the_refresh_of_a_view_that_is_not_old() -> None:
    views = [Known(asked=NOW - age, checked=NOW - age) for age in (9, 11, 29, 31)]
    assert [fresh(known, NOW) for known in views] == [True, False, False, False]
    assert [given(known, NOW) for known in views] == [True, True, True, False]


def test_sessions_that_somebody_looks_at_come_before_running_ones_and_those_before_new_ones() -> None:
    new, running, looked_at = (SessionKey("n", "c", name) for name in ("new", "running", "looked-at"))
    known = {
        new: Known(),
        running: Known(checked=NOW - 400),
        looked_at: Known(asked=NOW - 3, checked=NOW - 12),
    }
    order = []
    while (key := most_urgent(known.items(), NOW)) is not None:
        order.append(key)
        known[key] = Known(known[key].asked, NOW)
    assert order == [looked_at, running, new]


@pytest.mark.parametrize(
    ("state", "quiet_ms", "expected"),
    [("running", 10**9, False), ("ended", 1_000, False), ("ended", 61_000, True), ("lost", 61_000, False)],
)
def test_a_session_grows_no_more_some_time_after_its_end(state: str, quiet_ms: int, expected: bool) -> None:
    facts = SessionFacts(state, 0, 1_000_000, "", "", "", "")  # type: ignore[arg-type]  # any text, in tests
    assert settled(facts, 1_000_000 + quiet_ms) == expected
