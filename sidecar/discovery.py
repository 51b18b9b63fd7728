"""Which session, which node, is it a head: read from Ray's folder alone, without Kubernetes and without Ray.

`look` lists the folder (the only I/O), `Watch.see` decides (pure). What Ray leaves behind, best first:

the session
    `session_latest`, a link; its target's *name* counts, since the folder may be mounted elsewhere.
    The newest `session_*` folder, where the link is missing, dangling or odd.
the node id
    `<session>/{gcs_server_port,dashboard_agent_listen_port,metrics_agent_port,…}_<hex>`: newest of all
    (Ray 2.55 and newer; on a head the first of them comes seconds before the others).
    `alibabacloud_raylet_node_id`, written by a postStart hook, if newer than the link.
    `logs/raylet*.out`: `Setting node ID node_id=<hex>`; in 2.40 `Raylet of id, <hex> started.`
    The first event that Ray posted.
a head
    `<session>/gcs_server_port_<hex>` of this node; where no such file is, `logs/gcs_server.out` (2.40).

Names come from a folder that a user's code can write to, so only well-formed ones are believed.
"""

import os
import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from archive.layout import Role

STAND_IN_AFTER: Final = 10.0
"""Seconds a session may be without a node id before something else stands in for it."""

_SESSION: Final = re.compile(r"session_\d{4}-\d{2}-\d{2}_[A-Za-z0-9_-]{1,77}")
_NODE_ID: Final = re.compile(r"[0-9a-f]{28,64}")
_PORT_FILE: Final = re.compile(
    r"(?:dashboard_agent_listen_port|metrics_agent_port|metrics_export_port|runtime_env_agent_port)_([0-9a-f]{28,64})"
)
_GCS_FILE: Final = re.compile(r"gcs_server_port_([0-9a-f]{28,64})")
_RAYLET_LOG: Final = re.compile(r"raylet(?:\.\d+)?\.out")
_RAYLET_ID: Final = re.compile(rb"(?:Setting node ID node_id=|Raylet of id, )([0-9a-f]{28,64})")
_NODE_IP: Final = re.compile(rb"node_manager address: (\[[0-9a-fA-F:.]+\]|[0-9.]+):\d+")
_VENDOR_FILE: Final = "alibabacloud_raylet_node_id"
_RAYLET_LOG_READ: Final = 64 * 1024


@dataclass(frozen=True)
class Look:
    """What one look at Ray's folder showed. Times are file modification times in nanoseconds."""

    session: str | None
    directory: Path
    ported: Mapping[str, int] = field(default_factory=dict)
    """Node ids by port files, with the newest time of each."""
    heads: frozenset[str] = frozenset()
    """Node ids that have a GCS port file."""
    noted: str | None = None
    """The node id in the vendor's file."""
    logged: tuple[str, ...] = ()
    """Node ids in the raylets' logs, oldest first."""
    gcs_log: bool = False


@dataclass(frozen=True)
class Sighting:
    """The node that lives in the folder now."""

    session: str
    directory: Path
    node_id: str
    role: Role
    stands_in: bool = False
    """The node's own id is not known (yet)."""
    stood_in: str | None = None
    """The id that stood in for this node until its own was known."""


class Watch:
    """Turns looks into sightings. Pure: time comes in with each look.

    A node id that was replaced never comes back within its session: a clock that was set back, or an old line
    in a log, must not revive it.
    """

    def __init__(self, stand_in: str) -> None:
        self._stand_in = stand_in
        self._session: str | None = None
        self._since = 0.0
        self._known: set[str] = set()
        self._current: Sighting | None = None

    def see(self, look: Look, now: float, event_node_id: str | None = None) -> Sighting | None:
        """The node of this look, or None where nothing can be told (yet).

        Args:
            look: what the folder showed.
            now: seconds, monotonic.
            event_node_id: the hex node id in the first event that Ray posted, the last resort.

        A folder that vanishes changes nothing: Ray gone without a word is not the end.
        """
        if look.session is None:
            return self._current
        if look.session != self._session:
            self._session, self._since, self._known = look.session, now, set()
        node_id = self._pick(look, event_node_id)
        before = self._current if self._current and self._current.session == look.session else None
        if node_id is not None:
            stood_in = before.node_id if before and before.stands_in else None
            if before is not None and before.node_id == node_id:
                stood_in = before.stood_in
            role = role_of(look, node_id)
            self._current = Sighting(look.session, look.directory, node_id, role, stood_in=stood_in)
        elif before is None and now - self._since >= STAND_IN_AFTER:
            role = role_of(look, None)
            self._current = Sighting(look.session, look.directory, self._stand_in, role, stands_in=True)
        return self._current

    def _pick(self, look: Look, event_node_id: str | None) -> str | None:
        ported = sorted(look.ported, key=lambda node_id: (look.ported[node_id], node_id))
        noted = [look.noted] if look.noted else []
        event = [event_node_id] if event_node_id else []
        for candidates in (ported, noted, list(look.logged), event):
            if candidates:
                new = [node_id for node_id in candidates if node_id not in self._known]
                self._known.update(candidates)
                return new[-1] if new else self._own() or candidates[-1]
        return self._own()

    def _own(self) -> str | None:
        current = self._current
        if current is None or current.session != self._session or current.stands_in:
            return None
        return current.node_id


