"""Makes a Ray session of any size: events of the real shape, mix and size, as Ray's agent posts them.

The mix is the measured one: 4.4 events a task (a definition, 2.9 lifecycle events, half a profile event)
of 860 bytes each; one task in five is an actor's, one in fifty fails with an error message, one in a
hundred is tried twice.
"""

import json
from collections.abc import Iterable, Iterator
from random import Random

from bench import shapes
from bench.cluster import ACTORS, ENVIRONMENTS, JOBS, NODES, START_NS, Cluster, Worker, base64, stamp

FUNCTIONS = 40
TASKS_PER_SECOND = 250
WAVE = 250  # tasks whose submissions are reported together, as a driver does each second
PROFILE_SHARE = 0.47


class Generator:
    """The session of `tasks` tasks; `events()` gives every event once, in the order of posting."""

    def __init__(self, tasks: int, seed: int, nodes: int = NODES) -> None:
        self._tasks = tasks
        self._random = random = Random(seed)  # noqa: S311 - reproducible data, no secrets
        self.cluster = cluster = Cluster(random, nodes)
        self._environments = [json.dumps(environment)[1:-1] for environment in ENVIRONMENTS]
        self._functions = [
            (
                f"{random.choice(('load', 'clean', 'join', 'score', 'store'))}_{number}",
                random.randbytes(16).hex(),
            )
            for number in range(FUNCTIONS)
        ]
        self._places = dict.fromkeys((worker.id for worker in cluster.workers), 31)

    def events(self) -> Iterator[str]:
        """The head's own events first, then the tasks in waves."""
        yield from self.cluster.events()
        late: list[str] = []
        for start in range(0, self._tasks, WAVE):
            submitted: list[str] = []
            executed: list[str] = []
            for number in range(start, min(start + WAVE, self._tasks)):
                at = START_NS + 10_000_000_000 + number * (1_000_000_000 // TASKS_PER_SECOND)
                self._task(number, at + self._random.randrange(900_000), submitted, executed)
            yield from submitted
            yield from late
            late = executed
        yield from late
        end = START_NS + 12_000_000_000 + self._tasks * (1_000_000_000 // TASKS_PER_SECOND)
        yield from self.cluster.ends(end)

    def _task(self, number: int, at: int, submitted: list[str], executed: list[str]) -> None:
        chance = self._random.random()
        if number % 5 == 4:
            self._actor_task(number, at, submitted, executed, profile=chance < PROFILE_SHARE)
            return
        job = number % JOBS
        task = self._random.randbytes(8) + b"\xff" * 12 + self.cluster.jobs[job]
        fails = number % 50 == 17
        if number % 100 == 42:
            end = self._attempt(task, 0, at, submitted, executed, fails=True, profile=False)
            self._attempt(task, 1, end + 3_000_000, submitted, executed, fails=False, profile=False)
        else:
            self._attempt(task, 0, at, submitted, executed, fails=fails, profile=chance < PROFILE_SHARE)

    def _attempt(
        self,
        task: bytes,
        attempt: int,
        at: int,
        submitted: list[str],
        executed: list[str],
        *,
        fails: bool,
        profile: bool,
    ) -> int:
        """Adds one attempt of a normal task; returns when it ended."""
        random = self._random
        name, digest = self._functions[task[0] % FUNCTIONS]
        worker = self.cluster.workers[int.from_bytes(task[1:3], "little") % len(self.cluster.workers)]
        head = self.cluster.nodes[0].id
        job = base64(task[20:])
        task_id = base64(task)
        parent = base64(b"\xff" * 20 + task[20:])
        queued = at + random.randrange(50_000, 900_000)
        sent = queued + random.randrange(400_000, 90_000_000)
        running = sent + random.randrange(400_000, 2_000_000)
        end = running + random.randrange(1_000_000, 400_000_000)
        environment = self._environments[task[-4] - 2]
        submitted.append(
            shapes.TASK_DEFINITION
            % (
                self.cluster.id(),
                stamp(at),
                task_id,
                name,
                digest,
                name,
                job,
                parent,
                environment,
                attempt,
                head,
            )
        )
        waiting = (("PENDING_ARGS_AVAIL", at), ("PENDING_NODE_ASSIGNMENT", queued))
        self._lifecycle(submitted, task_id, waiting, shapes.UNPLACED % (job, attempt), head)
        place = self._places[worker.id]
        self._places[worker.id] = place + 16
        logs = (worker.log, worker.log, place, place + 16, place, place + 14)
        rest = shapes.RUNNING % (worker.pid, job, *logs, attempt)
        self._lifecycle(executed, task_id, (("RUNNING", running),), rest, worker.node.id)
        if fails:
            error = shapes.ERROR % (name, worker.pid, worker.node.address, task[2], name, task[3])
            rest = shapes.FAILED % (error, worker.node.id, worker.id, job, attempt)
        else:
            rest = shapes.PLACED % (worker.node.id, worker.id, job, attempt)
        outcome = "FAILED" if fails else "FINISHED"
        self._lifecycle(executed, task_id, (("SUBMITTED_TO_WORKER", sent), (outcome, end)), rest, head)
        if profile:
            names = (f"pipeline.stages.{name}", name)
            executed.append(self._profile(task, names, worker, (running, end), attempt))
        return end

    def _actor_task(
        self, number: int, at: int, submitted: list[str], executed: list[str], *, profile: bool
    ) -> None:
        random = self._random
        actor = self.cluster.actors[number // 5 % ACTORS]
        worker = actor.worker
        head = self.cluster.nodes[0].id
        job = base64(self.cluster.jobs[actor.job])
        task = random.randbytes(8) + actor.raw
        task_id = base64(task)
        parent = base64(b"\xff" * 20 + self.cluster.jobs[actor.job])
        queued = at + random.randrange(30_000, 200_000)
        sent = queued + random.randrange(20_000, 60_000)
        running = sent + random.randrange(300_000, 900_000)
        end = running + random.randrange(500_000, 20_000_000)
        environment = self._environments[actor.job]
        name = f"{actor.class_name}.step"
        submitted.append(
            shapes.ACTOR_TASK_DEFINITION
            % (
                self.cluster.id(),
                stamp(at),
                task_id,
                actor.class_name,
                name,
                job,
                actor.id,
                parent,
                environment,
                head,
            )
        )
        placed = shapes.PLACED % (worker.node.id, worker.id, job, 0)
        first = (("PENDING_ARGS_AVAIL", at), ("PENDING_NODE_ASSIGNMENT", queued))
        last = (("SUBMITTED_TO_WORKER", sent), ("FINISHED", end))
        if number % 25 < 10:  # the driver's buffer was flushed between submission and end
            self._lifecycle(submitted, task_id, first, shapes.UNPLACED % (job, 0), head)
            self._lifecycle(executed, task_id, last, placed, head)
        else:
            self._lifecycle(executed, task_id, first + last, placed, head)
        waiting = ("PENDING_ACTOR_TASK_ORDERING_OR_CONCURRENCY", running - 40_000)
        self._lifecycle(
            executed,
            task_id,
            (waiting, ("RUNNING", running)),
            shapes.ACTOR_RUNNING % (worker.pid, job),
            worker.node.id,
        )
        if profile:
            executed.append(self._profile(task, ("step", name), worker, (running, end), 0))

    def _lifecycle(
        self, target: list[str], task_id: str, states: Iterable[tuple[str, int]], rest: str, reporter: str
    ) -> None:
        parts = [(state, stamp(at)) for state, at in states]
        transitions = ", ".join([shapes.STATE % part for part in parts])
        target.append(
            shapes.LIFECYCLE % (self.cluster.id(), parts[-1][1], task_id, transitions, rest, reporter)
        )

    def _profile(
        self, task: bytes, names: tuple[str, str], worker: Worker, span: tuple[int, int], attempt: int
    ) -> str:
        running, end = span
        fetched = running + self._random.randrange(200_000, 900_000)
        stored = end + self._random.randrange(10_000, 300_000)
        times = (
            running + 2_000,
            fetched,
            fetched + 57_225,
            end,
            end + 22_358,
            stored,
            running + 1_000,
            stored + 58_000,
        )
        place = (worker.id, worker.node.address)
        head = (self.cluster.id(), stamp(times[0]), base64(task), base64(task[20:]))
        full_name, name = names
        return shapes.PROFILE % (*head, *place, *times, full_name, task.hex(), name, attempt, worker.node.id)


def bodies(tasks: int, events_per_body: int = 500, seed: int = 1) -> Iterator[bytes]:
    """The POST bodies of a session with that many tasks: JSON arrays of at most `events_per_body` events."""
    batch: list[str] = []
    for event in Generator(tasks, seed).events():
        batch.append(event)
        if len(batch) == events_per_body:
            yield f"[{', '.join(batch)}]".encode()
            batch.clear()
    if batch:
        yield f"[{', '.join(batch)}]".encode()
