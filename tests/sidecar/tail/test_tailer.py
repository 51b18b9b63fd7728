"""What may happen to logs while they are tailed, one story a test."""

import os
import shutil
import socket
import threading
import tracemalloc
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from sidecar.tail import Continuation

Collect = Callable[..., Any]
Write = Callable[[str, str], Path]
MIB = 1 << 20


class TestGrowing:
    def test_takes_what_a_log_gains_and_only_that(self, collector: Any, write: Write) -> None:
        write("raylet.out", "one\n")
        assert collector.scan().bytes_read == 4
        write("raylet.out", "two\npart")
        collector.scan()
        assert collector.scan().bytes_read == 0
        assert collector.text("logs/raylet.out") == b"one\ntwo\npart"

    def test_finds_logs_in_folders_below(self, collector: Any, write: Write) -> None:
        write("serve/replica.log", "a")
        write("events/event_RAYLET.log", "b")
        write("train/deeper/down/x.log", "c")
        collector.scan()
        assert collector.streams == {
            "logs/serve/replica.log",
            "logs/events/event_RAYLET.log",
            "logs/train/deeper/down/x.log",
        }

    def test_lists_a_log_without_a_byte(self, collector: Any, write: Write) -> None:
        write("worker.err", "")
        collector.scan()
        collector.scan()
        assert collector.streams == {"logs/worker.err"}
        assert collector.text("logs/worker.err") == b""

    def test_waits_for_a_folder_that_comes_late(self, collect: Collect, tmp_path: Path) -> None:
        collector = collect(tmp_path / "late")
        assert collector.scan().files == 0
        assert collector.finish().files == 0
        (tmp_path / "late").mkdir()
        (tmp_path / "late" / "a.out").write_text("here")
        collector.scan()
        assert collector.text("logs/a.out") == b"here"

    def test_reads_a_folder_that_takes_the_place_of_another(
        self, collector: Any, write: Write, logs: Path
    ) -> None:
        write("a.out", "old\n")
        collector.scan()
        logs.rename(logs.with_name("away"))
        collector.scan()
        write("a.out", "new\n")
        collector.scan(3)
        assert collector.text("logs/a.out") == b"old\nnew\n"

    def test_reads_bytes_that_are_no_text_under_a_name_that_is_none(self, collector: Any, logs: Path) -> None:
        path = os.fsencode(logs) + b"/caf\xe9\n.log"
        with open(path, "wb") as file:  # noqa: PTH123 - Path knows no bytes
            file.write(b"\x00\xff")
        collector.scan()
        assert collector.text("logs/caf\\xe9\\n.log") == b"\x00\xff"

    def test_counts_a_file_whose_name_can_not_be_kept(self, collector: Any, write: Write) -> None:
        write("/".join(["x" * 200] * 6), "lost")
        collector.scan()
        assert collector.streams == set()
        assert collector.losses == {"logs.unnameable": 1}


