"""Many people, more sessions than the server keeps opened: each is opened once, and nobody is failed."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from bench.opening import archive
from bench.session import write_session
from bench.users import KEPT_OPEN, PAGES, crowd, serving, sessions

Rounds = Callable[[int, int], int]


@pytest.fixture
def oss() -> Iterator[Any]:
    """Object storage that takes its time, so that openings last long enough to be asked for twice."""
    with archive() as running:
        yield running


def test_what_many_ask_for_at_once_is_read_once(oss: Any, rounds: Rounds) -> None:
    for_one, for_many = (write_session(oss.url(), 500, cluster=name) for name in ("alone", "popular"))
    with serving(oss, KEPT_OPEN) as server:
        crowd(server, [for_many], rounds(20, 100), 1.0, 0.0)
        for key in (for_one, for_many):
            for page in PAGES:
                server.ask(f"/clusters/{key.path}/{page}")

    def reads(path: str) -> int:
        return len(oss.requests(operation="GetObject", key=f"root/v1/segments/{path}/*"))

    assert reads(for_many.path) == reads(for_one.path) > 0


def test_nobody_is_failed_while_sessions_come_and_go(oss: Any, rounds: Rounds) -> None:
    keys = sessions(oss, 200)
    with serving(oss, KEPT_OPEN) as server:
        told = crowd(server, keys, rounds(20, 100), rounds(5, 60), rounds(1, 4))
    assert told.broken == []
    assert told.statuses.keys() <= {200, 503}
    assert told.statuses[200] > len(PAGES)
