"""Looking for words in a session's logs, within bounds of time and number.

Reads through whole logs, one node after the other: good for sessions of some GiB. What was left out is told.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from server.logs.listing import matching
from server.logs.node import NodeLogs
from server.logs.session import SessionLogs
from server.logs.text import COLOUR

LARGEST_LIMIT: Final = 1000
_LONGEST_SECONDS: Final = 10.0
_LONGEST_LINE: Final = 400
_CARRIED: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class Hit:
    """A line that holds the words; of a very long one the part around them."""

    node_id: str
    filename: str
    line: str


@dataclass(frozen=True, slots=True)
class Found:
    """Hits in order of node and file. `complete` is False where a bound was met; `searched`: bytes read."""

    hits: tuple[Hit, ...]
    searched: int
    complete: bool


def search(
    logs: SessionLogs,
    words: str,
    *,
    nodes: list[NodeLogs],
    pattern: str,
    limit: int,
    clock: Callable[[], float] = time.monotonic,
) -> Found:
    """Lines with these words, whatever their case, in files that match the pattern. Raises: StoreError."""
    needle = words.encode().lower()
    hits: list[Hit] = []
    searched = 0
    until = clock() + _LONGEST_SECONDS
    for node in nodes:
        for path in sorted(matching(node.paths, pattern), key=_of_the_system):
            reader = logs.reader(node.node_id, path)
            if reader is None:
                continue
            for block in _blocks(logs.read(node.node_id, path, reader.begin, reader.end)):
                searched += len(block)
                for line in _lines_with(needle, block):
                    hits.append(Hit(node.node_id, path, line))
                    if len(hits) >= limit:
                        return Found(tuple(hits), searched, complete=False)
                if clock() > until:
                    return Found(tuple(hits), searched, complete=False)
    return Found(tuple(hits), searched, complete=True)


def _of_the_system(path: str) -> bool:
    """What users print comes first, what Ray's own processes tell last."""
    return not path.startswith(("worker-", "job-driver-", "serve/", "train/"))


def _blocks(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Pieces cut again at line ends; a line of many KiB is cut all the same."""
    held = b""
    for piece in pieces:
        text = held + piece
        end = text.rfind(b"\n") + 1
        if not end and len(text) < _CARRIED:
            held = text
            continue
        end = end or len(text)
        yield text[:end]
        held = text[end:]
    if held:
        yield held


def _lines_with(needle: bytes, block: bytes) -> Iterator[str]:
    lowered = block.lower()
    place = lowered.find(needle)
    while place != -1:
        begin = block.rfind(b"\n", 0, place) + 1
        end = block.find(b"\n", place)
        end = len(block) if end == -1 else end
        shown = max(begin, min(place - _LONGEST_LINE // 4, end - _LONGEST_LINE))
        line = COLOUR.sub(b"", block[shown : min(end, shown + _LONGEST_LINE)])
        yield line.decode("utf-8", "replace")
        place = lowered.find(needle, end)
