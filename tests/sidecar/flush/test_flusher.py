import hashlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from archive.layout import SegmentName, SessionKey
from archive.losses import Loss
from archive.segment import Footer, Mark, fetch_footer
from archive.store import ObjectInfo
from archive.store.local import LocalStore
from archive.stream import Reader, Segment
from sidecar.flush import Flusher, Rest
from sidecar.flush.schedule import LARGEST_SIZE
from sidecar.spool import NodeSpool, Spool, SpoolUnusable

SESSION = SessionKey("team", "raycluster", "session_2026-11-23_02-43-27_490622_12278")
NODE = "ab" * 28
LOG = "logs/raylet.out"


def noise(length: int, seed: int = 0) -> bytes:
    """Bytes that can't be compressed."""
    return hashlib.shake_128(b"%d" % seed).digest(length)


def segments(store: LocalStore) -> list[Segment]:
    return [Segment(info, fetch_footer(store, info)) for info in store.list("v1/segments/")]


def footers(store: LocalStore) -> list[Footer]:
    return [segment.footer for segment in segments(store)]


def stored(store: LocalStore, stream: str = "events") -> bytes:
    reader = Reader(store)
    return b"".join(data for _, data in reader.read(reader.open(stream, segments(store))))


def numbers(store: Any) -> list[int]:
    return [SegmentName.parse(key).sequence for key in store.puts]


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with Spool(tmp_path / "spool", 256 << 20) as spool:
        yield spool


@pytest.fixture
def node(spool: Spool) -> NodeSpool:
    return spool.node(SESSION, NODE)


@pytest.fixture
def flusher(node: NodeSpool, store: LocalStore, time: Any) -> Flusher:
    return Flusher(node, store, collector="0.1.0", clock=time.clock)


def run(flusher: Flusher, time: Any, seconds: float) -> None:
    """Steps as the collector's thread would make them."""
    end = time.now + seconds
    while time.now < end:
        time.sleep(max(0.001, min(flusher.step(), end - time.now)))
    flusher.step()


def test_nothing_new_makes_no_request(flusher: Flusher, store: Any, time: Any) -> None:
    run(flusher, time, 100)
    assert store.puts == []


def test_new_bytes_are_stored_after_five_seconds(
    node: NodeSpool, flusher: Flusher, store: Any, time: Any
) -> None:
    node.set_facts(role="head")
    run(flusher, time, 100)
    node.append("events", b"one\n")
    before = len(store.puts)
    run(flusher, time, 4.5)
    assert len(store.puts) == before
    run(flusher, time, 2)
    assert stored(store) == b"one\n"
    run(flusher, time, 100)
    assert len(store.puts) == before + 1
    [footer] = footers(store)
    assert footer.facts.node == {"role": "head"}
    assert footer.facts.collector == "0.1.0"
    assert not footer.facts.closed


def test_the_open_segment_is_built_again_under_its_number(
    node: NodeSpool, flusher: Flusher, store: Any, time: Any
) -> None:
    for number in range(3):
        node.append("events", b"%d\n" % number)
        run(flusher, time, 6)
    assert numbers(store) == [1, 1, 1]
    assert stored(store) == b"0\n1\n2\n"
    assert [len(footer.frames) for footer in footers(store)] == [1]


def test_once_the_end_has_begun_new_bytes_are_stored_after_a_second(
    node: NodeSpool, flusher: Flusher, store: Any, time: Any
) -> None:
    flusher.begin_end()
    node.append("events", b"one\n")
    run(flusher, time, 1.5)
    assert stored(store) == b"one\n"


def test_a_segment_is_closed_after_sixty_puts_and_the_next_number_begins(
    node: NodeSpool, flusher: Flusher, store: Any, time: Any
) -> None:
    for number in range(61):
        node.append("events", b"%d\n" % number)
        run(flusher, time, 6)
    assert numbers(store) == [1] * 60 + [2]
    assert [footer.facts.closed for footer in footers(store)] == [True, False]
    assert stored(store) == b"".join(b"%d\n" % number for number in range(61))


