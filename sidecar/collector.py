"""What the collector does once its spool is open: follows sessions and nodes, and gives each node a life."""

import contextlib
import logging
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from archive.catalog import CatalogEntry
from archive.errors import NameInvalid
from archive.layout import Role, SessionKey
from archive.store.base import Store
from sidecar.catalog import Catalog
from sidecar.discovery import STAND_IN_AFTER, Look, Sighting, Watch, event_node_id, look, role_of
from sidecar.end import end
from sidecar.entry import entries_of_ended, entry_of, first_facts
from sidecar.errors import SpoolError
from sidecar.flushing import Flushing
from sidecar.life import Life, named_role
from sidecar.metrics import Metrics
from sidecar.settings import CollectorSettings
from sidecar.spool import JournalDamaged, NodeSpool, Spool, raw_bytes
from sidecar.storing import Storing
from sidecar.tail import Continuation

log = logging.getLogger(__name__)

VERSION: Final = "0.1.0"
LONGEST_END: Final = 25.0
"""Seconds, whatever the settings say: the supervisor waits little longer."""
LONGEST_CHANGE: Final = 2.0
"""Seconds that a node's last bytes may take when another follows it: the main loop waits for them."""
MUCH: Final = 16 << 20
"""Bytes of logs in one turn, after which the next one is worth making soon."""
LEFT_OVER: Final = "the collector was gone when this node ended; a later one finished it"

Tell = Callable[[str, str], None]
"""Says what is wrong with a part, "" when nothing is."""


