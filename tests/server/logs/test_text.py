"""The bytes on their way out: colour codes go, and the last lines begin where Ray says they begin."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.logs.text import ColourFilter, last_lines_start

COLOUR = re.compile(rb"\x1b\[[(0-9;]+m")


@settings(max_examples=200, deadline=None)
@given(
    text=st.lists(
        st.sampled_from([b"\x1b", b"[", b"31", b";", b"m", b"a", b"\n", b"\x1b[0m", b"("]), max_size=40
    ),
    data=st.data(),
)
def test_colour_codes_go_wherever_the_pieces_are_cut(text: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(text)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=6)))
    colours = ColourFilter()
    pieces = [
        colours.feed(whole[begin:end]) for begin, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)
    ]
    assert b"".join([*pieces, colours.finish()]) == COLOUR.sub(b"", whole)


def tail_of(text: bytes, lines: int, size: int) -> bytes:
    backwards = ((max(0, end - size), text[max(0, end - size) : end]) for end in range(len(text), 0, -size))
    return text[last_lines_start(backwards, lines, 0, len(text)) :]


@pytest.mark.parametrize(
    ("text", "lines", "expected"),
    [
        (b"a\nb\nc\n", 1, b"c\n"),
        (b"a\nb\nc\n", 2, b"b\nc\n"),
        (b"a\nb\nc", 1, b"c"),
        (b"a\nb\nc", 2, b"b\nc"),
        (b"a\nb\n", 9, b"a\nb\n"),
        (b"\n\n\n", 2, b"\n\n"),
        (b"", 3, b""),
    ],
)
@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_the_last_lines_are_counted_as_ray_counts_them(
    text: bytes, lines: int, expected: bytes, size: int
) -> None:
    assert tail_of(text, lines, size) == expected


@settings(max_examples=100, deadline=None)
@given(
    text=st.lists(st.sampled_from([b"a", b"\n", b" "]), max_size=200).map(b"".join),
    lines=st.integers(1, 12),
    size=st.integers(1, 64),
)
def test_the_last_lines_do_not_depend_on_how_the_log_was_cut(text: bytes, lines: int, size: int) -> None:
    assert tail_of(text, lines, size) == b"".join(text.splitlines(keepends=True)[-lines:])
