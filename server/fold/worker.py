"""A fold process: takes runs on standard input, tells each segment that is done, gives the result.

    parent -> worker    pickled Run
    worker -> parent    pickled SegmentRead for each segment, then RunResult, or the exception that ended the
    run

Messages are pickles one behind the other: both ends are the same program. The worker ends when its input
does, in the middle of a run, too, so it never outlives the server. Its turn on the processor comes after the
server's. It imports no DuckDB and no web server.
"""

import contextlib
import gc
import os
import pickle
import select
import signal
import sys
import threading
from importlib.abc import MetaPathFinder
from typing import TYPE_CHECKING, BinaryIO, Final

if TYPE_CHECKING:
    from server.fold.run import Fold

NICENESS: Final = 5


class WithoutUnneeded(MetaPathFinder):
    """pyarrow loads numpy and pandas where they are installed, for conversions that nothing here asks for."""

    @classmethod
    def find_spec(cls, fullname: str, *_: object) -> None:
        if fullname in {"numpy", "pandas"}:
            raise ImportError("not in a fold process")


def main() -> None:
    """Until the parent closes the pipe."""
    sys.meta_path.insert(0, WithoutUnneeded())
    from server.fold.run import Fold  # noqa: PLC0415 - it imports pyarrow

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the parent's to handle
    runs = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    threading.Thread(target=_end_with, args=(runs.fileno(),), daemon=True).start()
    os.nice(NICENESS)
    os.dup2(2, 1)  # whatever prints must not break the messages
    gc.disable()  # what folding makes has no cycles, and looking for them costs a third of its time
    gc.freeze()  # nor need what was imported be looked through after every run
    with runs, answers, contextlib.suppress(EOFError, BrokenPipeError):
        while True:
            run = pickle.load(runs)  # noqa: S301 - from our own parent
            pickle.dump(_answer(Fold(run), answers), answers)
            answers.flush()


def _end_with(descriptor: int) -> None:
    """Ends this process when the other end of the pipe is closed."""
    watch = select.poll()
    watch.register(descriptor, 0)  # hanging up is always told
    watch.poll()
    os._exit(0)


def _answer(fold: "Fold", answers: BinaryIO) -> object:
    try:
        for read in fold.segment_by_segment():
            pickle.dump(read, answers)
            answers.flush()
    except Exception as error:  # noqa: BLE001 - the parent decides what a failed run means
        return error
    finally:
        gc.collect()
    return fold.result


if __name__ == "__main__":
    main()
