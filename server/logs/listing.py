"""Which log files Ray's endpoints list, and in which groups. Pure.

Source: `GET api/v0/logs?node_id=…[&glob=…]` of Ray 2.60; its `glob` is Python's `Path.glob` from that folder.
"""

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final

from server.logs.errors import ParameterInvalid

_EXPORTS: Final = "exports/"
_EXPORTS_FOLDER: Final = "export_events/"
_LOGS: Final = "logs/"
_WORKER: Final = re.compile(r"worker-([0-9a-f]+)-([0-9a-f]+)-(\d+)\.(out|err)")

# A file belongs to the first group whose first word it contains and whose second word it ends with.
_GROUPS: Final = (
    ("worker", ".out", "worker_out"),
    ("worker", ".err", "worker_err"),
    ("core-worker", ".log", "core_worker"),
    ("core-driver", ".log", "driver"),
    ("raylet.", "", "raylet"),
    ("gcs_server.", "", "gcs_server"),
    ("log_monitor", "", "internal"),
    ("monitor", "", "autoscaler"),
    ("agent.", "", "agent"),
    ("dashboard.", "", "dashboard"),
)


def path_of(stream: str) -> str | None:
    """A stream's path below the node's `logs` folder, or None if it is no log."""
    if stream.startswith(_LOGS):
        return stream.removeprefix(_LOGS)
    if stream.startswith(_EXPORTS):
        return _EXPORTS_FOLDER + stream.removeprefix(_EXPORTS)
    return None


def stream_of(path: str) -> str:
    """The stream that holds the file at that path below the `logs` folder."""
    if path.startswith(_EXPORTS_FOLDER):
        return _EXPORTS + path.removeprefix(_EXPORTS_FOLDER)
    return _LOGS + path


def matching(paths: Iterable[str], pattern: str) -> list[str]:
    """Files and folders (these with a slash at the end) that match, sorted. Raises: ParameterInvalid."""
    parts = pattern.split("/")
    if pattern.startswith("/") or ".." in parts:
        raise ParameterInvalid(
            f"Invalid glob filter: {pattern}. It must be a relative path and cannot contain '..'."
        )
    plain = [part for part in parts if part not in {"", "."}]
    wanted = [
        part for part, before in zip(plain, ["", *plain], strict=False) if (part, before) != ("**", "**")
    ]
    files = set(paths)
    folders = {folder for path in files for folder in _folders(path)}
    found = [] if wanted[-1:] == ["**"] else [path for path in files if _matches(path.split("/"), wanted)]
    found += [f"{folder}/" for folder in folders if _matches(folder.split("/"), wanted)]
    return sorted(found)


def _folders(path: str) -> Iterable[str]:
    place = path.find("/")
    while place != -1:
        yield path[:place]
        place = path.find("/", place + 1)


def _matches(names: list[str], wanted: list[str]) -> bool:
    """Whether names match patterns one by one; `**` stands for any number of folders."""
    if not wanted:
        return not names
    if wanted[0] == "**":
        return any(_matches(names[begin:], wanted[1:]) for begin in range(len(names) + 1))
    return bool(names) and fnmatchcase(names[0], wanted[0]) and _matches(names[1:], wanted[1:])


def grouped(names: Iterable[str]) -> dict[str, list[str]]:
    """Names by the component that writes them, as Ray groups them."""
    groups: dict[str, list[str]] = {}
    for name in names:
        group = next(
            (group for contained, ending, group in _GROUPS if contained in name and name.endswith(ending)),
            "internal",
        )
        groups.setdefault(group, []).append(name)
    return groups


def worker_file(
    paths: Iterable[str], suffix: str, *, worker_id: str | None = None, pid: int | None = None
) -> str | None:
    """The output of a worker process, told by its worker id or its process id."""
    found = []
    for path in paths:
        match = _WORKER.fullmatch(path)
        if match is None or match[4] != suffix:
            continue
        if match[1] == worker_id if worker_id is not None else int(match[3]) == pid:
            found.append(path)
    return max(found, default=None)
