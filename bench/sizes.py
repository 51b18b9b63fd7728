"""What docs/sizing.md counts with: bytes of logs, tasks and views in the archive, and a server's requests.

Logs are those of a real Ray session with seven jobs, as tests/fixtures keeps them. The session of 100,000
tasks and the server are as in `bench.opening`.

python -m bench sizes
"""

import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from archive.layout import Origin, SegmentName, SessionKey
from archive.segment import Facts, Range, build, fetch_footer
from archive.store.url import open_store
from bench.figure import Figure
from bench.opening import SETTLED_SECONDS, VIEWS, archive, await_view, serving, tree_mib
from bench.oss import TESTS
from bench.session import PROFILE_EVENTS, write_session
from bench.shapes import SESSION
from server.view.manifest import decoded, manifests_prefix, part_key

if TYPE_CHECKING:
    from fake_oss import FakeOss

TASKS = 100_000
IDLE_SECONDS = 60.0
LOGS = TESTS / "fixtures" / "ray" / "logs"
PAGE = "api/v0/tasks?limit=100"
MIB = 1 << 20


def figures() -> Iterator[Figure]:
    yield from logs()
    with archive() as store:
        key = write_session(store.url(), TASKS)
        yield from segments(store)
        yield from server(store, key)


def logs() -> Iterator[Figure]:
    """One segment a node, as of minutes without an outage."""
    for recorded in sorted(LOGS.glob("*.tar.gz")):
        ranges = list(_ranges(recorded))
        name = SegmentName(SessionKey("bench", "recorded", SESSION), "a" * 56, Origin(1, "0" * 8), 1)
        stored = len(build(Facts(name, 0, "bench", {}, {}, (), True, None), ranges))
        raw = sum(len(each.data) for each in ranges)
        what = recorded.name.partition(".")[0].removeprefix("session_").removesuffix("_logs")
        yield Figure(f"stored a byte of Ray's logs, {what}: {len(ranges)} files", stored / raw, "", 0.2)


def _ranges(recorded: Path) -> Iterator[Range]:
    with tarfile.open(recorded) as folder:
        for member in folder:
            file = folder.extractfile(member)
            if file is not None:
                yield Range(f"logs/{Path(member.name).name}", 0, file.read())


def segments(store: "FakeOss") -> Iterator[Figure]:
    """As closed segments hold them."""
    here = open_store(store.url())
    sizes = {True: 0, False: 0}
    for info in here.list("v1/segments/"):
        for frame in fetch_footer(here, info).frames:
            sizes[frame.stream == PROFILE_EVENTS] += frame.size
    yield Figure("stored a task, its events", sizes[False] / TASKS / 1024, "KiB", 0.3)
    yield Figure("stored a task, its profile events", sizes[True] / TASKS / 1024, "KiB", 0.1)


def server(store: "FakeOss", key: SessionKey) -> Iterator[Figure]:
    """Requests to open a session, cold and again, and of a server that has opened it and is left alone."""
    for what, most in (("cold", 120), ("again", 60)):
        with serving(store) as running:
            time.sleep(SETTLED_SECONDS)
            before = tree_mib(running.pid)
            store.forget_requests()
            running.ask(f"/clusters/{key.path}/{PAGE}")
            await_view(store)
            yield Figure(f"requests to open {TASKS:,} tasks {what}", _asked(store, "server"), "", most)
            if what == "cold":
                continue
            yield Figure("  memory of a server that has nothing opened", before, "MiB", 400)
            yield Figure(
                "  and that it takes more with this one opened", tree_mib(running.pid) - before, "MiB", 200
            )
            store.forget_requests()
            running.ask(f"/clusters/{key.path}/{PAGE}")
            yield Figure("  requests for the same page once more", _asked(store, "server"), "", 5)
            store.forget_requests()
            time.sleep(IDLE_SECONDS)
            yield Figure("  requests a minute while nobody looks", _asked(store, "server"), "", 60)
    yield Figure(f"stored of the view of {TASKS:,} tasks", _view_bytes(store, key) / MIB, "MiB", 10)


def _view_bytes(store: "FakeOss", key: SessionKey) -> int:
    """Of the newest manifest and its parts; those that they replaced stay for an hour."""
    here = open_store(store.url())
    newest = max(here.list(manifests_prefix(key)), key=lambda info: info.modified)
    manifest = decoded(here.get(newest.key).data, newest.key)
    parts = {part_key(key, file.digest) for file in manifest.files}
    return newest.size + sum(info.size for info in here.list(VIEWS) if info.key in parts)


def _asked(store: "FakeOss", identity: str) -> int:
    return len(store.requests(identity=identity))