class TestRenaming:
    @pytest.mark.parametrize("cpp", [False, True])
    def test_follows_a_ring(self, collector: Any, write: Write, ring: Any, cpp: bool) -> None:
        log = ring("raylet.out", 3, cpp)
        for turn in range(8):
            write("raylet.out", f"{turn} before\n")
            collector.scan()
            write("raylet.out", f"{turn} after\n")
            log.turn()
        write("raylet.out", "end\n")
        collector.finish()
        expected = "".join(f"{turn} before\n{turn} after\n" for turn in range(8)) + "end\n"
        assert collector.text("logs/raylet.out") == expected.encode()
        assert collector.streams == {"logs/raylet.out"}
        assert collector.marks("logs/raylet.out") == []

    def test_follows_several_turns_between_two_scans(self, collector: Any, write: Write, ring: Any) -> None:
        log = ring("raylet.out", 5)
        write("raylet.out", "0\n")
        collector.scan()
        for turn in range(1, 5):
            log.turn()
            write("raylet.out", f"{turn}\n")
        collector.scan(3)
        assert collector.text("logs/raylet.out") == b"0\n1\n2\n3\n4\n"
        assert collector.marks("logs/raylet.out") == []

    def test_reads_what_a_writer_adds_just_after_the_rename(
        self, collector: Any, write: Write, ring: Any
    ) -> None:
        log = ring("a.out", 2)
        with write("a.out", "old\n").open("a") as writer:
            collector.scan()
            log.turn()
            write("a.out", "new\n")
            collector.scan()
            writer.write("late\n")
        collector.scan()
        assert collector.text("logs/a.out") == b"old\nlate\nnew\n"

    def test_marks_what_a_writer_adds_long_after_the_rename(
        self, collector: Any, write: Write, ring: Any
    ) -> None:
        log = ring("a.out", 2)
        write("a.out", "old\n")
        collector.scan()
        log.turn()
        write("a.out", "new\n")
        collector.scan(3)
        write("a.out.1", "too late\n")
        collector.scan(2)
        write("a.out", "newer\n")
        collector.finish()
        assert collector.text("logs/a.out") == b"old\nnew\nnewer\n"
        assert collector.marks("logs/a.out") == [("gap", 8)]
        assert collector.losses == {"logs.late": 9}

    def test_reads_backups_that_were_there_first_oldest_first(
        self, collector: Any, write: Write, ring: Any
    ) -> None:
        log = ring("worker.out", 4)
        for turn in range(4):
            write("worker.out", f"{turn}\n")
            log.turn()
        write("worker.out", "4\n")
        collector.scan(2)
        assert collector.text("logs/worker.out") == b"0\n1\n2\n3\n4\n"

    def test_reads_what_the_ring_has_deleted(
        self, collect: Collect, logs: Path, write: Write, ring: Any
    ) -> None:
        collector = collect(logs, bytes_per_scan=4096)
        log = ring("a.out", 1)
        expected = ""
        for turn in range(6):
            text = f"{turn}" * 5000 + "\n"
            expected += text
            write("a.out", text)
            collector.scan()
            log.turn()
        assert not log.name(2).exists()
        collector.finish()
        assert collector.text("logs/a.out") == expected.encode()
        assert collector.marks("logs/a.out") == []

    def test_marks_a_gap_where_the_ring_may_have_dropped_what_nobody_saw(
        self, collector: Any, write: Write, ring: Any
    ) -> None:
        log = ring("a.out", 2)
        write("a.out", "0\n")
        collector.scan()
        for turn in range(1, 6):
            log.turn()
            write("a.out", f"{turn}\n")
        collector.finish()
        assert collector.text("logs/a.out") == b"0\n3\n4\n5\n"
        assert collector.marks("logs/a.out") == [("gap", 2)]
        assert collector.losses == {"logs.turned": 1}

    def test_marks_a_gap_where_the_ring_turned_round_while_the_collector_was_away(
        self, collector: Any, write: Write, ring: Any
    ) -> None:
        log = ring("a.out", 2)
        write("a.out", "begin of 0\n")
        collector.scan()
        write("a.out", "end of 0\n")
        for turn in range(1, 6):
            log.turn()
            write("a.out", f"number {turn}, which is a longer line\n")
        collector.restart()
        collector.finish()
        expected = b"".join(b"number %d, which is a longer line\n" % turn for turn in (3, 4, 5))
        assert collector.text("logs/a.out") == b"begin of 0\n" + expected
        assert collector.marks("logs/a.out") == [("gap", len(b"begin of 0\n"))]
        assert collector.losses == {"logs.vanished": 1}

    def test_goes_on_in_a_ring_that_turned_while_the_collector_was_away(
        self, collector: Any, write: Write, ring: Any
    ) -> None:
        log = ring("a.out", 3)
        write("a.out", "0")
        log.turn()
        write("a.out", "1 ")
        collector.scan()
        write("a.out", "1")
        log.turn()
        write("a.out", "2")
        collector.restart()
        collector.finish()
        assert collector.text("logs/a.out") == b"01 12"
        assert collector.marks("logs/a.out") == []

    def test_knows_a_used_again_inode_in_a_ring_that_turned_round_while_the_collector_was_away(
        self, collector: Any, write: Write, ring: Any
    ) -> None:
        log = ring("a.out", 2)
        path = write("a.out", "first\n")
        collector.scan()
        path.rename(log.name(3))
        write("a.out.2", "second\n")
        write("a.out.1", "third\n")
        log.name(3).write_text("fourth, in the first one's inode\n")
        log.name(3).rename(path)
        collector.restart()
        collector.finish()
        assert collector.text("logs/a.out") == b"first\nsecond\nthird\nfourth, in the first one's inode\n"
        assert collector.marks("logs/a.out") == [("gap", 6)]

    def test_reads_no_backup_again_when_the_newest_file_is_deleted(
        self, collector: Any, write: Write, ring: Any
    ) -> None:
        log = ring("a.out", 3)
        for number in range(3):
            write("a.out", f"{number}\n")
            collector.scan(2)
            log.turn()
        log.path.unlink()
        collector.scan(15)
        write("a.out", "3\n")
        collector.scan(2)
        assert collector.text("logs/a.out") == b"0\n1\n2\n3\n"

    @pytest.mark.parametrize("cpp", [False, True])
    def test_misses_nothing_silently_of_a_ring_that_turns_while_it_is_looked_at(
        self, collector: Any, write: Write, ring: Any, cpp: bool
    ) -> None:
        log = ring("a.out", 30, cpp)
        log.path.touch()
        collector.scan()
        turns = 300

        def turn() -> None:
            for number in range(turns):
                write("a.out", f"{number}\n")
                log.turn()
                # As many turns between two scans as the ring has files would be a gap.
                scanned.wait()
                if number % 5 == 0:
                    scanned.clear()

        scanned = threading.Event()
        thread = threading.Thread(target=turn)
        thread.start()
        while thread.is_alive():
            collector.scan()
            scanned.set()
        thread.join()
        collector.finish()
        expected = [b"%d" % number for number in range(turns)]
        lines = collector.text("logs/a.out").splitlines()
        # A listing can miss names that are moved hundreds of times a second; then that is told.
        gaps = collector.marks("logs/a.out")
        if lines != expected:
            assert len(gaps) == 1
            assert lines == sorted(set(lines), key=int)
            assert len(expected) - len(lines) <= 30

    def test_takes_a_name_with_a_number_for_a_log_of_its_own(self, collector: Any, write: Write) -> None:
        write("metrics.2.log", "own")
        assert collector.scan().bytes_read == 0
        collector.scan()
        collector.restart()
        write("metrics.2.log", " more")
        write("metrics.log", "other")
        collector.finish()
        assert collector.text("logs/metrics.2.log") == b"own more"
        assert collector.text("logs/metrics.log") == b"other"

    def test_shows_a_log_with_two_names_under_both(self, collector: Any, write: Write, logs: Path) -> None:
        path = write("a.out", "one\n")
        os.link(path, logs / "b.out")
        collector.scan()
        write("a.out", "two\n")
        collector.scan()
        path.unlink()
        write("b.out", "three\n")
        collector.scan(15)
        assert collector.text("logs/a.out") == b"one\ntwo\nthree\n"
        assert collector.text("logs/b.out") == b"one\ntwo\nthree\n"

    def test_shows_a_log_that_was_renamed_by_hand_under_both_names(
        self, collector: Any, write: Write
    ) -> None:
        path = write("a.out", "one\n")
        collector.scan()
        path.rename(path.with_name("kept.out"))
        write("kept.out", "two\n")
        write("a.out", "new\n")
        collector.scan(3)
        assert collector.text("logs/a.out") == b"one\ntwo\nnew\n"
        assert collector.text("logs/kept.out") == b"one\ntwo\n"


