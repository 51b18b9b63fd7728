"""A bucket, and a doctor to send."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
import uvicorn
from fake_oss import FakeOss
from starlette.applications import Starlette
from starlette.routing import Route

from archive.store.base import Store
from archive.store.putting import PATH
from historyserver.doctor.command import room_for
from historyserver.doctor.finding import Finding, Identity, Verdict, examine
from historyserver.doctor.table import CHECKS
from server.callers import Callers
from server.metrics import Metrics
from server.puts import Puts

ROOT = Path(__file__).parents[3]


class Report(dict[str, Finding]):
    """What was found, by the names of the checks."""

    def named(self, *verdicts: Verdict) -> list[str]:
        return [name for name, finding in self.items() if finding.verdict in verdicts]

    @property
    def failed(self) -> list[str]:
        return self.named(Verdict.FAIL)

    @property
    def warned(self) -> list[str]:
        return self.named(Verdict.WARN)


Doctor = Callable[..., Report]


@pytest.fixture
def oss() -> Iterator[FakeOss]:
    with FakeOss(elsewhere={"other-bucket": "cn-beijing"}) as oss:
        yield oss


@pytest.fixture
def ray_dir(tmp_path: Path) -> Path:
    """Ray's folder with a session in it."""
    folder = tmp_path / "ray"
    (folder / "session_2026-11-23_02-43-27_490622_12278" / "logs").mkdir(parents=True)
    return folder


@pytest.fixture
def doctor(ray_dir: Path) -> Doctor:
    """Examines in this process."""

    def examined(identity: str, store: str, environment: Mapping[str, str], *arguments: str) -> Report:
        own = {
            "collector": ["--ray-dir", str(ray_dir), "--listen", "127.0.0.1:0", "--health", "127.0.0.1:0"],
            "server": ["--listen", "127.0.0.1:0"],
            "operator": [],
        }
        given = ["--store", store, "--namespace", "team", "--cluster", "shop", *own[identity], *arguments]
        room = room_for(Identity(identity), given, environment)
        return Report((check.name, finding) for check, finding in examine(CHECKS, room))

    return examined


@pytest.fixture
def command() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs it as a process, in an environment without anybody's credentials."""
    plain = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ALIBABA_CLOUD_", "OSS_", "HISTORYSERVER_", "RAY_"))
    }

    def run(
        *arguments: str, stdout: int = subprocess.PIPE, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        whole = [sys.executable, "-m", "historyserver", "doctor", *arguments]
        kept = plain | environment
        return subprocess.run(
            whole, cwd=ROOT, env=kept, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False
        )

    return run


@pytest.fixture
def serve_puts() -> Iterator[Callable[[Store, Callers], str]]:
    """Starts a history server that takes puts; its address."""
    with ExitStack() as stack:

        def start(store: Store, callers: Callers) -> str:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            app = Starlette(routes=[Route(f"{PATH}{{key:path}}", Puts(store, callers, Metrics()))])
            server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))
            thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
            thread.start()
            stack.callback(thread.join, 30)
            stack.callback(setattr, server, "should_exit", True)
            return f"http://127.0.0.1:{listener.getsockname()[1]}"

        yield start
