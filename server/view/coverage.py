"""What is stored of a session, what of it is folded, and so what is left to fold. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from archive.errors import NameInvalid
from archive.layout import Origin, SegmentName, SessionKey, segments_prefix
from archive.segment import Facts
from archive.store.base import ObjectInfo
from server.fold.lines import Fragment, joined, settled
from server.fold.run import RunResult, SegmentRead, StreamKey
from server.fold.times import plausible
from server.view.manifest import Carried, Damage, Manifest, OriginState

SMALLEST_RUN: Final = 1 << 20
LARGEST_RUN: Final = 3 << 20
LARGEST_CARRIED: Final = 1 << 20
MOST_GAPS: Final = 100
MOST_GAPPED: Final = 100

OriginKey = tuple[str, str]
"""Node id and origin."""


def begin_after(manifest: Manifest, session: SessionKey, node_id: str) -> str:
    """The key behind which a node's segments may be new: those of its oldest origin that may still grow."""
    origins = [origin for origin in manifest.origins if origin.node_id == node_id]
    growing = [origin for origin in origins if origin.final is None] or origins
    if not growing:
        return ""
    oldest = min(growing, key=lambda origin: Origin.parse(origin.origin))
    if not oldest.closed:
        return f"{segments_prefix(session, node_id)}{oldest.origin}"
    return SegmentName(session, node_id, Origin.parse(oldest.origin), oldest.closed).key


def segments(manifest: Manifest) -> int:
    """About how many segments it tells of."""
    return sum(max(origin.closed, origin.open) for origin in manifest.origins)


def over(manifest: Manifest) -> frozenset[str]:
    """Nodes of which every known origin has ended."""
    nodes = {origin.node_id for origin in manifest.origins}
    return frozenset(nodes - {origin.node_id for origin in manifest.origins if origin.final is None})


@dataclass(frozen=True, slots=True)
class Listed:
    """One segment as listed."""

    name: SegmentName
    info: ObjectInfo


def parsed(infos: Iterable[ObjectInfo]) -> list[Listed]:
    """Segments in order of node, origin and sequence; objects with other names are nobody's."""
    found = []
    for info in infos:
        try:
            found.append(Listed(SegmentName.parse(info.key), info))
        except NameInvalid:
            continue
    return sorted(found, key=lambda one: one.name)


def left_to_fold(manifest: Manifest, listed: Sequence[Listed]) -> list[Listed]:
    """Segments that no part holds as they are now."""
    known = {(origin.node_id, origin.origin): origin for origin in manifest.origins}
    left = []
    for one in listed:
        state = known.get(_origin_key(one.name))
        if state is None or (
            one.name.sequence > state.closed
            and not (one.name.sequence == state.open and one.info.etag == state.open_etag)
        ):
            left.append(one)
    return left


