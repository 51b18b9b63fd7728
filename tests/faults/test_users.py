"""Many people, more sessions than the server keeps opened: each is opened once, and nobody is failed."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bench.opening import archive
from bench.session import write_session
from bench.users import KEPT_OPEN, PAGES, crowd, serving, sessions

ENDS = 8192
"""Bytes: who reads no more of a segment reads its footer."""
Rounds = Callable[[int, int], int]


@pytest.fixture
def oss() -> Iterator[Any]:
    """Object storage that takes its time, so that openings last long enough to be asked for twice."""
    with archive() as running:
        yield running


def test_what_many_ask_for_at_once_is_read_once(oss: Any, rounds: Rounds) -> None:
    key = write_session(oss.url(), 500)
    with serving(oss, KEPT_OPEN) as server:
        assert crowd(server, [key], rounds(20, 100), 1.0, 0.0).waits
        reads = oss.requests(operation="GetObject", key=f"root/v1/segments/{key.path}/*")
    bodies = Counter(read.key for read in reads if read.bytes_out > ENDS)
    assert len(bodies) > 1
    assert set(bodies.values()) == {1}


def test_nobody_is_failed_while_sessions_come_and_go(oss: Any, rounds: Rounds) -> None:
    keys = sessions(oss, 200)
    with serving(oss, KEPT_OPEN) as server:
        told = crowd(server, keys, rounds(20, 100), rounds(5, 60), rounds(1, 4))
    assert told.broken == []
    assert told.statuses.keys() <= {200, 503}
    assert told.statuses[200] > len(PAGES)