def test_what_an_interval_brought_goes_out_in_one_put_which_closes_a_segment_of_a_mebibyte(
    node: NodeSpool, flusher: Flusher, store: Any, time: Any
) -> None:
    for seed in range(4):
        node.append(LOG, noise(1_000_000, 2 * seed))
        node.append(LOG, noise(1_000_000, 2 * seed + 1))
        run(flusher, time, 6)
    node.append(LOG, b"little")
    run(flusher, time, 6)
    assert numbers(store) == [1, 2, 3, 4, 5]
    assert [footer.facts.closed for footer in footers(store)] == [True] * 4 + [False]


def test_a_backlog_goes_out_at_once_in_large_segments(
    spool: Spool, node: NodeSpool, flusher: Flusher, store: Any, time: Any
) -> None:
    data = noise(30 << 20)
    for place in range(0, len(data), 300_000):
        node.append(LOG, data[place : place + 300_000])
    run(flusher, time, 6)
    assert stored(store, LOG) == data
    assert numbers(store) == list(range(1, len(store.puts) + 1))
    assert len(store.puts) == 4
    assert all(info.size < LARGEST_SIZE + (1 << 20) for info in store.list("v1/segments/"))
    assert [footer.facts.closed for footer in footers(store)][:-1] == [True] * (len(store.puts) - 1)
    assert spool.budget.taken < 5 << 20


def test_what_becomes_more_than_one_put_takes_while_it_waits_is_seen_within_a_second(
    node: NodeSpool, flusher: Flusher, store: Any, time: Any
) -> None:
    node.append("events", b"one\n")
    pause = flusher.step()
    data = noise(20 << 20)
    for place in range(0, len(data), 300_000):
        node.append(LOG, data[place : place + 300_000])
    assert pause <= 1
    time.sleep(pause)
    flusher.step()
    assert data.startswith(stored(store, LOG))
    assert len(stored(store, LOG)) >= LARGEST_SIZE


def test_more_than_one_put_takes_waits_for_no_interval(
    node: NodeSpool, flusher: Flusher, store: Any, time: Any
) -> None:
    data = noise(20 << 20)
    for place in range(0, len(data), 300_000):
        node.append(LOG, data[place : place + 300_000])
    run(flusher, time, 1)
    assert data.startswith(stored(store, LOG))
    assert len(data) - len(stored(store, LOG)) < 2 * LARGEST_SIZE
    run(flusher, time, 6)
    assert stored(store, LOG) == data


def test_after_a_failure_puts_are_small_until_the_store_has_taken_some(
    node: NodeSpool, flusher: Flusher, store: Any, time: Any
) -> None:
    store.script = ["never"]
    data = noise(20 << 20)
    for place in range(0, len(data), 300_000):
        node.append(LOG, data[place : place + 300_000])
    run(flusher, time, 10)
    sizes = [info.size >> 20 for info in store.list("v1/segments/")]
    assert sizes[:3] == [1, 2, 4]
    assert max(sizes) > 6
    assert stored(store, LOG) == data


def test_a_segment_never_holds_more_events_than_a_server_may_hold(
    node: NodeSpool, flusher: Flusher, store: Any, time: Any
) -> None:
    for _ in range(10):
        node.append("events", b"the same\n" * 800_000)
    run(flusher, time, 6)
    raw = [sum(frame.raw_length for frame in footer.frames) for footer in footers(store)]
    assert (len(raw), sum(raw)) == (2, 72_000_000)
    assert max(raw) < 40_000_000


def test_what_was_appended_at_once_never_lies_across_two_segments(
    node: NodeSpool, flusher: Flusher, store: Any, time: Any
) -> None:
    for seed in range(7):
        node.append("events", noise((3 << 20) + 5, seed))
    run(flusher, time, 6)
    starts = [footer.frames[0].start for footer in footers(store)]
    assert starts == [number * ((3 << 20) + 5) for number in (0, 3, 6)]


def test_large_appends_are_not_compressed_again(
    node: NodeSpool, flusher: Flusher, store: Any, time: Any
) -> None:
    line = b'{"eventId":"' + b"a" * 700 + b'"}\n'
    node.append("events", line * 1000)
    [read] = node.reads(node.stored).reads
    run(flusher, time, 6)
    [frame] = footers(store)[0].frames
    [info] = store.list("v1/")
    assert store.get(info.key, start=frame.place, length=frame.size).data == read.payload


