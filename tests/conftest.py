"""The long forms of tests: `pytest --soak` (`make soak`) runs them alone, everything else leaves them out.

A test marked `soak` has a long form only. One that asks for `rounds` or `soaking` has both: it runs with its
short numbers in `make test`, and again with its long ones in `make soak`.
"""

import random
from collections.abc import Callable

import pytest

LONGEST_SOAK = 20 * 60
"""Seconds that a long test may take, unless its mark says otherwise: `@pytest.mark.soak(timeout=60)`."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("long tests")
    group.addoption("--soak", action="store_true", help="run the long forms of tests, and nothing else")
    group.addoption(
        "--soak-minutes",
        type=float,
        default=10.0,
        help="how long the test lasts that lasts as long as one likes",
    )
    group.addoption("--seed", type=int, help="what random tests draw from; a failed one tells its own")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    soaking = config.getoption("--soak")
    config.hook.pytest_deselected(items=[item for item in items if not _belongs(item, soaking=soaking)])
    items[:] = [item for item in items if _belongs(item, soaking=soaking)]
    for item in items if soaking else ():
        mark = item.get_closest_marker("soak")
        longest = mark.kwargs.get("timeout", LONGEST_SOAK) if mark else LONGEST_SOAK
        if "soak_seconds" in getattr(item, "fixturenames", ()):
            longest += 60 * config.getoption("--soak-minutes")
        item.add_marker(pytest.mark.timeout(longest), append=False)


def _belongs(item: pytest.Item, *, soaking: bool) -> bool:
    only_long = item.get_closest_marker("soak") is not None
    if not soaking:
        return not only_long
    return only_long or "soaking" in getattr(item, "fixturenames", ())


@pytest.fixture
def soaking(request: pytest.FixtureRequest) -> bool:
    """Whether this is the long form."""
    return bool(request.config.getoption("--soak"))


@pytest.fixture
def rounds(soaking: bool) -> Callable[[int, int], int]:
    """The first number in `make test`, the second in `make soak`."""
    return lambda short, long: long if soaking else short


@pytest.fixture
def soak_seconds(request: pytest.FixtureRequest) -> float:
    """What `--soak-minutes` says."""
    return 60 * float(request.config.getoption("--soak-minutes"))


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Chance that can be had again: `--seed` with what the test printed."""
    seed = request.config.getoption("--seed")
    seed = random.SystemRandom().randrange(1 << 32) if seed is None else seed
    print(f"--seed {seed}")
    return random.Random(seed)