class TestCutting:
    def test_reads_a_log_that_was_cut_from_its_start(self, collector: Any, write: Write) -> None:
        path = write("a.out", "a long line\n")
        collector.scan()
        path.write_text("short\n")
        collector.scan()
        assert collector.text("logs/a.out") == b"a long line\nshort\n"
        assert collector.marks("logs/a.out") == [("truncated", 12)]

    def test_never_takes_a_regrown_file_for_an_append(self, collector: Any, write: Write) -> None:
        path = write("a.out", "first life\n")
        collector.scan()
        path.write_text("second life, and longer than the first\n")
        collector.scan()
        assert collector.text("logs/a.out") == b"first life\nsecond life, and longer than the first\n"
        assert collector.marks("logs/a.out") == [("truncated", 11)]

    def test_follows_a_log_that_is_copied_away_and_truncated(self, collector: Any, write: Write) -> None:
        path = write("a.out", "")
        for number in range(3):
            write("a.out", f"line {number}\n")
            collector.scan(2)
            if number:
                (collector.logs / "a.out.1").rename(collector.logs / "a.out.2")
            shutil.copy(path, collector.logs / "a.out.1")
            path.write_text("")
            collector.scan()
        assert collector.text("logs/a.out") == b"line 0\nline 1\nline 2\n"
        assert collector.streams == {"logs/a.out"}

    def test_sees_a_rewrite_that_keeps_the_length(self, collector: Any, write: Write) -> None:
        path = write("a.out", "1234567\n")
        collector.scan()
        path.write_text("abcdefg\n")
        os.utime(path, ns=(1, 1))
        collector.scan()
        assert collector.text("logs/a.out") == b"1234567\nabcdefg\n"

    @pytest.mark.parametrize("content", ["", "short\n", "a line that is longer than what was there\n"])
    def test_sees_a_cut_across_a_restart(self, collector: Any, write: Write, content: str) -> None:
        path = write("a.out", "a line of before\n")
        collector.scan()
        path.write_text(content)
        collector.restart()
        collector.scan()
        collector.restart()
        collector.scan()
        assert collector.text("logs/a.out") == b"a line of before\n" + content.encode()
        assert collector.marks("logs/a.out") == [("truncated", 17)]

    def test_goes_on_where_a_stale_writer_leaves_a_hole(self, collector: Any, write: Write) -> None:
        path = write("a.out", "")
        with path.open("r+b", buffering=0) as writer:
            writer.write(b"12345678")
            collector.scan()
            os.truncate(path, 0)
            collector.scan()
            writer.write(b"9")
            collector.scan()
        assert collector.text("logs/a.out") == b"12345678" + b"\0" * 8 + b"9"

    def test_tells_how_much_of_a_cut_log_was_never_read(
        self, collect: Collect, logs: Path, write: Write
    ) -> None:
        collector = collect(logs, bytes_per_scan=4096)
        path = write("a.out", "x" * 10_000)
        collector.scan()
        path.write_text("y")
        collector.scan()
        assert collector.text("logs/a.out") == b"x" * 4096 + b"y"
        assert collector.marks("logs/a.out") == [("truncated", 4096)]
        assert collector.losses == {"logs.cut": 10_000 - 4096}

    def test_tells_how_much_was_cut_off_behind_what_was_read(
        self, collect: Collect, logs: Path, write: Write
    ) -> None:
        collector = collect(logs, bytes_per_scan=4096)
        path = write("a.out", "x" * 10_000)
        collector.scan()
        os.truncate(path, 5000)
        collector.scan()
        assert collector.text("logs/a.out") == b"x" * 5000
        assert collector.marks("logs/a.out") == [("gap", 4096)]
        assert collector.losses == {"logs.cut": 5000}


