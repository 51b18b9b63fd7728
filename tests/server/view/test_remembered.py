from hypothesis import given
from hypothesis import strategies as st

from server.view.remembered import SHARE, Remembered

LIMIT = 800


def test_an_answer_is_given_again_until_it_is_forgotten() -> None:
    remembered = Remembered(LIMIT)
    assert remembered.get("/api/jobs/?") is None
    remembered.put("/api/jobs/?", b"[]")
    assert remembered.get("/api/jobs/?") == b"[]"
    remembered.clear()
    assert remembered.get("/api/jobs/?") is None


def test_what_was_asked_for_longest_ago_makes_room() -> None:
    remembered = Remembered(LIMIT)
    for number in range(8):
        remembered.put(str(number), bytes(LIMIT // SHARE - 1))
    assert remembered.get("0") is not None
    remembered.put("new", b"an answer")
    assert remembered.get("1") is None
    assert remembered.get("0") is not None


def test_an_answer_that_would_take_too_much_room_is_not_kept() -> None:
    remembered = Remembered(LIMIT)
    remembered.put("large", bytes(LIMIT // SHARE + 1))
    assert remembered.get("large") is None


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 100))))
def test_the_room_is_never_exceeded(puts: list[tuple[int, int]]) -> None:
    remembered = Remembered(LIMIT)
    for question, size in puts:
        remembered.put(str(question), bytes(size))
    kept = [answer for question in range(31) if (answer := remembered.get(str(question))) is not None]
    assert sum(map(len, kept)) <= LIMIT
