"""What stayed open is closed, rule by rule."""

from typing import Any, Final

ENDED_MS: Final = 1_795_402_500_000
NS: Final = 1_000_000
T: Final = 1_795_402_000_000
"""Some time while the session ran, in milliseconds."""
INFERRED: Final = "Inferred by the history server"

TASK: Final = {
    "task_id": "aa",
    "attempt_number": 0,
    "defined": True,
    "job_id": "02000000",
    "type": "NORMAL_TASK",
    "name": "f",
    "func_or_class_name": "f",
    "t_pending_args_avail": T * NS,
    "t_running": (T + 5) * NS,
}


def death(ns: int, *values: str) -> str:
    """Stamped text as `server/fold/tables.py` defines it."""
    return "\x1f".join((f"{ns:020d}", *values))


def one_task(api: Any) -> dict[str, Any]:
    rows: list[dict[str, Any]] = api.ask("/api/v0/tasks?detail=1").rows
    assert len(rows) == 1
    return rows[0]


def transitions(*states: tuple[str, int]) -> list[dict[str, Any]]:
    return [
        {
            "actor_id": "bb",
            "ns": ms * NS,
            "place": 0,
            "state": state,
            "body": f'{{"state":"{state}","ns":{ms * NS},"node_id":"n1","worker_id":"w1","pid":7}}',
        }
        for state, ms in states
    ]


def test_a_task_that_runs_in_a_running_session_stays_open(make_api: Any) -> None:
    row = one_task(make_api({"tasks": [TASK]}))
    assert (row["state"], row["end_time_ms"], row["error_type"]) == ("RUNNING", None, None)


def test_a_task_that_ran_when_the_session_ended_failed_then(make_api: Any) -> None:
    row = one_task(make_api({"tasks": [TASK]}, state="ended", reason="SIGTERM"))
    assert (row["state"], row["end_time_ms"], row["error_type"]) == ("FAILED", ENDED_MS, "WORKER_DIED")
    assert "The session ended (SIGTERM)" in row["error_message"]
    assert INFERRED in row["error_message"]
    assert row["events"][-1] == {"state": "FAILED", "created_ms": ENDED_MS}


def test_a_task_of_a_lost_session_failed_when_it_was_last_heard_of(make_api: Any) -> None:
    row = one_task(make_api({"tasks": [TASK]}, state="lost"))
    assert (row["state"], row["end_time_ms"]) == ("FAILED", ENDED_MS)
    assert row["error_message"].startswith("The session was lost")


def test_a_finished_task_keeps_its_end(make_api: Any) -> None:
    row = one_task(make_api({"tasks": [{**TASK, "t_finished": (T + 9) * NS}]}, state="ended"))
    assert (row["state"], row["end_time_ms"], row["error_message"]) == ("FINISHED", T + 9, None)


def test_a_failed_task_keeps_its_error(make_api: Any) -> None:
    failed = {
        **TASK,
        "t_failed": (T + 9) * NS,
        "error": death(T * NS, "TASK_EXECUTION_EXCEPTION", "\x1b[31mboom\x1b[0m"),
    }
    row = one_task(make_api({"tasks": [failed]}, state="ended"))
    assert (row["error_type"], row["error_message"]) == ("TASK_EXECUTION_EXCEPTION", "boom")


def test_an_open_task_of_a_finished_job_failed_with_its_job(make_api: Any) -> None:
    job = {"job_id": "02000000", "finished_ns": (T + 50) * NS}
    row = one_task(make_api({"tasks": [TASK], "jobs": [job]}))
    assert (row["state"], row["end_time_ms"], row["error_type"]) == ("FAILED", T + 50, "WORKER_DIED")
    assert row["error_message"] == (
        "Job finishes (02000000) as driver exits. Marking all non-terminal tasks as failed."
    )


def test_an_open_task_of_a_dead_worker_failed_with_it(make_api: Any) -> None:
    worker = {
        "worker_id": "w1",
        "death": death((T + 40) * NS, "SYSTEM_ERROR", "out of memory"),
        "end_ms": T + 40,
    }
    job = {"job_id": "02000000", "finished_ns": (T + 50) * NS}
    row = one_task(make_api({"tasks": [{**TASK, "worker_id": "w1"}], "workers": [worker], "jobs": [job]}))
    assert (row["state"], row["end_time_ms"], row["error_type"]) == ("FAILED", T + 40, "WORKER_DIED")
    assert row["error_message"] == (
        "Worker running the task (w1) died with exit_type: SYSTEM_ERROR with error_message: out of memory"
    )


def test_an_open_task_of_a_dead_node_failed_with_it(make_api: Any) -> None:
    node = {"node_id": "n1", "death": death((T + 30) * NS, "UNEXPECTED_TERMINATION", "")}
    row = one_task(make_api({"tasks": [{**TASK, "node_id": "n1"}], "nodes": [node]}))
    assert (row["state"], row["end_time_ms"], row["error_type"]) == ("FAILED", T + 30, "NODE_DIED")


