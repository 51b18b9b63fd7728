"""A Ray cluster of the size that the generator needs, and what Ray's head posts about it itself.

Eight nodes with sixteen workers each, four jobs, forty actors; ids as Ray spells them in events.
"""

import json
import time
from binascii import b2a_base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from bench.shapes import SESSION

NODES = 8
WORKERS_PER_NODE = 16
ACTORS = 40
JOBS = 4
START_NS = 1_795_401_810_000_000_000  # 2026-11-23T02:43:30Z, 3 s after the session's name

ENVIRONMENTS = (  # one a job
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


class Cluster:
    """Nodes, jobs, workers and actors; `events()` gives what the head posts about them, once."""

    def __init__(self, random: Random, nodes: int = NODES) -> None:
        self._random = random
        self.nodes = [self._node(number) for number in range(nodes)]
        self.jobs = [bytes([number + 2, 0, 0, 0]) for number in range(JOBS)]
        self.workers = [
            self._worker(node, 17_000 + 100 * place + number)
            for place, node in enumerate(self.nodes)
            for number in range(WORKERS_PER_NODE)
        ]
        self.actors = [self._actor(number) for number in range(ACTORS)]

    def events(self) -> Iterator[str]:
        """Definitions and starts, node by node, job by job, worker by worker, actor by actor."""
        at = START_NS
        for node in self.nodes:
            yield from self._node_events(node, at)
            at += 40_000_000
        for number, job in enumerate(self.jobs):
            yield self._job_definition(number, base64(job), at)
            yield self._job_lifecycle(base64(job), "CREATED", at + 2_000)
        for worker in self.workers:
            yield from self._worker_events(worker, at)
            at += 1_000_000
        for number, actor in enumerate(self.actors):
            yield from self._actor_events(number, actor, at)
            at += 1_000_000

    def _envelope(self, kind: str, payload_key: str, payload: Mapping[str, object], at: int) -> str:
        return json.dumps(
            {
                "eventId": self.id(),
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
            "config": {"serializedRuntimeEnv": ENVIRONMENTS[number], "metadata": {"job_name": "pipeline"}},
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
            "jobId": base64(self.jobs[actor.job]),
            "isDetached": False,
            "name": f"stage-{number}",
            "rayNamespace": "bench",
            "serializedRuntimeEnv": ENVIRONMENTS[actor.job],
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

    def ends(self, at: int) -> Iterator[str]:
        """The end of every job."""
        for job in self.jobs:
            yield self._job_lifecycle(base64(job), "FINISHED", at)

    def id(self) -> str:
        """A new event's id."""
        return base64(self._random.randbytes(28))

    def _node(self, number: int) -> Node:
        raw = self._random.randbytes(28)
        return Node(base64(raw), raw.hex(), f"192.0.2.{number + 2}")

    def _worker(self, node: Node, pid: int) -> Worker:
        raw = self._random.randbytes(28)
        return Worker(base64(raw), pid, node, f"/tmp/ray/{SESSION}/logs/worker-{raw.hex()}-02000000-{pid}")  # noqa: S108

    def _actor(self, number: int) -> Actor:
        job = number % JOBS
        raw = self._random.randbytes(12) + self.jobs[job]
        worker = self.workers[number * 3 % len(self.workers)]
        return Actor(base64(raw), raw, f"Stage{number % 7}", worker, job)
