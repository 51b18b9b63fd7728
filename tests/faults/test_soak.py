"""Everything at once, for as long as one likes: nothing is missing or doubled, and nothing grows.

A canary beside a collector whose store fails in many ways, whose credentials live for seconds, and who is
killed; a server reads the session all the while, and is killed, too. That is the first half. In the second
nobody is killed any more, so that what grows can be seen; the store goes on failing.
"""

import contextlib
import http.client
import random
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from fake_oss import (
    INTERNAL,
    SERVER_BUSY,
    TOKEN_EXPIRED,
    TOO_MANY,
    UNAVAILABLE,
    ApplyLater,
    FakeOss,
    Fault,
    FlipBit,
    Html,
    LoseAnswer,
    ResetAnswer,
    ResetRequest,
    Wait,
    WrongChecksum,
)
from faults.replicas import Replica
from faults.rig.collecting import Collecting, until
from faults.rig.flying import Canary
from faults.rig.ray_node import SESSION, RayNode, Repeated

MIB = 1 << 20
TOKEN_SECONDS = 18.0, 60.0
"""How long credentials live in the short and in the long form; those that end within 10 s are not used."""
WARM = 50
"""Messages that were seen since the last kill when measuring begins."""
A_WEEK = 7 * 86_400.0
WAIT_SECONDS = 150
"""More than the longest rest between two tries of a collector, which may have begun when the faults end."""
KILL_EVERY = 3.0, 20.0
"""Seconds between two kills in the short and in the long form, on average."""
GROWTH_MIB = {"collector": 4.0, "server": 24.0}
"""What a process may gain in the second half, when what it has read for the first time is remembered, beside
`GROWTH_MIB_AN_HOUR`: allocators give back when they like."""
GROWTH_MIB_AN_HOUR = 1.0
GROWTH_FILES = 3
CUT = 0
"""Stands for the status of an answer that had begun when the store failed: its reader sees that."""
PAGES = (
    "api/v0/nodes?detail=1",
    "api/v0/tasks/summarize",
    "api/v0/logs/file?node_id={node}&filename=raylet.out&lines=100",
    "history/logs/",
)
EITHER_WAY = (SERVER_BUSY, TOO_MANY, UNAVAILABLE, INTERNAL, ResetAnswer(), Html(), Html(502), Wait(0.3))
OF_PUTS = (
    TOKEN_EXPIRED,
    ResetRequest(500),
    LoseAnswer(),
    WrongChecksum(),
    FlipBit("request"),
    ApplyLater(successor="other"),
    ApplyLater(successor="same"),
)


class Measured:
    """Private memory and open files of a process, each time it is looked at."""

    def __init__(self, pid: int) -> None:
        self.memory: list[float] = []
        self.files: list[int] = []
        self._process = psutil.Process(pid)

    def look(self) -> None:
        self.memory.append(self._process.memory_full_info().uss / MIB)
        self.files.append(self._process.num_fds())

    def grown(self) -> tuple[float, float]:
        """MiB and files from the first to the last third: their medians, since both go up and down."""
        return _growth(self.memory), _growth(self.files)


def _growth(figures: "list[float] | list[int]") -> float:
    third = len(figures) // 3
    return statistics.median(figures[-third:]) - statistics.median(figures[:third])


