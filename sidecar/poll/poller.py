"""The poller: a thread that asks the head's dashboard and writes what changed into `polls` and `stats`.

It writes only while the dashboard names the session that is being collected: another Ray may have taken the
port. What is not written because only statistics changed waits, compressed, and is written after `REFRESH`
seconds or at the end, so that the last state is always there.
"""

import logging
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeVar

import msgspec

from archive.losses import Loss
from sidecar.errors import AnswerTooLarge, DashboardSilent, SpoolError
from sidecar.poll import endpoints
from sidecar.poll.answer import Answer, digest, line
from sidecar.poll.dashboard import DEFAULT, Dashboard, logged_address
from sidecar.poll.endpoints import Endpoint
from sidecar.poll.schedule import Schedule
from sidecar.poll.statistics import Statistics

log = logging.getLogger(__name__)
T = TypeVar("T")

ANSWER_SECONDS: Final = 10.0
LAST_ANSWER_SECONDS: Final = 2.0
"""How long one answer may take once the end has begun."""
LAST_SWEEP_SECONDS: Final = 5.0
RETRY_SECONDS: Final = 1.0
"""How soon a dashboard at whose port nobody listens is tried again; ever later, up to the interval."""
REFRESH: Final = 300.0
DATASET_JOBS: Final = 100
"""Of how many jobs, the newest, the datasets are asked for."""


class Sink(Protocol):
    """Where lines go: a node's spool."""

    def append(self, stream: str, data: bytes) -> int: ...

    def count_loss(self, reason: str, amount: int = 1) -> None: ...


@dataclass(frozen=True)
class Settings:
    """What the poller needs to know.

    Attributes:
        session: Ray's name of the session.
        logs: the session's logs folder, in which the dashboard's address is found.
        url: the dashboard's address if somebody named it, else "".
        every: seconds between two questions for the same path, at least.
        extra: further paths to ask for.
    """

    session: str
    logs: Path
    url: str
    every: float
    extra: tuple[str, ...] = ()


class _Actor(msgspec.Struct, rename="camel"):
    state: str = ""
    actor_class: str = ""
    class_name: str = ""


class _Actors(msgspec.Struct):
    actors: dict[str, _Actor] = {}


class _ActorsAnswer(msgspec.Struct):
    data: _Actors = msgspec.field(default_factory=_Actors)


class _Raylet(msgspec.Struct, rename="camel"):
    node_id: str = ""
    state: str = ""


class _Node(msgspec.Struct):
    raylet: _Raylet = msgspec.field(default_factory=_Raylet)


class _Nodes(msgspec.Struct):
    summary: list[_Node] = []


class _NodesAnswer(msgspec.Struct):
    data: _Nodes = msgspec.field(default_factory=_Nodes)


class _Job(msgspec.Struct):
    job_id: str | None = None


class _Version(msgspec.Struct):
    session_name: str = ""
    ray_version: str = ""


class _Metadata(msgspec.Struct, rename="camel"):
    python_version: str = ""


class _MetadataAnswer(msgspec.Struct):
    data: _Metadata = msgspec.field(default_factory=_Metadata)


@dataclass
class _Seen:
    """What was last written of a path, and what came after it but was not worth a line."""

    digest: bytes
    written: float
    waiting: bytes = b""


@dataclass
class _Cluster:
    """What the answers told about the cluster, as far as it decides what to ask next."""

    ray_version: str = ""
    python_version: str = ""
    node_ids: tuple[str, ...] = ()
    job_ids: tuple[str, ...] = ()
    alive: frozenset[str] = frozenset()