def runs(listed: Sequence[Listed], processes: int) -> list[list[ObjectInfo]]:
    """Segments in runs of some size, enough of them to keep every process busy to the end.

    What nodes stored at one time goes into one run, since they tell of the same tasks: joined there, it needs
    no merging.
    """
    total = sum(one.info.size for one in listed)
    limit = min(max(total // (processes * 2), SMALLEST_RUN), LARGEST_RUN)
    result: list[list[ObjectInfo]] = []
    size = limit
    for one in _by_time(listed):
        if size >= limit:
            result.append([])
            size = 0
        result[-1].append(one.info)
        size += one.info.size
    return result


def _by_time(listed: Sequence[Listed]) -> list[Listed]:
    """In order of storing, but each origin's in its own order, whatever a copy did to the times."""
    stored: dict[OriginKey, float] = {}
    times: dict[str, float] = {}
    for one in listed:
        key = _origin_key(one.name)
        stored[key] = times[one.info.key] = max(one.info.modified, stored.get(key, 0.0))
    return sorted(listed, key=lambda one: (times[one.info.key], one.name))


def edges(
    manifest: Manifest, results: Sequence[RunResult]
) -> "tuple[list[tuple[StreamKey, Fragment]], list[Carried]]":
    """Lines joined across runs, to be folded now, and what is carried to the next fold."""
    carried = {
        (one.node_id, one.origin, one.stream): Fragment(one.start, one.data, one.begins)
        for one in manifest.carried
    }
    now = _chains(carried, [result.edges for result in results])
    later = _chains(carried, [result.lasting for result in results])
    lines = [
        (key, settled(chain)[0]) for key, chains in now.items() for chain in chains if settled(chain)[0].data
    ]
    kept = [
        Carried(*key, rest.start, rest.data, rest.begins)
        for key, chains in later.items()
        if len((rest := settled(chains[-1])[1]).data) <= LARGEST_CARRIED
    ]
    return lines, sorted(kept, key=lambda one: (one.node_id, one.origin, one.stream))


def _chains(
    carried: Mapping[StreamKey, Fragment], found: Sequence[Mapping[StreamKey, list[Fragment]]]
) -> dict[StreamKey, list[Fragment]]:
    pieces: dict[StreamKey, list[Fragment]] = {key: [fragment] for key, fragment in carried.items()}
    for fragments in found:
        for key, some in fragments.items():
            pieces.setdefault(key, []).extend(some)
    return {key: chains for key, some in pieces.items() if (chains := joined(some))}


def advanced(
    manifest: Manifest, listed: Sequence[Listed], reads: Sequence[SegmentRead]
) -> tuple[tuple[OriginState, ...], tuple[Damage, ...]]:
    """Origins and damage after the segments were folded."""
    states = {(origin.node_id, origin.origin): origin for origin in manifest.origins}
    by_key = {read.info.key: read for read in reads}
    damaged = {damage.key: damage for damage in manifest.damaged}
    for key, group in groupby(listed, key=lambda one: _origin_key(one.name)):
        segments = list(group)
        last = segments[-1].name.sequence
        for one in segments:
            read = by_key.get(one.info.key)
            if read is None or read.gone:
                break  # what is behind is folded once more, which changes nothing
            damaged.pop(one.info.key, None)
            if read.damage:
                damaged[one.info.key] = Damage(one.info.key, one.info.etag, read.damage)
            states[key] = _after(states.get(key, OriginState(node_id=key[0], origin=key[1])), one, read, last)
    ordered = sorted(states.values(), key=lambda state: (state.node_id, state.origin))
    return tuple(ordered), tuple(sorted(damaged.values(), key=lambda damage: damage.key))


def _after(state: OriginState, one: Listed, read: SegmentRead, last: int) -> OriginState:
    facts = read.facts
    sequence = one.name.sequence
    closed = sequence < last or (facts is not None and facts.closed)
    losses, gaps = state.losses, state.gaps
    written_ms, final = state.written_ms, state.final
    if facts is not None:
        losses = {
            name: max(facts.losses.get(name, 0), losses.get(name, 0)) for name in {*losses, *facts.losses}
        }
        gaps = _gaps(gaps, facts)
        final = facts.final or final
        if plausible(facts.written_ms * 1_000_000):
            written_ms = max(facts.written_ms, written_ms)
    return OriginState(
        node_id=state.node_id,
        origin=state.origin,
        closed=sequence if closed else state.closed,
        open=0 if closed else sequence,
        open_etag="" if closed else one.info.etag,
        closed_size=state.closed_size + (one.info.size if closed else 0),
        open_size=0 if closed else one.info.size,
        written_ms=written_ms,
        final=final,
        losses=losses,
        gaps=gaps,
    )


def _gaps(known: Mapping[str, tuple[int, ...]], facts: Facts) -> Mapping[str, tuple[int, ...]]:
    """With those of one more footer. A gap comes twice where a segment is read again."""
    found = {stream: set(offsets) for stream, offsets in known.items()}
    for mark in facts.marks:
        if mark.kind == "gap":
            found.setdefault(mark.stream, set()).add(mark.offset)
    return {stream: tuple(sorted(found[stream])[:MOST_GAPS]) for stream in sorted(found)[:MOST_GAPPED]}


def _origin_key(name: SegmentName) -> OriginKey:
    return name.node_id, str(name.origin)
