from collections.abc import Iterator
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from historyserver.canary.message import Kind, Message, parse
from historyserver.canary.trail import Found, Trail


def line(number: int) -> bytes:
    return Message("0123abcd", Kind.LINES, number, 0).text.encode() + b"\n"


def read(text: bytes) -> Message | bool:
    if text.startswith(b"other"):
        return True
    return parse(text.decode()) or False


@pytest.fixture
def trail() -> Trail:
    return Trail(read, whole=False)


def told(found: list[Found]) -> list[tuple[int | None, int | None]]:
    return [(each.message.number if each.message else None, each.before) for each in found]


def look(trail: Trail, data: bytes, *pieces: tuple[int, int]) -> list[tuple[int | None, int | None]]:
    """As the reading does: again and again, as long as there is something new."""
    found: list[Found] = []
    looked_at = -1
    while trail.looked_at > looked_at:
        looked_at = trail.looked_at
        for start, stop in list(trail.unread(pieces)):
            found += trail.take(start, [data[start:stop]])
    return told(found)


def test_lines_are_found_one_behind_the_other_over_many_looks(trail: Trail) -> None:
    data = b"".join(map(line, range(1, 6)))
    half = len(line(1) + line(2)) + 10
    assert look(trail, data, (0, half)) == [(1, None), (2, 1)]
    assert look(trail, data, (0, half)) == []
    assert look(trail, data, (0, len(data))) == [(3, 2), (4, 3), (5, 4)]
    assert look(trail, data, (half, len(data))) == []


def test_what_lies_in_a_hole_is_found_once_it_is_filled(trail: Trail) -> None:
    data = b"".join(map(line, range(1, 8)))
    first, third = len(line(1)), len(line(1) + line(2) + line(3))
    assert look(trail, data, (0, first), (third, len(data))) == [(1, None), (4, None), (5, 4), (6, 5), (7, 6)]
    assert look(trail, data, (0, len(data))) == [(2, 1), (3, 2)]


def test_a_line_that_a_hole_cut_is_found_once_it_is_whole(trail: Trail) -> None:
    data = b"".join(map(line, range(1, 8)))
    begin, end = len(line(1)) + 20, len(line(1) + line(2) + line(3)) + 30
    assert look(trail, data, (0, begin), (end, len(data))) == [(1, None), (5, None), (6, 5), (7, 6)]
    assert look(trail, data, (0, len(data))) == [(2, 1), (3, 2), (4, 3)]


@given(st.lists(st.integers(0, 900), max_size=8), st.randoms())
def test_every_line_is_found_once_however_the_bytes_come(cuts: list[int], chance: Random) -> None:
    data = b"".join(line(number) if number % 3 else b"other\n" for number in range(1, 11))
    places = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    pieces = list(pairwise(places))
    chance.shuffle(pieces)
    trail, found = Trail(read, whole=False), []
    for count in range(1, len(pieces) + 1):
        found += look(trail, data, *pieces[:count])
    assert sorted(number for number, _ in found if number) == [n for n in range(1, 11) if n % 3]


def test_wrong_bytes_are_found(trail: Trail) -> None:
    data = line(1) + line(2).replace(b"canary", b"canory") + line(3)
    assert look(trail, data, (0, len(data))) == [(1, None), (None, None), (3, 1)]


def test_where_every_piece_begins_with_a_line_a_wrong_first_one_is_found() -> None:
    trail = Trail(read, whole=True)
    data = line(1) + b"nonsense\n" + line(3)
    assert look(trail, data, (len(line(1)), len(data))) == [(None, None), (3, None)]
    assert trail.has(len(line(1)), len(data))


def test_the_greatest_number_before_is_told(trail: Trail) -> None:
    data = b"".join(map(line, (1, 2, 3, 2, 3, 4)))
    assert look(trail, data, (0, len(data))) == [(1, None), (2, 1), (3, 2), (2, 3), (3, 3), (4, 3)]


def test_the_rest_of_a_line_behind_what_cannot_be_read_is_not_wrong() -> None:
    data = b"".join(map(line, (1, 2, 3)))
    for whole in (False, True):
        trail = Trail(read, whole=whole)
        trail.skip(0, len(line(1)) + 20)
        assert look(trail, data, (0, len(data))) == [(3, None)]


def test_a_mark_counts_between_the_lines_around_it(trail: Trail) -> None:
    data = b"".join(map(line, range(1, 5)))
    trail.marked.add(len(line(1)))
    found = trail.take(0, [data])
    assert [each.marked for each in found] == [False, True, False, False]


def test_a_mark_counts_though_what_is_behind_it_comes_later(trail: Trail) -> None:
    data = b"".join(map(line, range(1, 4)))
    first = len(line(1))
    trail.take(0, [data[:first]])
    trail.marked.add(first)
    assert [each.marked for each in trail.take(first, [data[first:]])] == [True, False]


def test_a_read_that_breaks_changes_nothing(trail: Trail) -> None:
    data = line(1) + line(2)

    def broken() -> Iterator[bytes]:
        yield data[:100]
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        trail.take(0, broken())
    assert look(trail, data, (0, len(data))) == [(1, None), (2, 1)]


def test_much_is_looked_at_bit_by_bit(trail: Trail, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("historyserver.canary.trail._AT_ONCE", 200)
    data = b"".join(map(line, range(1, 20)))
    assert look(trail, data, (0, len(data))) == [(n, n - 1 or None) for n in range(1, 20)]


def test_what_cannot_be_read_is_passed_by(trail: Trail) -> None:
    data = b"".join(map(line, range(1, 4)))
    first, second = len(line(1)), len(line(1) + line(2))
    look(trail, data, (0, first))
    trail.skip(first, second)
    assert look(trail, data, (0, len(data))) == [(3, None)]
    assert trail.has(0, len(data))
