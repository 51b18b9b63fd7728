"""Where logs lie, by the recorded session."""

from typing import Any

import pytest

from server.ray.errors import NotRecorded
from server.ray.whereabouts import ActorProcess, DriverLog, TaskLog, actor_processes, driver_log, task_log

HEAD = "593fd952d75624efbbf93821c408b4a5b6ed6b4e138c1229c87eca3b"
WORKER = "df2adaacdb61804408645f058c837352ae132968e428d41b81027c2c"
OK = "0021899358e75e3cffffffffffffffffffffffff02000000"


def test_a_tasks_output_is_a_range_of_its_workers_file(recorded_view: Any) -> None:
    file = "worker-36a2b3e10ec3e78ac90fb6145271c5e45a09d85f21ec2e78ec5cd27c-02000000-17182"
    assert task_log(recorded_view, OK, 0, "out") == TaskLog(HEAD, f"{file}.out", 61, 77)
    assert task_log(recorded_view, OK, 0, "err") == TaskLog(HEAD, f"{file}.err", 59, 73)


@pytest.mark.parametrize(
    ("task", "attempt", "words"),
    [
        ("0" * 48, 0, "Could not find log file for task: 0000"),
        (OK, 7, "(attempt 7) with suffix: out"),
        ("ffffffffffffffff3782d513791f36036e82c6d607000000", 0, "due to missing node info"),
        (
            "01c50cf7071428b9acd409aebabc30f60432664907000000",
            0,
            "please query actor log for actor(acd409aebabc",
        ),
        ("59c034040e06c2e4ffffffffffffffffffffffff02000000", 0, "log_info = None"),
    ],
)
def test_a_tasks_output_that_ray_could_not_find_is_refused_in_rays_words(
    recorded_view: Any, task: str, attempt: int, words: str
) -> None:
    with pytest.raises(NotRecorded) as refusal:
        task_log(recorded_view, task, attempt, "out")
    assert words in str(refusal.value)


def test_an_actors_processes_come_newest_first(recorded_view: Any) -> None:
    assert actor_processes(recorded_view, "64edd914851ce4c5afd964d702000000") == [
        ActorProcess(HEAD, "9d564580bddec0ad815069f18df555f301544479fd5b18f4a6a64af4", 17534),
        ActorProcess(WORKER, "106406093c08c403b31bdb34bd980f914953b951c13cbe3c990c0732", 17504),
    ]
    assert actor_processes(recorded_view, "nobody") == []


def test_a_submitted_jobs_output_lies_on_its_drivers_node(recorded_view: Any) -> None:
    expected = DriverLog(HEAD, "job-driver-raysubmit_core1.log")
    assert driver_log(recorded_view, "raysubmit_core1") == expected
    assert driver_log(recorded_view, "02000000") == expected


@pytest.mark.parametrize("job", ["nope", "05000000"])
def test_a_job_that_nobody_submitted_has_no_driver_log(recorded_view: Any, job: str) -> None:
    with pytest.raises(NotRecorded, match="does not exist, or was not started by a submission"):
        driver_log(recorded_view, job)


def test_a_submitted_job_that_only_a_poll_tells_of_is_found(make_api: Any) -> None:
    body = '[{"type": "SUBMISSION", "submission_id": "s1", "job_id": null, "driver_node_id": "n1"}]'
    polls = [{"path": "api/jobs/", "newest_good": f"{10**18:020d}\x1f200\x1f{body}"}]
    assert driver_log(make_api({"polls": polls}).view, "s1") == DriverLog("n1", "job-driver-s1.log")
