"""A real Ray of two nodes on this machine's loopback addresses, and the jobs it is given."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from historyserver.demo.errors import ADVICE, DemoError, end_of
from historyserver.demo.processes import Family

WORKLOAD = Path(__file__).parent / "workload"
START_SECONDS = 90
OBJECT_STORE_BYTES = 80 * 1024 * 1024
FINAL = {"SUCCEEDED", "FAILED", "STOPPED"}

# What Ray needs to be told so that it tells a collector everything; the address differs by node.
SWITCHES = {
    "RAY_enable_ray_event": "1",
    "RAY_enable_core_worker_ray_event_to_aggregator": "1",
    "RAY_enable_export_api_write": "1",
    "RAY_DASHBOARD_AGGREGATOR_AGENT_EXPOSABLE_EVENT_TYPES": "ALL",
}
EVENTS_ADDRESS = "RAY_DASHBOARD_AGGREGATOR_AGENT_EVENTS_EXPORT_ADDR"


@dataclass(frozen=True)
class Node:
    """One node: `folder` is its temp folder, its events go to `events_port` on 127.0.0.1."""

    name: str
    address: str
    folder: Path
    agent_port: int
    events_port: int
    resources: str = "{}"


class Cluster:
    """A head and its workers, started in the workload's folder. They end when the family is killed."""

    def __init__(self, family: Family, *, gcs_port: int, client_port: int, dashboard_port: int) -> None:
        self.dashboard = f"http://127.0.0.1:{dashboard_port}"
        self._family = family
        self._gcs_port, self._client_port, self._dashboard_port = gcs_port, client_port, dashboard_port

    def start(self, head: Node, *workers: Node) -> None:
        """One after the other, the head first; DemoError when one does not start."""
        self._start(
            head,
            "--head",
            f"--port={self._gcs_port}",
            "--include-dashboard=true",
            "--dashboard-host=127.0.0.1",
            f"--dashboard-port={self._dashboard_port}",
            f"--ray-client-server-port={self._client_port}",
        )
        for worker in workers:
            self._start(worker, f"--address={head.address}:{self._gcs_port}")

    def _start(self, node: Node, *options: str) -> None:
        name = f"ray-start-{node.name}"
        child = self._family.start(
            name,
            [
                *ray_command("start"),
                *options,
                f"--node-ip-address={node.address}",
                f"--temp-dir={node.folder}",
                f"--dashboard-agent-listen-port={node.agent_port}",
                "--min-worker-port=0",
                "--max-worker-port=0",
                "--num-cpus=2",
                f"--resources={node.resources}",
                f"--object-store-memory={OBJECT_STORE_BYTES}",
                "--disable-usage-stats",
            ],
            folder=WORKLOAD,
            extra={**SWITCHES, EVENTS_ADDRESS: f"http://127.0.0.1:{node.events_port}/"},
        )
        try:
            code = child.wait(START_SECONDS)
        except subprocess.TimeoutExpired:
            code = None
        if code != 0:
            how = f"did not end within {START_SECONDS} s" if code is None else f"ended with {code}"
            raise DemoError(
                f"Ray's {node.name} node does not start.",
                f"`ray start` {how}; {end_of(self._family.log(name))}",
                ADVICE,
            )

    def submit(self, job: str, script: str, environment: Mapping[str, str] | None = None) -> None:
        """Hands Ray a script of the workload as a submitted job of that id, as `ray job submit` does."""
        answer = self._ask(
            "api/jobs/",
            {
                "submission_id": job,
                "entrypoint": f"python {script}",
                "runtime_env": {"env_vars": dict(environment or {})},
            },
        )
        if answer.get("submission_id") != job:
            raise DemoError(f"Ray does not take the job {job}.", str(answer), ADVICE)

    def wait_for(self, job: str, wanted: str, seconds: float) -> None:
        """Until the job has that status; DemoError when it ends otherwise or takes too long."""
        deadline = time.monotonic() + seconds
        while (status := str(self._ask(f"api/jobs/{job}")["status"])) != wanted:
            if status in FINAL or time.monotonic() > deadline:
                why = f"it is {status} and should be {wanted}"
                tail = str(self._ask(f"api/jobs/{job}/logs").get("logs", "")).splitlines()[-15:]
                raise DemoError(
                    f"The workload's job {job} did not go as planned.",
                    "\n  | ".join([f"{why}; its log ends with", *tail]),
                    "A slow machine can be the reason: end other programs, then try again.",
                )
            time.sleep(0.5)

    def wait_for_line(self, job: str, text: str, seconds: float) -> None:
        """Until the driver of a running job has printed the text."""
        deadline = time.monotonic() + seconds
        self.wait_for(job, "RUNNING", seconds)
        while text not in str(self._ask(f"api/jobs/{job}/logs").get("logs", "")):
            self.wait_for(job, "RUNNING", max(0.0, deadline - time.monotonic()))
            time.sleep(0.5)

    def _ask(self, path: str, body: object | None = None) -> dict[str, object]:
        request = urllib.request.Request(  # noqa: S310 - always http to loopback
            f"{self.dashboard}/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30) as response:
                answer: dict[str, object] = json.load(response)
        except (OSError, ValueError) as error:
            reason = (
                error.read().decode(errors="replace")
                if isinstance(error, urllib.error.HTTPError)
                else str(error)
            )
            raise DemoError("Ray's dashboard does not answer.", f"{path}: {reason[-800:]}", ADVICE) from error
        return answer


def ray_command(*arguments: str) -> list[str]:
    """Ray's command line, run by the Python that runs us."""
    return [sys.executable, "-m", "ray.scripts.scripts", *arguments]


def clean_environment() -> dict[str, str]:
    """Ours, without what would lead Ray elsewhere: its own variables, and proxies for loopback addresses."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RAY_", "HISTORYSERVER_")) and not name.lower().endswith("_proxy")
    }
    here = str(Path(sys.executable).parent)
    return {
        **kept,
        "PATH": os.pathsep.join([here, os.environ.get("PATH", os.defpath)]),
        "PYTHONUNBUFFERED": "1",
    }
