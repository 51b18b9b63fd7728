from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from historyserver.canary.numbers import Numbers

spans = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 8)), max_size=12)


def made(given: list[tuple[int, int]]) -> tuple[Numbers, set[int]]:
    numbers, plain = Numbers(), set[int]()
    for start, length in given:
        numbers.add(start, start + length)
        plain |= set(range(start, start + length))
    return numbers, plain


@given(spans, st.integers(0, 50), st.integers(0, 50))
def test_it_is_a_set(given: list[tuple[int, int]], start: int, stop: int) -> None:
    numbers, plain = made(given)
    assert len(numbers) == len(plain)
    assert [number for number in range(60) if number in numbers] == sorted(plain)
    absent = [number for span in numbers.absent(start, stop) for number in range(*span)]
    assert absent == [number for number in range(start, stop) if number not in plain]


@given(spans, spans, spans)
def test_it_is_diminished_as_a_set_is(
    first: list[tuple[int, int]], second: list[tuple[int, int]], third: list[tuple[int, int]]
) -> None:
    numbers, plain = made(first)
    left = numbers.without(made(second)[0], made(third)[0])
    assert {number for span in left.ranges() for number in range(*span)} == (
        plain - made(second)[1] - made(third)[1]
    )


@given(spans)
def test_ranges_are_apart_and_in_order(given: list[tuple[int, int]]) -> None:
    ranges = list(made(given)[0].ranges())
    assert all(start < stop for start, stop in ranges)
    assert all(before[1] < after[0] for before, after in pairwise(ranges))


def test_a_million_in_a_row_are_one_range() -> None:
    numbers = Numbers()
    for number in range(0, 1_000_000, 1000):
        numbers.add(number, number + 1000)
    assert list(numbers.ranges()) == [(0, 1_000_000)]
    assert 999_999 in numbers
    assert 1_000_000 not in numbers
