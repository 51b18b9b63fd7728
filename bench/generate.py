"""Makes a Ray session of any size: events of the real shape, mix and size, as Ray's agent posts them.

The mix is the measured one: 4.4 events a task (a definition, 2.9 lifecycle events, half a profile event)
of 860 bytes each; one task in five is an actor's, one in fifty fails with an error message, one in a
hundred is tried"""

import json
import time
from binascii import b2a_base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from bench import shapes
from bench.shapes import SESSION

NODES = 8
WORKERS_PER_NODE = 16
ACTORS = 40
JOBS = 4
FUNCTIONS = 40
START_NS = 1_795_401_810_000_000_000  # 2026-11-23T02:43:30Z, 3 s after the session's name
TASKS_PER_SECOND = 250
WAVE = 250  # tasks whose submissions are reported together, as a driver does each second
PROFILE_SHARE = 0.47

_ENVIRONMENTS = (  # one a job
    "",
    "{}",
    json.dumps({"working_dir": "gcs://_ray_pkg_a405f903fb14ca4c.zip"}),
    json.dumps({"env_vars": {"STAGE": "bench"}, "working_dir": "gcs://_ray_pkg_a405f903fb14ca4c.zip"}),
)


@dataclass(frozen=True, slots=True)
class Node:
    """One Ray node: its id as base64, and its address."""

    id: str
    hex: str
    address: str


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker process, and the log files it writes without their ending."""

    id: str
    pid: int
    node: Node
    log: str


@dataclass(frozen=True, slots=True)
class Actor:
    """One actor, living on one worker."""

    id: str
    raw: bytes
    class_name: str
    worker: Worker
    job: int


def base64(data: bytes) -> str:
    """The spelling that Ray gives to ids in events."""
    return b2a_base64(data, newline=False).decode()


def stamp(ns: int) -> str:
    """Nanoseconds since 1970 as RFC 3339, nine decimals."""
    seconds, rest = divmod(ns, 1_000_000_000)
    return f"{_second(seconds)}.{rest:09d}Z"


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


class Generator:
    """The session of `tasks` tasks; `events()` gives every event once, in the order of posting."""

    def __init__(self, tasks: int, seed: int) -> None:
        self._tasks = tasks
        self._random = random = Random(seed)  # noqa: S311 - reproducible data, no secrets
        self.nodes = [self._node(number) for number in range(NODES)]
        self._jobs = [bytes([number + 2, 0, 0, 0]) for number in range(JOBS)]
        self._workers = [
            self._worker(node, 17_000 + 100 * place + number)
            for place, node in enumerate(self.nodes)
            for number in range(WORKERS_PER_NODE)
        ]
        self._environments = [json.dumps(environment)[1:-1] for environment in _ENVIRONMENTS]
        self._functions = [
            (
                f"{random.choice(('load', 'clean', 'join', 'score', 'store'))}_{number}",
                random.randbytes(16).hex(),
            )
            for number in range(FUNCTIONS)
        ]
        self._actors = [self._actor(number) for number in range(ACTORS)]
        self._places = dict.fromkeys((worker.id for worker in self._workers), 31)

    def events(self) -> Iterator[str]:
        """The head's own events first, then the tasks in waves."""
        yield from self._cluster_events()
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
        for job in self._jobs:
            yield self._job_lifecycle(base64(job), "FINISHED", end)

    def _id(self) -> str:
        return base64(self._random.randbytes(28))

    def _node(self, number: int) -> Node:
        raw = self._random.randbytes(28)
        return Node(base64(raw), raw.hex(), f"192.0.2.{number + 2}")

    def _worker(self, node: Node, pid: int) -> Worker:
        raw = self._random.randbytes(28)
        return Worker(base64(raw), pid, node, f"/tmp/ray/{SESSION}/logs/worker-{raw.hex()}-02000000-{pid}")  # noqa: S108

    def _actor(self, number: int) -> Actor:
        job = number % JOBS
        raw = self._random.randbytes(12) + self._jobs[job]
        worker = self._workers[number * 3 % len(self._workers)]
        return Actor(base64(raw), raw, f"Stage{number % 7}", worker, job)

    def _task(self, number: int, at: int, submitted: list[str], executed: list[str]) -> None:
        chance = self._random.random()
        if number % 5 == 4:
            self._actor_task(number, at, submitted, executed, profile=chance < PROFILE_SHARE)
            return
        job = number % JOBS
        task = self._random.randbytes(8) + b"\xff" * 12 + self._jobs[job]
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
        worker = self._workers[task[1] % len(self._workers)]
        head = self.nodes[0].id
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
            % (self._id(), stamp(at), task_id, name, digest, name, job, parent, environment, attempt, head)
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
        actor = self._actors[number // 5 % ACTORS]
        worker = actor.worker
        head = self.nodes[0].id
        job = base64(self._jobs[actor.job])
        task = random.randbytes(8) + actor.raw
        task_id = base64(task)
        parent = base64(b"\xff" * 20 + self._jobs[actor.job])
        queued = at + random.randrange(30_000, 200_000)
        sent = queued + random.randrange(20_000, 60_000)
        running = sent + random.randrange(300_000, 900_000)
        end = running + random.randrange(500_000, 20_000_000)
        environment = self._environments[actor.job]
        name = f"{actor.class_name}.step"
        submitted.append(
            shapes.ACTOR_TASK_DEFINITION
            % (
                self._id(),
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
        target.append(shapes.LIFECYCLE % (self._id(), parts[-1][1], task_id, transitions, rest, reporter))

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
        head = (self._id(), stamp(times[0]), base64(task), base64(task[20:]))
        full_name, name = names
        return shapes.PROFILE % (*head, *place, *times, full_name, task.hex(), name, attempt, worker.node.id)

    def _cluster_events(self) -> Iterator[str]:
        at = START_NS
        for node in self.nodes:
            yield from self._node_events(node, at)
            at += 40_000_000
        for number, job in enumerate(self._jobs):
            yield self._job_definition(number, base64(job), at)
            yield self._job_lifecycle(base64(job), "CREATED", at + 2_000)
        for worker in self._workers:
            yield from self._worker_events(worker, at)
            at += 1_000_000
        for number, actor in enumerate(self._actors):
            yield from self._actor_events(number, actor, at)
            at += 1_000_000

    def _envelope(self, kind: str, payload_key: str, payload: dict[str, object], at: int) -> str:
        return json.dumps(
            {
                "eventId": self._id(),
                "sourceType": "GCS",
                "eventType": kind,
                "timestamp": stamp(at),
                "severity": "INFO",
                "sessionName": SESSION,
                payload_key: payload,
                "nodeId": self.nodes[0].id,
                "message": "",
            }
        )

    def _node_events(self, node: Node, at: int) -> Iterator[str]:
        definition = {
            "nodeId": node.id,
            "nodeIpAddress": node.address,
            "labels": {"ray.io/node-id": node.hex},
            "startTimestamp": stamp(at - 2_000_000),
            "hostname": f"host-{node.address}",
            "nodeName": node.address,
            "instanceId": "",
            "instanceTypeName": "",
        }
        yield self._envelope("NODE_DEFINITION_EVENT", "nodeDefinitionEvent", definition, at)
        resources = {
            "CPU": 16.0,
            "memory": 24489324032.0,
            "object_store_memory": 2e8,
            f"node:{node.address}": 1.0,
        }
        if node is self.nodes[0]:
            resources["node:__internal_head__"] = 1.0
        alive = {
            "timestamp": stamp(at),
            "resources": resources,
            "state": "ALIVE",
            "aliveSubState": "UNSPECIFIED",
        }
        lifecycle = {"nodeId": node.id, "stateTransitions": [alive]}
        yield self._envelope("NODE_LIFECYCLE_EVENT", "nodeLifecycleEvent", lifecycle, at + 3_000)

    def _job_definition(self, number: int, job_id: str, at: int) -> str:
        definition = {
            "jobId": job_id,
            "driverPid": "17017",
            "driverNodeId": self.nodes[0].id,
            "entrypoint": "python pipeline.py",
            "config": {"serializedRuntimeEnv": _ENVIRONMENTS[number], "metadata": {"job_name": "pipeline"}},
        }
        return self._envelope("DRIVER_JOB_DEFINITION_EVENT", "driverJobDefinitionEvent", definition, at)

    def _job_lifecycle(self, job_id: str, state: str, at: int) -> str:
        lifecycle = {"jobId": job_id, "stateTransitions": [{"state": state, "timestamp": stamp(at)}]}
        return self._envelope("DRIVER_JOB_LIFECYCLE_EVENT", "driverJobLifecycleEvent", lifecycle, at)

    def _worker_events(self, worker: Worker, at: int) -> Iterator[str]:
        definition = {
            "workerId": worker.id,
            "nodeId": worker.node.id,
            "pid": worker.pid,
            "workerType": "WORKER",
        }
        yield self._envelope("WORKER_DEFINITION_EVENT", "workerDefinitionEvent", definition, at)
        alive = {
            "timestamp": stamp(at),
            "workerLaunchTimeMs": str(at // 1_000_000 - 500),
            "workerLaunchedTimeMs": str(at // 1_000_000 - 50),
            "startTimeMs": str(at // 1_000_000 - 2),
            "state": "ALIVE",
            "endTimeMs": "0",
        }
        lifecycle = {"workerId": worker.id, "stateTransitions": [alive], "jobId": ""}
        yield self._envelope("WORKER_LIFECYCLE_EVENT", "workerLifecycleEvent", lifecycle, at + 2_000)

    def _actor_events(self, number: int, actor: Actor, at: int) -> Iterator[str]:
        definition = {
            "actorId": actor.id,
            "jobId": base64(self._jobs[actor.job]),
            "isDetached": False,
            "name": f"stage-{number}",
            "rayNamespace": "bench",
            "serializedRuntimeEnv": _ENVIRONMENTS[actor.job],
            "className": actor.class_name,
            "labelSelector": {},
            "requiredResources": {"CPU": 1.0},
            "placementGroupId": "",
            "callSite": "",
            "parentId": "",
            "refIds": {},
        }
        yield self._envelope("ACTOR_DEFINITION_EVENT", "actorDefinitionEvent", definition, at)
        place = {
            "nodeId": actor.worker.node.id,
            "workerId": actor.worker.id,
            "pid": actor.worker.pid,
            "port": 13_898,
        }
        nowhere = {"nodeId": "", "workerId": "", "pid": 0, "port": 0}
        rest = {"reprName": "", "restartReason": "ACTOR_FAILURE"}
        transitions = [
            {"timestamp": stamp(at), "state": "DEPENDENCIES_UNREADY"} | nowhere | rest,
            {"timestamp": stamp(at + 2_600_000), "state": "PENDING_CREATION"} | nowhere | rest,
            {"timestamp": stamp(at + 230_000_000), "state": "ALIVE"} | place | rest,
        ]
        lifecycle = {"actorId": actor.id, "stateTransitions": transitions}
        yield self._envelope("ACTOR_LIFECYCLE_EVENT", "actorLifecycleEvent", lifecycle, at + 230_000_000)


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
