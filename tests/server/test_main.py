"""`historyserver serve` as a process: settings, answers, the end."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from server.main import main


def test_settings_that_cant_be_used_are_told_and_end_the_start(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--listen", "nowhere", "--lost-seconds", "soon"]) == 2
    told = capsys.readouterr().err
    assert "--store is missing" in told
    assert "--listen='nowhere' can't be used" in told
    assert "--lost-seconds='soon' can't be used" in told


def test_a_store_of_no_known_kind_is_told_and_ends_the_start(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--store", "ftp://somewhere"]) == 2
    assert "ftp://somewhere" in capsys.readouterr().err


def test_a_password_in_the_store_s_url_is_refused_and_not_repeated(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--store", "oss://me:hush@history/r?region=cn-hangzhou"]) == 2
    told = capsys.readouterr().err
    assert "holds a name or a password" in told
    assert "hush" not in told


def test_a_store_that_takes_puts_only_is_refused_at_the_start(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--store", "http://127.0.0.1:1/"]) == 2
    assert "gives nothing back" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "shown"), [("history/", "/history"), ("//a//b/", "/a/b"), ("/", "")])
def test_help_lists_settings_and_base_paths_are_made_plain(
    text: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from archive.settings import read
    from server.settings import ServerSettings

    assert main(["--help"]) == 0
    assert "--base-path" in capsys.readouterr().out
    assert read(ServerSettings, ["--store", "file:///x", "--base-path", text], {}).values.base_path == shown


def test_the_process_answers_until_it_is_told_to_stop(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "historyserver", "serve", "--store", tmp_path.as_uri()]
    command += ["--listen", f"127.0.0.1:{port}", "--base-path", "/history"]
    command += ["--cache", str(tmp_path / "cache")]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ) as process:
        assert process.stderr is not None
        try:
            line = process.stderr.readline()
            assert re.search(rf"answering on http://127\.0\.0\.1:{port}/history/", line), line
            page = _get_when_it_listens(process, port, "/history/")
            assert page.startswith("<!doctype html>")
            assert "No sessions yet" in page
            assert "\nhistoryserver_store_retries 0.0\n" in _get_when_it_listens(process, port, "/metrics")
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert "Traceback" not in process.stderr.read()


def _get_when_it_listens(process: "subprocess.Popen[str]", port: int, path: str) -> str:
    while process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", path, headers={"accept": "text/html"})
            return connection.getresponse().read().decode()
        except ConnectionRefusedError:
            continue
        finally:
            connection.close()
    raise AssertionError("the server ended by itself")