def test_no_task_ends_before_it_began_whatever_the_clocks_say(make_api: Any) -> None:
    late = {**TASK, "t_running": (ENDED_MS + 77) * NS}
    assert one_task(make_api({"tasks": [late]}, state="ended"))["end_time_ms"] == ENDED_MS + 77


def test_a_task_without_a_definition_is_hidden(make_api: Any) -> None:
    assert make_api({"tasks": [{**TASK, "defined": None}]}).ask("/api/v0/tasks").rows == []


def test_an_actor_alive_at_the_end_is_dead_and_says_why(make_api: Any) -> None:
    tables = {
        "actors": [{"actor_id": "bb", "class_name": "C"}],
        "actor_transitions": transitions(("ALIVE", T)),
    }
    assert make_api(tables).ask("/api/v0/actors").rows[0]["state"] == "ALIVE"
    api = make_api(tables, state="ended")
    row = api.ask("/api/v0/actors?detail=1").rows[0]
    assert row["state"] == "DEAD"
    assert INFERRED in row["death_cause"]["actor_died_error_context"]["error_message"]
    shown = api.ask("/logical/actors/bb").json["data"]["detail"]
    assert (shown["state"], shown["startTime"], shown["endTime"]) == ("DEAD", T, ENDED_MS)
    assert INFERRED in shown["exitDetail"]
    counted = api.ask("/api/v0/actors/summarize").json["data"]["result"]["result"]
    assert counted["node_id_to_summary"]["cluster"]["summary"]["C"]["state_counts"] == {"DEAD": 1}


def test_a_dead_actor_keeps_the_first_of_its_deaths(make_api: Any) -> None:
    seen = transitions(("ALIVE", T), ("DEAD", T + 10), ("DEAD", T + 900))
    api = make_api({"actors": [{"actor_id": "bb"}], "actor_transitions": seen}, state="ended")
    assert api.ask("/logical/actors/bb").json["data"]["detail"]["endTime"] == T + 10


def test_an_actor_that_was_made_again_after_its_death_is_alive(make_api: Any) -> None:
    seen = transitions(("ALIVE", T), ("DEAD", T + 10), ("RESTARTING", T + 11), ("ALIVE", T + 12))
    row = (
        make_api({"actors": [{"actor_id": "bb"}], "actor_transitions": seen})
        .ask("/api/v0/actors?detail=1")
        .rows[0]
    )
    assert (row["state"], row["num_restarts"], row["death_cause"]) == ("ALIVE", "1", None)


def test_a_node_alive_at_the_end_is_dead_in_the_state_api(make_api: Any) -> None:
    node = {"node_id": "n1", "node_ip": "10.0.0.1", "start_ns": T * NS}
    row = make_api({"nodes": [node]}, state="ended").ask("/api/v0/nodes?detail=1").rows[0]
    assert (row["state"], row["end_time_ms"]) == ("DEAD", ENDED_MS)
    assert INFERRED in row["state_message"]
    assert make_api({"nodes": [node]}).ask("/api/v0/nodes").rows[0]["state"] == "ALIVE"


def test_nodes_of_an_ended_session_are_listed_as_dead_with_how_they_ended(make_api: Any) -> None:
    dead = {"node_id": "n1", "node_ip": "10.0.0.1", "death": death(T * NS, "EXPECTED_TERMINATION", "SIGTERM")}
    api = make_api({"nodes": [dead, {"node_id": "n2"}]}, state="ended")
    shown = {
        node["raylet"]["nodeId"]: node["raylet"]
        for node in api.ask("/nodes?view=summary").json["data"]["summary"]
    }
    assert {raylet["state"] for raylet in shown.values()} == {"DEAD"}
    assert shown["n1"]["stateMessage"] == "Expected termination: SIGTERM"
    assert shown["n2"]["stateMessage"].startswith("The session ended")


def test_a_node_that_died_while_the_session_runs_is_shown_dead(make_api: Any) -> None:
    dead = {"node_id": "n1", "death": death(T * NS, "EXPECTED_TERMINATION", "SIGTERM")}
    raylet = make_api({"nodes": [dead]}).ask("/nodes?view=summary").json["data"]["summary"][0]["raylet"]
    assert (raylet["state"], raylet["endTimeMs"]) == ("DEAD", str(T))


def test_a_worker_alive_at_the_end_is_dead(make_api: Any) -> None:
    tables = {"workers": [{"worker_id": "w1", "pid": 7, "start_ms": T}]}
    row = make_api(tables, state="ended").ask("/api/v0/workers?detail=1").rows[0]
    assert (row["is_alive"], row["exit_type"], row["end_time_ms"]) == (False, "SYSTEM_ERROR", ENDED_MS)
    assert make_api(tables).ask("/api/v0/workers").rows[0]["is_alive"] is True


