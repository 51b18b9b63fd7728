"""Whatever is done to logs: each byte is kept once and in order, and what is missing is marked."""

import os
import re
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import count, pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from sidecar.spool import node
from sidecar.tail import Continuation

Collect = Callable[..., Any]
Ordinary = Callable[[], AbstractContextManager[None]]
NAMES = ("worker.out", "raylet.out", "plain.log", "dashboard_agent.log")
BACKUPS = 2
TOKEN = re.compile(rb"\d{6};")


@dataclass
class File:
    """A file as it was written: the tokens in it, and whether a scan of the running collector saw it."""

    tokens: list[bytes] = field(default_factory=list)
    seen: bool = False
    locked: bool = False
    half_taken: bool = False
    """A node ended within a line to be masked: the rest of it is blanked."""


@dataclass
class Log:
    """What was done to one log. lost: may be missing if that is marked; unknowable: may be missing;
    again: may be kept once more, behind a mark.
    """

    files: list[File] = field(default_factory=list)  # newest first
    deleted: list[File] = field(default_factory=list)
    written: list[bytes] = field(default_factory=list)
    lost: set[bytes] = field(default_factory=set)
    unknowable: set[bytes] = field(default_factory=set)
    again: set[bytes] = field(default_factory=set)
    harmed: bool = False
    cut: bool = False
    """Since a scan that came to read it."""

    def begin_anew(self) -> None:
        """A file that a collector finds cut when it comes back may be another: all is read again."""
        self.again |= {token for file in self.files for token in file.tokens}


