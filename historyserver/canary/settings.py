"""The canary's settings."""

from dataclasses import dataclass

from archive.settings import (
    ADDRESS,
    FOLDER,
    INTERVAL,
    SECONDS,
    STORE,
    TEXT,
    WEB_ADDRESS,
    Address,
    required,
    setting,
)

NOWHERE = Address("", 0)


@dataclass(frozen=True, slots=True)
class CanarySettings:
    """`namespace` and `cluster` as the collector beside it has them, and either `store` or `server`."""

    namespace: str = required(TEXT, "the namespace of the collector", "")
    cluster: str = required(TEXT, "the cluster of the collector", "")
    store: str = setting(STORE, "the archive that the collector writes into, to read there", "")
    server: str = setting(
        WEB_ADDRESS, "a history server to read from instead; it shows lines and no events", ""
    )
    ray_dir: str = setting(FOLDER, "Ray's temp folder", "/tmp/ray")  # noqa: S108 - Ray's own default
    collector: str = setting(WEB_ADDRESS, "where the collector takes events", "http://127.0.0.1:8084")
    seconds: float = setting(SECONDS, "how long to write; 0 means until told to end", 0.0)
    every: float = setting(INTERVAL, "how often a line and an event are written", 1.0)
    late_after: float = setting(SECONDS, "after how long a message is late", 15.0)
    wait_seconds: float = setting(SECONDS, "how long to wait at the end for what is not there yet", 120.0)
    report_seconds: float = setting(INTERVAL, "how often to say how it stands", 10.0)
    metrics: Address = setting(ADDRESS, "where metrics are served; port 0 means nowhere", NOWHERE)