class TestDeleting:
    def test_drains_a_log_that_is_deleted_and_still_written(
        self, collector: Any, write: Write, open_files: Callable[[], int]
    ) -> None:
        with write("a.out", "one\n").open("a", buffering=1) as writer:
            collector.scan()
            before = open_files()
            (collector.logs / "a.out").unlink()
            writer.write("two\n")
            collector.scan()
            writer.write("three\n")
            collector.scan()
            assert open_files() == before
            collector.scan(15)
            assert open_files() == before - 1
        assert collector.text("logs/a.out") == b"one\ntwo\nthree\n"
        assert collector.marks("logs/a.out") == []

    def test_a_log_that_was_drained_is_no_gap_after_a_restart(self, collector: Any, write: Write) -> None:
        path = write("a.out", "one\n")
        collector.scan()
        path.unlink()
        collector.scan(15)
        collector.restart()
        collector.scan()
        write("a.out", "two\n")
        collector.scan()
        assert collector.text("logs/a.out") == b"one\ntwo\n"
        assert collector.marks("logs/a.out") == []

    def test_a_log_that_vanished_while_the_collector_was_away_is_a_gap_once(
        self, collector: Any, write: Write
    ) -> None:
        path = write("a.out", "one\n")
        collector.scan()
        path.unlink()
        for _ in range(3):
            collector.restart()
            collector.scan(2)
        assert collector.marks("logs/a.out") == [("gap", 4)]
        assert collector.losses == {"logs.vanished": 1}

    def test_a_log_that_vanished_is_not_taken_for_another_that_got_its_inode(
        self, collector: Any, write: Write, logs: Path
    ) -> None:
        path = write("a.out", "one\n")
        collector.scan()
        path.rename(logs / "b.out")
        (logs / "b.out").write_text("another log\n")
        collector.restart()
        collector.scan()
        assert collector.finish().lag_bytes == 0
        assert collector.text("logs/a.out") == b"one\n"
        assert collector.text("logs/b.out") == b"another log\n"
        assert collector.marks("logs/a.out") == [("gap", 4)]

    def test_a_log_made_anew_goes_on_in_its_stream(self, collector: Any, write: Write) -> None:
        for text in ("one\n", "two\n", "three\n"):
            write("a.out", text)
            collector.scan(2)
            (collector.logs / "a.out").unlink()
        collector.finish()
        assert collector.text("logs/a.out") == b"one\ntwo\nthree\n"

    def test_counts_what_was_deleted_beyond_the_open_files(
        self, collect: Collect, logs: Path, write: Write
    ) -> None:
        collector = collect(logs, handles=2, bytes_per_scan=4096)
        for number in range(4):
            write(f"{number}.out", "x" * 8192)
        assert collector.scan().handles == 2
        for number in range(4):
            (logs / f"{number}.out").unlink()
        while collector.scan().lag_bytes:
            pass
        read = sum(len(collector.text(f"logs/{number}.out")) for number in range(4))
        assert read < 4 * 8192
        assert collector.losses == {"logs.deleted": 4 * 8192 - read}

    def test_lets_go_of_deleted_files_that_take_too_much_disk(
        self, collect: Collect, logs: Path, write: Write
    ) -> None:
        collector = collect(logs, deleted_bytes=10_000, bytes_per_scan=4096)
        write("big.out", "x" * 50_000)
        write("small.out", "y" * 9_000)
        collector.scan()
        (logs / "big.out").unlink()
        (logs / "small.out").unlink()
        collector.scan()
        collector.finish()
        assert collector.text("logs/small.out") == b"y" * 9_000
        kept = len(collector.text("logs/big.out"))
        assert collector.losses == {"logs.deleted": 50_000 - kept}
        assert collector.marks("logs/big.out") == [("gap", kept)]

    def test_a_folder_in_the_place_of_a_log_stops_nothing(self, collector: Any, write: Write) -> None:
        path = write("a.out", "one\n")
        write("b.out", "b\n")
        collector.scan()
        path.unlink()
        write("a.out/inner.log", "in\n")
        write("b.out", "b\n")
        collector.scan()
        assert collector.text("logs/b.out") == b"b\nb\n"
        assert collector.text("logs/a.out/inner.log") == b"in\n"


