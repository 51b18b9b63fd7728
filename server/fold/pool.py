"""Fold processes: few, kept warm, ended with the server."""

import os
import pickle
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from archive.layout import SERVER
from archive.store.base import ObjectInfo, Store
from server.fold.run import Run, RunResult, SegmentRead
from server.view.errors import FoldFailed

PROCESSES: Final = 2
SPARING: Final = {"MALLOC_ARENA_MAX": "1", "ARROW_DEFAULT_MEMORY_POOL": "system"}
"""Saves a fold process 45 MiB of 170, for no time that could be measured."""
_NOWHERE: Final = ObjectInfo(f"{SERVER}warm", 0, "", 0.0)
"""An object that nobody stores."""


class FoldPool:
    """Runs go to whichever process is free; a process that dies takes one run with it and is replaced."""

    def __init__(self, processes: int = PROCESSES) -> None:
        self._processes = processes
        self._idle: SimpleQueue[_Worker | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._alive: set[_Worker] = set()
        self._closed = False
        self._threads = ThreadPoolExecutor(processes, thread_name_prefix="fold")
        for _ in range(processes):
            self._idle.put(None)  # started when first needed, or by `warm`

    def warm(self, store: Store | None = None) -> None:
        """Starts the processes now, so that the first fold doesn't wait for them, nor for their first request
        of the store, which is when they import what it needs.
        """
        places = []
        with suppress(Empty):
            while True:
                places.append(self._idle.get_nowait())
        for place in places:
            self._idle.put(place or self._start())
        if store is not None:
            for _ in range(self._processes):
                self._threads.submit(self.run, Run(store, (_NOWHERE,), (), Path(), ""), _nothing)

    def run_all(self, runs: Iterable[Run], told: Callable[[SegmentRead], None]) -> list[RunResult]:
        """Folds runs side by side, few at a time, so that others have their turn. Raises FoldFailed."""
        results: list[RunResult] = []
        under_way: deque[Future[RunResult]] = deque()
        for run in runs:
            if len(under_way) >= self._processes:
                results.append(under_way.popleft().result())
            under_way.append(self._threads.submit(self.run, run, told))
        return results + [one.result() for one in under_way]

    def run(self, run: Run, told: Callable[[SegmentRead], None]) -> RunResult:
        """Folds one run, waiting for a free process. Raises FoldFailed."""
        place = self._idle.get()
        try:
            self._refuse_if_closed()
            worker = place or self._start()
        except BaseException:
            self._idle.put(place)
            raise
        healthy = False
        try:
            result = worker.fold(run, told)
            healthy = True
        except (OSError, EOFError, pickle.UnpicklingError) as error:
            raise FoldFailed(
                f"a fold process ended before its run did ({error or 'no answer'}); try again"
            ) from error
        finally:
            if not healthy:
                self._end(worker)
            self._idle.put(worker if healthy else None)
        if isinstance(result, RunResult):
            return result
        raise FoldFailed(f"segments could not be folded: {result}; ask again, it may have passed") from result

    def close(self) -> None:
        """Ends the processes, whatever they are doing."""
        with self._lock:
            self._closed = True
            workers = list(self._alive)
        for worker in workers:
            self._end(worker)
        self._threads.shutdown(cancel_futures=True)

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise FoldFailed("the server is ending; ask another one")

    def _start(self) -> "_Worker":
        with self._lock:
            self._refuse_if_closed()
            worker = _Worker()
            self._alive.add(worker)
            return worker

    def _end(self, worker: "_Worker") -> None:
        worker.end()
        with self._lock:
            self._alive.discard(worker)


def _nothing(_: SegmentRead) -> None:
    """Nobody is told."""


class _Worker:
    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "server.fold.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **SPARING},
        )

    def fold(self, run: Run, told: Callable[[SegmentRead], None]) -> RunResult | Exception:
        process = self._process
        if process.stdin is None or process.stdout is None:
            raise EOFError
        process.stdin.write(pickle.dumps(run))
        process.stdin.flush()
        while True:
            answer: object = pickle.load(process.stdout)  # noqa: S301 - from our own child
            if isinstance(answer, SegmentRead):
                told(answer)
            elif isinstance(answer, RunResult | Exception):
                return answer

    def end(self) -> None:
        process = self._process
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
