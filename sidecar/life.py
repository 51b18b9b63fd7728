"""One node's life under the collector: its spool, its tailer, on a head the poller, its catalog entry."""

import logging
import socket
import time
from typing import Final, Literal

from archive.catalog import CatalogEntry
from archive.layout import Role
from archive.losses import Loss
from sidecar.discovery import Sighting, node_ip
from sidecar.entry import entry_of, first_facts
from sidecar.poll.poller import Poller
from sidecar.poll.poller import Settings as PollSettings
from sidecar.settings import AUTOMATIC, CollectorSettings
from sidecar.spool import NodeSpool
from sidecar.tail import Continuation, ScanResult, Tailer, TailSettings

log = logging.getLogger(__name__)

LAST_ANSWER: Final = 0.3
"""Seconds that an answer under way may take when the end is here."""
EVENTS_BY: Final = 30.0
"""Seconds after which a node without events and export files counts as one that has none."""


class Life:
    """Begins with the sighting of a node; `tick` each second, `end` once."""

    def __init__(
        self, sighting: Sighting, node: NodeSpool, settings: CollectorSettings, before: Continuation | None
    ) -> None:
        """`before`: the node whose files this one goes on with. Raises SpoolError."""
        self.sighting = sighting
        self.node = node
        self._settings = settings
        self._began = time.monotonic()
        self._node_ip = ""
        self._poller: Poller | None = None
        logs = sighting.directory / "logs"
        self._tailer = Tailer(logs, node, _tail_settings(settings), continues=before)
        if before is not None:
            node.set_facts(continues=before.node_id)
        # It may have ended in an earlier life of this process, with Ray living on.
        node.set_facts(**{name: "" for name in ("ended", "successor") if node.facts.get(name)})
        self.see(sighting)

    def see(self, sighting: Sighting) -> None:
        """A newer look at the same node: that it is a head can show late. Raises SpoolError."""
        self.sighting = sighting
        self.role = named_role(self._settings, sighting.role)
        self.node.set_facts(**self._facts())
        if self.role is Role.HEAD and self._poller is None:
            self._poller = Poller(
                PollSettings(
                    sighting.session,
                    sighting.directory / "logs",
                    self._settings.dashboard,
                    self._settings.poll_seconds,
                    self._settings.poll_extra,
                ),
                self.node,
                self._tells_tasks,
            )
            self._poller.start()

    def tick(self) -> ScanResult:
        """Takes what the logs gained. Raises SpoolError."""
        self._node_ip = self._node_ip or node_ip(self.sighting.directory / "logs")
        self.node.set_facts(**self._facts())
        return self._tailer.scan()

    def ask_now(self) -> None:
        """The end has begun: the dashboard is asked one last time."""
        if self._poller is not None:
            self._poller.ask_now()

    def end(self, reason: str, deadline: float, *, successor: str = "") -> Continuation:
        """Takes the last of logs and polls, until `deadline` (monotonic). Raises SpoolError.

        `successor`: the node that reads on in the same files; without one, what is not read by now is counted
        as lost.
        """
        try:
            # Kept in the spool, since another collector may have to store what this one can't.
            self.node.set_facts(ended=reason, **({"successor": successor} if successor else {}))
            left = self._tailer.finish(deadline).lag_bytes
            if left and not successor:
                self.node.count_loss(Loss.LOGS_UNREAD, left)
            if self._poller is not None:
                self._poller.finish(LAST_ANSWER)
        finally:
            self._tailer.close()
        return Continuation(self.sighting.node_id, self.node.sources())

    def entry(self, state: Literal["running", "ended"] = "running", reason: str = "") -> CatalogEntry:
        """What the catalog should say now."""
        return entry_of(self.node.session, self.node.facts, state, reason)

    def _facts(self) -> dict[str, str]:
        facts = {
            "node_id": self.sighting.node_id,
            "node_ip": self._node_ip,
            "hostname": socket.gethostname(),
            "pod_name": self._settings.pod_name,
            "pod_uid": self._settings.pod_uid,
            "stands_in_for": self.sighting.stood_in or "",
            "session_dir": str(self.sighting.directory),
            "ray_version": self._poller.ray_version if self._poller else "",
            "python_version": self._poller.python_version if self._poller else "",
        }
        known = {name: value for name, value in facts.items() if value}
        return first_facts(self.role, self._settings) | known

    def _tells_tasks(self) -> bool:
        """Whether events or export files tell of tasks, so that the dashboard need not be asked for them."""
        if time.monotonic() - self._began < EVENTS_BY or self.node.end("events") > 0:
            return True
        return any(self.node.end(name) > 0 for name in self.node.sources() if name.startswith("exports/"))


def named_role(settings: CollectorSettings, found: Role) -> Role:
    """The role that the settings name, else the one found."""
    return found if settings.role == AUTOMATIC else Role(settings.role)


def _tail_settings(settings: CollectorSettings) -> TailSettings:
    return TailSettings(
        include=settings.include_logs,
        exclude=settings.exclude_logs,
        bytes_per_log=settings.log_file_bytes or None,
        handles=settings.deleted_files,
    )