class TestUnreadable:
    def test_a_log_that_can_not_be_opened_is_tried_again_and_marked_at_the_end(
        self, collector: Any, write: Write, few_files: Callable[[int], AbstractContextManager[None]]
    ) -> None:
        write("a.out", "a")
        collector.scan()
        write("b.out", "later")
        write("c.out", "later")
        with few_files(3):
            assert collector.scan().lagging == 1
            assert collector.finish().lag_bytes == 5
            assert collector.finish().lag_bytes == 5
        assert collector.losses == {"logs.unreadable": 5}
        collector.scan(11)
        assert collector.text("logs/b.out") == b"later"
        assert collector.text("logs/c.out") == b"later"

    def test_what_can_not_be_looked_at_is_not_gone(
        self, collector: Any, write: Write, few_files: Callable[[int], AbstractContextManager[None]]
    ) -> None:
        write("a.out", "a")
        write("serve/b.out", "b")
        collector.scan()
        for free in range(4):
            with few_files(free):
                assert collector.scan().files == 2
        write("serve/b.out", "b")
        collector.scan()
        assert collector.text("logs/serve/b.out") == b"bb"
        assert collector.marks("logs/serve/b.out") == []


class TestLinks:
    def test_never_follows_a_link_out_of_the_folder(
        self, collector: Any, write: Write, logs: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "secret").mkdir()
        (tmp_path / "secret" / "key").write_text("secret")
        write("a.out", "a")
        (logs / "link.out").symlink_to(tmp_path / "secret" / "key")
        (logs / "folder").symlink_to(tmp_path / "secret")
        (logs / "inside.out").symlink_to(logs / "a.out")
        (logs / "round").symlink_to(logs)
        collector.scan()
        collector.finish()
        assert collector.streams == {"logs/a.out"}

    def test_a_link_swapped_in_for_a_log_is_not_followed(
        self, collector: Any, write: Write, tmp_path: Path
    ) -> None:
        (tmp_path / "key").write_text("open\nsecret")
        path = write("a.out", "open\n")
        collector.scan()
        path.unlink()
        path.symlink_to(tmp_path / "key")
        collector.scan()
        collector.finish()
        assert collector.text("logs/a.out") == b"open\n"

    def test_reads_regular_files_only(self, collector: Any, logs: Path, write: Write) -> None:
        os.mkfifo(logs / "pipe.out")
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(logs / "s"))
            write("a.out", "a")
            collector.scan()
        assert collector.streams == {"logs/a.out"}


