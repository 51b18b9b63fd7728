"""What the catalog says of a session, its two entries put together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from archive.catalog import CatalogEntry, decode
from archive.errors import FormatError, ObjectMissing
from archive.layout import CatalogName, Role, SessionKey
from archive.store.base import Store
from server.view.view import SessionFacts

LOST_AFTER_SECONDS: Final = 180.0


@dataclass(frozen=True, slots=True)
class Sighting:
    """One catalog entry as found; `entry` is None where it can't be read. `modified` by the store's clock."""

    role: Role
    entry: CatalogEntry | None
    modified: float


def sightings(store: Store, key: SessionKey) -> list[Sighting]:
    """The session's catalog entries, the head's first. Raises StoreError."""
    found = []
    for role in (Role.HEAD, Role.WORKER):
        try:
            stored = store.get(CatalogName(key, role).key)
        except ObjectMissing:
            continue
        try:
            entry = decode(stored.data)
        except FormatError:
            entry = None
        found.append(Sighting(role, entry, stored.info.modified))
    return found


def session_facts(
    key: SessionKey, found: Sequence[Sighting], now: float, last_seen_ms: int | None, lost_after: float
) -> SessionFacts:
    """The facts. `last_seen_ms`: the newest thing in the session's segments, `now` by the store's clock.

    The head's entry decides; a worker's alone tells of a session whose head was never seen, and does not say
    when the session ended. A session of which there are segments only is lost.
    """
    entries = [sighting.entry for sighting in found if sighting.entry is not None]
    head = next((sighting for sighting in found if sighting.role is Role.HEAD), None)
    voices = [head] if head is not None else found  # workers come and go while the session lives
    heartbeat = max((sighting.modified for sighting in voices), default=0.0)
    seen_ms = max([entry.last_seen_ms for entry in entries] + [last_seen_ms or 0]) or None
    state: Literal["running", "ended", "lost"]
    ended_ms: int | None = None
    reason = ""
    if head is not None and head.entry is not None and head.entry.state == "ended":
        state, ended_ms, reason = "ended", head.entry.last_seen_ms or seen_ms, head.entry.reason
    elif now - heartbeat > lost_after:
        state, ended_ms, reason = "lost", seen_ms, "no sign of life"
    else:
        state = "running"
    return SessionFacts(
        state=state,
        started_ms=min((entry.started_ms for entry in entries if entry.started_ms), default=key.started_ms),
        ended_ms=ended_ms,
        reason=reason,
        ray_version=next((entry.ray_version for entry in entries if entry.ray_version), ""),
        python_version=next((entry.python_version for entry in entries if entry.python_version), ""),
        head_node_id=head.entry.node_id if head is not None and head.entry is not None else "",
    )
