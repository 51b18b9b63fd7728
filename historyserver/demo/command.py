"""The command: checks the machine, tells the story, serves until Ctrl-C, leaves nothing behind."""

import argparse
import contextlib
import importlib.util
import os
import shutil
import signal
import sys
import tempfile
import time
import webbrowser
from collections.abc import Iterator, Sequence
from pathlib import Path

from historyserver.demo.addresses import free_ports, is_free, split_listen
from historyserver.demo.errors import DemoError
from historyserver.demo.story import Recording, Server, record, serve

DEFAULT_LISTEN = "127.0.0.1:8080"
# Ray's sockets are in its temp folder, and the kernel takes no socket path of more than 107 bytes.
TEMPORARY = Path("/tmp")  # noqa: S108 - a private folder is made in it
NEEDED_BYTES = 1 << 30
MODULES = ("ray", "fastapi", "pandas", "pyarrow", "duckdb", "starlette", "uvicorn")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 after Ctrl-C, 1 with a sentence on standard error when something is in the way."""
    options = _options(arguments)
    try:
        with _signals_as_interrupt(), _folder(options.keep) as (folder, archive):
            _run(options, folder, archive)
    except KeyboardInterrupt:
        say("Everything has ended; nothing is left running.")
    except DemoError as error:
        sys.stderr.write(f"\n{error}\n")
        return 1
    return 0


def say(text: str) -> None:
    sys.stdout.write(f"{time.strftime('%H:%M:%S')}  {text}\n")
    sys.stdout.flush()


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="historyserver demo",
        description="Starts a real Ray of two nodes, lets it work, kills it, and opens its dashboard again.",
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the archive and the logs there")
    parser.add_argument(
        "--listen", metavar="ADDR", help=f"the server's address (default {DEFAULT_LISTEN}, if free)"
    )
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    return parser.parse_args(arguments)


def _run(options: argparse.Namespace, folder: Path, archive: Path) -> None:
    _check_machine()
    listen = _listen(options.listen)
    began = time.monotonic()
    recording = record(folder, archive, say)
    with serve(recording, listen, folder) as server:
        say(f"The history server runs; all of this took {time.monotonic() - began:.0f} s.")
        sys.stdout.write(guide(server, recording))
        if options.keep:
            sys.stdout.write(f"The archive stays: historyserver serve --store {recording.store}\n")
        sys.stdout.flush()
        if not options.no_browser and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            webbrowser.open(server.session_url)
        code = server.wait()
        raise DemoError(
            "The server has ended.", f"It ended with {code}.", "Its log is in DIR/logs with --keep DIR."
        )


def guide(server: Server, recording: Recording) -> str:
    """What to look at, with the addresses."""
    page = f"{server.session_url}#"
    died = time.strftime("%H:%M:%S", time.localtime(recording.killed_at))
    return f"""
The cluster is dead since {died}. This is its dashboard:

    {server.session_url}

Why did the job daily-report fail? Its page, and the failing task with its error and its log:

    {page}/jobs/daily-report
    {page}/jobs/daily-report/tasks/{server.failing_task()}

More to find in it:

    Jobs > shop-simulation   tasks that were retried and tasks that took their process down
    Actors                   a Cashier that died and was restarted, a Scanner that never came to life
    Jobs > storefront        work that was cut off in the middle; its logs go on to the last seconds
    Serve, Cluster, Logs     the application, both nodes, and every file that Ray wrote

Ray's own command line reads it, too ({Path(sys.executable).parent / "ray"}):

    ray list tasks --filter state=FAILED --address {server.session_url}
    ray job logs daily-report --address {server.session_url}

All sessions: {server.url}    Ctrl-C ends the demo.

"""


def _check_machine() -> None:
    if sys.platform != "linux":
        raise DemoError(
            "The demo needs Linux.", f"This is {sys.platform}.", "Run it in a container or a virtual machine."
        )
    if missing := [name for name in MODULES if importlib.util.find_spec(name) is None]:
        raise DemoError(
            "Python modules are missing.",
            f"{', '.join(missing)} cannot be imported by {sys.executable}.",
            "`make demo` installs what is needed and runs the demo.",
        )
    free = shutil.disk_usage(TEMPORARY).free
    if free < NEEDED_BYTES:
        raise DemoError(
            f"{TEMPORARY} is nearly full.",
            f"{free >> 20} MiB are free; Ray wants about {NEEDED_BYTES >> 20} MiB.",
            "Make room, then try again.",
        )


def _listen(wanted: str | None) -> str:
    """The address asked for; without one the default, or another port if somebody has that."""
    host, port = split_listen(wanted or DEFAULT_LISTEN)
    if is_free(host, port):
        return wanted or DEFAULT_LISTEN
    if wanted:
        raise DemoError(
            f"{wanted} is in use.",
            "Another program listens there.",
            "End it, or choose another one with --listen.",
        )
    return f"{host}:{free_ports(1)[0]}"


@contextlib.contextmanager
def _folder(keep: Path | None) -> Iterator[tuple[Path, Path]]:
    """A temporary folder and the archive's; with `keep` the archive and the logs outlive the demo there."""
    folder = Path(tempfile.mkdtemp(prefix="ray-demo-", dir=TEMPORARY))
    try:
        if keep is None:
            yield folder, folder / "archive"
        else:
            kept = keep.absolute()
            try:
                kept.joinpath("logs").mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise DemoError(f"Cannot write to {kept}.", str(error), "Choose another --keep.") from error
            folder.joinpath("logs").symlink_to(kept / "logs")
            yield folder, kept / "archive"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _signals_as_interrupt() -> Iterator[None]:
    """The first SIGINT, SIGTERM or SIGHUP interrupts; later ones don't disturb the cleaning up."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupt(_number: int, _frame: object) -> None:
        for each in signals:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {each: signal.signal(each, interrupt) for each in signals}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