class TestRestarting:
    def test_reads_nothing_twice_and_misses_nothing(self, collector: Any, write: Write) -> None:
        for number in range(5):
            write("a.out", f"line {number}\nhalf a li")
            collector.scan()
            write("a.out", f"ne {number}\n")
            collector.restart()
        collector.scan()
        expected = "".join(f"line {number}\nhalf a line {number}\n" for number in range(5))
        assert collector.text("logs/a.out") == expected.encode()

    def test_a_masked_line_waits_for_its_end_across_a_restart(self, collector: Any, write: Write) -> None:
        write("dashboard_agent.log", "start\nenv_vars={'KEY': 'sec")
        collector.scan(2)
        assert collector.text("logs/dashboard_agent.log") == b"start\n"
        collector.restart()
        write("dashboard_agent.log", "ret'}\n")
        collector.scan()
        assert collector.text("logs/dashboard_agent.log") == b"start\nenv_vars={'KEY': '******'}\n"

    def test_goes_on_under_the_next_node_of_the_folder(
        self, collect: Collect, logs: Path, write: Write
    ) -> None:
        old = collect(logs)
        write("raylet.out", "old\n")
        write("old-worker.out", "old\n")
        gone = write("gone.out", "old\n")
        old.scan()
        old.finish()
        gone.unlink()
        write("raylet.out", "new\n")
        write("new-worker.out", "new\n")
        new = collect(logs, continues=Continuation("aa" * 28, old.spool.sources()))
        new.scan()
        new.restart()
        write("raylet.out", "newer\n")
        write("gone.out", "again\n")
        new.finish()
        assert new.text("logs/raylet.out") == b"new\nnewer\n"
        assert new.text("logs/new-worker.out") == b"new\n"
        assert new.text("logs/old-worker.out") == b""
        assert new.text("logs/gone.out") == b"again\n"
        assert new.notes("logs/raylet.out") == [("continues", 0, "aa" * 28)]
        assert new.notes("logs/old-worker.out") == [("continues", 0, "aa" * 28)]
        assert new.notes("logs/new-worker.out") == []
        assert new.notes("logs/gone.out") == []


