"""What of a masked log's bytes is taken."""

from hypothesis import given
from hypothesis import strategies as st

from sidecar.tail.lines import cut

LIMIT = 40
LINES = st.lists(st.text("ab ", max_size=60).map(str.encode), max_size=12).map(b"\n".join)


def test_only_whole_lines_are_taken() -> None:
    assert cut(b"one\ntwo\nthr", before=b"", limit=LIMIT, allowance=100, closing=False).data == b"one\ntwo\n"
    assert cut(b"thr", before=b"\n", limit=LIMIT, allowance=100, closing=False).data == b""
    assert cut(b"thr", before=b"\n", limit=LIMIT, allowance=100, closing=True).data == b"thr"


def test_the_rest_of_a_line_that_was_begun_is_blanked() -> None:
    taken = cut(b"secret\nopen\n", before=b"x", limit=LIMIT, allowance=100, closing=False)
    assert taken.data == b"******\n"
    assert taken.blanked == 6


def test_a_value_is_masked_whole() -> None:
    line = b"env_vars={'KEY': 'secret'} and more\n"
    for allowance in range(len(line)):
        assert cut(line, before=b"", limit=LIMIT, allowance=allowance, closing=True).data == b""
    taken = cut(line, before=b"", limit=LIMIT, allowance=len(line), closing=False)
    assert taken.data == b"env_vars={'KEY': '******'} and more\n"


@given(text=LINES, allowance=st.integers(1, 100))
def test_every_byte_is_taken_once_as_itself_or_blank(text: bytes, allowance: int) -> None:
    kept = b""
    while len(kept) < len(text):
        before = text[len(kept) - 1 : len(kept)] if kept else b""
        data = text[len(kept) : len(kept) + LIMIT]
        closing = len(data) < LIMIT
        taken = cut(data, before=before, limit=LIMIT, allowance=max(allowance, LIMIT), closing=closing)
        assert taken.data
        kept += taken.data
    assert len(kept) == len(text)
    assert all(mine in (theirs, ord("*")) for mine, theirs in zip(kept, text, strict=True))
    assert kept.count(b"\n") == text.count(b"\n")
