"""The canary's reading, over archives made for the purpose."""

import json
import random
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from archive.errors import TransientStoreError
from archive.layout import Origin, SegmentName, SessionKey
from archive.segment import Facts, Mark, Range, build
from archive.store.base import Object
from archive.store.local import LocalStore
from historyserver.canary.message import Kind, Message
from historyserver.canary.reading import ArchiveReading, Sought
from historyserver.canary.trail import Found

SESSION = SessionKey("ns", "c", "session_2026-11-23_02-43-27_490622_12278")
NODE = "ab" * 28
RUN = "0123abcd"
LOG = "logs/historyserver-canary-0123abcd.log"
BEGAN = 1_795_402_103_000
FIRST = Origin(BEGAN - 1000, "9f3ac210")


def line(number: int) -> bytes:
    return Message(RUN, Kind.LINES, number, 0).text.encode() + b"\n"


def lines(*numbers: int) -> bytes:
    return b"".join(map(line, numbers))


def event(number: int, run: str = RUN) -> bytes:
    text = Message(run, Kind.EVENTS, number, 0).text
    return json.dumps({"eventType": "HISTORYSERVER_CANARY", "message": text}).encode() + b"\n"


OTHER = b'{"eventType": "TASK_DEFINITION_EVENT", "message": "HISTORYSERVER_CANARY"}\n'


@dataclass
class Taken:
    """A sink that remembers."""

    of: dict[Kind, list[tuple[int | None, int | None]]] = field(default_factory=lambda: {k: [] for k in Kind})
    marked: list[int] = field(default_factory=list)
    counted: dict[Kind, int] = field(default_factory=dict)
    sentences: list[str] = field(default_factory=list)

    def found(self, kind: Kind, found: Found) -> None:
        self.of[kind].append((found.message.number if found.message else None, found.before))
        if found.marked and found.message:
            self.marked.append(found.message.number)

    def lost(self, kind: Kind, amount: int) -> None:
        self.counted[kind] = amount

    def damaged(self, sentence: str) -> None:
        self.sentences.append(sentence)


