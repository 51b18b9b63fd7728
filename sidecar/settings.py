"""The collector's settings."""

from dataclasses import dataclass
from typing import Final

from archive.settings import (
    ADDRESS,
    BYTES,
    FOLDER,
    INTEGER,
    INTERVAL,
    LIST,
    SECONDS,
    SHARE,
    STORE,
    TEXT,
    WEB_ADDRESS,
    Address,
    choice,
    required,
    setting,
)

AUTOMATIC: Final = "auto"
EVENTS_ADDRESS: Final = Address("127.0.0.1", 8084)
HEALTH_ADDRESS: Final = Address("", 8085)
ROLE: Final = choice(AUTOMATIC, "head", "worker")


@dataclass(frozen=True, slots=True)
class CollectorSettings:
    """Without Kubernetes `store`, `namespace` and `cluster` are enough; admission sets the rest in a pod."""

    store: str = required(STORE, "the archive to write into", "")
    namespace: str = required(TEXT, "the namespace to file sessions under", "")
    cluster: str = required(TEXT, "the cluster's name", "")
    ray_dir: str = setting(FOLDER, "Ray's temp folder", "/tmp/ray")  # noqa: S108 - Ray's own default
    spool: str = setting(FOLDER, "the collector's folder; empty means `history-spool` in Ray's folder", "")
    spool_budget: int = setting(BYTES, "what the spool may take of the disk", 512 << 20)
    log_share: float = setting(SHARE, "the share of the spool that logs may fill", 0.5)
    listen: Address = setting(ADDRESS, "where Ray posts its events", EVENTS_ADDRESS)
    health: Address = setting(ADDRESS, "where metrics and health are served", HEALTH_ADDRESS)
    flush_seconds: float = setting(INTERVAL, "how long new data may wait before it is stored", 5.0)
    end_seconds: float = setting(SECONDS, "how long the last flush may take after SIGTERM", 10.0)
    dashboard: str = setting(WEB_ADDRESS, "the head's dashboard; empty means as Ray's log says", "")
    poll_seconds: float = setting(INTERVAL, "how often each of the dashboard's pages is asked at most", 15.0)
    poll_extra: tuple[str, ...] = setting(LIST, "more dashboard paths to keep, as `api/v0/objects`", ())
    include_logs: tuple[str, ...] = setting(LIST, "patterns of log files to keep", ("**",))
    exclude_logs: tuple[str, ...] = setting(LIST, "patterns of log files to leave out", ())
    log_file_bytes: int = setting(BYTES, "what is kept of one log file; 0 means all", 0)
    deleted_files: int = setting(INTEGER, "how many deleted log files are kept open until read", 512)
    role: str = setting(ROLE, "what this node is; `auto` finds out", AUTOMATIC)
    pod_name: str = setting(TEXT, "the pod's name", "")
    pod_uid: str = setting(TEXT, "the pod's uid; stands in for a node id that never shows up", "")
    cluster_uid: str = setting(TEXT, "the cluster's uid", "")
    owner_kind: str = setting(TEXT, "RayCluster, RayJob or RayService", "")
    owner_name: str = setting(TEXT, "the owner's name", "")

    @property
    def spool_folder(self) -> str:
        return self.spool or f"{self.ray_dir}/history-spool"
