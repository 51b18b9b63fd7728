"""What a collector or a server finds on its own machine: Ray's folder and switches, the spool, the ports."""

from __future__ import annotations

import http.client
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import shorten
from typing import Final
from urllib.parse import urlsplit

from archive.settings import Address
from historyserver.doctor.finding import Finding, fail, ok, skip, warn
from historyserver.doctor.room import Room
from server.settings import ServerSettings
from sidecar.discovery import look
from sidecar.settings import CollectorSettings

_PROC: Final = Path("/proc")
_RAY: Final = ("raylet", "gcs_server")
_ON: Final = frozenset({"1", "true"})
_SECONDS: Final = 2.0
_LONGEST: Final = 160
"""Letters of a sentence that a collector says: the whole of it stands in its log."""
_TARGET: Final = "RAY_DASHBOARD_AGGREGATOR_AGENT_EVENTS_EXPORT_ADDR"
_TYPES: Final = "RAY_DASHBOARD_AGGREGATOR_AGENT_EXPOSABLE_EVENT_TYPES"
_SWITCHES: Final[Mapping[str, str]] = {
    "RAY_enable_ray_event": "nothing is told of nodes, actors and jobs",
    "RAY_enable_core_worker_ray_event_to_aggregator": "nothing is told of tasks",
    "RAY_enable_export_api_write": "submitted jobs and placement groups are known from polls only",
}


def ray_folder(room: Room) -> Finding:
    """Ray's temp folder is there and can be read."""
    folder = Path(_collector(room).ray_dir)
    if not folder.is_dir():
        return warn(
            f"there is no folder {folder} yet",
            "fine before Ray's first start; else share Ray's temp folder with this container, or give "
            "--ray-dir",
        )
    if not os.access(folder, os.R_OK | os.X_OK):
        return fail(f"the user {os.getuid()} may not read {folder}", "run the collector as Ray's user")
    seen = look(folder)
    return ok(f"{folder}, {seen.session}" if seen.session else f"{folder}, without a session yet")


def ray_switches(room: Room) -> Finding:
    """Ray tells what it does, to the address that the collector listens at."""
    chosen = _collector(room)
    unreadable = False
    for process in _ray_processes(chosen.ray_dir):
        try:
            environment = _environment(process)
        except OSError:
            unreadable = True
            continue
        return judge_switches(environment, chosen.listen)
    if unreadable:
        return skip("Ray's environment can't be read by this user: see that its container has the switches")
    return skip("Ray's processes can't be seen from here: see that its container has the switches")


def judge_switches(environment: Mapping[str, str], listen: Address) -> Finding:
    """Whether Ray's environment has what the README asks for."""
    problems = [
        f"{name} is not 1: {lost}"
        for name, lost in _SWITCHES.items()
        if environment.get(name, "").lower() not in _ON
    ]
    given = environment.get(_TARGET, "")
    if not given:
        problems.append(f"{_TARGET} is not set: no event is sent anywhere")
    elif _port_of(given) != listen.port:
        problems.append(f"{_TARGET} is {given!r}, and the collector listens at port {listen.port}")
    types = environment.get(_TYPES, "")
    if types != "ALL" and "TASK_PROFILE_EVENT" not in types:
        problems.append(f"{_TYPES} is not ALL: there is no timeline")
    if not problems:
        return ok("all on")
    return fail(
        "; ".join(problems),
        "set them where `ray start` runs, on every node, before Ray starts (README, Use it)",
    )


def _port_of(url: str) -> int | None:
    """None for what is no http address."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    return port if parts.scheme == "http" and parts.hostname else None


def spool(room: Room) -> Finding:
    """The collector's folder can be written, and its disk has room for the budget."""
    chosen = _collector(room)
    folder = Path(chosen.spool_folder)
    place = folder if folder.is_dir() else folder.parent
    if not place.is_dir():
        return warn(f"{folder} can't be made yet: {place} is missing", "fine before Ray's first start")
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        return fail(
            f"{place} can't be written: {error.strerror}",
            "mount it writable for this user, or give --spool another folder",
        )
    status = os.statvfs(place)
    free = status.f_bavail * status.f_frsize
    used = sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())
    what = f"{folder}: {free >> 20} MiB free, {used >> 20} of {chosen.spool_budget >> 20} MiB used"
    if free + used < chosen.spool_budget:
        return warn(
            what, "a larger disk, or a smaller --spool-budget: what finds no room is dropped, and counted"
        )
    return ok(what)


def events_port(room: Room) -> Finding:
    """Where Ray posts its events is free, or the collector's."""
    chosen = _collector(room)
    return _port(chosen.listen, _collector_at(chosen.health), "the collector's", "--listen")


def health_port(room: Room) -> Finding:
    """Where metrics and health are served is free, or the collector's; what it says of itself."""
    chosen = _collector(room)
    told = _collector_at(chosen.health)
    if told and told != "ok":
        return warn(
            f"a collector runs and says: {told}",
            "its log, and /healthz at that port, say the whole of it",
        )
    return _port(chosen.health, told, "a collector's, which says ok", "--health")


def server_port(room: Room) -> Finding:
    """Where the server answers is free, or a history server's."""
    chosen = room.settings
    if not isinstance(chosen, ServerSettings):
        raise TypeError(chosen)
    told = _ask(chosen.listen, f"{chosen.base_path}/healthz")
    return _port(chosen.listen, told, "a history server's", "--listen")


def _port(address: Address, told: str | None, whose: str, flag: str) -> Finding:
    if told is not None:
        return ok(f"{address} is {whose}")
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((address.host, address.port))
        except OSError as error:
            return fail(
                f"{address} can't be used: {error.strerror}", f"end what holds it, or give {flag} another"
            )
    return ok(f"{address} is free")


def _collector_at(health: Address) -> str | None:
    """What a collector says of itself on one line; None if none answers."""
    metrics = _ask(health, "/metrics")
    if metrics is None or "historyserver_collector_" not in metrics:
        return None
    sentences = (_ask(health, "/healthz") or "").splitlines()
    return "; ".join(shorten(sentence, _LONGEST, placeholder=" …") for sentence in sentences)


def _ask(address: Address, path: str) -> str | None:
    host = address.host if address.host not in {"", "0.0.0.0", "::"} else "127.0.0.1"  # noqa: S104 - compared
    connection = http.client.HTTPConnection(host, address.port, timeout=_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().read(1 << 20).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _ray_processes(ray_dir: str) -> Iterator[Path]:
    """Folders in /proc of this Ray's own daemons."""
    for process in sorted(_PROC.glob("[0-9]*")):
        try:
            command = (process / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
        except OSError:
            continue
        if command[0].rpartition("/")[2] in _RAY and any(
            f"{ray_dir.rstrip('/')}/" in part for part in command
        ):
            yield process


def _environment(process: Path) -> dict[str, str]:
    pairs = (process / "environ").read_bytes().decode("utf-8", "replace").split("\0")
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


def _collector(room: Room) -> CollectorSettings:
    if not isinstance(room.settings, CollectorSettings):
        raise TypeError(room.settings)
    return room.settings
