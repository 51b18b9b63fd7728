"""Whatever happens between a collector and its store, a reader shows the bytes that were accepted, once."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.layout import SessionKey
from archive.segment import fetch_footer
from archive.stream import Extents, Reader, Segment
from sidecar.flush import Clock, Flusher
from sidecar.spool import Source, Spool
from sidecar.spool.record import Kind, encode

SESSION = SessionKey("team", "raycluster", "session_2026-11-23_02-43-27_490622_12278")
NODE = "ab" * 28
LOG = "logs/raylet.out"


class Node:
    """A collector with a tailer's and a receiver's habits, beside a log file that only grows."""

    def __init__(self, folder: Path, store: Any) -> None:
        self.folder = folder
        self.store = store
        self.now = 0.0
        self.log = b""
        self.events: list[bytes] = []
        self.since_loss = 0
        self.start()

    def start(self) -> None:
        self.spool = Spool(self.folder, 256 << 20)
        self.node = self.spool.node(SESSION, NODE)
        clock = Clock(lambda: self.now, lambda: self.now, self.sleep, lambda: 0.5)
        self.flusher = Flusher(self.node, self.store, clock=clock)

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def post(self, length: int) -> None:
        line = b"%d %s\n" % (len(self.events), b"e" * length)
        self.node.append("events", line)
        self.events.append(line)

    def write_log(self, length: int) -> None:
        self.log += b"%d %s\n" % (len(self.log), b"l" * length)
        self.tail()

    def tail(self) -> None:
        source = self.node.sources().get(LOG)
        position = source.position if source else 0
        if position < len(self.log):
            self.node.append(LOG, self.log[position:], source=Source("raylet.out", 1, 2, len(self.log), b""))

    def flush(self, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1
            self.flusher.step()

    def kill(self, torn: int) -> None:
        """SIGKILL, within an append if `torn` isn't 0: its first bytes are in the journal."""
        journal = max(self.node.folder.glob("journal-*.log"), default=None)
        half = encode(Kind.DATA, "events", self.node.end("events"), 9, b"not whole", time_ms=0)[:torn]
        self.spool.close()
        if journal is not None:
            with journal.open("ab") as file:
                file.write(half)
        self.start()
        self.tail()

    def lose_the_spool(self) -> None:
        """A new volume: the origin's rest is gone, the file is read again from its start."""
        self.spool.close()
        shutil.rmtree(self.folder)
        self.since_loss = len(self.events)
        self.start()
        self.tail()

    def reads(self) -> dict[str, tuple[Extents, bytes]]:
        segments = [Segment(info, fetch_footer(self.store, info)) for info in self.store.list("v1/segments/")]
        reader = Reader(self.store)
        found = {}
        for stream in ("events", LOG):
            extent = reader.open(stream, segments)
            assert reader.check(extent) == []
            found[stream] = (extent, b"".join(data for _, data in reader.read(extent)))
        return found


lengths = st.sampled_from([0, 10, 5_000, 300_000])
deeds = st.one_of(
    st.tuples(st.just("post"), lengths),
    st.tuples(st.just("write_log"), lengths),
    st.tuples(st.just("flush"), st.integers(1, 12)),
    st.tuples(st.just("kill"), st.integers(0, 54)),
)
outcomes = st.sampled_from(["works", "fails", "lost", "never", "late", "arrive"])


def live(node: Node, story: list[tuple[str, int]], script: list[str]) -> None:
    node.store.script = [outcome for outcome in script if outcome != "arrive"]
    for place, (deed, amount) in enumerate(story):
        getattr(node, deed)(amount)
        if place < len(script) and script[place] == "arrive":
            node.store.arrive()


@settings(max_examples=80, deadline=None)
@given(st.lists(deeds, max_size=25), st.lists(outcomes, max_size=12))
def test_any_interleaving_reads_back_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory,
    make_store: Callable[[Path], Any],
    story: list[tuple[str, int]],
    script: list[str],
) -> None:
    folder = tmp_path_factory.mktemp("node")
    node = Node(folder / "spool", make_store(folder / "store"))
    live(node, story, script)
    assert node.flusher.finish("the end", node.now + 10_000)
    node.spool.close()
    before = node.reads()
    node.store.arrive()
    after = node.reads()
    for read in (before, after):
        extent, log = read[LOG]
        assert (log, extent.marks) == (node.log, ())
        extent, events = read["events"]
        assert (events, extent.marks) == (b"".join(node.events), ())


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.one_of(deeds, st.just(("lose_the_spool", 0))), max_size=25),
    st.lists(outcomes, max_size=12),
)
def test_with_lost_spools_the_file_is_whole_and_no_event_is_wrong(
    tmp_path_factory: pytest.TempPathFactory,
    make_store: Callable[[Path], Any],
    story: list[tuple[str, int]],
    script: list[str],
) -> None:
    folder = tmp_path_factory.mktemp("node")
    node = Node(folder / "spool", make_store(folder / "store"))
    node.store.script = [outcome for outcome in script if outcome != "arrive"]
    for deed, amount in story:
        if deed == "lose_the_spool":
            node.lose_the_spool()
        else:
            live(node, [(deed, amount)], node.store.script)
    assert node.flusher.finish("the end", node.now + 10_000)
    node.spool.close()
    node.store.arrive()
    read = node.reads()
    assert read[LOG][1] == node.log
    events = read["events"][1].splitlines(keepends=True)
    known = iter(node.events)
    assert all(event in known for event in events)
    assert events[len(events) - len(node.events[node.since_loss :]) :] == node.events[node.since_loss :]


@settings(max_examples=40, deadline=None)
@given(st.lists(deeds, max_size=12), st.lists(outcomes, max_size=6))
def test_a_reader_beside_a_living_node_sees_a_beginning_of_what_was_accepted(
    tmp_path_factory: pytest.TempPathFactory,
    make_store: Callable[[Path], Any],
    story: list[tuple[str, int]],
    script: list[str],
) -> None:
    folder = tmp_path_factory.mktemp("node")
    node = Node(folder / "spool", make_store(folder / "store"))
    node.store.script = [outcome for outcome in script if outcome != "arrive"]
    for deed in story:
        live(node, [deed], node.store.script)
        read = node.reads()
        assert node.log.startswith(read[LOG][1])
        assert b"".join(node.events).startswith(read["events"][1])
    node.spool.close()
