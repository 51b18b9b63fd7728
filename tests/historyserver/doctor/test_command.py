"""The command as a process, its page, and that nobody minds what it leaves."""

from __future__ import annotations

import hashlib
import json
import os
import pty
from pathlib import Path

import pytest

from archive.layout import CATALOG, SEGMENTS, SERVER, VIEWS, TrialName
from archive.store.local import LocalStore
from historyserver.doctor.table import CHECKS, page
from server.callers import TokenFile
from server.retention.removal import catalogued, foldered
from server.session_index import SessionIndex

PAGE = Path(__file__).parents[3] / "docs" / "doctor.md"


def test_the_page_lists_the_checks_that_there_are() -> None:
    assert "\n".join(page()) in PAGE.read_text()


def test_each_check_needs_only_what_comes_before_it() -> None:
    before: set[str] = set()
    for check in CHECKS:
        assert set(check.needs) <= before, check.name
        assert check.name not in before
        before.add(check.name)


def test_well_is_0_and_says_so(oss, command) -> None:
    done = command("--as", "operator", "--store", oss.url(), **oss.environment("operator"))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("All is well.\n")
    assert "ok    bucket" in done.stdout


def test_a_failure_is_1_with_the_remedy_below_and_without_secrets(oss, command) -> None:
    oss.remove_identity("server")
    keys = {"ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAI5t", "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "hush-hush"}
    done = command("--as=server", f"--store={oss.url()}", "--listen", "127.0.0.1:0", **keys)
    assert (done.returncode, done.stderr) == (1, "")
    assert "FAIL  bucket" in done.stdout
    assert (
        "because 'bucket' failed: retention, object retention, overwriting, list, get, keep views"
        in done.stdout
    )
    assert done.stdout.endswith("1 failed: begin with the first FAIL.\n")
    assert "hush" not in done.stdout


def test_on_a_terminal_lines_are_as_long_as_it_is_wide(oss, command) -> None:
    ours, theirs = pty.openpty()
    try:
        nobody = {"ALIBABA_CLOUD_ECS_METADATA_DISABLED": "true", "COLUMNS": "90"}
        done = command("--as", "operator", "--store", oss.url(), stdout=theirs, **nobody)
        text = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 1
    head, *lines = text.splitlines()
    assert oss.url() in head
    assert max(map(len, lines)) <= 90
    assert "FAIL  identity          no credentials are set" in text


@pytest.mark.parametrize("word", ["--bogus", "--bogus=1", "stray"])
def test_what_is_no_setting_is_2(command, tmp_path: Path, word: str) -> None:
    done = command("--as", "operator", "--store", tmp_path.as_uri(), word)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"has no setting {word.partition('=')[0]!r}" in done.stderr


def test_a_password_in_the_store_s_url_is_never_printed(command) -> None:
    for arguments in ((), ("--json",)):
        done = command(
            "--as", "operator", "--store", "oss://me:hush@history/r?region=cn-hangzhou", *arguments
        )
        assert done.returncode == 1
        assert "hush" not in done.stdout + done.stderr


def test_the_environment_s_settings_are_those_of_the_collector(oss, command, ray_dir) -> None:
    settings = {
        "HISTORYSERVER_STORE": oss.url(),
        "HISTORYSERVER_NAMESPACE": "team",
        "HISTORYSERVER_CLUSTER": "shop",
        "HISTORYSERVER_RAY_DIR": str(ray_dir),
        "HISTORYSERVER_LISTEN": "127.0.0.1:0",
        "HISTORYSERVER_HEALTH": "127.0.0.1:0",
    }
    done = command("--as", "collector", "--json", **settings, **oss.environment("collector"))
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert (report["as"], report["store"], report["failed"]) == ("collector", oss.url(), 0)
    assert {check["verdict"] for check in report["checks"]} == {"ok", "skip"}
    assert report["checks"][0] == {
        "check": "settings",
        "verdict": "ok",
        "found": "nothing is missing",
        "remedy": "",
    }


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--as",),
        ("--as", "king", "--store", "file:///tmp"),
        ("--as", "server"),
        ("--as", "server", "--stroe", "file:///tmp"),
        ("--as", "operator", "--store", "file:///tmp", "--ray-dir", "/tmp/ray"),
    ],
)
def test_what_it_does_not_understand_is_2(command, arguments) -> None:
    done = command(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr


@pytest.mark.parametrize("arguments", [("--help",), ("--as", "collector", "-h")])
def test_help_is_0(command, arguments) -> None:
    done = command(*arguments)
    assert (done.returncode, done.stderr) == (0, "")
    assert "usage: historyserver doctor" in done.stdout


@pytest.mark.parametrize("role", ["collector", "server", "operator"])
def test_a_folder_as_store_is_examined_as_far_as_it_goes(doctor, tmp_path, role) -> None:
    (tmp_path / "store").mkdir()
    report = doctor(role, f"file://{tmp_path}/store", {})
    assert report.failed == []
    assert report.warned == []
    assert "endpoint" not in report
    assert doctor(role, f"file://{tmp_path}/nothing", {}).failed == ["folder"]


@pytest.fixture
def taking(serve_puts, tmp_path):
    """A history server that takes puts of the namespace team, and its folder."""
    (tmp_path / "volume").mkdir()
    tokens = tmp_path / "tokens"
    tokens.write_text(f"team sha256:{hashlib.sha256(b'ours').hexdigest()}\n")
    (tmp_path / "token").write_text("ours")
    return serve_puts(LocalStore(tmp_path / "volume"), TokenFile(tokens)), tmp_path / "volume"


@pytest.fixture
def failed(command, ray_dir):
    """The names of the checks that fail as a collector, and what the others found."""

    def run(store: str, namespace: str = "team") -> tuple[list[str], dict[str, str]]:
        own = ["--ray-dir", str(ray_dir), "--listen", "127.0.0.1:0", "--health", "127.0.0.1:0"]
        given = ["--namespace", namespace, "--cluster", "shop", *own]
        done = command("--as", "collector", "--json", "--store", store, *given)
        checks = json.loads(done.stdout)["checks"]
        found = {check["check"]: check["found"] for check in checks}
        return [check["check"] for check in checks if check["verdict"] == "fail"], found

    return run


def test_a_history_server_as_store_is_examined_as_far_as_it_goes(failed, taking, tmp_path) -> None:
    url, folder = taking
    store = f"{url}?token_file={tmp_path}/token"
    names, found = failed(store)
    assert names == []
    assert found["clock"] == "as the store's"
    assert sorted(path.name for path in folder.rglob("*doctor*")) == ["~doctor", "~doctor~team~shop"]
    assert failed(store, "others")[0] == ["put segments", "put catalog"]
    (tmp_path / "token").write_text("theirs")
    assert failed(store)[0] == ["put segments", "put catalog"]
    assert failed(f"http://127.0.0.1:1/?token_file={tmp_path}/token")[0] == ["history server"]


def test_what_it_leaves_behind_is_passed_over_by_every_reader(tmp_path) -> None:
    store = LocalStore(tmp_path)
    for place in (CATALOG, SEGMENTS, VIEWS, SERVER):
        store.put(TrialName(place, "team", "shop").key, b"doctor")
    assert SessionIndex(store).refresh().sessions == ()
    assert catalogued(store) == {}
    assert list(foldered(store)) == []
