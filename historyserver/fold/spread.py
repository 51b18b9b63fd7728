"""Folding spread over a Ray cluster: one task a session, begun again elsewhere if a worker or node dies.

Our packages travel with the job (`py_modules`); what they need (the extra `server`) has to be
in the Python of the cluster's nodes, and so do the store's credentials, in their own environment: neither is
anything that a job should carry. Ray is imported here and only when it is asked for.
"""

import logging
import socket
import tempfile
from collections.abc import Generator, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import archive
import historyserver
import server
from archive.layout import SessionKey
from archive.store.retry import WORKING
from archive.store.url import open_archive
from historyserver.fold.one import Folding, Outcome, Result

RETRIES: Final = 5
"""How often a session is begun again when its worker died."""
WAIT_SECONDS: Final = 1.0
CONNECT_SECONDS: Final = 10.0
PACKAGES: Final = (archive, server, historyserver)


class ClusterUnusable(Exception):
    """The Ray cluster can't fold; the sentence says what to do."""


def fold_there(store_url: str, key: SessionKey) -> Result:
    """The task: one session, in a folder and with a fold process of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="historyserver-fold-") as folder,
        Folding(open_archive(store_url, WORKING), Path(folder), 1) as folding,
    ):
        return folding.fold(key)


def spread(store_url: str, keys: Sequence[SessionKey], address: str, parallel: int) -> Generator[Result]:
    """Results as they come; `parallel` 0: as many at once as the cluster has CPUs. Raises ClusterUnusable."""
    try:
        import ray  # noqa: PLC0415 - only who spreads needs it
    except ImportError as error:
        raise ClusterUnusable(f"Ray is not installed here ({error}): pip install ray") from error
    _require_listening(address)
    try:
        ray.init(
            address=address,
            runtime_env={"py_modules": [str(Path(one.__path__[0])) for one in PACKAGES]},
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except Exception as error:
        raise ClusterUnusable(f"the Ray cluster at {address} can't be reached: {error}") from error
    try:
        yield from _results(ray, store_url, keys, parallel)
    finally:
        ray.shutdown()


def _results(ray: Any, store_url: str, keys: Sequence[SessionKey], parallel: int) -> Iterator[Result]:
    task = ray.remote(num_cpus=1, max_retries=RETRIES)(fold_there)
    _try_out(ray, task, store_url)
    width = parallel or max(1, int(ray.cluster_resources().get("CPU", 1)))
    rest = iter(keys)
    under_way = {task.remote(store_url, key): key for key in islice(rest, width)}
    while under_way:
        done, _ = ray.wait(list(under_way), num_returns=1, timeout=WAIT_SECONDS)
        for reference in done:
            key = under_way.pop(reference)
            try:
                yield ray.get(reference)
            except ray.exceptions.RayError as error:
                yield Result(key, Outcome.FAILED, f"its task failed: {_last_line(error)}")
            for following in islice(rest, 1):
                under_way[task.remote(store_url, following)] = following


def _require_listening(address: str) -> None:
    """Ray itself tries for minutes, and ends the process in its own way. Raises ClusterUnusable."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:
        return  # as "auto"
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise ClusterUnusable(f"the Ray cluster at {address} can't be reached: {error}") from error


def _try_out(ray: Any, task: Any, store_url: str) -> None:
    """A session that is not there, so that what no node can do is told once."""
    nobody = SessionKey("nobody", "nobody", "nobody")
    try:
        result = ray.get(task.remote(store_url, nobody))
    except ray.exceptions.RayError as error:
        raise ClusterUnusable(
            f"the cluster's nodes can't fold: {_last_line(error)}; their Python needs what the extra `server`"
            " of this project names, and the version of Ray and Python that this command has"
        ) from error
    if result.outcome is Outcome.FAILED:
        raise ClusterUnusable(
            f"the cluster's nodes can't read the archive: {result.trouble}; they need the server's rights to"
            f" {store_url}, from their own environment"
        )


def _last_line(error: Exception) -> str:
    return str(error).strip().rpartition("\n")[2][:500]
