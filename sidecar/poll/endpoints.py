"""What is asked of the dashboard, under which name it is kept, and what of it is a mere statistic.

Paths are written as Ray's own front end asks them, since a server answers the front end from them. Serve,
Data and Train are asked only while their own actor lives: asking an idle cluster would create it there.
"""

from dataclasses import dataclass
from typing import Final

NODES: Final = "nodes?view=summary"
JOBS: Final = "api/jobs/"
ACTORS: Final = "logical/actors"
VERSION: Final = "api/version"
METADATA: Final = "api/v0/cluster_metadata"
DECIDING: Final = frozenset({VERSION, NODES, JOBS, ACTORS})
"""Their answers decide what else is asked."""


def _keys(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PROCESS: Final = _keys(
    "cmdline cpuPercent cpuTimes gpuMemoryUsage gpuUtilization memoryFullInfo memoryInfo numFds processStats"
)
_CORE_WORKER: Final = _keys(
    "numExecutedTasks numInFlightArgPinningRequests numInPlasma numLocalObjects numObjectRefsInScope "
    "numOfFailedArgPinningRequests numOwnedActors numOwnedObjects numPendingTasks numRunningTasks objectRefs "
    "objectsTotal taskQueueLength usedObjectStoreMemory usedResources"
)
_MACHINE: Final = _keys(
    "cgroupMem cpu disk diskIo diskIoSpeed gpus hostMem loadAvg mem network networkSpeed now shm tpus"
)
_RAYLET: Final = _keys(
    "coreWorkersStats nodeLogicalResources numWorkers objectStoreAvailableMemory objectStoreUsedMemory "
    "stateSnapshot storeStats"
)
_OF_NODES: Final = _PROCESS | _CORE_WORKER | _MACHINE | _RAYLET
_OF_DATA: Final = _keys(
    "ray_data_cpu_usage_cores ray_data_current_bytes ray_data_gpu_usage_cores ray_data_memory_usage_bytes "
    "ray_data_output_rows ray_data_spilled_bytes"
)


@dataclass(frozen=True)
class Endpoint:
    """One path of the dashboard.

    Attributes:
        path: the name of its answers in the stream, as the front end asks for it.
        family: paths of one family share the head's 1 %.
        extra: what is added to the question only.
        once: not asked again after a good answer.
        statistics: keys, at any depth, whose change alone is not worth a line.
        needs: the class of an actor that has to be alive.
    """

    path: str
    family: str
    extra: str = ""
    once: bool = False
    statistics: frozenset[str] = frozenset()
    needs: str | None = None

    @property
    def question(self) -> str:
        if not self.extra:
            return f"/{self.path}"
        return f"/{self.path}{'&' if '?' in self.path else '?'}{self.extra}"


def _fixed(
    path: str, extra: str = "", *, once: bool = False, statistics: frozenset[str] = frozenset()
) -> Endpoint:
    return Endpoint(path, path, extra, once, statistics)


_FRESH: Final = "nocache=1"
_ALL: Final = "detail=1&limit=10000"

ALWAYS: Final = (
    _fixed(VERSION, once=True),
    _fixed(NODES, _FRESH, statistics=_OF_NODES),
    _fixed(JOBS),
    _fixed(ACTORS, _FRESH, statistics=_OF_NODES),
    _fixed("api/v0/placement_groups", _ALL),
    _fixed("api/cluster_status?format=1"),
    _fixed("events", _FRESH),
    _fixed("timezone", once=True),
    _fixed(METADATA, once=True),
)
"""Asked of every head, in this order, which is also the order of the last questions at the end."""

SERVE: Final = Endpoint(
    "api/serve/applications/",
    "serve",
    statistics=frozenset({"controller_health_metrics"}),
    needs="ServeController",
)
TRAIN: Final = Endpoint("api/train/v2/runs/v1", "train", needs="TrainStateActor")
WORKERS: Final = _fixed("api/v0/workers", _ALL)
"""Ray before 2.60 posts no events about workers."""
WITHOUT_EVENTS: Final = (_fixed("api/v0/tasks", _ALL), _fixed("api/v0/actors", _ALL))
"""Where neither events nor export files tell of tasks and actors."""


def node(node_id: str) -> Endpoint:
    return Endpoint(f"nodes/{node_id}", "nodes/", _FRESH, statistics=_OF_NODES)


def datasets(job_id: str) -> Endpoint:
    return Endpoint(f"api/data/datasets/{job_id}", "data", statistics=_OF_DATA, needs="_StatsActor")


def extra(path: str) -> Endpoint:
    """A path named in the settings."""
    return _fixed(path.lstrip("/"))
