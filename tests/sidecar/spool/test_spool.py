import errno
import hashlib
import os
import resource
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.errors import NameInvalid
from archive.layout import Origin, SessionKey
from archive.losses import Loss
from sidecar.spool import (
    NodeSpool,
    Source,
    Spool,
    SpoolError,
    SpoolFull,
    SpoolInUse,
    SpoolUnusable,
    raw_bytes,
)
from sidecar.spool.record import Kind

SESSION = SessionKey("team", "raycluster", "session_2026-11-23_02-43-27_490622_12278")
OTHER = SessionKey("team", "raycluster", "session_2026-11-23_03-00-00_000000_1")
NODE = "ab" * 28
BUDGET = 64 << 20
LOG = "logs/raylet.out"


def source(position: int) -> Source:
    return Source("/tmp/ray/raylet.out", 1, 2, position, b"guard")


def noise(length: int, seed: int) -> bytes:
    """Bytes that can't be compressed."""
    return hashlib.shake_128(b"%d" % seed).digest(length)


def kept(spool: NodeSpool) -> dict[str, bytes]:
    """What a spool holds that is not stored, stream by stream."""
    found: dict[str, bytes] = {}
    position = spool.stored
    while position < spool.written:
        batch = spool.reads(position)
        for record, _, payload in batch.reads:
            if record.kind is Kind.DATA:
                found[record.stream] = found.get(record.stream, b"") + raw_bytes(record, payload)
        position = batch.end
    return found