class Poller:
    """Asks until it is stopped. `tells_tasks` says whether events or export files tell of tasks."""

    def __init__(self, settings: Settings, sink: Sink, tells_tasks: Callable[[], bool]) -> None:
        self._settings = settings
        self._sink = sink
        self._tells_tasks = tells_tasks
        self._schedule = Schedule(settings.every)
        self._statistics = Statistics()
        self._cluster = _Cluster()
        self._once: set[str] = set()
        self._too_large: set[str] = set()
        self._seen: dict[str, _Seen] = {}
        self._verified = False
        self._retry = RETRY_SECONDS
        self._wake = threading.Event()
        self._sweep = False
        self._stop = False
        self._thread = threading.Thread(target=self._run, name="poller", daemon=True)

    @property
    def ray_version(self) -> str:
        """As the dashboard told; "" until it has."""
        return self._cluster.ray_version

    @property
    def python_version(self) -> str:
        """As the dashboard told; "" until it has."""
        return self._cluster.python_version

    def start(self) -> None:
        self._thread.start()

    def ask_now(self) -> None:
        """The end has begun: ask for everything once more, at once."""
        self._sweep = True
        self._wake.set()

    def finish(self, seconds: float) -> None:
        """Stops, waits `seconds` for an answer under way, and writes the last state of what waited."""
        self._stop = True
        self._wake.set()
        self._thread.join(seconds)
        for seen in list(self._seen.values()):
            self._write_waiting(seen, time.monotonic())

    def _run(self) -> None:
        while not self._stop:
            try:
                pause = self._turn()
            except Exception:  # the poller never disturbs the rest; what it misses shows in the log
                log.exception("polling failed; again in %g s", self._settings.every)
                pause = self._settings.every
            self._wake.wait(pause)
            self._wake.clear()

    def _turn(self) -> float:
        """Asks for what is due; the seconds until something is due again."""
        dashboard = Dashboard(self._settings.url or logged_address(self._settings.logs) or DEFAULT)
        try:
            if not self._verified and not self._verify(dashboard):
                return self._settings.every
            if self._sweep:
                self._sweep = False
                self._last_sweep(dashboard)
            self._want()
            while not self._stop and not self._sweep and (endpoint := self._schedule.due(time.monotonic())):
                self._ask(dashboard, endpoint, ANSWER_SECONDS)
                if endpoint.path in endpoints.DECIDING:
                    self._want()
        except DashboardSilent as error:
            self._verified = False
            log.debug("the dashboard is silent: %s", error)
            pause = self._retry
            self._retry = min(pause * 2, max(self._settings.every, RETRY_SECONDS))
            return pause
        self._retry = RETRY_SECONDS
        return self._schedule.wait(time.monotonic())

    def _verify(self, dashboard: Dashboard) -> bool:
        """Whether the dashboard is this session's. Raises DashboardSilent."""
        answer = dashboard.ask(f"/{endpoints.VERSION}", ANSWER_SECONDS)
        version = _decoded(answer, _Version)
        if version is None:
            log.warning("%s answers %d to %s", dashboard.url, answer.status, endpoints.VERSION)
            return False
        if version.session_name and version.session_name != self._settings.session:
            log.warning("%s belongs to %r, so it is not asked", dashboard.url, version.session_name[:200])
            return False
        self._verified = True
        return True

    def _last_sweep(self, dashboard: Dashboard) -> None:
        deadline = time.monotonic() + LAST_SWEEP_SECONDS
        for endpoint in self._schedule.all():
            if self._stop or time.monotonic() > deadline:
                return
            self._ask(dashboard, endpoint, LAST_ANSWER_SECONDS)

    def _want(self) -> None:
        self._schedule.want(self._wanted(), time.monotonic())
        for path in self._seen.keys() - {endpoint.path for endpoint in self._schedule.all()}:
            if self._write_waiting(self._seen[path], time.monotonic()):
                del self._seen[path]

    def _wanted(self) -> Iterator[Endpoint]:
        cluster = self._cluster
        for endpoint in self._possible():
            done = endpoint.once and endpoint.path in self._once
            if not done and (endpoint.needs is None or endpoint.needs in cluster.alive):
                yield endpoint

    def _possible(self) -> Iterator[Endpoint]:
        yield from endpoints.ALWAYS
        yield endpoints.SERVE
        yield endpoints.TRAIN
        yield from map(endpoints.datasets, self._cluster.job_ids)
        yield from map(endpoints.node, self._cluster.node_ids)
        if _older(self._cluster.ray_version, (2, 60)):
            yield endpoints.WORKERS
        if not self._tells_tasks():
            yield from endpoints.WITHOUT_EVENTS
        yield from map(endpoints.extra, self._settings.extra)

    def _ask(self, dashboard: Dashboard, endpoint: Endpoint, seconds: float) -> None:
        """Asks and keeps. Raises DashboardSilent where nobody listens; one failing path is passed over."""
        try:
            answer = dashboard.ask(endpoint.question, seconds)
        except DashboardSilent as error:
            self._schedule.asked(endpoint, time.monotonic(), error.took)
            if error.absent:
                raise
            log.warning("no answer from the dashboard: %s", error)
            if isinstance(error, AnswerTooLarge) and endpoint.path not in self._too_large:
                self._too_large.add(endpoint.path)
                self._sink.count_loss(Loss.POLL_TOO_LARGE)
            return
        self._schedule.asked(endpoint, time.monotonic(), answer.took)
        self._learn(endpoint, answer)
        self._keep(endpoint, answer)

    def _learn(self, endpoint: Endpoint, answer: Answer) -> None:
        cluster = self._cluster
        if answer.status == 200 and endpoint.once:
            self._once.add(endpoint.path)
        if endpoint.path == endpoints.VERSION and (version := _decoded(answer, _Version)):
            cluster.ray_version = version.ray_version
        elif endpoint.path == endpoints.METADATA and (metadata := _decoded(answer, _MetadataAnswer)):
            cluster.python_version = metadata.data.python_version
        elif endpoint.path == endpoints.NODES and (nodes := _decoded(answer, _NodesAnswer)):
            raylets = [row.raylet for row in nodes.data.summary]
            cluster.node_ids = tuple(one.node_id for one in raylets if one.node_id and one.state == "ALIVE")
            self._append("stats", self._statistics.rows(answer.body, time.time()))
        elif endpoint.path == endpoints.JOBS and (jobs := _decoded(answer, list[_Job])) is not None:
            ids = sorted({job.job_id for job in jobs if job.job_id}, reverse=True)
            cluster.job_ids = tuple(ids[:DATASET_JOBS])
        elif endpoint.path == endpoints.ACTORS and (actors := _decoded(answer, _ActorsAnswer)):
            alive = [actor for actor in actors.data.actors.values() if actor.state == "ALIVE"]
            cluster.alive = frozenset(actor.class_name or actor.actor_class for actor in alive)

    def _keep(self, endpoint: Endpoint, answer: Answer) -> None:
        """Writes the answer if more than statistics changed, else lets it wait."""
        now = time.monotonic()
        mark = digest(answer, endpoint.statistics)
        text = line(endpoint.path, answer, time.time())
        seen = self._seen.get(endpoint.path)
        if seen is None or seen.digest != mark:
            if self._append("polls", text):
                self._seen[endpoint.path] = _Seen(mark, now)
            return
        seen.waiting = zlib.compress(text, 1) if endpoint.statistics else b""
        if now - seen.written >= REFRESH:
            self._write_waiting(seen, now)

    def _write_waiting(self, seen: _Seen, now: float) -> bool:
        """Writes what waits, if anything does; false where there is no room for it."""
        if not seen.waiting:
            return True
        written = self._append("polls", zlib.decompress(seen.waiting))
        if written:
            seen.waiting, seen.written = b"", now
        return written

    def _append(self, stream: str, data: bytes) -> bool:
        """Appends; false where the spool has no room: then it is tried again with the next answer."""
        if not data:
            return True
        try:
            self._sink.append(stream, data)
        except SpoolError as error:
            log.warning("%s could not be spooled: %s", stream, error)
            return False
        return True


def _decoded(answer: Answer, shape: type[T]) -> T | None:
    if answer.status != 200:
        return None
    try:
        return msgspec.json.decode(answer.body, type=shape)
    except (msgspec.DecodeError, RecursionError):
        return None


def _older(version: str, than: tuple[int, int]) -> bool:
    parts: Sequence[str] = version.split(".")
    try:
        return (int(parts[0]), int(parts[1])) < than
    except (IndexError, ValueError):
        return False
