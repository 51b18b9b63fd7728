"""What the chain says comes next, without a disk."""

from collections.abc import Sequence

from sidecar.tail.chain import QUIET, Chain, Note, Piece, RingFile
from sidecar.tail.folder import Identity, Seen


def ring(*files: tuple[int, int]) -> list[RingFile]:
    """Inodes with sizes, oldest first, the last one under the log's own name."""
    last = len(files) - 1
    return [
        RingFile(f"a.out.{last - place}" if place < last else "a.out", last - place, seen(*file))
        for place, file in enumerate(files)
    ]


def seen(inode: int, size: int) -> Seen:
    return Seen(Identity(1, inode), size, modified=size)


def inodes(chain: Chain) -> list[int]:
    return [piece.identity.inode for piece in chain.pieces]


def drain(chain: Chain, scan: int) -> Sequence[Note]:
    """Reads everything there is, as the reader does."""
    notes: list[Note] = []
    while True:
        notes += chain.advance(scan, final=False)
        head = chain.head
        if head is None or head.drained:
            return notes
        head.position, head.unverified = head.size, False


def test_what_is_there_first_is_read_oldest_first() -> None:
    chain = Chain()
    chain.see(ring((1, 5), (2, 5), (3, 5)), 1, held={})
    assert inodes(chain) == [1, 2, 3]


def test_files_older_than_the_one_being_read_are_not_read_again() -> None:
    chain = Chain()
    chain.see(ring((1, 5), (2, 5)), 1, held={})
    drain(chain, 1)
    chain.see(ring((1, 5), (2, 5)), 2, held={})
    drain(chain, 2)
    assert inodes(chain) == [2]
    chain.see(ring((1, 5), (2, 5), (3, 1)), 3, held={})
    assert inodes(chain) == [2, 3]


def test_an_inode_that_is_used_again_below_is_a_new_file() -> None:
    chain = Chain()
    chain.see(ring((1, 5), (2, 5)), 1, held={})
    drain(chain, 1)
    chain.see(ring((1, 5), (2, 5)), 2, held={})
    drain(chain, 2)
    chain.see(ring((2, 5), (1, 5)), 3, held={})
    assert inodes(chain) == [2, 1]


def test_a_file_that_left_the_ring_unread_is_a_note_where_it_was() -> None:
    chain = Chain()
    chain.see(ring((1, 5), (2, 7)), 1, held={})
    chain.see(ring((2, 7)), 2, held={})
    first = chain.items[0]
    assert isinstance(first, Note)
    assert (first.kind, first.size, first.lost) == ("gap", 5, "logs.deleted")
    assert inodes(chain) == [2]


def test_a_note_stays_until_the_next_is_asked_for() -> None:
    chain = Chain()
    chain.see(ring((1, 5)), 1, held={})
    chain.see([], 2, held={})
    notes = chain.advance(2, final=False)
    assert next(notes).size == 5
    notes.close()
    assert len(chain.items) == 1
    assert len(list(chain.advance(2, final=False))) == 1
    assert chain.idle


def test_a_deleted_file_is_let_go_when_it_was_quiet_for_long() -> None:
    chain = Chain()
    chain.see(ring((1, 5)), 1, held={})
    drain(chain, 1)
    held = {Identity(1, 1): seen(1, 5)}
    for scan in range(2, 2 + QUIET):
        chain.see([], scan, held=held)
        drain(chain, scan)
        assert not chain.idle
    chain.see([], 2 + QUIET, held=held)
    drain(chain, 2 + QUIET)
    assert not chain.items


def test_a_ring_of_which_nothing_is_known_any_more_may_have_lost_files() -> None:
    chain = Chain()
    chain.see(ring((1, 5)), 1, held={})
    drain(chain, 1)
    chain.see(ring((8, 1), (9, 1)), 2, held={Identity(1, 1): seen(1, 6)})
    assert inodes(chain) == [1, 8, 9]
    assert [note.lost for note in drain(chain, 2)] == ["logs.turned"]


def test_one_new_file_in_the_place_of_another_is_no_gap() -> None:
    chain = Chain()
    chain.see(ring((1, 5)), 1, held={})
    drain(chain, 1)
    chain.see(ring((2, 1)), 2, held={})
    assert [type(item) for item in chain.items] == [Piece]
    assert inodes(chain) == [2]