def test_a_put_that_failed_for_certain_is_tried_again_under_its_number(
    node: NodeSpool, flusher: Flusher, store: Any, time: Any
) -> None:
    store.script = ["fails", "refused"]
    node.append("events", b"one\n")
    run(flusher, time, 30)
    assert numbers(store) == [1, 1, 1]
    assert stored(store) == b"one\n"
    assert (flusher.puts, flusher.failures, flusher.last_error) == (1, 2, "")


def test_a_put_of_unknown_outcome_ends_its_number(
    node: NodeSpool, flusher: Flusher, store: Any, time: Any
) -> None:
    node.append("events", b"one\n")
    run(flusher, time, 6)
    store.script = ["late"]
    node.append("events", b"two\n")
    run(flusher, time, 6)
    node.append("events", b"three\n")
    run(flusher, time, 30)
    assert set(numbers(store)) == {1, 2}
    assert stored(store) == b"one\ntwo\nthree\n"
    store.arrive()
    assert stored(store) == b"one\ntwo\nthree\n"
    reader = Reader(store)
    assert reader.check(reader.open("events", segments(store))) == []


def test_failures_wait_longer_and_longer_up_to_half_a_minute(
    node: NodeSpool, flusher: Flusher, store: Any, time: Any
) -> None:
    store.script = ["fails"] * 50
    node.append("events", b"one\n")
    moments = []
    for _ in range(3000):
        before = len(store.puts)
        time.sleep(max(0.01, flusher.step()))
        if len(store.puts) > before:
            moments.append(time.now)
    pauses = [later - earlier for earlier, later in pairwise(moments)]
    assert pauses[0] < 1
    assert 20 < max(pauses) <= 31
    assert flusher.last_error == ""
    assert stored(store) == b"one\n"


def test_nothing_is_lost_in_a_long_outage_and_the_rest_follows_fast(
    node: NodeSpool, flusher: Flusher, store: Any, time: Any
) -> None:
    store.script = ["fails"] * 30
    expected = b""
    for number in range(400):
        data = noise(20_000, number)
        expected += data
        node.append("events", data)
        run(flusher, time, 5)
    run(flusher, time, 120)
    assert store.script == []
    assert stored(store) == expected
    assert flusher.oldest_unstored_seconds() == 0


def test_the_age_of_the_oldest_byte_without_confirmation_is_told(
    tmp_path: Path, store: Any, time: Any
) -> None:
    with Spool(tmp_path / "aged", 1 << 20, wall=lambda: time.now) as spool:
        node = spool.node(SESSION, NODE)
        flusher = Flusher(node, store, clock=time.clock)
        assert flusher.oldest_unstored_seconds() == 0
        node.append("events", b"one\n")
        time.sleep(3)
        assert flusher.oldest_unstored_seconds() == pytest.approx(3, abs=0.01)
        run(flusher, time, 6)
        assert flusher.oldest_unstored_seconds() == 0


def test_a_store_that_refuses_is_asked_once_a_minute_at_most_and_nothing_is_dropped(
    node: NodeSpool, flusher: Flusher, store: Any, time: Any
) -> None:
    store.script = ["refused"] * 1000
    node.append("events", b"one\n")
    run(flusher, time, 600)
    before = len(store.puts)
    for _ in range(600):
        node.append("events", b"more\n")
        run(flusher, time, 6)
    assert 30 < len(store.puts) - before <= 60
    assert flusher.last_error == "no right to put"
    store.script = []
    run(flusher, time, 130)
    assert stored(store) == b"one\n" + b"more\n" * 600


def test_nodes_share_the_wait_for_a_store_that_is_out(
    spool: Spool, node: NodeSpool, store: Any, time: Any
) -> None:
    rest = Rest(lambda: 0.5)
    nodes = [node, *(spool.node(SESSION, f"{number:02d}" * 28) for number in range(9))]
    flushers = [Flusher(each, store, clock=time.clock, rest=rest) for each in nodes]
    for each in nodes:
        each.append("events", b"one\n")
    store.script = ["fails"] * 1000
    for _ in range(1800):
        time.sleep(1)
        for flusher in flushers:
            flusher.step()
    assert len(store.puts) < 100
    store.script = []
    for _ in range(70):
        time.sleep(1)
        for flusher in flushers:
            flusher.step()
    assert all(flusher.oldest_unstored_seconds() == 0 for flusher in flushers)


