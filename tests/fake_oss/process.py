"""The fake in a process of its own: started, asked over a second port, ended.

PYTHONPATH=tests python -m fake_oss [--folder DIR] [--latency SECONDS] …
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from multiprocessing.connection import Client, Connection, Listener
from pathlib import Path
from typing import Any, Final

from fake_oss.fake import FakeOss

_KEY: Final = b"fake_oss"
_TESTS: Final = Path(__file__).parent.parent


class RemoteFakeOss:
    """Has the surface of FakeOss; each use is a question to the other process. Thread-safe."""

    def __init__(self, process: subprocess.Popen[str], connection: Connection[Any, Any]) -> None:
        self.pid = process.pid
        self._process = process
        self._connection = connection
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        kind, value = self._ask("look", name)
        if kind == "value":
            return value
        return lambda *positional, **named: self._ask("call", name, positional, named)[1]

    def _ask(self, *question: Any) -> Any:
        with self._lock:
            self._connection.send(question)
            kind, value = self._connection.recv()
        if kind == "error":
            raise value
        return kind, value


@contextlib.contextmanager
def running(
    *,
    bucket: str = "history",
    region: str = "cn-hangzhou",
    latency: float = 0.0,
    folder: Path | str | None = None,
    root: str = "root",
) -> Iterator[FakeOss]:
    """The fake in a process of its own, until the end of the block; what is in `folder` stays."""
    command = [sys.executable, "-m", "fake_oss", f"--bucket={bucket}", f"--region={region}", f"--root={root}"]
    command += [f"--latency={latency}"] + ([f"--folder={folder}"] if folder is not None else [])
    environment = {**os.environ, "PYTHONPATH": str(_TESTS)}
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline())
        with Client(("127.0.0.1", port), authkey=_KEY) as connection:
            yield RemoteFakeOss(process, connection)  # type: ignore[misc]  # it has the same surface
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


def main() -> None:
    """Serve until standard input ends, so that nothing outlives whoever started it."""
    options = argparse.ArgumentParser(prog="fake_oss", description=__doc__)
    options.add_argument("--bucket", default="history")
    options.add_argument("--region", default="cn-hangzhou")
    options.add_argument("--root", default="root")
    options.add_argument("--latency", type=float, default=0.0)
    options.add_argument("--folder", type=Path)
    with FakeOss(**vars(options.parse_args())) as oss, Listener(("127.0.0.1", 0), authkey=_KEY) as listener:
        print(
            listener.address[1], oss.endpoint, oss.sts_endpoint, oss.metadata_endpoint, sep="\n", flush=True
        )
        threading.Thread(target=_accept, args=(listener, oss), daemon=True).start()
        with contextlib.suppress(KeyboardInterrupt):
            sys.stdin.read()


def _accept(listener: Listener, oss: FakeOss) -> None:
    while True:
        try:
            connection = listener.accept()
        except OSError:
            return
        threading.Thread(target=_answer, args=(connection, oss), daemon=True).start()


def _answer(connection: Connection[Any, Any], oss: FakeOss) -> None:
    with connection, contextlib.suppress(EOFError, OSError):
        while True:
            kind, name, *rest = connection.recv()
            try:
                found = getattr(oss, name)
                if kind == "look":
                    connection.send(("method", None) if callable(found) else ("value", found))
                else:
                    connection.send(("value", found(*rest[0], **rest[1])))
            except Exception as error:  # noqa: BLE001  # whatever it was, the one who asked is told
                connection.send(("error", error))
