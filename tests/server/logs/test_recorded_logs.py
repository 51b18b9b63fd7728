"""The log endpoints over the recorded session, compared with what a live Ray answered."""

import json
import re
import tarfile
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, quote

import pytest
from websockets.sync.client import connect

RAY: Final = Path(__file__).parents[2] / "fixtures" / "ray"
SESSION: Final = "/clusters/lab/recorded/session_2026-11-23_02-43-27_490622_12278"
HEAD: Final = "593fd952d75624efbbf93821c408b4a5b6ed6b4e138c1229c87eca3b"
WORKER: Final = "df2adaacdb61804408645f058c837352ae132968e428d41b81027c2c"
RECORDED: Final = json.loads((RAY / "http" / "_index.json").read_text())
KEPT_ON_WRITING: Final = {"log_file_tail_node0", "log_file_tail_node1"}
"""Logs to which Ray wrote more between these answers and the end of the session."""


def recordings(status: int, *beginnings: str) -> list[Any]:
    return [
        pytest.param(one["path"], one["name"], id=one["name"])
        for one in RECORDED
        if one["status"] == status
        and one["name"].startswith(beginnings)
        and one["name"] not in KEPT_ON_WRITING
    ]


def recorded_body(name: str) -> bytes:
    return next((RAY / "http").glob(f"{name}.*")).read_bytes()


def logs_of(node: str) -> dict[str, bytes]:
    found = {}
    with tarfile.open(RAY / "logs" / f"session_{node}_logs.tar.gz") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() else None
            if file is not None and (data := file.read()):
                found[member.name.removeprefix("logs/")] = data
    return found


def without_colours(data: bytes) -> bytes:
    return re.sub(rb"\x1b\[[0-9;]*m", b"", data)


@pytest.mark.parametrize(("path", "name"), recordings(200, "task_log_", "actor_log_"))
def test_logs_of_tasks_and_actors_are_rays_answers_byte_for_byte(
    recorded_server: Any, path: str, name: str
) -> None:
    answer = recorded_server.get(SESSION + path)
    assert (answer.status, answer.body) == (200, recorded_body(name))
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["content-disposition"] == 'attachment; filename="file.txt"'


def all_that_its_worker_wrote(recorded_server: Any, rays_reason: str, path: str) -> bytes:
    """By the worker or actor that Ray's refusal names; all its incarnations wrote into the same files."""
    suffix = parse_qs(path.partition("?")[2])["suffix"][0]
    if worker := re.search(r"Worker id = (\w+)", rays_reason):
        files = {name: data for node in ("head", "worker") for name, data in logs_of(node).items()}
        start, end = f"worker-{worker[1]}-", f".{suffix}"
        return b"".join(without_colours(files[n]) for n in files if n.startswith(start) and n.endswith(end))
    actor = re.search(r"actor\((\w+)\)", rays_reason)
    assert actor is not None
    asked = f"/api/v0/logs/file?actor_id={actor[1]}&suffix={suffix}&lines=50000&filter_ansi_code=true"
    body: bytes = recorded_server.get(SESSION + asked).body
    return body


UNKNOWN_PARTS = recordings(500, "task_log_")
OF_KNOWN_WORKERS = [
    one for one in UNKNOWN_PARTS if b"due to missing node info" not in recorded_body(one.values[1])
]
OF_NOBODY = [
    *recordings(500, "log_missing", "log_traversal"),
    *(one for one in UNKNOWN_PARTS if one not in OF_KNOWN_WORKERS),
]


@pytest.mark.parametrize(("path", "name"), OF_KNOWN_WORKERS)
def test_where_a_tasks_part_is_not_known_all_that_its_worker_wrote_is_shown(
    recorded_server: Any, path: str, name: str
) -> None:
    answer = recorded_server.get(SESSION + path)
    assert answer.status == 200
    first, _, rest = answer.body.partition(b"\n")
    assert (
        first
        == b"[ray history: which part this task wrote was not recorded; this is all that its worker wrote]"
    )
    assert rest == all_that_its_worker_wrote(recorded_server, recorded_body(name).decode(), path)


@pytest.mark.parametrize(("path", "name"), OF_NOBODY)
def test_what_ray_could_not_tell_is_500_with_rays_reason(recorded_server: Any, path: str, name: str) -> None:
    answer = recorded_server.get(SESSION + path)
    assert answer.status == 500
    assert answer.headers["content-type"].startswith("text/plain")
    expected = recorded_body(name).decode()
    assert answer.text.split(". ")[0] == expected.split(". ")[0]


@pytest.mark.parametrize(("path", "name"), recordings(200, "job_logs_"))
def test_drivers_logs_of_submitted_jobs_are_rays_answers(recorded_server: Any, path: str, name: str) -> None:
    answer = recorded_server.get(SESSION + path)
    assert (answer.status, answer.json) == (200, json.loads(recorded_body(name)))


def test_a_job_without_a_log_is_told_from_one_that_does_not_exist(recorded_server: Any) -> None:
    missing = recorded_server.get(f"{SESSION}/api/jobs/nope/logs")
    assert (missing.status, missing.text) == (404, "Job nope does not exist")
    driver = recorded_server.get(f"{SESSION}/api/jobs/06000000/logs")
    assert (driver.status, driver.text) == (400, "Can only get logs of submission type jobs")


@pytest.mark.parametrize(("node_id", "node"), [(HEAD, "head"), (WORKER, "worker")])
def test_every_log_comes_back_byte_for_byte(recorded_server: Any, node_id: str, node: str) -> None:
    for path, data in logs_of(node).items():
        url = f"{SESSION}/api/v0/logs/file?node_id={node_id}&lines=-1&filename={quote(path)}"
        assert recorded_server.get(url).body == data, path