def test_what_nobody_thought_of_is_told_and_tried_ever_more_slowly(
    node: NodeSpool, flusher: Flusher, store: Any, time: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def broken(*_: object) -> bytes:
        tries.append(time.now)
        raise KeyError("a fault of ours")

    node.append("events", b"one\n")
    with monkeypatch.context() as patch:
        patch.setattr("sidecar.flush.flusher.assemble", broken)
        run(flusher, time, 3600)
        assert len(tries) < 200
        assert "KeyError" in flusher.last_error
        assert not flusher.finish("sigterm", time.now + 3)
    assert flusher.finish("sigterm", time.now + 100)
    assert stored(store) == b"one\n"


def test_a_spool_that_can_not_be_used_keeps_nobody_busy(
    node: NodeSpool, flusher: Flusher, store: Any, time: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def unusable(*_: object) -> None:
        tries.append(time.now)
        raise SpoolUnusable("the disk is broken")

    node.append("events", b"one\n")
    with monkeypatch.context() as patch:
        patch.setattr(node, "reads", unusable)
        run(flusher, time, 3600)
        assert len(tries) < 200
        assert flusher.last_error == "the disk is broken"
    run(flusher, time, 70)
    assert stored(store) == b"one\n"


def test_losses_alone_are_told_too(node: NodeSpool, flusher: Flusher, store: Any, time: Any) -> None:
    node.count_loss("budget", 7)
    run(flusher, time, 6)
    [footer] = footers(store)
    assert (dict(footer.facts.losses), footer.frames) == ({"budget": 7}, ())


def test_marks_are_in_the_footer(node: NodeSpool, flusher: Flusher, store: Any, time: Any) -> None:
    node.append(LOG, b"old")
    node.mark(LOG, "truncated", "shorter than before", 9)
    run(flusher, time, 6)
    assert footers(store)[0].facts.marks == (Mark(LOG, 3, "truncated", "shorter than before", 9),)


def test_finishing_stores_everything_with_the_reason_and_removes_the_spool(
    spool: Spool, node: NodeSpool, flusher: Flusher, store: Any, time: Any
) -> None:
    node.append("events", b"one\n")
    run(flusher, time, 6)
    node.append(LOG, b"log")
    assert flusher.finish("sigterm", time.now + 10)
    assert numbers(store) == [1, 1]
    [footer] = footers(store)
    assert (footer.facts.final, footer.facts.closed) == ("sigterm", True)
    assert stored(store) == b"one\n"
    assert stored(store, LOG) == b"log"
    assert spool.budget.taken == 0
    assert flusher.finish("again", time.now)
    run(flusher, time, 10)
    with pytest.raises(SpoolUnusable):
        node.append("events", b"two\n")


def test_what_comes_while_the_end_is_stored_is_stored_too(
    node: NodeSpool, flusher: Flusher, store: Any, time: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put(key: str, data: bytes) -> ObjectInfo:
        if not store.puts:
            node.append("events", b"late\n")
        return real(key, data)

    real = store.put
    node.append("events", b"one\n")
    with monkeypatch.context() as slow:
        slow.setattr(store, "put", put)
        assert flusher.finish("sigterm", time.now + 10)
    assert stored(store) == b"one\nlate\n"
    assert footers(store)[-1].facts.final == "sigterm"


def test_a_late_put_of_an_earlier_life_hides_nothing(tmp_path: Path, store: Any, time: Any) -> None:
    store.script = ["late"]
    for number in range(2):
        with Spool(tmp_path / "spool", 1 << 20) as spool:
            node = spool.node(SESSION, NODE)
            node.append("events", b"%d\n" % number)
            run(Flusher(node, store, clock=time.clock), time, 5.1)
    store.arrive()
    assert numbers(store) == [1, 2]
    assert stored(store) == b"0\n1\n"


def test_finishing_a_backlog_puts_the_newest_first_and_logs_last(
    spool: Spool, node: NodeSpool, flusher: Flusher, store: Any, time: Any
) -> None:
    logs = events = b""
    for seed in range(24):
        node.append(LOG, noise(500_000, seed))
        node.append("events", noise(500_000, seed + 100))
        logs += noise(500_000, seed)
        events += noise(500_000, seed + 100)
    assert flusher.finish("sigterm", time.now + 10)
    assert stored(store) == events
    assert stored(store, LOG) == logs
    kinds = [{frame.stream for frame in footer.frames} for footer in footers(store)]
    first_log = kinds.index({LOG})
    assert kinds[:first_log] == [{"events"}] * first_log
    assert kinds[first_log:-1] == [{LOG}] * (len(kinds) - first_log - 1)
    first = next(footer for footer in footers(store) if footer.frames)
    assert first.frames[0].start > 9 * 500_000
    assert sum(frame.raw_length for footer in footers(store) for frame in footer.frames) == 24_000_000
    assert [footer.facts.final for footer in footers(store)] == [None] * (len(kinds) - 1) + ["sigterm"]
    assert spool.budget.taken == 0


def test_finishing_insists_within_its_deadline(
    node: NodeSpool, flusher: Flusher, store: Any, time: Any
) -> None:
    store.script = ["fails", "late", "never"]
    node.append("events", b"one\n")
    assert flusher.finish("sigterm", time.now + 10)
    assert numbers(store) == [1, 1, 2, 3]
    store.arrive()
    assert stored(store) == b"one\n"


@pytest.mark.parametrize("size", [10, 12 << 20])
def test_finishing_gives_up_at_its_deadline_and_another_life_goes_on(
    tmp_path: Path, store: Any, time: Any, size: int
) -> None:
    data = noise(size)
    with Spool(tmp_path / "spool", 256 << 20) as spool:
        node = spool.node(SESSION, NODE)
        for place in range(0, size, 1 << 20):
            node.append("events", data[place : place + (1 << 20)])
        store.script = ["fails"] * 100
        deadline = time.now + 3
        assert not Flusher(node, store, clock=time.clock).finish("sigterm", deadline)
        assert time.now < deadline
    store.script = []
    with Spool(tmp_path / "spool", 256 << 20) as spool:
        [left] = spool.left_over()
        assert Flusher(left, store, clock=time.clock).finish("left over", time.now + 10)
        assert spool.left_over() == []
    assert stored(store) == data
    assert footers(store)[-1].facts.final == "left over"


def test_several_node_spools_are_flushed_side_by_side(
    spool: Spool, node: NodeSpool, flusher: Flusher, store: Any, time: Any
) -> None:
    other = spool.node(SESSION, "cd" * 28)
    other.append("events", b"other\n")
    node.append("events", b"mine\n")
    second = Flusher(other, store, clock=time.clock)
    for _ in range(10):
        time.sleep(1)
        flusher.step()
        second.step()
    assert sorted(footer.facts.name.node_id for footer in footers(store)) == ["ab" * 28, "cd" * 28]


def test_a_record_that_rots_on_the_disk_is_a_counted_gap(
    tmp_path: Path, node: NodeSpool, flusher: Flusher, store: Any, time: Any
) -> None:
    node.append("events", b"one\n")
    run(flusher, time, 6)
    node.append("events", b"two\n")
    [journal] = (tmp_path / "spool").rglob("journal-*.log")
    whole = journal.read_bytes()
    journal.write_bytes(whole.replace(b"two", b"TWO"))
    node.append("events", b"three\n")
    store.script = ["lost"]  # so that it is read twice
    run(flusher, time, 10)
    assert stored(store) == b"one\n"
    assert node.losses == {Loss.JOURNAL_DAMAGED: 1}
    node.append("events", b"four\n")
    run(flusher, time, 6)
    extent = Reader(store).open("events", segments(store))
    assert [(mark.kind, mark.offset, mark.size) for mark in extent.marks] == [("gap", 4, 10)]
    assert stored(store) == b"one\nfour\n"
    assert footers(store)[0].facts.losses == node.losses
