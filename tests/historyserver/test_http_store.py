"""Without object storage: a real server owns a folder, a real collector puts into it over HTTP."""

import hashlib
import http.client
import json
import random
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faults.rig.collecting import ROOT, free_port, until
from faults.rig.in_oss import health, metric
from faults.rig.ray_node import NODE, SESSION
from faults.rig.rig import Rig

from archive.layout import SEGMENTS
from archive.store.url import open_store

TOKEN = "a-token-of-ours"


class Server:
    """`historyserver serve --put-tokens`."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.volume = folder / "volume"
        self.volume.mkdir()
        self.tokens = folder / "tokens"
        self.allow(TOKEN, "ns")
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def allow(self, token: str, namespace: str) -> None:
        self.tokens.write_text(f"{namespace} sha256:{hashlib.sha256(token.encode()).hexdigest()}\n")

    def start(self) -> None:
        flags = {
            "store": f"file://{self.volume}",
            "listen": f"127.0.0.1:{self.port}",
            "cache": self._folder / "cache",
            "put-tokens": self.tokens,
        }
        given = [part for name, value in flags.items() for part in (f"--{name}", str(value))]
        self._process = subprocess.Popen([sys.executable, "-m", "historyserver", "serve", *given], cwd=ROOT)
        until(lambda: self.get("/healthz"))

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def get(self, path: str) -> bytes:
        """b"" while it does not answer, or has not found it."""
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=30) as answer:  # noqa: S310 - our own server
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            error.close()
        except (OSError, http.client.HTTPException):
            pass
        return b""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
def rig(server: Server, tmp_path: Path, chance: random.Random) -> Iterator[Rig]:
    """A node whose collector has the token."""
    token = tmp_path / "token"
    token.write_text(TOKEN)
    url = f"{server.url}/?token_file={token}"
    rig = Rig(tmp_path / "node", url, open_store(f"file://{server.volume}"), chance)
    yield rig
    rig.close()


def test_a_session_that_was_put_over_http_opens_and_an_outage_loses_nothing(
    rig: Rig, server: Server, rounds: Callable[[int, int], int]
) -> None:
    rig.begin(flush_seconds=0.2)
    rig.keep_busy()
    until(lambda: list(rig.store.list(SEGMENTS)))
    for _ in range(rounds(1, 20)):
        server.kill()
        until(lambda: "took no put" in health(rig))
        server.start()
        until(lambda: health(rig) == "")
    rig.rest()
    until(lambda: metric(rig, "oldest_unstored_seconds") == 0, 60)
    assert rig.collecting.end() == 0
    rig.judge()
    until(
        lambda: [each["state"] for each in json.loads(server.get("/api/sessions"))["sessions"]] == ["ended"]
    )
    site = f"/clusters/ns/c/{SESSION}"
    log = f"{site}/api/v0/logs/file?node_id={NODE}&filename=raylet.out&lines=-1"
    assert server.get(log) == bytes(rig.node.written["logs/raylet.out"])
    opened = json.loads(until(lambda: server.get(f"{site}/api/v0/tasks?detail=1")))
    assert opened["result"] is True


def test_a_token_that_the_server_does_not_know_is_told_and_nothing_is_lost_meanwhile(
    rig: Rig, server: Server
) -> None:
    server.allow(TOKEN, "other")
    rig.begin(flush_seconds=0.2)
    assert "'other'" in until(lambda: health(rig))
    server.allow("another token", "ns")
    rig.keep_busy()
    rig.collecting.kill_collector()  # a new one need not wait as long as one that was refused
    until(lambda: "does not know the token" in health(rig))
    assert list(rig.store.list("v1/")) == []
    server.allow(TOKEN, "ns")
    rig.collecting.kill_collector()
    until(lambda: list(rig.store.list(SEGMENTS)))
    rig.rest()
    until(lambda: health(rig) == "" and metric(rig, "oldest_unstored_seconds") == 0)
    assert rig.collecting.end() == 0
    rig.judge()


@pytest.mark.parametrize(
    ("flags", "sentence"),
    [
        (
            "--store oss://bucket/root?region=cn-hangzhou --put-tokens {tokens}",
            "only a server whose store is a folder",
        ),
        ("--store file://{folder} --put-tokens {folder}/nowhere", "can't be read"),
        ("--store file://{folder} --put-tokens {bad}", "line 1"),
    ],
)
def test_a_server_that_could_not_tell_its_callers_does_not_start(
    tmp_path: Path, flags: str, sentence: str
) -> None:
    (tmp_path / "bad").write_text("ns a-token-in-plain-text\n")
    (tmp_path / "tokens").write_text("")
    given = flags.format(folder=tmp_path, tokens=tmp_path / "tokens", bad=tmp_path / "bad").split()
    command = [sys.executable, "-m", "historyserver", "serve", "--listen", "127.0.0.1:0", *given]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2
    assert sentence in ended.stderr
    assert "a-token-in-plain-text" not in ended.stderr