def role_of(look: Look, node_id: str | None = None) -> Role:
    """What the node is, as far as the folder tells; without a node id, what some node of it is."""
    head = node_id is None or node_id in look.heads if look.heads else look.gcs_log
    return Role.HEAD if head else Role.WORKER


def look(ray_dir: Path) -> Look:
    """Lists Ray's folder. Whatever cannot be read is not there; raises nothing."""
    session = _session(ray_dir)
    if session is None:
        return Look(None, ray_dir)
    directory = ray_dir / session
    ported: dict[str, int] = {}
    heads: set[str] = set()
    for name, modified in _files(directory):
        if match := _PORT_FILE.fullmatch(name):
            ported[match[1]] = max(modified, ported.get(match[1], 0))
        elif match := _GCS_FILE.fullmatch(name):
            heads.add(match[1])
            ported[match[1]] = max(modified, ported.get(match[1], 0))
    logged = () if ported else _logged(directory / "logs")
    noted = None if ported else _noted(ray_dir)
    gcs_log = (directory / "logs" / "gcs_server.out").is_file()
    return Look(session, directory, ported, frozenset(heads), noted, logged, gcs_log)


def node_ip(logs: Path) -> str:
    """The node's address as its newest raylet logged it, or ""."""
    names = sorted((modified, name) for name, modified in _files(logs) if _RAYLET_LOG.fullmatch(name))
    found = [match for _, name in names for match in _NODE_IP.findall(_both_ends(logs / name))]
    return found[-1].decode().strip("[]") if found else ""


def event_node_id(line: bytes, session: str) -> str | None:
    """The hex node id of an event (JSON, either spelling of keys) of this session, else None."""
    try:
        event = msgspec.json.decode(line, type=dict[str, object])
        node_id = b64decode(str(event.get("nodeId") or event.get("node_id") or ""), validate=True).hex()
    except (msgspec.DecodeError, ValueError):
        return None
    if session not in (event.get("sessionName"), event.get("session_name")):
        return None
    return node_id if _NODE_ID.fullmatch(node_id) else None


def _session(ray_dir: Path) -> str | None:
    try:
        name = (ray_dir / "session_latest").readlink().name
    except OSError:
        name = ""
    if _SESSION.fullmatch(name) and _is_folder(ray_dir / name):
        return name
    try:
        with os.scandir(ray_dir) as entries:
            folders = [
                (entry.stat(follow_symlinks=False).st_mtime_ns, entry.name)
                for entry in entries
                if _SESSION.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
            ]
    except OSError:
        return None
    return max(folders)[1] if folders else None


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _files(directory: Path) -> list[tuple[str, int]]:
    """Names and modification times of the files in a folder."""
    found = []
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                try:
                    if entry.is_file(follow_symlinks=False):
                        found.append((entry.name, entry.stat(follow_symlinks=False).st_mtime_ns))
                except OSError:
                    continue
    except OSError:
        return found
    return found


def _logged(logs: Path) -> tuple[str, ...]:
    """Node ids in the raylets' logs, in the order of the files' times and of the lines."""
    names = sorted((modified, name) for name, modified in _files(logs) if _RAYLET_LOG.fullmatch(name))
    ids: dict[str, None] = {}
    for _, name in names:
        for match in _RAYLET_ID.finditer(_both_ends(logs / name)):
            ids.pop(match[1].decode(), None)
            ids[match[1].decode()] = None
    return tuple(ids)


def _both_ends(path: Path) -> bytes:
    """The first and the last bytes of a log: a raylet that starts again may go on in the old file."""
    try:
        with path.open("rb") as file:
            head = file.read(_RAYLET_LOG_READ)
            size = file.seek(0, os.SEEK_END)
            if size > 2 * _RAYLET_LOG_READ:
                file.seek(size - _RAYLET_LOG_READ)
            else:
                file.seek(min(size, len(head)))
            return head + b"\n" + file.read(_RAYLET_LOG_READ)
    except OSError:
        return b""


def _noted(ray_dir: Path) -> str | None:
    """The vendor's note, unless it is older than the link to the session: then it is of an earlier life."""
    try:
        with (ray_dir / _VENDOR_FILE).open("rb") as file:
            text = file.read(200).decode("ascii", "replace").strip()
            written = os.fstat(file.fileno()).st_mtime_ns
        stale = written < (ray_dir / "session_latest").lstat().st_mtime_ns
    except OSError:
        return None
    return text if _NODE_ID.fullmatch(text) and not stale else None