def test_lists_hold_what_the_live_session_listed_but_empty_files_and_folders(recorded_server: Any) -> None:
    answer = recorded_server.get(f"{SESSION}/api/v0/logs?node_id={WORKER}").json["data"]["result"]
    expected = json.loads(recorded_body("logs_list_node1"))["data"]["result"]
    with_content = logs_of("worker")
    filled = {path.partition("/")[0] + ("/" if "/" in path else "") for path in with_content}
    for group, names in expected.items():
        assert set(names) & filled == set(names) & set(answer.get(group, [])), group
    assert "export_events/" not in answer["internal"] or any(
        path.startswith("export_events/") for path in with_content
    )
    nested = recorded_server.get(f"{SESSION}/api/v0/logs?node_id={HEAD}&glob=serve/*").json["data"]["result"]
    assert "serve/controller_19851.log" in nested["internal"]


def test_export_files_are_listed_and_read_from_their_own_streams(recorded_server: Any) -> None:
    listed = recorded_server.get(f"{SESSION}/api/v0/logs?node_id={HEAD}&glob=export_events/*SUBMISSION*").json
    (name,) = listed["data"]["result"]["internal"]
    text = recorded_server.get(f"{SESSION}/api/v0/logs/file?node_id={HEAD}&filename={name}&lines=1").text
    assert json.loads(text)["source_type"] == "EXPORT_SUBMISSION_JOB"


def test_a_process_and_an_absolute_path_name_a_log_too(recorded_server: Any) -> None:
    name, data = next((name, data) for name, data in logs_of("head").items() if name.endswith("-19517.out"))
    by_pid = recorded_server.get(f"{SESSION}/api/v0/logs/file?node_id={HEAD}&pid=19517&lines=-1")
    assert by_pid.body == data
    absolute = f"/tmp/ray/{SESSION.rpartition('/')[2]}/logs/{name}"
    by_path = recorded_server.get(f"{SESSION}/api/v0/logs/file?node_id={HEAD}&filename={absolute}&lines=-1")
    assert by_path.body == data
    by_submission = recorded_server.get(f"{SESSION}/api/v0/logs/file?submission_id=raysubmit_core1&lines=-1")
    assert by_submission.body == logs_of("head")["job-driver-raysubmit_core1.log"]


@pytest.mark.parametrize("lines", [1, 2, 7, 1000])
def test_the_last_lines_are_those_of_the_file(recorded_server: Any, lines: int) -> None:
    whole = logs_of("head")["gcs_server.out"]
    url = f"{SESSION}/api/v0/logs/file?node_id={HEAD}&filename=gcs_server.out&lines={lines}"
    assert recorded_server.get(url).body == b"".join(whole.splitlines(keepends=True)[-lines:])


@pytest.mark.parametrize(
    "filename",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "..",
        "logs/../../x",
        "serve/../../y",
        "%00",
        "a%2f..%2f..%2fb",
        "serve",
    ],
)
def test_nothing_outside_the_logs_folder_is_told(recorded_server: Any, filename: str) -> None:
    answer = recorded_server.get(f"{SESSION}/api/v0/logs/file?node_id={HEAD}&filename={filename}")
    assert answer.status == 500
    assert answer.text.startswith("A file is not found at: ")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 400),
        ("node_ip=10.9.9.9", 404),
        ("node_id=0000", 404),
        ("node_id=..", 404),
        (f"node_id={HEAD}&glob=../*", 400),
        (f"node_id={HEAD}&glob=/etc/*", 400),
    ],
)
def test_lists_of_no_node_are_refused_in_rays_wrapper(recorded_server: Any, query: str, status: int) -> None:
    answer = recorded_server.get(f"{SESSION}/api/v0/logs?{query}")
    assert answer.status == status
    assert answer.json["result"] is False
    assert answer.json["msg"]


@pytest.mark.parametrize("query", ["lines=abc", "lines=-7", "pid=x", "attempt_number=first"])
def test_parameters_without_meaning_are_400(recorded_server: Any, query: str) -> None:
    url = f"{SESSION}/api/v0/logs/file?node_id={HEAD}&filename=raylet.out&{query}"
    assert recorded_server.get(url).status == 400


def test_a_download_gets_the_name_that_was_asked_for_and_no_other_header(recorded_server: Any) -> None:
    base = f"{SESSION}/api/v0/logs/file?node_id={HEAD}&filename=raylet.out&lines=1&download_filename="
    plain = recorded_server.get(f"{base}my%20log.txt")
    assert plain.headers["content-disposition"] == 'attachment; filename="my log.txt"'
    hostile = recorded_server.get(base + quote('a"\r\nset-cookie: x=y'))
    assert "set-cookie" not in hostile.headers
    assert hostile.headers["content-disposition"].count('"') == 2


def test_a_stream_of_a_dead_session_ends_at_its_end(recorded_server: Any) -> None:
    answer = recorded_server.get(f"{SESSION}/api/v0/logs/stream?node_id={HEAD}&filename=raylet.out&lines=-1")
    assert answer.body == logs_of("head")["raylet.out"]


def test_a_drivers_log_is_followed_over_a_websocket_to_its_end(recorded_server: Any) -> None:
    url = f"ws://127.0.0.1:{recorded_server.port}{SESSION}/api/jobs/raysubmit_core1/logs/tail"
    with connect(url) as websocket:
        text = "".join(str(message) for message in websocket)
    assert text.encode() == logs_of("head")["job-driver-raysubmit_core1.log"]