class TestMasking:
    def test_masks_exports_to_equal_length(self, collector: Any, write: Write) -> None:
        line = '{"runtime_env_json": "{\\"env_vars\\": {\\"TOKEN\\": \\"hunter2\\"}}"}\n'
        write("export_events/event_EXPORT_SUBMISSION_JOB.log", line + line)
        collector.scan()
        kept = collector.text("exports/event_EXPORT_SUBMISSION_JOB.log")
        assert kept == (line + line).replace("hunter2", "*" * 7).encode()

    def test_takes_the_incomplete_last_line_at_the_end(self, collector: Any, write: Write) -> None:
        write("runtime_env_agent.out", "whole\nlast words")
        collector.scan()
        collector.finish()
        assert collector.text("logs/runtime_env_agent.out") == b"whole\nlast words"

    def test_marks_that_the_rest_of_a_line_taken_at_the_end_is_blanked(
        self, collector: Any, write: Write
    ) -> None:
        write("dashboard_agent.log", "env_vars={'KEY': 'sec")
        collector.finish()
        collector.restart()
        write("dashboard_agent.log", "ret'}\nwhole\n")
        collector.scan()
        begun = b"env_vars={'KEY': ****"
        assert collector.text("logs/dashboard_agent.log") == begun + b"*****\nwhole\n"
        assert collector.marks("logs/dashboard_agent.log") == [("gap", len(begun))]
        assert collector.losses == {"logs.unmasked": 5}

    def test_blanks_a_line_that_is_too_long_to_be_masked(self, collector: Any, write: Write) -> None:
        text = "before\n" + '{"env_vars": {"A": "' + "s" * (3 * MIB) + '"}}\nafter\n'
        write("export_events/event_EXPORT_DRIVER_JOB.log", text)
        collector.scan()
        collector.restart()
        collector.finish()
        kept = collector.text("exports/event_EXPORT_DRIVER_JOB.log")
        assert len(kept) == len(text)
        assert kept.startswith(b"before\n***")
        assert kept.endswith(b"***\nafter\n")
        assert b"s" not in kept
        assert [kind for kind, _ in collector.marks("exports/event_EXPORT_DRIVER_JOB.log")] == ["gap"]
        assert collector.losses["logs.unmasked"] > 0

    def test_finds_whole_lines_where_there_is_room_for_few_bytes(
        self, collect: Collect, logs: Path, write: Write
    ) -> None:
        collector = collect(logs, bytes_per_scan=100)
        lines = "".join(f"line {number} of an agent\n" for number in range(50))
        write("dashboard_agent.log", lines)
        for number in range(3):
            write(f"worker-{number}.out", "x" * 1000)
        while collector.scan().lag_bytes:
            pass
        assert collector.text("logs/dashboard_agent.log") == lines.encode()


class TestRewriting:
    def test_keeps_the_latest_content_of_a_file_that_is_rewritten(self, collector: Any, write: Write) -> None:
        path = write("debug_state.txt", "first")
        collector.scan()
        path.write_text("second, too early")
        collector.now = 100
        collector.scan()
        path.write_text("third")
        collector.now = 301
        collector.scan(2)
        path.write_text("last")
        collector.finish()
        collector.finish()
        assert collector.text("logs/debug_state.txt") == b"firstthirdlast"
        assert collector.marks("logs/debug_state.txt") == [
            ("rewritten", 0),
            ("rewritten", 5),
            ("rewritten", 10),
        ]

    def test_the_same_content_is_not_kept_twice(self, collector: Any, write: Write) -> None:
        path = write("debug_state_gcs.txt", "same")
        collector.scan()
        path.write_text("same")
        os.utime(path, ns=(5, 5))
        collector.restart()
        collector.finish()
        assert collector.text("logs/debug_state_gcs.txt") == b"same"

    def test_a_file_that_is_empty_just_then_is_taken_soon_after(self, collector: Any, write: Write) -> None:
        path = write("debug_state.txt", "")
        collector.scan()
        assert collector.streams == {"logs/debug_state.txt"}
        path.write_text("there")
        collector.scan()
        assert collector.text("logs/debug_state.txt") == b"there"

    def test_says_when_only_the_beginning_is_kept(self, collector: Any, write: Write) -> None:
        write("debug_state.txt", "x" * (MIB + 1))
        collector.finish()
        assert len(collector.text("logs/debug_state.txt")) == MIB
        assert "1048577" in collector.notes("logs/debug_state.txt")[0][2]


