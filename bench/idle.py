"""What two nodes of a real Ray cost that do nothing: requests a minute and bytes an hour, head and worker.

Takes some minutes, and Ray's wheel.

python -m bench idle
"""

import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figure import Figure
from bench.oss import oss
from historyserver.demo.addresses import free_ports
from historyserver.demo.cluster import Cluster, Node, clean_environment
from historyserver.demo.processes import Family

if TYPE_CHECKING:
    from fake_oss import FakeOss

SETTLED_SECONDS = 90
SECONDS = 300
MOST = {"head": (12.0, 1.0), "worker": (6.0, 0.5)}
"""Requests a minute and MiB an hour."""


def figures() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(prefix="bi-") as name, oss() as store:  # Ray's sockets need a short name
        family = Family(Path(name) / "logs", {**clean_environment(), **store.environment("collector")})
        try:
            nodes = _start(family, Path(name), store)
            time.sleep(SETTLED_SECONDS)
            before = {role: _bytes(store, node) for role, node in nodes.items()}
            store.forget_requests()
            time.sleep(SECONDS)
            for role, node in nodes.items():
                most_requests, most_bytes = MOST[role]
                puts = len(store.requests(key=f"root/v1/segments/*/{node}/*")) * 60 / SECONDS
                beats = len(store.requests(key=f"root/v1/catalog/*~{role}.json")) * 60 / SECONDS
                yield Figure(f"idle {role}: requests a minute", puts + beats, "", most_requests)
                grown = (_bytes(store, node) - before[role]) * 3600 / SECONDS / (1 << 20)
                yield Figure(f"idle {role}: stored an hour", grown, "MiB", most_bytes)
        finally:
            family.kill()


def _start(family: Family, folder: Path, store: "FakeOss") -> dict[str, str]:
    """Ray and collectors; the nodes' ids by their role."""
    gcs, client, dashboard, *ports = free_ports(9)
    cluster = Cluster(family, gcs_port=gcs, client_port=client, dashboard_port=dashboard)
    head = Node("head", "127.0.0.4", folder / "head", ports[0], ports[1])
    worker = Node("worker", "127.0.0.5", folder / "worker", ports[2], ports[3])
    for node, health in ((head, ports[4]), (worker, ports[5])):
        node.folder.mkdir()
        flags = (
            f"--namespace bench --cluster idle --ray-dir {node.folder} --spool {node.folder}-spool "
            f"--listen 127.0.0.1:{node.events_port} --health 127.0.0.1:{health} "
            f"--dashboard {cluster.dashboard} --store {store.url()}"
        )
        command = [sys.executable, "-m", "historyserver", "collect", *flags.split()]
        family.start(f"collector-{node.name}", command, folder=Path.cwd())
    cluster.start(head, worker)
    return {node.name: _node_id(node) for node in (head, worker)}


def _node_id(node: Node) -> str:
    session = (node.folder / "session_latest").resolve()
    [path] = session.glob("metrics_agent_port_*")
    found = re.search("[0-9a-f]{56}", path.name)
    assert found is not None
    return found[0]


def _bytes(store: "FakeOss", node: str) -> int:
    keys = [key for key in store.keys("root/v1/segments/") if f"/{node}/" in key]
    return sum(len(store.get(key) or b"") for key in keys)
