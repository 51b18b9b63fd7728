"""Whatever is done to logs: each byte is kept once and in order, and what is missing is marked."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count, pairwise
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

NAMES = ("worker.out", "raylet.out", "plain.log", "dashboard_agent.log")
BACKUPS = 2
TOKEN = re.compile(rb"\d{6};")


@dataclass
class File:
    """A file as it was written: the tokens in it, and whether a scan of the running collector saw it."""

    tokens: list[bytes] = field(default_factory=list)
    seen: bool = False


@dataclass
class Log:
    """What was done to one log. lost: may be missing if that is marked; unknowable: may be missing."""

    files: list[File] = field(default_factory=list)  # newest first
    deleted: list[File] = field(default_factory=list)
    written: list[bytes] = field(default_factory=list)
    lost: set[bytes] = field(default_factory=set)
    unknowable: set[bytes] = field(default_factory=set)
    harmed: bool = False


class Machine(RuleBasedStateMachine):
    def __init__(self, collect: Callable[..., Any], folder: Path) -> None:
        super().__init__()
        self.collect = collect
        self.folder = folder
        self.logs = folder / "logs"
        self.logs.mkdir(parents=True)
        (folder / "secret").write_text("the secret outside")
        self.model = {name: Log() for name in NAMES}
        self.numbers = count()

    @initialize(bytes_per_scan=st.sampled_from([40, 1 << 20]))
    def start(self, bytes_per_scan: int) -> None:
        self.collector = self.collect(self.logs, bytes_per_scan=bytes_per_scan)

    @rule(name=st.sampled_from(NAMES), amount=st.integers(1, 12), line=st.booleans())
    def write(self, name: str, amount: int, line: bool) -> None:
        self.clear(name)
        log = self.model[name]
        tokens = [b"%06d;" % next(self.numbers) for _ in range(amount)]
        if not (self.logs / name).exists():
            log.files.insert(0, File())
        with (self.logs / name).open("ab") as file:
            file.write(b"".join(tokens) + (b"\n" if line else b""))
        log.files[0].tokens += tokens
        log.written += tokens

    @rule(name=st.sampled_from(NAMES[:2]))
    def turn(self, name: str) -> None:
        path = self.logs / name
        if not path.is_file() or path.is_symlink():
            return
        log = self.model[name]
        names = [path, *(self.backup(name, index) for index in range(1, BACKUPS + 1))]
        if names[-1].exists():
            names[-1].unlink()
            self.dropped(log, log.files.pop())
        for old, new in reversed(list(pairwise(names))):
            if old.exists():
                old.rename(new)
        path.touch()
        log.files.insert(0, File())

    def backup(self, name: str, index: int) -> Path:
        if name == "raylet.out":
            return self.logs / f"raylet.{index}.out"
        return self.logs / f"{name}.{index}"

    @rule(name=st.sampled_from(NAMES), amount=st.integers(0, 20))
    def rewrite(self, name: str, amount: int) -> None:
        path = self.logs / name
        log = self.model[name]
        if path.is_file() and not path.is_symlink() and len(log.files) == 1:
            self.cut(name, log.files[0])
            path.write_bytes(b"")
            log.files[0].tokens.clear()
            if amount:
                self.write(name, amount, line=True)

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
        self.collector.scan()
        for log in self.model.values():
            for file in log.files:
                file.seen = True

    @rule()
    def kill_and_start_again(self) -> None:
        self.collector.restart()
        for name, log in self.model.items():
            for file in log.deleted:
                self.missed(name, log, file)
            log.deleted.clear()
            for file in log.files:
                file.seen = False

    def clear(self, name: str) -> None:
        path = self.logs / name
        if path.is_symlink():
            path.unlink()
        elif path.is_dir():
            path.rmdir()

    def kept(self, name: str) -> list[bytes]:
        return TOKEN.findall(self.collector.text(f"logs/{name}"))

    def cut(self, name: str, file: File) -> None:
        log = self.model[name]
        log.harmed = True
        self.missed(name, log, file)

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
        assert self.collector.finish().lag_bytes == 0
        for name, log in self.model.items():
            stream = f"logs/{name}"
            text = self.collector.text(stream)
            kept = self.kept(name)
            missing = set(log.written) - set(kept)
            torn = TOKEN.sub(b"", text).replace(b"\n", b"")
            assert torn == b"" or log.harmed
            assert kept == [token for token in log.written if token not in missing]
            assert missing <= log.lost | log.unknowable
            marks = self.collector.marks(stream)
            if missing & log.lost:
                assert marks
            if not log.harmed:
                assert marks == []
        assert b"secret" not in b"".join(self.collector.text(stream) for stream in self.collector.streams)
        self.collector.close()
        shutil.rmtree(self.folder)


def test_each_byte_is_kept_once_and_in_order_and_what_is_missing_is_marked(
    collect: Callable[..., Any], tmp_path: Path
) -> None:
    numbers = count()
    run_state_machine_as_test(
        lambda: Machine(collect, tmp_path / f"run-{next(numbers)}"),
        settings=settings(
            max_examples=100,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
