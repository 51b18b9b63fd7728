"""Object storage for benchmarks: the tests' strict fake in a process of its own, 20 ms a request."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fake_oss import FakeOss

LATENCY = 0.02
TESTS = Path(__file__).parents[1] / "tests"


def find_tests() -> None:
    """Lets what the tests are made of be imported."""
    if str(TESTS) not in sys.path:
        sys.path.append(str(TESTS))


@contextmanager
def oss(latency: float = LATENCY, folder: Path | None = None) -> Iterator["FakeOss"]:
    """It keeps its objects in its memory, or in a folder."""
    find_tests()
    import fake_oss  # noqa: PLC0415 - found only now

    with fake_oss.running(latency=latency, folder=folder) as running:
        yield running
