"""One node's logs as its segments told at one moment: which there are, and which segments hold each."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import groupby

from archive.segment import Facts
from archive.stream import Segment
from server.logs.footers import Indexed
from server.logs.listing import path_of, stream_of


class NodeLogs:
    """The logs of one node."""

    def __init__(self, node_id: str, segments: Iterable[Indexed]) -> None:
        self.node_id = node_id
        self.segments = sorted(
            segments, key=lambda one: (one.name.origin, one.name.node_id, one.name.sequence)
        )

    def joined_with(self, stand_in: "NodeLogs") -> "NodeLogs":
        """This node together with what was kept under another id before its own was known."""
        return NodeLogs(self.node_id, (*stand_in.segments, *self.segments))

    @cached_property
    def _told(self) -> Facts | None:
        """The facts of the newest readable segment."""
        told = [one.segment.footer.facts for one in self.segments if one.segment is not None]
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
        session = self.segments[0].name.session.session
        return f"{self.facts.get('session_dir') or f'/tmp/ray/{session}'}/logs"  # noqa: S108 - a name, not opened

    @cached_property
    def troubles(self) -> list[str]:
        """One sentence for each segment that can't be read."""
        return [one.trouble for one in self.segments if one.trouble]

    @cached_property
    def torn(self) -> str:
        """Why logs may go on behind what is known of them: an origin's last segment can't be read."""
        origins = groupby(self.segments, key=lambda one: (one.name.node_id, one.name.origin))
        ends = [list(group)[-1] for _, group in origins]
        return next((one.trouble for one in ends if one.trouble), "")

    @cached_property
    def _holders(self) -> Mapping[str, list[Segment]]:
        """The readable segments that tell anything of each stream."""
        holders: dict[str, list[Segment]] = {}
        for one in self.segments:
            if one.segment is not None:
                footer = one.segment.footer
                named = {entry.stream for entry in footer.frames} | {
                    mark.stream for mark in footer.facts.marks
                }
                for stream in named:
                    holders.setdefault(stream, []).append(one.segment)
        return holders

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """The paths of all logs below the logs folder, sorted."""
        return tuple(sorted(path for stream in self._holders if (path := path_of(stream)) is not None))

    def holders(self, path: str) -> list[Segment]:
        """The segments that tell anything of a log; none if there is no such log."""
        return self._holders.get(stream_of(path), [])