class Machine(RuleBasedStateMachine):
    reused = 0
    """Files made anew that got the inode of the one before, over all runs."""

    def __init__(self, collect: Collect, ordinary: Ordinary, folder: Path) -> None:
        super().__init__()
        self.collect = collect
        self.ordinary = ordinary
        self.folder = folder
        self.logs = folder / "logs"
        self.logs.mkdir(parents=True)
        (folder / "secret").write_text("the secret outside")
        self.model = {name: Log() for name in NAMES}
        self.numbers = count()
        self.past: list[Any] = []
        self.states: list[bytes] = []

    @initialize(bytes_per_scan=st.sampled_from([40, 1 << 20]))
    def start(self, bytes_per_scan: int) -> None:
        self.roomy = bytes_per_scan > 40
        self.settings = {"bytes_per_scan": bytes_per_scan}
        self.collector = self.collect(self.logs, **self.settings)

    @rule(name=st.sampled_from(NAMES), amount=st.integers(1, 12), line=st.booleans())
    def write(self, name: str, amount: int, line: bool) -> None:
        self.clear(name)
        log = self.model[name]
        self.unlock(name)
        tokens = [b"%06d;" % next(self.numbers) for _ in range(amount)]
        if not (self.logs / name).exists():
            log.files.insert(0, File())
        with (self.logs / name).open("ab") as file:
            file.write(b"".join(tokens) + (b"\n" if line else b""))
        if log.files[0].half_taken:
            log.unknowable |= set(tokens)
            log.files[0].half_taken = not line
        log.files[0].tokens += tokens
        log.written += tokens

    @rule(name=st.sampled_from(NAMES[:2]))
    def turn(self, name: str) -> None:
        path = self.logs / name
        if not path.is_file() or path.is_symlink():
            return
        log = self.model[name]
        self.move_up(name, [path, *self.backups(name)])
        path.touch()
        log.files.insert(0, File())

    @rule(name=st.sampled_from(NAMES[:2]))
    def copy_and_truncate(self, name: str) -> None:
        path = self.logs / name
        if not path.is_file() or path.is_symlink():
            return
        log = self.model[name]
        self.unlock(name)
        self.move_up(name, self.backups(name))
        shutil.copy(path, self.backup(name, 1))
        log.files.insert(1, File(list(log.files[0].tokens)))
        self.cut(name, log.files[0])
        os.truncate(path, 0)
        log.files[0].tokens.clear()

    def move_up(self, name: str, names: list[Path]) -> None:
        if names[-1].exists():
            names[-1].unlink()
            log = self.model[name]
            self.dropped(log, log.files.pop())
        for old, new in reversed(list(pairwise(names))):
            if old.exists():
                old.rename(new)

    def backups(self, name: str) -> list[Path]:
        return [self.backup(name, index) for index in range(1, BACKUPS + 1)]

    def backup(self, name: str, index: int) -> Path:
        if name == "raylet.out":
            return self.logs / f"raylet.{index}.out"
        return self.logs / f"{name}.{index}"

    @rule(name=st.sampled_from(NAMES), longer=st.integers(-20, 5))
    def rewrite(self, name: str, longer: int) -> None:
        """In place, to what is as long as before, or longer, or shorter."""
        path = self.logs / name
        log = self.model[name]
        if path.is_file() and not path.is_symlink():
            self.unlock(name)
            amount = max(0, len(log.files[0].tokens) + longer)
            self.cut(name, log.files[0])
            path.write_bytes(b"")
            log.files[0].tokens.clear()
            if amount:
                self.write(name, amount, line=False)

    @rule(name=st.sampled_from(NAMES), part=st.floats(0, 1))
    def cut_the_end_off(self, name: str, part: float) -> None:
        path = self.logs / name
        log = self.model[name]
        if path.is_file() and not path.is_symlink() and log.files[0].tokens:
            data = path.read_bytes()
            tokens = log.files[0].tokens
            kept = int(len(tokens) * part)
            self.unlock(name)
            self.cut(name, log.files[0])
            os.truncate(path, data.index(tokens[kept]) if kept < len(tokens) else len(data))
            del tokens[kept:]
            log.again |= set(tokens)

    @rule(name=st.sampled_from(NAMES), scans=st.integers(0, 3))
    def rename_and_back(self, name: str, scans: int) -> None:
        path = self.logs / name
        if path.is_file() and not path.is_symlink():
            path.rename(self.logs / "elsewhere.txt")
            if not all(file.seen for file in self.model[name].files[1:]):
                scans = min(scans, 1)  # seen twice without their first name, backups are logs of their own
            if scans and not self.model[name].files[0].seen:  # to a collector that comes back it is gone
                self.model[name].harmed = True
                self.model[name].begin_anew()
            self.some_scans(scans)
            (self.logs / "elsewhere.txt").rename(path)

    @rule(name=st.sampled_from(NAMES))
    def link(self, name: str) -> None:
        path = self.logs / name
        if path.is_file() and not path.is_symlink():
            (self.logs / "linked.out").unlink(missing_ok=True)
            os.link(path, self.logs / "linked.out")

    @rule()
    def unlink(self) -> None:
        (self.logs / "linked.out").unlink(missing_ok=True)

    @rule(name=st.sampled_from(NAMES), amount=st.integers(1, 12))
    def make_anew(self, name: str, amount: int) -> None:
        path = self.logs / name
        before = path.stat().st_ino if path.is_file() and not path.is_symlink() else None
        self.delete(name)
        self.write(name, amount, line=True)
        Machine.reused += path.stat().st_ino == before

    @rule(name=st.sampled_from(NAMES))
    def lock(self, name: str) -> None:
        path = self.logs / name
        if path.is_file() and not path.is_symlink():
            path.chmod(0)
            self.model[name].files[0].locked = True

    @rule(name=st.sampled_from(NAMES))
    def unlock(self, name: str) -> None:
        for path, file in zip([self.logs / name, *self.backups(name)], self.model[name].files, strict=False):
            if file.locked:
                path.chmod(0o600)
                file.locked = False

    @rule(scans=st.integers(0, 3))
    def move_the_folder_and_back(self, scans: int) -> None:
        """What nobody could read until then passes for deleted."""
        for name, log in self.model.items():
            for file in log.files:
                if file.locked:
                    log.harmed = True
                    self.missed(name, log, file)
        self.logs.rename(self.folder / "moved")
        self.some_scans(scans)
        (self.folder / "moved").rename(self.logs)

    @rule()
    def make_the_folder_anew(self) -> None:
        self.logs.rename(self.folder / f"old-{next(self.numbers)}")
        self.logs.mkdir()
        for log in self.model.values():
            while log.files:
                self.dropped(log, log.files.pop())

    @rule(full=st.booleans())
    def fill(self, full: bool) -> None:
        self.roomy = self.roomy and not full
        self.collector.let_be(full=full)

    @rule()
    def store(self) -> None:
        self.collector.store_and_remember()

    @rule(size=st.integers(1, 300))
    def rewrite_a_state(self, size: int) -> None:
        self.states.append(b"%06d;" % next(self.numbers) * size)
        (self.logs / "debug_state.txt").write_bytes(self.states[-1])
        self.collector.now += 301

    @rule()
    def follow_with_the_next_node(self) -> None:
        self.end()
        masked = self.logs / NAMES[-1]
        if masked.is_file() and not masked.is_symlink() and not masked.read_bytes().endswith(b"\n"):
            self.model[NAMES[-1]].files[0].half_taken = self.model[NAMES[-1]].harmed = True
        self.past.append(self.collector)
        sources = self.collector.spool.sources()
        number = len(self.past)
        self.collector = self.collect(
            self.logs, continues=Continuation(f"{number:056x}", sources), **self.settings
        )
        self.forget()
        # Killed before it has taken what was left to it, a collector begins those logs anew.
        while self.collector.scan().lag_bytes:
            pass
        self.scan()

    @rule(name=st.sampled_from(NAMES))
    def delete(self, name: str) -> None:
        path = self.logs / name
        log = self.model[name]
        if path.is_file() and not path.is_symlink() and len(log.files) == 1:
            path.unlink()
            self.dropped(log, log.files.pop())

    @rule(name=st.sampled_from(NAMES))
    def swap_in_a_link(self, name: str) -> None:
        self.delete(name)
        self.clear(name)
        if not self.model[name].files:
            (self.logs / name).symlink_to(self.folder / "secret")

    @rule(name=st.sampled_from(NAMES))
    def swap_in_a_folder(self, name: str) -> None:
        self.delete(name)
        self.clear(name)
        if not self.model[name].files:
            (self.logs / name).mkdir()

    @rule()
    def scan(self) -> None:
        self.some_scans(1)
        for log in self.model.values():
            log.cut = log.cut and not self.roomy
            for file in log.files:
                file.seen = file.seen or not file.locked

    def some_scans(self, times: int) -> None:
        with self.ordinary():
            for _ in range(times):
                self.collector.scan()

    @rule()
    def kill_and_start_again(self) -> None:
        self.collector.restart()
        self.forget()

    def forget(self) -> None:
        for name, log in self.model.items():
            for file in log.deleted:
                self.missed(name, log, file)
            log.deleted.clear()
            if log.cut:
                log.begin_anew()
            for file in log.files:
                file.seen = False

    def clear(self, name: str) -> None:
        path = self.logs / name
        if path.is_symlink():
            path.unlink()
        elif path.is_dir():
            path.rmdir()

    def kept(self, name: str) -> list[bytes]:
        return TOKEN.findall(self.text(f"logs/{name}"))

    def text(self, stream: str) -> bytes:
        return b"".join(each.text(stream) for each in [*self.past, self.collector])

    def marks(self, stream: str) -> list[str]:
        marks = [kind for each in [*self.past, self.collector] for kind, _ in each.marks(stream)]
        return [kind for kind in marks if kind != "continues"]

    def end(self) -> None:
        self.collector.let_be(full=False)
        for name in NAMES:
            self.unlock(name)
        assert self.collector.finish().lag_bytes == 0

    def cut(self, name: str, file: File) -> None:
        log = self.model[name]
        log.harmed = True
        self.missed(name, log, file)
        log.cut = True
        file.half_taken = False
        if not file.seen:
            log.begin_anew()

    def dropped(self, log: Log, file: File) -> None:
        """A running collector has open what it saw; what it never saw may be lost."""
        log.harmed = True
        if file.seen:
            log.deleted.append(file)
        else:
            name = next(name for name, each in self.model.items() if each is log)
            self.missed(name, log, file)

    def missed(self, name: str, log: Log, file: File) -> None:
        kept = set(self.kept(name))
        missing = set(file.tokens) - kept
        if kept & set(file.tokens):
            log.lost |= missing
        else:
            log.unknowable |= missing

    def teardown(self) -> None:
        if not hasattr(self, "collector"):
            return
        self.end()
        for name, log in self.model.items():
            stream = f"logs/{name}"
            text = self.text(stream)
            kept = self.kept(name)
            missing = set(log.written) - set(kept)
            kept = [token for token in kept if token not in log.again]
            torn = TOKEN.sub(b"", text).replace(b"\n", b"")
            assert torn == b"" or log.harmed
            assert kept == [token for token in log.written if token not in missing | log.again]
            assert missing <= log.lost | log.unknowable
            marks = self.marks(stream)
            if missing & log.lost:
                assert marks
            if not log.harmed:
                assert marks == []
        self.the_newest_state_is_kept()
        streams = {stream for each in [*self.past, self.collector] for stream in each.streams}
        assert b"secret" not in b"".join(self.text(stream) for stream in streams)
        for each in [*self.past, self.collector]:
            each.close()
        shutil.rmtree(self.folder)

    def the_newest_state_is_kept(self) -> None:
        if (self.logs / "debug_state.txt").exists():
            text = self.text("logs/debug_state.txt")
            assert text.endswith(self.states[-1])
        kept = TOKEN.findall(self.text("logs/debug_state.txt"))
        assert set(kept) <= {state[:7] for state in self.states}
        assert kept == sorted(kept)


def test_each_byte_is_kept_once_and_in_order_and_what_is_missing_is_marked(
    collect: Collect,
    ordinary: Ordinary,
    tmp_path: Path,
    rounds: Callable[[int, int], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(node, "_ENOUGH_TO_ROLL", 200)
    numbers = count()
    Machine.reused = 0
    run_state_machine_as_test(
        lambda: Machine(collect, ordinary, tmp_path / f"run-{next(numbers)}"),
        settings=settings(
            max_examples=rounds(60, 2_000),
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert Machine.reused
