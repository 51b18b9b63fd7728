"""What a collector says of a session in the catalog: all of it is in the node facts of a spool.

So a node whose collector was gone when it ended gets its entry from the next one that has the volume.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Literal

from archive.catalog import LATEST_MS, CatalogEntry
from archive.layout import CatalogName, Role, SessionKey
from sidecar.settings import CollectorSettings
from sidecar.spool import NodeSpool


def first_facts(role: Role, settings: CollectorSettings) -> dict[str, str]:
    """The node facts that are known as soon as the session's folder is seen; empty ones are left out."""
    facts = {
        "role": str(role),
        "cluster_uid": settings.cluster_uid,
        "owner_kind": settings.owner_kind,
        "owner_name": settings.owner_name,
    }
    return {name: value for name, value in facts.items() if value}


def entry_of(
    key: SessionKey,
    facts: Mapping[str, str],
    state: Literal["running", "ended"] = "running",
    reason: str = "",
    last_seen_ms: int = 0,
) -> CatalogEntry:
    """What node facts say of a session; `last_seen_ms` 0 means when it is put."""
    return CatalogEntry(
        namespace=key.namespace,
        cluster=key.cluster,
        session=key.session,
        role=Role(facts["role"]),
        node_id=facts.get("node_id", ""),
        cluster_uid=facts.get("cluster_uid", ""),
        owner_kind=facts.get("owner_kind", ""),
        owner_name=facts.get("owner_name", ""),
        ray_version=facts.get("ray_version", ""),
        python_version=facts.get("python_version", ""),
        started_ms=_started_ms(key.started_ms),
        last_seen_ms=last_seen_ms,
        state=state,
        reason=reason,
    )


def entries_of_ended(nodes: Iterable[tuple[NodeSpool, str]]) -> list[CatalogEntry]:
    """The last entries of sessions of which spools are left over, given with the reasons of their ends.

    The node that was written to last speaks for its role. One that another took the place of says nothing of
    the session, nor does one of which no facts could be kept.
    """
    newest: dict[CatalogName, CatalogEntry] = {}
    for node, reason in sorted(nodes, key=lambda each: each[0].newest_ms):
        if "role" in node.facts and not node.facts.get("successor"):
            entry = entry_of(node.session, node.facts, "ended", reason, node.newest_ms)
            newest[entry.name] = entry
    return list(newest.values())


def _started_ms(named_ms: int | None) -> int:
    """Ray names a session by the wall clock of its place, which is ours; 0 where that is no real time."""
    if named_ms is None:
        return 0
    try:
        wall = datetime.fromtimestamp(named_ms / 1000, UTC).replace(tzinfo=None)
        started_ms = int(wall.astimezone().timestamp() * 1000)
    except (ValueError, OverflowError, OSError):
        return 0
    return started_ms if 0 <= started_ms <= LATEST_MS else 0