class Counting(LocalStore):
    """Counts what is asked, and fails when told to."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.keys: list[str] = []
        self.failing = False
        self.meanwhile: Callable[[], object] | None = None
        """Done before the next read of a segment."""
        self.between: Callable[[], object] | None = None
        """Done before the next read of a footer."""

    def get(self, key: str, **how: Any) -> Object:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return self._asked(key, super().get, key, **how)

    def get_suffix(self, key: str, length: int, **how: Any) -> Object:
        between, self.between = self.between, None
        if between is not None:
            between()
        return self._asked(key, super().get_suffix, key, length, **how)

    def _asked(self, key: str, read: Callable[..., Object], *what: Any, **how: Any) -> Object:
        if self.failing:
            raise TransientStoreError("it is away")
        self.keys.append(key)
        return read(*what, **how)


@pytest.fixture
def store(tmp_path: Path) -> Counting:
    return Counting(tmp_path)


@pytest.fixture
def reading(store: Counting) -> ArchiveReading:
    return ArchiveReading(store, Sought(SESSION, LOG, RUN, BEGAN))


def put(
    store: LocalStore,
    sequence: int,
    *ranges: tuple[str, int, bytes],
    closed: bool = True,
    origin: Origin = FIRST,
    written_ms: int = BEGAN + 1000,
    losses: dict[str, int] | None = None,
    marks: Sequence[Mark] = (),
    node: str = NODE,
    hostname: str = "",
) -> str:
    name = SegmentName(SESSION, node, origin, sequence)
    facts = Facts(
        name=name,
        written_ms=written_ms,
        collector="test",
        node={"hostname": hostname or socket.gethostname()},
        losses=losses or {},
        marks=tuple(marks),
        closed=closed,
        final=None,
    )
    store.put(name.key, build(facts, [Range(*each) for each in ranges]))
    return name.key


def look(reading: ArchiveReading) -> Taken:
    taken = Taken()
    reading.look(taken)
    return taken


def test_lines_and_events_are_found_among_others(store: Counting, reading: ArchiveReading) -> None:
    put(
        store,
        1,
        (LOG, 0, lines(1, 2)),
        ("events", 0, OTHER + event(1) + OTHER + event(9, "ffffffff") + event(2)),
    )
    put(store, 2, ("logs/raylet.out", 0, line(7)), (LOG, len(lines(1, 2)), lines(3)), closed=False)
    taken = look(reading)
    assert taken.of == {Kind.LINES: [(1, None), (2, 1), (3, 2)], Kind.EVENTS: [(1, None), (2, 1)]}
    assert look(reading).of == {Kind.LINES: [], Kind.EVENTS: []}


def test_what_is_found_once_is_not_found_again_though_it_is_put_again(
    store: Counting, reading: ArchiveReading
) -> None:
    put(store, 1, (LOG, 0, lines(1)), closed=False)
    assert look(reading).of[Kind.LINES] == [(1, None)]
    put(store, 1, (LOG, 0, lines(1, 2)), closed=False)
    assert look(reading).of[Kind.LINES] == [(2, 1)]
    put(store, 2, (LOG, 0, lines(1, 2, 3)), closed=False)  # the put of number 1 was of unknown outcome
    assert look(reading).of[Kind.LINES] == [(3, 2)]


def test_closed_segments_are_read_once(store: Counting, reading: ArchiveReading) -> None:
    offset = 0
    for number in range(1, 30):
        put(store, number, (LOG, offset, line(number)))
        offset += len(line(number))
        assert look(reading).of[Kind.LINES][0][0] == number
    store.keys.clear()
    put(store, 30, (LOG, offset, line(30)), closed=False)
    assert look(reading).of[Kind.LINES] == [(30, 29)]
    assert {key[-12:] for key in store.keys} == {"00000030.seg"}


def test_a_line_that_two_segments_share_is_found_whole(store: Counting, reading: ArchiveReading) -> None:
    data = lines(1, 2, 3)
    cut = len(lines(1)) + 20
    put(store, 1, (LOG, 0, data[:cut]))
    assert look(reading).of[Kind.LINES] == [(1, None)]
    assert look(reading).of[Kind.LINES] == []
    put(store, 2, (LOG, cut, data[cut:]))
    assert look(reading).of[Kind.LINES] == [(2, 1), (3, 2)]


def test_a_backlog_that_comes_newest_first_is_put_in_order(store: Counting, reading: ArchiveReading) -> None:
    data = lines(*range(1, 10))
    first, second = len(lines(1, 2)), len(lines(1, 2, 3, 4, 5))
    put(store, 1, (LOG, 0, data[:first]))
    assert look(reading).of[Kind.LINES] == [(1, None), (2, 1)]
    put(store, 2, (LOG, second, data[second:]))
    assert look(reading).of[Kind.LINES] == [(6, None), (7, 6), (8, 7), (9, 8)]
    put(store, 3, (LOG, first, data[first:second]))
    assert look(reading).of[Kind.LINES] == [(3, 2), (4, 3), (5, 4)]


def test_what_was_stored_before_the_run_is_not_read(store: Counting, reading: ArchiveReading) -> None:
    old = put(store, 1, ("events", 0, OTHER * 100), written_ms=BEGAN - 9000)
    older = put(
        store, 2, ("events", len(OTHER) * 100, OTHER), written_ms=BEGAN - 5000, losses={"events.dropped": 7}
    )
    begin = len(OTHER) * 101
    put(store, 3, ("events", begin, event(1) + OTHER + event(2)), losses={"events.dropped": 9}, closed=False)
    taken = look(reading)
    assert taken.of[Kind.EVENTS] == [(1, None), (2, 1)]
    assert taken.counted == {Kind.EVENTS: 2, Kind.LINES: 0}
    assert old not in store.keys
    store.keys.clear()
    assert look(reading).of[Kind.EVENTS] == []
    assert not {old, older} & set(store.keys)


def test_an_open_segment_from_before_the_run_goes_on(store: Counting, reading: ArchiveReading) -> None:
    put(store, 1, ("events", 0, OTHER), written_ms=BEGAN - 9000, closed=False)
    assert look(reading).of[Kind.EVENTS] == []
    put(store, 1, ("events", 0, OTHER + event(1)), closed=False)
    assert look(reading).of[Kind.EVENTS] == [(1, None)]


def test_the_collectors_counts_are_told_in_messages(store: Counting, reading: ArchiveReading) -> None:
    put(
        store,
        1,
        (LOG, 0, lines(1)),
        losses={"logs.deleted": 350, "events.dropped": 3, "events.profile.dropped": 9},
    )
    assert look(reading).counted == {Kind.LINES: 4, Kind.EVENTS: 3}
    other = Origin(BEGAN + 5000, "00000001")
    put(store, 1, (LOG, 0, lines(1)), origin=other, losses={"journal.damaged": 2})
    assert look(reading).counted == {Kind.LINES: 4, Kind.EVENTS: 5}


def test_a_gap_mark_is_told_with_what_stands_behind_it(store: Counting, reading: ArchiveReading) -> None:
    first = len(lines(1, 2))
    marks = [
        Mark(LOG, first, "gap", "deleted", 200),
        Mark(LOG, 10, "rewritten"),
        Mark("logs/other", 0, "gap"),
    ]
    put(store, 1, (LOG, 0, lines(1, 2, 5, 6)), marks=marks)
    taken = look(reading)
    assert taken.of[Kind.LINES] == [(1, None), (2, 1), (5, 2), (6, 5)]
    assert taken.marked == [5]


def test_a_hole_in_the_archive_is_no_mark(store: Counting, reading: ArchiveReading) -> None:
    put(store, 1, (LOG, 0, lines(1, 2)))
    put(store, 3, (LOG, len(lines(1, 2, 3)), lines(4, 5)))
    taken = look(reading)
    assert taken.of[Kind.LINES] == [(1, None), (2, 1), (4, None), (5, 4)]
    assert taken.marked == []


def test_another_origin_is_another_place(store: Counting, reading: ArchiveReading) -> None:
    put(store, 1, (LOG, 0, lines(1, 2)))
    put(store, 1, (LOG, 0, lines(2, 3)), origin=Origin(BEGAN + 5000, "00000001"))
    assert look(reading).of[Kind.LINES] == [(1, None), (2, 1), (2, None), (3, 2)]


def test_doubled_wrong_and_passed_over_ones_are_found_as_they_are(
    store: Counting, reading: ArchiveReading
) -> None:
    wrong = line(3).replace(b"canary", b"Canary")
    put(
        store,
        1,
        (LOG, 0, lines(1, 2, 2) + wrong + lines(5)),
        ("events", 0, event(1).replace(b"after", b"afteR")),
    )
    assert look(reading).of == {
        Kind.LINES: [(1, None), (2, 1), (2, 2), (None, None), (5, 2)],
        Kind.EVENTS: [(None, None)],
    }


def test_nodes_of_other_machines_are_left_alone(store: Counting, reading: ArchiveReading) -> None:
    put(store, 1, ("events", 0, event(1)), node="cd" * 28, hostname="elsewhere")
    put(store, 1, ("events", 0, event(2)))
    assert look(reading).of[Kind.EVENTS] == [(2, None)]
    store.keys.clear()
    put(store, 2, ("events", len(event(1)), event(3)), node="cd" * 28, hostname="elsewhere")
    assert look(reading).of[Kind.EVENTS] == []
    assert not any("cdcd" in key for key in store.keys)
    assert reading.trouble == ""


def test_it_is_told_when_all_nodes_are_of_other_machines(store: Counting, reading: ArchiveReading) -> None:
    look(reading)
    assert reading.trouble == ""
    put(store, 1, ("events", 0, event(1)), hostname="elsewhere")
    look(reading)
    assert socket.gethostname() in reading.trouble


def test_a_damaged_segment_is_told_once_and_hides_nothing_else(
    store: Counting, reading: ArchiveReading, tmp_path: Path
) -> None:
    put(store, 1, (LOG, 0, lines(1)))
    broken = put(store, 2, (LOG, len(lines(1)), lines(2)))
    put(store, 3, (LOG, len(lines(1, 2)), lines(3, 4)), closed=False)
    path = tmp_path / broken
    path.write_bytes(path.read_bytes()[:-5])
    taken = look(reading)
    assert taken.of[Kind.LINES] == [(1, None), (3, None), (4, 3)]
    assert len(taken.sentences) == 1
    assert "00000002.seg" in taken.sentences[0]
    assert look(reading).sentences == []


def test_a_damaged_frame_is_told_and_passed_by(
    store: Counting, reading: ArchiveReading, tmp_path: Path
) -> None:
    noise = random.Random(1).randbytes(5000)
    path = tmp_path / put(store, 1, ("events", 0, noise.hex().encode() + b"\n" + event(1)))
    data = bytearray(path.read_bytes())
    data[1000] ^= 1
    path.write_bytes(data)
    put(store, 2, ("events", 10_001 + len(event(1)), event(2)), closed=False)
    taken = look(reading)
    assert taken.of[Kind.EVENTS] == [(2, None)]
    assert len(taken.sentences) == 1
    assert look(reading).sentences == []


def test_a_store_that_fails_in_between_loses_nothing(store: Counting, reading: ArchiveReading) -> None:
    put(store, 1, (LOG, 0, lines(1)), closed=False)
    assert look(reading).of[Kind.LINES] == [(1, None)]
    put(store, 1, (LOG, 0, lines(1, 2)), ("events", 0, event(1)), closed=False)
    store.failing = True
    with pytest.raises(TransientStoreError):
        look(reading)
    store.failing = False
    assert look(reading).of == {Kind.LINES: [(2, 1)], Kind.EVENTS: [(1, None)]}


def test_an_archive_without_the_session_is_empty(reading: ArchiveReading) -> None:
    assert look(reading).of == {Kind.LINES: [], Kind.EVENTS: []}


def test_the_rest_of_a_line_that_never_comes_holds_up_little(
    store: Counting, reading: ArchiveReading
) -> None:
    put(store, 1, (LOG, 0, lines(1) + line(2)[:20]))
    offset = len(lines(1, 2))
    for number in range(3, 100):
        put(store, number, (LOG, offset, line(number)))
        offset += len(line(number))
    assert len(look(reading).of[Kind.LINES]) == 98
    look(reading)
    put(store, 100, (LOG, offset, line(100)))
    assert look(reading).of[Kind.LINES] == [(100, 99)]
    node = reading._nodes[NODE]
    assert node is not None
    assert len(node._open) <= 64


def test_a_segment_that_is_put_again_while_it_is_read_is_read_at_the_next_look(
    store: Counting, reading: ArchiveReading
) -> None:
    put(store, 1, ("events", 0, event(1)))
    put(store, 2, (LOG, 0, lines(1)), closed=False)
    store.meanwhile = lambda: put(store, 2, (LOG, 0, lines(1, 2)), closed=False)
    assert look(reading).of == {Kind.LINES: [], Kind.EVENTS: []}
    assert look(reading).of == {Kind.LINES: [(1, None), (2, 1)], Kind.EVENTS: [(1, None)]}


def test_a_segment_that_is_put_again_while_it_is_listed_is_not_passed_by(
    store: Counting, reading: ArchiveReading
) -> None:
    put(store, 1, (LOG, 0, lines(1)), closed=False)
    assert look(reading).of[Kind.LINES] == [(1, None)]
    put(store, 1, (LOG, 0, lines(1)), closed=False)
    put(store, 2, (LOG, len(lines(1, 2)), lines(3)))
    store.between = lambda: put(store, 1, (LOG, 0, lines(1, 2)))
    assert look(reading).of[Kind.LINES] == [(3, None)]
    assert look(reading).of[Kind.LINES] == [(2, 1)]
