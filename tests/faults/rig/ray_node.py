"""Ray's folder of one node, and logs that are written as Ray writes them. It remembers what was written."""

import json
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

SESSION = "session_2026-11-23_02-43-27_490622_12278"
NODE = "593fd952d75624efbbf93821c408b4a5b6ed6b4e138c1229c87eca3b"
CPP = {"raylet.out", "gcs_server.out"}
"""Logs whose backups are named as Ray's C++ logger does."""


class RayNode:
    """Session folder and logs; `write` does one thing that Ray's processes do to their logs.

    `ring_size`: bytes after which a log's file is renamed, as Ray does after 100 MiB. `backups`: how many
    renamed ones are kept; so many that nothing is deleted that a restarting collector had no chance to read.
    """

    def __init__(
        self,
        ray_dir: Path,
        chance: random.Random,
        *,
        ring_size: int = 200_000,
        backups: int = 20,
    ) -> None:
        self.nodes: list[str] = []
        """Their ids: one follows the other in the same folder."""
        self.folder = ray_dir / SESSION
        self.logs = self.folder / "logs"
        self.written: dict[str, bytearray] = {}
        """All bytes ever written, by stream."""
        self.rewritten: dict[str, list[bytes]] = {}
        """All contents of files that are written anew in place, by stream."""
        self._ray_dir = ray_dir
        self._chance = chance
        self._ring_size = ring_size
        self._backups = backups
        self._lines = 0
        self._born = 3

    def begin(self, node_id: str = NODE) -> None:
        """What `ray start --head` leaves in the folder."""
        self.nodes.append(node_id)
        self.logs.mkdir(parents=True, exist_ok=True)
        for name in ("gcs_server_port", "metrics_agent_port"):  # in this order
            (self.folder / f"{name}_{node_id}").write_text("1")
        latest = self._ray_dir / "session_latest.new"
        latest.symlink_to(self.folder)
        latest.rename(self._ray_dir / "session_latest")
        for name in ("raylet.out", "gcs_server.out", "worker-0.out"):
            self.append(name, b"it begins\n")

    def write(self) -> None:
        """One step of a busy node's logs: mostly lines, now and then everything else."""
        deed = self._chance.random()
        if deed < 0.02:
            self.append(f"worker-{self._born}.out", b"")  # a log that is still empty
            self._born += 1
        elif deed < 0.05:
            self.rewrite("debug_state.txt")
        elif deed < 0.08:
            self.append("export_events/event_EXPORT_TASK_1.log", self._json())
        elif deed < 0.11:
            self.append("runtime_env_agent.log", self._text(3))
        elif deed < 0.14:
            self.append("serve/replica_1.log", self._text(2))
        elif deed < 0.17:
            self.append("worker-1.err", self._text(1)[:-1])  # its line ends later
        elif deed < 0.20:
            self.append("worker-1.err", b"\n")
        elif deed < 0.22:
            self.append("worker-2.out", self._text(400))  # a burst
        elif deed < 0.60:
            self.append("raylet.out", self._text(10))
        else:
            self.append(f"worker-{self._chance.randrange(self._born)}.out", self._text(10))

    def append(self, name: str, data: bytes) -> None:
        """Writes to a log, turning its ring first if it is long."""
        path = self.logs / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.stat().st_size > self._ring_size:
            self._turn(path)
        with path.open("ab", buffering=0) as file:
            file.write(data)
        kind = "exports" if name.startswith("export_events/") else "logs"
        self.written.setdefault(f"{kind}/{name.removeprefix('export_events/')}", bytearray()).extend(data)

    def rewrite(self, name: str) -> None:
        content = self._text(self._chance.randrange(1, 20))
        self.rewritten.setdefault(f"logs/{name}", []).append(content)
        with (self.logs / name).open("wb", buffering=0) as file:
            file.write(content)

    def _turn(self, path: Path) -> None:
        backups = range(1, self._backups + 1)
        cpp_names = [path.with_suffix(f".{index}{path.suffix}") for index in backups]
        names = [path, *(cpp_names if path.name in CPP else [Path(f"{path}.{index}") for index in backups])]
        names[-1].unlink(missing_ok=True)
        for index in range(self._backups - 1, -1, -1):
            if names[index].exists():
                names[index].rename(names[index + 1])

    def _text(self, lines: int) -> bytes:
        self._lines += lines
        return b"".join(
            b"%d %.3f %s\n" % (self._lines + line, time.time(), self._chance.randbytes(30).hex().encode())
            for line in range(lines)
        )

    def _json(self) -> bytes:
        self._lines += 1
        return json.dumps({"line": self._lines, "text": self._chance.randbytes(30).hex()}).encode() + b"\n"


class Repeated:
    """Does something again and again in a thread of its own, until stopped or until it fails."""

    def __init__(self, deed: Callable[[], None], pause: float) -> None:
        self._deed = deed
        self._pause = pause
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Waits for the last time, and raises what went wrong."""
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._stop.wait(self._pause):
                self._deed()
        except BaseException as failure:  # noqa: BLE001 - it is raised in the thread of the test
            self._failure = failure