class Collector:
    """`turn` each second, `begin_end` perhaps, `end` once. One thread calls all of it, but for `sink`."""

    def __init__(
        self, settings: CollectorSettings, spool: Spool, store: Store, metrics: Metrics, tell: Tell
    ) -> None:
        """Raises SpoolError."""
        self._settings = settings
        self._spool = spool
        self._metrics = metrics
        self._tell = tell
        self._stand_in = settings.pod_uid or f"host-{socket.gethostname()}"[:64]
        self._watch = Watch(self._stand_in)
        self._life: Life | None = None
        self._sink: NodeSpool = spool.unassigned()
        self._assigned = False
        self.far_behind = False
        self._left_over_taken = False
        self._shown: dict[str, CatalogEntry] = {}
        storing = Storing(store, metrics)
        self._catalog = Catalog(storing, tell=lambda problem: tell("catalog", problem))
        self._flushing = Flushing(
            storing, settings.flush_seconds, VERSION, metrics, lambda problem: tell("store", problem)
        )
        metrics.refresh_with(lambda: metrics.spool_bytes.set(spool.budget.taken))

    def start(self) -> None:
        self._catalog.start()
        self._flushing.start()

    def sink(self) -> NodeSpool:
        """Where bodies go now. For any thread."""
        return self._sink

    def turn(self, *, last: bool = False) -> None:
        """Looks at Ray's folder and takes what is new. Raises nothing. `last`: there is no later turn."""
        try:
            self._turn(look(Path(self._settings.ray_dir)), last=last)
        except SpoolError as error:
            self._tell("spool", str(error))
        except Exception as error:  # whatever it is, Ray must not notice, and the next turn tries again
            log.exception("a turn failed")
            self._tell("collector", f"a turn failed: {type(error).__name__} {error}")
        else:
            self._tell("spool", "")
            self._tell("collector", "")

    def begin_end(self) -> None:
        """The end has begun: Ray may be gone within a second."""
        if self._life is not None:
            self._life.ask_now()
        self._flushing.begin_end()

    def end(self, reason: str) -> bool:
        """Takes and stores the last, within the time that the settings give; true if all is stored."""
        self.turn(last=True)
        with contextlib.suppress(SpoolError):
            self._take_left_over()
        seconds = min(self._settings.end_seconds, LONGEST_END)
        return end(self._life, self._flushing, self._catalog, reason, seconds)

    def _turn(self, seen: Look, *, last: bool) -> None:
        self.far_behind = False
        self._flushing.watch()
        now = time.monotonic() + (STAND_IN_AFTER if last else 0.0)
        sighting = self._watch.see(seen, now, self._told_by_events(seen))
        if sighting is not None:
            self._follow(sighting)
        life = self._life
        unknown = seen.session is not None and (life is None or life.sighting.session != seen.session)
        if unknown:
            self._wait_for_node()
            self._announce(seen)
        if life is not None:
            scan = life.tick()
            self.far_behind = scan.bytes_read >= MUCH
            self._metrics.lag_bytes.set(scan.lag_bytes, "logs")
            self._show(life.entry())
            self._take_left_over()  # before what may find no room: storing them makes some
            if not unknown and not self._assigned:
                self._assign(life.node)

    def _follow(self, sighting: Sighting) -> None:
        """Begins the life of a node that is new, after ending that of the one before."""
        before = self._life
        if before is not None:
            if before.sighting == sighting:
                return
            if _identity(before.sighting) == _identity(sighting):
                before.see(sighting)
                return
        try:
            key = SessionKey(self._settings.namespace, self._settings.cluster, sighting.session)
            node = self._spool.node(key, sighting.node_id)
        except NameInvalid as error:
            self._tell("session", f"{error}: it can't be kept")
            return
        self._tell("session", "")
        continuation = self._end_life(before, sighting) if before is not None else None
        self._life = Life(sighting, node, self._settings, continuation)
        log.info("node %s (%s) of %s", sighting.node_id, self._life.role, sighting.session)
        self._flushing.begin(node)

    def _end_life(self, life: Life, after: Sighting) -> Continuation | None:
        """Ends the node that another one follows, which goes on with the same files in the same session."""
        same_session = life.sighting.session == after.session
        reason = f"node {after.node_id} took its place" if same_session else f"{after.session} followed"
        self._wait_for_node()
        continuation = None
        try:
            continuation = life.end(
                reason,
                time.monotonic() + min(self._settings.end_seconds, LONGEST_CHANGE),
                successor=after.node_id if same_session else "",
            )
        except SpoolError as error:
            log.warning("the last bytes of node %s could not be spooled: %s", life.sighting.node_id, error)
        if not same_session:
            self._show(life.entry("ended", reason))
        self._flushing.end(reason)
        self._life = None
        return continuation if same_session else None

    def _wait_for_node(self) -> None:
        """What Ray posts from now on is of a node that is not known yet."""
        if self._assigned:
            self._sink = self._spool.unassigned()
            self._assigned = False

    def _announce(self, seen: Look) -> None:
        """Lists a session that has no node yet: its head may die before it has."""
        role = named_role(self._settings, role_of(seen))
        if role is Role.HEAD and seen.session is not None:
            with contextlib.suppress(NameInvalid):  # told when the node is known
                key = SessionKey(self._settings.namespace, self._settings.cluster, seen.session)
                self._show(entry_of(key, first_facts(role, self._settings)))

    def _assign(self, node: NodeSpool) -> None:
        """Gives what waited to the node, and sends it what comes.

        Raises SpoolFull where the disk has no room for both: then it waits on, and what comes behind it.
        """
        self._spool.assign(node)
        self._sink = node
        self._assigned = True

    def _take_left_over(self) -> None:
        """Nodes of earlier lives of this volume are finished now, once. Raises SpoolError.

        Their sessions are listed as ended, but for the one that lives on under another node.
        """
        if self._left_over_taken:
            return
        nodes = [(node, node.facts.get("ended") or LEFT_OVER) for node in self._spool.left_over()]
        self._left_over_taken = True
        self._flushing.take(nodes)
        session = self._life.node.session if self._life is not None else None
        for entry in entries_of_ended(each for each in nodes if each[0].session != session):
            self._catalog.show(entry)
        if self._life is not None and (session, self._stand_in) in [(n.session, n.node_id) for n, _ in nodes]:
            self._life.node.set_facts(stands_in_for=self._stand_in)

    def _show(self, entry: CatalogEntry) -> None:
        if self._shown.get(entry.session) != entry:
            self._shown[entry.session] = entry
            self._catalog.show(entry)

    def _told_by_events(self, seen: Look) -> str | None:
        """The node that the first event names, where the folder names none."""
        if seen.session is None or self._life is not None or seen.ported or seen.noted or seen.logged:
            return None
        waiting = self._spool.unassigned()
        try:
            for record, _, payload in waiting.reads(waiting.stored).reads:
                if record.stream == "events" and not record.more:
                    first = raw_bytes(record, payload).partition(b"\n")[0]
                    return event_node_id(first, seen.session)
        except (JournalDamaged, SpoolError) as error:
            log.warning("what waits for its node can't be read: %s", error)
        return None


def _identity(sighting: Sighting) -> tuple[str, str]:
    return sighting.session, sighting.node_id