def journals(folder: Path) -> list[Path]:
    return sorted(folder.rglob("journal-*.log"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


def test_what_was_appended_is_there_after_a_kill(folder: Path) -> None:
    large = noise(3 << 20, 0)
    with Spool(folder, BUDGET) as spool:
        node = spool.node(SESSION, NODE)
        assert node.append("events", b"one\n") == 0
        assert node.append("events", b"two\n" * 2000) == 4
        assert node.append(LOG, large, source=source(len(large))) == 0
        node.set_facts(role="head")
        node.count_loss("budget", 2)
        origin = node.origin
    with Spool(folder, BUDGET) as spool:
        node = spool.node(SESSION, NODE)
        assert node.origin == origin
        assert kept(node) == {"events": b"one\n" + b"two\n" * 2000, LOG: large}
        assert node.end("events") == 8004
        assert node.sources() == {LOG: source(len(large))}
        assert (node.facts, node.losses) == ({"role": "head"}, {"budget": 2})


def test_a_source_can_be_kept_without_bytes(folder: Path) -> None:
    with Spool(folder, BUDGET) as spool:
        spool.node(SESSION, NODE).append(LOG, b"", source=source(9))
    with Spool(folder, BUDGET) as spool:
        assert spool.node(SESSION, NODE).sources() == {LOG: source(9)}


def test_a_torn_tail_is_cut_off_wherever_it_was_torn(folder: Path) -> None:
    with Spool(folder, BUDGET) as spool:
        node = spool.node(SESSION, NODE)
        node.append(LOG, b"one", source=source(3))
        whole = journals(folder)[0].stat().st_size
        node.append(LOG, noise((1 << 20) + 5, 0), source=source(9))
        origin = node.origin
    [journal] = journals(folder)
    data = journal.read_bytes()
    record = whole + 40 + len(LOG) + (1 << 20)
    for length in [*range(whole, whole + 70), record, record + 1, record + 50, len(data) - 1]:
        journal.write_bytes(data[:length])
        with Spool(folder, BUDGET) as spool:
            node = spool.node(SESSION, NODE)
            assert (node.origin, kept(node)) == (origin, {LOG: b"one"})
            assert node.sources() == {LOG: source(3)}
            assert node.losses == {}
            assert journal.stat().st_size == whole
            assert node.append(LOG, b"two") == 3
            assert kept(node) == {LOG: b"onetwo"}


def test_a_journal_torn_before_its_first_record_begins_anew(folder: Path) -> None:
    with Spool(folder, BUDGET) as spool:
        spool.node(SESSION, NODE).append(LOG, b"one")
    [journal] = journals(folder)
    data = journal.read_bytes()
    for length in range(60):
        journal.write_bytes(data[:length])
        with Spool(folder, BUDGET) as spool:
            node = spool.node(SESSION, NODE)
            assert node.append("events", b"x") == 0


def test_a_file_that_was_begun_and_not_written_to_begins_anew(folder: Path) -> None:
    with Spool(folder, BUDGET) as spool:
        node = spool.node(SESSION, NODE)
        node.append("events", b"one\n")
        origin = node.origin
    first = journals(folder)[0]
    first.with_name(
        "journal-00000002.log"
    ).touch()  # killed between making the next file and its first record
    for line in (b"two\n", b"three\n"):
        with Spool(folder, BUDGET) as spool:
            spool.node(SESSION, NODE).append("events", line)
    with Spool(folder, BUDGET) as spool:
        node = spool.node(SESSION, NODE)
        assert (node.origin, node.losses) == (origin, {})
        assert kept(node) == {"events": b"one\ntwo\nthree\n"}


def test_a_corrupted_journal_is_set_aside_and_the_rest_goes_on_under_a_new_origin(folder: Path) -> None:
    with Spool(folder, BUDGET) as spool:
        node = spool.node(SESSION, NODE)
        node.append("events", b"first\n")
        node.append(LOG, b"log", source=source(3))
        node.append("events", b"second\n")
        node.append("events", b"third\n")
        node.set_facts(role="head")
        node.count_loss("budget")
        origin = node.origin
    [journal] = journals(folder)
    data = journal.read_bytes()
    journal.write_bytes(data.replace(b"second", b"sEcond"))
    with Spool(folder, BUDGET) as spool:
        node = spool.node(SESSION, NODE)
        assert node.origin > origin
        assert kept(node) == {"events": b"first\n"}
        assert node.sources() == {}
        assert node.losses == {"budget": 1, Loss.JOURNAL_DAMAGED: 1}
        assert node.facts == {"role": "head"}
        assert [path.read_bytes() for path in (folder / "damaged").iterdir()] == [
            data.replace(b"second", b"sEcond")
        ]
        assert spool.left_over() == []
        assert spool.budget.taken == sum(path.stat().st_size for path in journals(folder / "nodes"))


def test_logs_of_a_corrupted_journal_are_kept_when_nobody_reads_the_files_again(folder: Path) -> None:
    with Spool(folder, BUDGET) as spool:
        node = spool.node(SESSION, NODE)
        node.append(LOG, b"log")
        node.append("events", b"lost\n")
    [journal] = journals(folder)
    journal.write_bytes(journal.read_bytes().replace(b"lost", b"LOST"))
    with Spool(folder, BUDGET) as spool:
        [node] = spool.left_over()
        assert (node.session, node.node_id) == (SESSION, NODE)
        assert kept(node) == {LOG: b"log"}
        assert node.losses == {Loss.JOURNAL_DAMAGED: 1}


@pytest.mark.parametrize("damage", [b"", b"\0" * 100, b"short"], ids=["emptied", "zeroed", "cut short"])
def test_a_corrupted_checkpoint_ends_the_origin_so_that_no_number_is_used_twice(
    folder: Path, damage: bytes
) -> None:
    with Spool(folder, BUDGET) as spool:
        node = spool.node(SESSION, NODE)
        node.append("events", b"one\n")
        node.begin_sequence()
        origin = node.origin
    [checkpoint] = folder.rglob("checkpoint")
    checkpoint.write_bytes(damage)
    with Spool(folder, BUDGET) as spool:
        node = spool.node(SESSION, NODE)
        assert node.origin > origin
        assert kept(node) == {"events": b"one\n"}


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 7))
def test_any_flipped_bit_of_a_journal_is_survived_and_told(
    tmp_path_factory: pytest.TempPathFactory, place: int, bit: int
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    with Spool(folder, BUDGET) as spool:
        node = spool.node(SESSION, NODE)
        for number in range(5):
            node.append("events", b"%d\n" % number)
            node.append(LOG, b"x" * number, source=source(number))
        origin = node.origin
    [journal] = journals(folder)
    data = bytearray(journal.read_bytes())
    data[place % len(data)] ^= 1 << bit
    journal.write_bytes(data)
    with Spool(folder, BUDGET) as spool:
        node = spool.node(SESSION, NODE)
        events = kept(node).get("events", b"")
        assert b"0\n1\n2\n3\n4\n".startswith(events)
        assert node.origin > origin
        assert node.losses == {Loss.JOURNAL_DAMAGED: 1}


def test_a_missing_journal_is_told(folder: Path) -> None:
    with Spool(folder, BUDGET) as spool:
        node = spool.node(SESSION, NODE)
        for number in range(10):
            node.append("events", noise(1 << 20, number))
        node.append(LOG, b"log", source=source(3))
    journals(folder)[1].unlink()
    with Spool(folder, BUDGET) as spool:
        node = spool.node(SESSION, NODE)
        assert node.losses == {Loss.JOURNAL_DAMAGED: 1}
        assert node.sources() == {}


def test_profile_events_are_refused_first_and_everything_at_the_end(folder: Path) -> None:
    with Spool(folder, 1 << 20) as spool:
        node = spool.node(SESSION, NODE)
        node.append("events", noise(950_000, 0))
        with pytest.raises(SpoolFull, match="budget"):
            node.append("events.profile", b"p" * 100)
        assert node.room_for_logs() == 0
        assert node.append("events", b"e" * 100) == 950_000
        with pytest.raises(SpoolFull):
            node.append("events", noise(200_000, 1))
        assert node.end("events") == 950_100
        node.count_loss("budget")
        assert node.losses == {"budget": 1}


def test_the_budget_is_shared_by_all_nodes_and_known_after_a_restart(folder: Path) -> None:
    with Spool(folder, BUDGET) as spool:
        spool.node(SESSION, NODE).append("events", b"x" * 1000)
        spool.node(OTHER, NODE).append("events", b"x" * 1000)
        spool.unassigned().append("events", b"x" * 1000)
        taken = spool.budget.taken
        assert taken == sum(path.stat().st_size for path in journals(folder))
    with Spool(folder, BUDGET) as spool:
        spool.left_over()
        spool.unassigned()
        assert spool.budget.taken == taken


def test_logs_have_a_bounded_share_until_they_are_stored(folder: Path) -> None:
    with Spool(folder, BUDGET, log_room=1000) as spool:
        node = spool.node(SESSION, NODE)
        assert node.room_for_logs() == 1000
        node.append(LOG, b"x" * 700)
        node.append("events", b"x" * 700)
        assert node.room_for_logs() == 300
        node.append(LOG, b"x" * 700)
        assert node.room_for_logs() == 0
    with Spool(folder, BUDGET, log_room=1000) as spool:
        node = spool.node(SESSION, NODE)
        assert node.room_for_logs() == 0
        node.store_until(node.written, 1400)
        assert node.room_for_logs() == 1000


def test_what_is_stored_is_dropped_and_ends_and_sources_stay(folder: Path) -> None:
    with Spool(folder, BUDGET) as spool:
        node = spool.node(SESSION, NODE)
        for _ in range(12):
            node.append(LOG, noise(1 << 20, 0), source=source(7))
        assert len(journals(folder)) == 3
        node.store_until(node.written, 12 << 20)
        assert spool.budget.taken < 1000
        assert kept(node) == {}
        node.append(LOG, b"more")
    with Spool(folder, BUDGET) as spool:
        node = spool.node(SESSION, NODE)
        assert kept(node) == {LOG: b"more"}
        assert node.end(LOG) == (12 << 20) + 4
        assert node.sources() == {LOG: source(7)}


def test_numbers_are_used_once_over_restarts(folder: Path) -> None:
    numbers = []
    for _ in range(3):
        with Spool(folder, BUDGET) as spool:
            numbers += [spool.node(SESSION, NODE).begin_sequence() for _ in range(2)]
    assert numbers == [1, 2, 3, 4, 5, 6]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """A disk that has no more room than this for any file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_keeps_nothing_of_the_append_and_works_again_when_freed(folder: Path) -> None:
    with Spool(folder, BUDGET) as spool:
        node = spool.node(SESSION, NODE)
        node.append("events", b"one\n")
        with largest_file(20_000):
            with pytest.raises(SpoolFull, match="full"):
                node.append("events", noise(40_000, 0))
            assert node.append("events", b"two\n") == 4
            node.count_loss("disk full")
            assert node.begin_sequence() == 1
        assert node.append("events", b"three\n") == 8
    with Spool(folder, BUDGET) as spool:
        node = spool.node(SESSION, NODE)
        assert kept(node) == {"events": b"one\ntwo\nthree\n"}
        assert node.losses == {"disk full": 1}


@pytest.mark.parametrize(("number", "error"), [(errno.ENOSPC, SpoolFull), (errno.EIO, SpoolUnusable)])
def test_a_failing_write_leaves_the_journal_as_it_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: type[SpoolError]
) -> None:
    def write(descriptor: int, data: bytes) -> int:
        real(descriptor, data[:10])
        raise OSError(number, os.strerror(number))

    real = os.write
    with Spool(folder, BUDGET) as spool:
        node = spool.node(SESSION, NODE)
        node.append("events", b"one\n")
        with monkeypatch.context() as disk:
            disk.setattr(os, "write", write)
            with pytest.raises(error):
                node.append("events", b"two\n")
        node.append("events", b"three\n")
        assert kept(node) == {"events": b"one\nthree\n"}
    with Spool(folder, BUDGET) as spool:
        assert kept(spool.node(SESSION, NODE)) == {"events": b"one\nthree\n"}


def test_an_unusable_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolUnusable, match="writable folder"):
        Spool(tmp_path / "file" / "spool", BUDGET)


def test_a_read_only_folder_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*_: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with Spool(folder, BUDGET) as spool, monkeypatch.context() as disk:
        disk.setattr(os, "open", read_only)
        with pytest.raises(SpoolUnusable, match="Read-only"):
            spool.node(SESSION, NODE)


def test_two_collectors_never_share_a_folder(folder: Path) -> None:
    with Spool(folder, BUDGET), pytest.raises(SpoolInUse):
        Spool(folder, BUDGET)
    Spool(folder, BUDGET).close()


@pytest.mark.parametrize("stream", ["../x", "logs/../../x", "", "/x"])
def test_a_stream_that_could_leave_its_folder_is_refused(folder: Path, stream: str) -> None:
    with Spool(folder, BUDGET) as spool, pytest.raises(NameInvalid):
        spool.node(SESSION, NODE).append(stream, b"x")


def test_a_node_whose_name_could_leave_its_folder_is_refused(folder: Path) -> None:
    with Spool(folder, BUDGET) as spool, pytest.raises(NameInvalid):
        spool.node(SESSION, "../x")


def test_what_came_before_the_node_was_known_goes_to_it_in_order(folder: Path) -> None:
    with Spool(folder, BUDGET) as spool:
        waiting = spool.unassigned()
        waiting.append("events", b"one\n")
        waiting.append("quarantine", b"odd")
        waiting.count_loss("budget", 3)
        waiting.append("events", b"two\n" * 400_000)
    with Spool(folder, BUDGET) as spool:
        waiting = spool.unassigned()
        waiting.append("events", b"three\n")
        node = spool.node(SESSION, NODE)
        node.append("events", b"zero\n")
        spool.assign(node)
        waiting.append("events", b"late\n")
        assert kept(node) == {
            "events": b"zero\none\n" + b"two\n" * 400_000 + b"three\nlate\n",
            "quarantine": b"odd",
        }
        assert node.losses == {"budget": 3}
        assert spool.unassigned() is not waiting
        assert kept(spool.unassigned()) == {}
    with Spool(folder, BUDGET) as spool:
        assert kept(spool.unassigned()) == {}


def test_moving_to_the_node_goes_on_where_a_full_disk_stopped_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(descriptor: int, data: bytes) -> int:
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        room.pop()
        return real(descriptor, data)

    real = os.write
    room = [1] * 4
    with Spool(folder, BUDGET) as spool:
        waiting = spool.unassigned()
        for number in range(6):
            waiting.append("events", b"%d\n" % number)
        node = spool.node(SESSION, NODE)
        with monkeypatch.context() as disk:
            disk.setattr(os, "write", write)
            with pytest.raises(SpoolFull):
                spool.assign(node)
        assert kept(node) == {"events": b"0\n1\n2\n"}
        waiting.append("events", b"6\n")
        spool.assign(node)
        assert kept(node) == {"events": b"0\n1\n2\n3\n4\n5\n6\n"}


def test_nodes_of_earlier_lives_are_left_over_and_the_current_one_is_not(folder: Path) -> None:
    with Spool(folder, BUDGET) as spool:
        spool.node(SESSION, NODE).append("events", b"old\n")
        spool.node(OTHER, NODE).append("events", b"current\n")
    (folder / "nodes" / "a~b" / "x" / "y" / "z" / "1-00000000").mkdir(parents=True)
    (folder / "nodes" / "stray").write_text("")
    with Spool(folder, BUDGET) as spool:
        spool.node(OTHER, NODE)
        [left] = spool.left_over()
        assert (left.session, kept(left)) == (SESSION, {"events": b"old\n"})
        assert spool.left_over() == []


def test_a_left_over_node_that_can_not_be_opened_keeps_no_other_waiting(folder: Path) -> None:
    with Spool(folder, BUDGET) as spool:
        for node_id in ("aa" * 28, "bb" * 28):
            spool.node(SESSION, node_id).append("events", b"x\n")
    [checkpoint] = folder.rglob(f"{'aa' * 28}/*/checkpoint")
    kept_aside = checkpoint.rename(checkpoint.with_name("kept"))
    checkpoint.symlink_to(checkpoint)
    with Spool(folder, BUDGET) as spool:
        assert [node.node_id for node in spool.left_over()] == ["bb" * 28]
    checkpoint.unlink()
    kept_aside.rename(checkpoint)
    with Spool(folder, BUDGET) as spool:
        assert [kept(node) for node in spool.left_over()] == [{"events": b"x\n"}] * 2


def test_on_a_full_disk_a_node_still_begins_so_that_what_is_left_over_can_go(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Spool(folder, BUDGET) as spool:
        spool.node(SESSION, NODE).append("events", b"x\n")
    works = os.pwrite
    full = False

    def pwrite(descriptor: int, data: bytes, place: int) -> int:
        if full or (folder / "reserve").exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return works(descriptor, data, place)

    monkeypatch.setattr(os, "pwrite", pwrite)
    with Spool(folder, BUDGET) as spool:
        assert kept(spool.node(SESSION, "bb" * 28)) == {}
        [left] = spool.left_over()
        assert kept(left) == {"events": b"x\n"}
        full = True
        with pytest.raises(SpoolFull):
            spool.node(SESSION, "cc" * 28)
        full = False
        spool.node(SESSION, "cc" * 28)


def test_what_is_left_over_tells_when_it_was_written_last(folder: Path) -> None:
    moments = iter(range(100, 1000, 100))
    with Spool(folder, BUDGET, wall=lambda: next(moments)) as spool:
        node = spool.node(SESSION, NODE)
        node.append("events", b"x\n")
        node.mark("events", "gap")
        began_ms, last_ms = node.origin.started_ms, node.reads(node.stored).reads[-1].record.time_ms
    with Spool(folder, BUDGET) as spool:
        [node] = spool.left_over()
        assert node.newest_ms == last_ms > began_ms


def test_what_is_left_of_a_removed_node_when_the_removal_is_killed_is_nobodys(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Spool(folder, BUDGET) as spool:
        node = spool.node(SESSION, NODE)
        node.append("events", b"one\n")

        def killed(path: Path) -> None:
            (path / "checkpoint").unlink()

        monkeypatch.setattr("sidecar.spool.node.shutil.rmtree", killed)
        assert node.remove(node.written)
        monkeypatch.undo()
    assert journals(folder)
    with Spool(folder, BUDGET) as spool:
        assert journals(folder) == []
        node = spool.node(SESSION, NODE)
        assert spool.left_over() == []
        assert (kept(node), node.losses) == ({}, {})


def test_a_removed_node_begins_a_new_origin(folder: Path) -> None:
    with Spool(folder, BUDGET) as spool:
        node = spool.node(SESSION, NODE)
        node.append("events", b"one\n")
        assert not node.remove(node.stored)
        assert node.remove(node.written)
        with pytest.raises(SpoolUnusable, match="has ended"):
            node.append("events", b"two\n")
        again = spool.node(SESSION, NODE)
        assert again.origin != node.origin
        assert again.append("events", b"two\n") == 0
        assert spool.left_over() == []


def test_a_closed_spool_keeps_nothing_and_harms_nothing(folder: Path) -> None:
    with Spool(folder, BUDGET) as spool:
        node = spool.node(SESSION, NODE)
        node.append("events", b"one\n")
    with pytest.raises(SpoolUnusable, match="closed"):
        node.append("events", b"two\n")
    with pytest.raises(SpoolUnusable, match="closed"):
        node.count_loss("budget")
    with pytest.raises(SpoolUnusable, match="closed"):
        node.remove(node.stored)
    with Spool(folder, BUDGET) as spool:
        assert kept(spool.node(SESSION, NODE)) == {"events": b"one\n"}


def test_a_file_that_could_not_be_begun_is_begun_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(descriptor: int, data: bytes) -> int:
        return real(descriptor, data[:10])

    def truncate(*_: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    real = os.write
    with Spool(folder, BUDGET) as spool:
        node = spool.node(SESSION, NODE)
        for seed in range(4):
            node.append("events", noise(1 << 20, seed))
        with monkeypatch.context() as disk:
            disk.setattr(os, "write", write)
            disk.setattr(os, "ftruncate", truncate)
            with pytest.raises(SpoolUnusable):
                node.append("events", b"lost\n")
        node.append("events", b"kept\n")
        taken = spool.budget.taken
    with Spool(folder, BUDGET) as spool:
        node = spool.node(SESSION, NODE)
        assert node.losses == {}
        assert kept(node)["events"].endswith(noise(1 << 20, 3) + b"kept\n")
        assert spool.budget.taken == taken


def test_a_new_origin_is_younger_than_the_damaged_one_even_if_the_clock_went_back(folder: Path) -> None:
    with Spool(folder, BUDGET, wall=lambda: 2_000_000.0) as spool:
        assert spool.node(SESSION, NODE).origin.started_ms == 2_000_000_000
    [checkpoint] = folder.rglob("checkpoint")
    checkpoint.write_bytes(b"damage")
    with Spool(folder, BUDGET, wall=lambda: 1_000_000.0) as spool:
        assert spool.node(SESSION, NODE).origin > Origin(2_000_000_000, "ffffffff")


def test_threads_append_to_one_stream_without_harm(folder: Path) -> None:
    with Spool(folder, BUDGET) as spool:
        node = spool.node(SESSION, NODE)
        start = threading.Barrier(4)

        def append(thread: int) -> None:
            start.wait()
            for number in range(200):
                node.append("events", b"%d:%d\n" % (thread, number))

        with ThreadPoolExecutor(4) as threads:
            list(threads.map(append, range(4)))
        lines = kept(node)["events"].splitlines()
    for thread in range(4):
        mine = [line for line in lines if line.startswith(b"%d:" % thread)]
        assert mine == [b"%d:%d" % (thread, number) for number in range(200)]


def test_damage_found_while_running_is_counted_and_passed_by(folder: Path) -> None:
    with Spool(folder, BUDGET) as spool:
        node = spool.node(SESSION, NODE)
        node.append("events", b"one\n")
        node.append("events", b"two\n")
        [journal] = journals(folder)
        journal.write_bytes(journal.read_bytes().replace(b"two", b"TWO"))
        batch = node.reads(node.stored)
        assert [read.record.start for read in batch.reads] == [0]
        assert batch.end == node.written
        assert node.losses == {Loss.JOURNAL_DAMAGED: 1}


def test_the_age_of_what_waits_is_known(folder: Path) -> None:
    now = [1000.0]
    with Spool(folder, BUDGET, wall=lambda: now[0]) as spool:
        node = spool.node(SESSION, NODE)
        assert node.oldest_ms(node.stored) is None
        node.append("events", b"one\n")
        now[0] = 2000.0
        first = node.written
        node.append("events", b"two\n")
        assert node.oldest_ms(node.stored) == 1_000_000
        assert node.oldest_ms(first) == 2_000_000
        assert node.oldest_ms(node.written) is None
