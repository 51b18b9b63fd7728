"""Lines survive any cut."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from server.fold.lines import Fragment, LineStream, joined, numbered, settled

STREAM = b"".join(b"line %d %s\n" % (number, b"x" * (number % 7)) for number in range(12))
EXPECTED = list(numbered(0, STREAM))

CUTS = st.lists(st.integers(0, len(STREAM)), max_size=8)


@settings(max_examples=60, deadline=None)
@given(CUTS, st.sets(st.integers(1, 8)))
def test_any_cut_into_pieces_and_runs_gives_every_line_once(cuts: list[int], new_runs: set[int]) -> None:
    places = sorted({0, len(STREAM), *cuts})
    pieces = [(begin, STREAM[begin:end]) for begin, end in pairwise(places)]
    found: list[tuple[int, bytes]] = []
    fragments: list[Fragment] = []
    stream = LineStream()
    for number, (start, data) in enumerate(pieces):
        if number in new_runs:
            fragments += stream.fragments()
            stream = LineStream()
        at, lines = stream.feed(start, data)
        found += numbered(at, lines)
    fragments += stream.fragments()
    for chain in joined(fragments):
        whole, rest = settled(chain)
        found += numbered(whole.start, whole.data)
        assert not rest.data
    assert sorted(found) == EXPECTED


def test_bytes_that_come_again_change_nothing() -> None:
    stream = LineStream()
    assert stream.feed(0, b"one\ntw") == (0, b"one\n")
    assert stream.feed(0, b"one\n") == (0, b"")
    assert stream.feed(2, b"e\ntwo\nth") == (4, b"two\n")
    assert stream.fragments() == [Fragment(8, b"th", begins=True)]


def test_a_gap_leaves_both_halves_over() -> None:
    stream = LineStream()
    stream.feed(0, b"one\ntw")
    assert stream.feed(10, b"alf\nfour\n") == (14, b"four\n")
    halves = [Fragment(4, b"tw", begins=True), Fragment(10, b"alf\n", begins=False)]
    assert stream.fragments() == [*halves, Fragment(19, b"", begins=True)]
    assert [chain.start for chain in joined(stream.fragments())] == [4, 10, 19]
