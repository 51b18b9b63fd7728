"""Catalog entries, put by a thread of their own: soon after Ray's start, then as a heartbeat.

A store that is slow or gone delays nothing but the entry: it is tried again, ever later, and the newest
state wins. The head's collector beats every `BEAT` seconds while the session lives; a worker's puts when it
starts and when it ends. A node whose collector was gone when it ended gets its entry from the next one that
has the volume, out of the node facts in its spool: what an entry says is all there.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, Literal

import msgspec

from archive.catalog import LATEST_MS, CatalogEntry, encode
from archive.errors import ArchiveError
from archive.layout import CatalogName, Role, SessionKey
from archive.store.base import Store
from sidecar.settings import CollectorSettings
from sidecar.spool import NodeSpool

log = logging.getLogger(__name__)

BEAT: Final = 30.0
FIRST_RETRY: Final = 0.5
LONGEST_RETRY: Final = 30.0


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


class Catalog:
    """Puts the newest entry of each session shown, and beats for the one that lives, until stopped."""

    def __init__(self, store: Store, now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._now = now
        self._changed = threading.Condition()
        self._entry: CatalogEntry | None = None
        self._urgent: list[CatalogEntry] = []
        self._stop = False
        self._thread = threading.Thread(target=self._run, name="catalog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def show(self, entry: CatalogEntry) -> None:
        """Puts the entry now; a running head's also as heartbeat from now on. Returns at once."""
        with self._changed:
            if entry.role is Role.HEAD and entry.state == "running":
                self._entry = entry
            elif self._entry is not None and self._entry.name == entry.name:
                self._entry = None
            self._urgent = [one for one in self._urgent if one.name != entry.name]
            self._urgent.append(entry)
            self._changed.notify()

    def finish(self, seconds: float) -> bool:
        """Waits until everything shown is put, at most `seconds`, and stops; true if it all was."""
        deadline = time.monotonic() + seconds
        with self._changed:
            self._stop = True
            self._entry = None
            self._changed.notify()
            while self._urgent and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)
            return not self._urgent

    def _run(self) -> None:
        retry = FIRST_RETRY
        while (entry := self._next()) is not None:
            done = self._put(entry)
            with self._changed:
                if done:
                    retry = FIRST_RETRY
                    self._urgent = [one for one in self._urgent if one is not entry]
                    self._changed.notify_all()
                    continue
                if entry is self._entry and not self._urgent:
                    self._urgent.append(entry)
                self._changed.wait(retry)
            retry = min(retry * 2, LONGEST_RETRY)

    def _next(self) -> CatalogEntry | None:
        """Waits for the next entry to put; None when stopped and nothing is left."""
        beat = time.monotonic() + BEAT
        with self._changed:
            while not self._urgent:
                if self._stop:
                    return None
                left = beat - time.monotonic()
                if self._entry is not None and left <= 0:
                    return self._entry
                self._changed.wait(None if self._entry is None else left)
            return self._urgent[0]

    def _put(self, entry: CatalogEntry) -> bool:
        last_seen_ms = entry.last_seen_ms or int(self._now() * 1000)
        seen = msgspec.structs.replace(entry, last_seen_ms=last_seen_ms)
        try:
            self._store.put(entry.name.key, encode(seen))
        except ArchiveError as error:
            log.warning("the catalog entry of %s could not be put: %s", entry.session, error)
            return False
        except Exception:  # nothing that goes wrong here may end the heartbeat
            log.exception("the catalog entry of %s could not be put", entry.session)
            return False
        return True