def test_a_worker_of_a_dead_node_died_with_it(make_api: Any) -> None:
    node = {"node_id": "n1", "death": death((T + 30) * NS, "UNEXPECTED_TERMINATION", "")}
    api = make_api({"workers": [{"worker_id": "w1", "node_id": "n1"}], "nodes": [node]})
    row = api.ask("/api/v0/workers?detail=1").rows[0]
    assert (row["is_alive"], row["end_time_ms"]) == (False, T + 30)


def job(api: Any, name: str) -> dict[str, Any]:
    told: dict[str, Any] = api.ask(f"/api/jobs/{name}").json
    return told


def submission(**fields: Any) -> dict[str, Any]:
    import json

    body = {"submission_job_id": "s1", "entrypoint": "python x.py", "start_time": str(T), **fields}
    return {"submission_id": "s1", "newest": death(T * NS, "000000000000000", json.dumps(body))}


def test_a_submitted_job_that_ran_when_the_session_ended_failed(make_api: Any) -> None:
    tables = {"submissions": [submission(status="RUNNING", message="Job is currently running.")]}
    told = job(make_api(tables, state="ended"), "s1")
    assert (told["status"], told["end_time"], told["error_type"]) == (
        "FAILED",
        ENDED_MS,
        "JOB_SUPERVISOR_ACTOR_DIED",
    )
    assert INFERRED in told["message"]
    assert told["driver_exit_code"] is None
    assert job(make_api(tables), "s1")["status"] == "RUNNING"


def test_a_submitted_job_that_ended_keeps_its_truth(make_api: Any) -> None:
    ended = submission(status="FAILED", message="exit code 3", end_time=str(T + 9), driver_exit_code=3)
    told = job(make_api({"submissions": [ended]}, state="ended"), "s1")
    assert (told["status"], told["message"], told["end_time"], told["driver_exit_code"]) == (
        "FAILED",
        "exit code 3",
        T + 9,
        3,
    )


def test_how_a_submitted_job_ended_is_unknown_if_only_its_driver_told(make_api: Any) -> None:
    driver = {
        "job_id": "02000000",
        "submission_id": "s1",
        "created_ns": T * NS,
        "finished_ns": (T + 20) * NS,
        "metadata": '{"job_name": "s1", "job_submission_id": "s1", "team": "lab"}',
    }
    told = job(make_api({"jobs": [driver]}, state="ended"), "s1")
    assert (told["type"], told["status"], told["end_time"]) == ("SUBMISSION", "STOPPED", T + 20)
    assert "not recorded" in told["message"]
    assert told["driver_exit_code"] is None
    assert told["metadata"] == {"team": "lab"}


def test_a_driver_that_ran_when_the_session_ended_failed(make_api: Any) -> None:
    tables = {"jobs": [{"job_id": "02000000", "created_ns": T * NS}]}
    told = job(make_api(tables, state="ended"), "02000000")
    assert (told["type"], told["status"], told["end_time"]) == ("DRIVER", "FAILED", ENDED_MS)
    assert INFERRED in told["message"]
    told = job(make_api(tables), "02000000")
    assert (told["status"], told["end_time"], told["message"]) == ("RUNNING", None, None)


def test_a_driver_that_ended_succeeded_as_in_ray(make_api: Any) -> None:
    tables = {"jobs": [{"job_id": "02000000", "created_ns": T * NS, "finished_ns": (T + 1) * NS}]}
    told = job(make_api(tables, state="ended"), "02000000")
    assert (told["status"], told["end_time"], told["message"]) == ("SUCCEEDED", T + 1, None)


def test_placement_groups_of_an_ended_session_are_removed(recorded_api: Any) -> None:
    assert {row["state"] for row in recorded_api.ask("/api/v0/placement_groups").rows} == {"REMOVED"}


def test_nothing_of_the_recorded_session_is_open_after_its_end(recorded_api: Any) -> None:
    ask = recorded_api.ask
    assert {row["state"] for row in ask("/api/v0/tasks?limit=10000&exclude_driver=false").rows} == {
        "FINISHED",
        "FAILED",
    }
    assert {row["state"] for row in ask("/api/v0/actors").rows} == {"DEAD"}
    assert {row["state"] for row in ask("/api/v0/nodes").rows} == {"DEAD"}
    assert {row["is_alive"] for row in ask("/api/v0/workers").rows} == {False}
    assert {row["status"] for row in ask("/api/jobs/").json} <= {"SUCCEEDED", "FAILED", "STOPPED"}
    assert all(row["end_time"] for row in ask("/api/jobs/").json)
    assert all(actor["endTime"] for actor in ask("/logical/actors").json["data"]["actors"].values())
