"""What is in the demo's way is said before anything is started; a broken start cleans up."""

import os
import shutil
import socket
from pathlib import Path

import pytest

from historyserver.demo import command, main
from historyserver.demo.cluster import clean_environment
from historyserver.demo.errors import end_of


def leftovers() -> set[Path]:
    return set(command.TEMPORARY.glob("ray-demo-*"))


def test_an_address_in_use_ends_the_demo_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    before = leftovers()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert main(["--no-browser", "--listen", address]) == 1
    error = capsys.readouterr().err
    assert f"{address} is in use." in error
    assert "Why:" in error
    assert "What to do:" in error
    assert leftovers() == before


def test_a_folder_that_cannot_be_written_ends_the_demo_with_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = leftovers()
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert main(["--no-browser", "--keep", str(blocked)]) == 1
    assert f"Cannot write to {blocked}." in capsys.readouterr().err
    assert leftovers() == before


def test_missing_modules_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "MODULES", ("ray", "no_such_module"))
    assert main(["--no-browser"]) == 1
    error = capsys.readouterr().err
    assert "no_such_module cannot be imported" in error
    assert "make demo" in error


def test_a_full_disk_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "NEEDED_BYTES", shutil.disk_usage("/tmp").total + 1)
    assert main(["--no-browser"]) == 1
    assert "/tmp is nearly full." in capsys.readouterr().err


def test_the_environment_for_ray_names_no_other_cluster_and_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_ADDRESS", "HISTORYSERVER_STORE", "http_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "somewhere")
    monkeypatch.setenv("LANG", "C.UTF-8")
    environment = clean_environment()
    assert environment["LANG"] == "C.UTF-8"
    assert "somewhere" not in environment.values()
    assert environment["PATH"].endswith(os.environ["PATH"])


def test_the_end_of_a_log_is_quoted_or_its_absence_said(tmp_path: Path) -> None:
    log = tmp_path / "some.log"
    assert "cannot be read" in end_of(log)
    log.write_text("")
    assert "wrote nothing" in end_of(log)
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    assert end_of(log).endswith("  | line 98\n  | line 99")
    assert "line 80" not in end_of(log)