class World:
    """All of it, as one thing that is looked at, killed, and judged at the end."""

    def __init__(self, folder: Path, oss: FakeOss, chance: random.Random, token_seconds: float) -> None:
        self._oss = oss
        self._chance = chance
        self._node = RayNode(folder / "ray", random.Random(1))
        self._node.begin()
        oss.set_lifetime(token_seconds)
        rights = {role: identity(oss, folder, role) for role in ("collector", "server")}
        self.collecting = Collecting(folder, oss.url(), rights["collector"], flush_seconds=0.3)
        self.collecting.start()
        self.server = Replica(oss.url(), rights["server"], folder / "server")
        self.server.start()
        self.canary = Canary(
            folder,
            oss.url(),
            self.collecting.events,
            oss.environment("operator"),
            wait_seconds=WAIT_SECONDS,
        )
        self.answers: dict[int, int] = {}
        self.renewals = 0
        self.killed: int | None = None
        self._asking = Repeated(self._ask, 0.5)
        self._writing = Repeated(self._write, 0.05)

    def fail(self) -> None:
        """From now on something of everything goes wrong, now and then."""
        for act in (*EITHER_WAY, *OF_PUTS):
            method = "PUT" if act in OF_PUTS else None
            self._oss.add(Fault(act, method=method, probability=0.01, seed=self._chance.randrange(1000)))
        self._oss.add(Fault(UNAVAILABLE, service="sts", probability=0.3, seed=self._chance.randrange(1000)))

    def kill_the_collector(self) -> None:
        if self._chance.random() < 0.5:
            self.killed = self.collecting.collector()
            self.collecting.kill_collector()
        else:
            self.collecting.kill()
            self.collecting.start()

    def kill_the_server(self) -> None:
        self._asking.stop()
        self.server.kill()
        self.server.start()
        self._asking = Repeated(self._ask, 0.5)

    def forget_requests(self) -> None:
        """The fake remembers each, and this may take days."""
        self.renewals += len(self._oss.requests(service="sts", status=200))
        self._oss.forget_requests()

    def end(self) -> None:
        """Nothing fails any more, and the last message is waited for."""
        self._oss.clear()
        self._oss.release()
        self._asking.stop()
        self._writing.stop()

    def close(self) -> None:
        for one in (self._asking, self._writing):
            with contextlib.suppress(Exception):
                one.stop()
        self.canary.close()
        self.server.end()
        self.collecting.close()

    def _ask(self) -> None:
        page = self._chance.choice(PAGES).format(node=self._node.nodes[0])
        status = CUT
        with contextlib.suppress(http.client.IncompleteRead):
            status, _ = self.server.get(f"/clusters/ns/c/{SESSION}/{page}")
        self.answers[status] = self.answers.get(status, 0) + 1

    def _write(self) -> None:
        self._node.append("raylet.out", b"a line of some process, with a number: %.6f\n" % time.time())


def identity(oss: FakeOss, folder: Path, role: str) -> dict[str, str]:
    """By a token file that nobody renews, as a kubelet would."""
    token = folder / f"{role}.token"
    token.write_text(oss.oidc_token(role, seconds=A_WEEK))
    return oss.rrsa_environment(token, role)


@pytest.fixture
def world(tmp_path: Path, oss: FakeOss, chance: random.Random, soaking: bool) -> Iterator[World]:
    (tmp_path / "ray").mkdir()
    made = World(tmp_path, oss, chance, TOKEN_SECONDS[soaking])
    yield made
    made.close()


@pytest.mark.timeout(240)
def test_nothing_is_missing_or_doubled_and_nothing_grows(
    world: World, chance: random.Random, soaking: bool, soak_seconds: float
) -> None:
    seconds = soak_seconds if soaking else 12.0
    world.canary.until_seen(5)
    world.fail()
    trouble(world, chance, seconds / 2, KILL_EVERY[soaking])
    measured = watch(world, seconds / 2)
    world.end()
    outcome = world.canary.end()
    print(outcome.text, world.answers, {name: each.grown() for name, each in measured.items()})
    assert outcome.is_whole(), outcome.text
    assert outcome.lines["sent"] > seconds
    assert world.renewals > 2
    assert world.answers[200] > 0
    assert world.answers.keys() <= {200, 503, CUT}, world.answers
    for name, each in measured.items():
        memory, files = each.grown()
        assert memory <= GROWTH_MIB[name] + GROWTH_MIB_AN_HOUR * seconds / 3600, f"{name}: {each.memory}"
        assert files <= GROWTH_FILES, f"{name}: {each.files}"


def trouble(world: World, chance: random.Random, seconds: float, every: float) -> None:
    """Kills of the collector, and one of the server in the middle."""
    for half in range(2):
        deadline = time.monotonic() + seconds / 2
        while time.monotonic() < deadline:
            time.sleep(chance.uniform(0.5, 1.5) * every)
            world.kill_the_collector()
            world.forget_requests()
        if half == 0:
            world.kill_the_server()


def watch(world: World, seconds: float) -> dict[str, Measured]:
    """Looks at the processes, which are warm by now, and live to the end of it."""
    until(lambda: world.collecting.collector() not in (None, world.killed), 60)
    pid = world.collecting.collector()
    assert pid is not None
    world.canary.until_seen(world.canary.seen() + WARM, WAIT_SECONDS)
    measured = {"collector": Measured(pid), "server": Measured(world.server.process.pid)}
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        time.sleep(max(0.2, seconds / 300))
        world.forget_requests()
        for each in measured.values():
            each.look()
    assert world.collecting.collector() == pid
    return measured
