"""One node's logs as its segments told at one moment: which there are, and the plan of each."""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from itertools import groupby

from archive.layout import SegmentName
from archive.segment import Facts, FrameEntry, Mark
from archive.store.base import ObjectInfo
from server.logs.footers import Indexed
from server.logs.listing import path_of, stream_of
from server.logs.plan import Plan, follow, plan_origin

Framed = tuple[ObjectInfo, FrameEntry]
SameBeginning = Callable[[Plan, Plan], bool]


class OriginLogs:
    """What one origin's segments hold: frames and marks of each stream."""

    def __init__(self, segments: list[tuple[SegmentName, Indexed]]) -> None:
        self.frames: dict[str, list[Framed]] = {}
        self.marks: dict[str, list[Mark]] = {}
        self.torn = segments[-1][1].trouble
        for _, indexed in segments:
            if indexed.footer is None:
                continue
            for entry in indexed.footer.frames:
                self.frames.setdefault(entry.stream, []).append((indexed.info, entry))
            for mark in indexed.footer.facts.marks:
                self.marks.setdefault(mark.stream, []).append(mark)

    def plan(self, stream: str) -> Plan:
        """One stream's plan within this origin."""
        return plan_origin(self.frames.get(stream, ()), self.marks.get(stream, ()), self.torn)


class NodeLogs:
    """The logs of one node; `earlier` finds the node whose files this one went on writing."""

    def __init__(
        self,
        node_id: str,
        segments: Mapping[str, Indexed],
        same_beginning: SameBeginning,
        earlier: Callable[[str], "NodeLogs | None"],
    ) -> None:
        self.node_id = node_id
        named = [(SegmentName.parse(key), indexed) for key, indexed in segments.items()]
        self.segments = sorted(named, key=lambda one: (one[0].origin, one[0].node_id, one[0].sequence))
        self._same_beginning = same_beginning
        self._earlier = earlier

    def joined_with(self, stand_in: "NodeLogs") -> "NodeLogs":
        """This node together with what was kept under another id before its own was known."""
        joined = {name.key: indexed for name, indexed in (*stand_in.segments, *self.segments)}
        return NodeLogs(self.node_id, joined, self._same_beginning, self._earlier)

    @cached_property
    def _told(self) -> Facts | None:
        """The facts of the newest readable segment."""
        told = [indexed.footer.facts for _, indexed in self.segments if indexed.footer is not None]
        return max(told, key=lambda facts: facts.written_ms, default=None)

    @property
    def facts(self) -> Mapping[str, str]:
        """What is known of the node."""
        return self._told.node if self._told is not None else {}

    @property
    def seen_ms(self) -> int:
        """When the newest readable segment was written, in milliseconds by the node's clock."""
        return self._told.written_ms if self._told is not None else 0

    @property
    def logs_folder(self) -> str:
        """Where the logs were on the node, as Ray's sentences name it."""
        return f"{self.facts.get('session_dir') or '/tmp/ray/session'}/logs"  # noqa: S108 - names a place, opens nothing

    @property
    def troubles(self) -> list[str]:
        """One sentence for each segment that can't be read."""
        return [indexed.trouble for _, indexed in self.segments if indexed.trouble]

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """The paths of all logs below the logs folder, sorted."""
        streams = {stream for origin in self._origins for stream in (*origin.frames, *origin.marks)}
        return tuple(sorted(path for stream in streams if (path := path_of(stream)) is not None))

    @cached_property
    def _origins(self) -> list[OriginLogs]:
        """The node's origins, oldest first."""
        return [
            OriginLogs(list(group))
            for _, group in groupby(self.segments, key=lambda one: (one[0].node_id, one[0].origin))
        ]

    def plan(self, path: str) -> Plan | None:
        """Where a log's bytes lie; None if there is no such log.

        Of two origins whose texts begin alike the longer one is shown: the younger began anew from the same
        file. Otherwise the younger goes on behind the older.
        """
        stream = stream_of(path)
        planned: Plan | None = None
        for origin in self._origins:
            if stream not in origin.frames and stream not in origin.marks:
                continue
            mine = origin.plan(stream)
            continued = next(
                (mark.detail for mark in origin.marks.get(stream, ()) if mark.kind == "continues"), ""
            )
            before = self._earlier(continued) if continued else None
            if planned is None:
                base = before.plan(path) if before is not None else None
                planned = mine if base is None else follow(base, mine)
            elif self._same_beginning(planned, mine):
                planned = max(planned, mine, key=lambda plan: plan.end - plan.begin)
            else:
                planned = follow(planned, mine, "the collector began anew here; some bytes may be missing")
        return planned

    def _continued(self, path: str, marks: Iterable[Mark]) -> Plan | None:
        """The same log of the node that wrote it before this one did."""
        node_id = next((mark.detail for mark in marks if mark.kind == "continues"), self.node_id)
        before = self._earlier(node_id) if node_id != self.node_id else None
        return before.plan(path) if before is not None else None