class TestLimits:
    def test_passes_a_line_of_50_mb_in_pieces(self, collect: Collect, logs: Path) -> None:
        with (logs / "a.out").open("wb") as file:
            for number in range(50):
                file.write(bytes([97 + number % 26]) * MIB)
        collector = collect(logs)
        largest = 0
        tracemalloc.start()
        try:
            while collector.scan().bytes_read:
                largest = max(largest, tracemalloc.get_traced_memory()[1])
                collector.store()
                tracemalloc.reset_peak()
        finally:
            tracemalloc.stop()
        assert collector.spool.end("logs/a.out") == 50 * MIB
        assert largest < 8 * MIB

    def test_reads_only_what_the_patterns_let_in(self, collect: Collect, logs: Path, write: Write) -> None:
        collector = collect(logs, include=("*.out", "serve/*"), exclude=("worker-*",))
        for name in ("raylet.out", "raylet.out.1", "worker-1.out", "serve/a.log", "monitor.log"):
            write(name, "x")
        collector.scan(2)
        assert collector.streams == {"logs/raylet.out", "logs/serve/a.log"}
        assert collector.text("logs/raylet.out") == b"xx"

    @pytest.mark.parametrize("name", ["a.out", "dashboard_agent.log"])
    def test_keeps_no_more_of_a_log_than_the_cap_and_says_so_once(
        self, collect: Collect, logs: Path, write: Write, name: str
    ) -> None:
        collector = collect(logs, bytes_per_log=12)
        write(name, "line 1\nline 2\n")
        collector.scan()
        write(name, "line 3\n")
        collector.scan()
        collector.restart()
        write(name, "line 4\n")
        assert collector.finish().lag_bytes == 0
        kept = collector.text(f"logs/{name}")
        assert kept == (b"line 1\nline " if name == "a.out" else b"line 1\n")
        assert collector.marks(f"logs/{name}") == [("gap", len(kept))]
        assert collector.losses == {"logs.capped": 1}

    def test_waits_at_its_offset_while_the_spool_has_no_room(
        self, collect: Collect, logs: Path, write: Write
    ) -> None:
        collector = collect(logs, budget=20_000)
        text = os.urandom(30_000).hex()
        write("a.out", text)
        collector.finish()
        kept = collector.text("logs/a.out")
        assert 0 < len(kept) < len(text)
        assert text.encode().startswith(kept)
        assert collector.scan().lag_bytes == len(text) - len(kept)
        assert collector.losses == {}

    def test_a_chatty_log_starves_no_other(self, collect: Collect, logs: Path, write: Write) -> None:
        collector = collect(logs, bytes_per_scan=40_000)
        write("chatty.out", "x" * 1_000_000)
        for number in range(20):
            write(f"{number}.out", f"line {number}\n")
        collector.scan()
        for number in range(20):
            assert collector.text(f"logs/{number}.out") == f"line {number}\n".encode()
        assert collector.text("logs/chatty.out")

    def test_at_the_end_the_newest_log_comes_first(self, collect: Collect, logs: Path, write: Write) -> None:
        collector = collect(logs)
        for age, name in enumerate(("new.out", "older.out", "oldest.out")):
            os.utime(write(name, "x"), (1_000_000 - age, 1_000_000 - age))
        collector.finish()
        assert collector.order() == ["logs/new.out", "logs/older.out", "logs/oldest.out"]

    def test_a_deadline_ends_the_end(self, collector: Any, write: Write) -> None:
        write("a.out", "x")
        collector.now = 5
        assert collector.tailer.finish(deadline=5).lag_bytes == 1

    def test_counts_that_there_are_more_files_than_it_looks_at(
        self, collect: Collect, logs: Path, write: Write
    ) -> None:
        collector = collect(logs, files=3)
        for number in range(5):
            write(f"{number}.out", "x")
        assert collector.scan().files == 3
        collector.scan()
        assert collector.losses == {"logs.beyond_limit": 1}
