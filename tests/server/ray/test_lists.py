"""Lists of the State API: filters against a model in Python, limits, order, and questions that make no
sense.
"""

import json
import re
from typing import Any, Final
from urllib.parse import quote, urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

COLUMNS: Final = (
    "task_id",
    "name",
    "state",
    "job_id",
    "type",
    "error_type",
    "node_id",
    "worker_pid",
    "attempt_number",
)
INTEGERS: Final = {"worker_pid", "attempt_number"}
LISTS: Final = (
    "tasks",
    "actors",
    "jobs",
    "nodes",
    "workers",
    "placement_groups",
    "objects",
    "runtime_envs",
    "cluster_events",
)


def asked(filters: list[tuple[str, str, str]], **other: Any) -> str:
    parts = [
        pair
        for column, predicate, value in filters
        for pair in (("filter_keys", column), ("filter_predicates", predicate), ("filter_values", value))
    ]
    return urlencode([*parts, *other.items()])


def matches(row: dict[str, Any], column: str, predicate: str, value: str) -> bool:
    """Ray's rule: text without regard to case, numbers as numbers; what is absent equals nothing."""
    known = row[column]
    if column in INTEGERS:
        equal = known == int(value)
    else:
        equal = known is not None and known.lower() == value.lower()
    return equal if predicate == "=" else not equal


@st.composite
def a_filter(draw: st.DrawFn, rows: list[dict[str, Any]]) -> tuple[str, str, str]:
    column = draw(st.sampled_from(COLUMNS))
    known = draw(st.sampled_from(rows))[column]
    value = str(known) if known is not None else ("7" if column in INTEGERS else "nothing")
    if column not in INTEGERS:
        value = draw(st.sampled_from([value, value.upper(), value.title(), "' OR 1=1 --", "€\x00"]))
    return column, draw(st.sampled_from(["=", "!="])), value


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_filters_choose_the_rows_that_a_model_chooses(recorded_api: Any, data: st.DataObject) -> None:
    rows = recorded_api.ask("/api/v0/tasks?limit=10000").rows
    filters = data.draw(st.lists(a_filter(rows), min_size=1, max_size=3))
    limit = data.draw(st.sampled_from([0, 1, 7, 100, 10000]))
    answer = recorded_api.ask(f"/api/v0/tasks?{asked(filters, limit=limit)}")
    expected = [row for row in rows if all(matches(row, *one) for one in filters)]
    assert answer.rows == expected[:limit]
    assert answer.json["data"]["result"]["num_filtered"] == len(expected)


def test_rows_are_sorted_by_id_and_newest_attempt_before_they_are_cut(recorded_api: Any) -> None:
    rows = recorded_api.ask("/api/v0/tasks?limit=10000").rows
    assert rows == sorted(rows, key=lambda row: (row["task_id"], -row["attempt_number"]))
    assert recorded_api.ask("/api/v0/tasks?limit=5").rows == rows[:5]
    assert len(recorded_api.ask("/api/v0/tasks").rows) == 100


def test_details_are_of_the_same_rows_as_the_short_list(recorded_api: Any) -> None:
    short = recorded_api.ask("/api/v0/tasks?limit=70").rows
    detailed = recorded_api.ask("/api/v0/tasks?limit=70&detail=1").rows
    assert [{name: row[name] for name in short[0]} for row in detailed] == short


def test_drivers_are_left_out_unless_asked_for(recorded_api: Any) -> None:
    types = lambda rest: {row["type"] for row in recorded_api.ask(f"/api/v0/tasks?limit=10000{rest}").rows}  # noqa: E731 - twice here
    assert "DRIVER_TASK" not in types("")
    assert "DRIVER_TASK" in types("&exclude_driver=false")


@pytest.mark.parametrize("noun", LISTS)
def test_every_filterable_column_can_be_filtered_by(recorded_api: Any, noun: str) -> None:
    refusal = recorded_api.ask(f"/api/v0/{noun}?{asked([('bogus', '=', '1')])}").json["msg"]
    columns = re.findall(r"'(\w+)'", refusal.partition("Supported filter columns: ")[2])
    assert columns
    for column in columns:
        for predicate in ("=", "!="):
            query = asked([(column, predicate, "1")], detail=1)  # 1 is a text, a number and true
            assert recorded_api.ask(f"/api/v0/{noun}?{query}").status == 200, column


@pytest.mark.parametrize(
    "query",
    [
        "limit=ten",
        "limit=-1",
        "limit=10001",
        "limit=99999999999999999999999",
        "detail=perhaps",
        "exclude_driver=2",
        "filter_keys=state",
        "filter_keys=state&filter_predicates=%3D",
        "filter_keys=state&filter_predicates=%3D&filter_values=1&filter_values=2",
        "filter_keys=attempt_number&filter_predicates=%3D&filter_values=one",
        "filter_keys=is_debugger_paused&filter_predicates=%3D&filter_values=perhaps",
        "filter_keys=task_id%27%20OR%201%3D1&filter_predicates=%3D&filter_values=1",
        "filter_keys=events&filter_predicates=%3D&filter_values=1",
        "filter_keys=state&filter_predicates=LIKE&filter_values=1",
    ],
)
def test_a_question_without_sense_is_answered_400_with_a_sentence(recorded_api: Any, query: str) -> None:
    answer = recorded_api.ask(f"/api/v0/tasks?{query}")
    assert answer.status == 400
    assert answer.json["result"] is False
    assert answer.json["data"] == {"result": None}
    assert len(answer.json["msg"]) > 20


@pytest.mark.parametrize(
    "query",
    [
        "filter_keys=attempt_number&filter_predicates=%3D&filter_values=99999999999999999999999999",
        "filter_keys=name&filter_predicates=%3D&filter_values=%00%FF%27%22",
        "timeout=abc&server_timeout_multiplier=x&unknown=1",
        "limit=0",
    ],
)
def test_odd_questions_are_answered(recorded_api: Any, query: str) -> None:
    assert recorded_api.ask(f"/api/v0/tasks?{query}").status == 200


@given(noun=st.sampled_from(LISTS), query=st.text(max_size=60))
@settings(max_examples=40, deadline=None)
def test_no_query_string_breaks_a_list(recorded_api: Any, noun: str, query: str) -> None:
    assert recorded_api.ask(f"/api/v0/{noun}?{quote(query, safe='=&%')}").status in {200, 400}


@given(
    path=st.sampled_from(
        ["nodes/{}", "logical/actors/{}", "api/jobs/{}", "api/data/datasets/{}", "api/v0/{}"]
    ),
    name=st.text(min_size=1, max_size=30),
)
@settings(max_examples=40, deadline=None)
def test_no_name_breaks_a_page(recorded_api: Any, path: str, name: str) -> None:
    assert recorded_api.ask("/" + path.format(quote(name, safe=""))).status in {200, 400, 404}


def test_lists_that_nobody_polled_are_empty_and_say_so(recorded_api: Any) -> None:
    for noun in ("objects", "runtime_envs"):
        answer = recorded_api.ask(f"/api/v0/{noun}?detail=1").json["data"]["result"]
        assert answer["result"] == []
        assert "not recorded" in answer["warnings"][0]
    summary = recorded_api.ask("/api/v0/objects/summarize").json["data"]["result"]
    assert summary["result"]["node_id_to_summary"]["cluster"]["total_objects"] == 0


def test_polled_objects_and_runtime_environments_equal_the_live_answers(make_api: Any, recorded: Any) -> None:
    def poll(path: str, name: str) -> dict[str, str]:
        return {"path": path, "newest_good": f"{10**18:020d}\x1f200\x1f{json.dumps(recorded(name))}"}

    api = make_api(
        {"polls": [poll("api/v0/objects", "objects"), poll("api/v0/runtime_envs", "runtime_envs")]}
    )
    live = recorded("objects")["data"]["result"]["result"]
    assert api.ask("/api/v0/objects?detail=1").rows == sorted(live, key=lambda row: str(row["object_id"]))
    assert (
        api.ask("/api/v0/runtime_envs?detail=1").rows == recorded("runtime_envs")["data"]["result"]["result"]
    )
    ours = api.ask("/api/v0/objects/summarize").json["data"]["result"]["result"]["node_id_to_summary"][
        "cluster"
    ]
    told = recorded("objects_summarize")["data"]["result"]["result"]["node_id_to_summary"]["cluster"]
    assert {site: one["total_objects"] for site, one in ours["summary"].items()} == {
        site: one["total_objects"] for site, one in told["summary"].items()
    }


def test_polled_tasks_and_actors_stand_in_where_nothing_else_tells_of_them(
    make_api: Any, recorded: Any
) -> None:
    live = {"tasks": recorded("tasks_withdriver"), "actors": recorded("actors_state")}
    polls = [
        {"path": f"api/v0/{noun}", "newest_good": f"{10**18:020d}\x1f200\x1f{json.dumps(answer)}"}
        for noun, answer in live.items()
    ]
    running, ended = make_api({"polls": polls}), make_api({"polls": polls}, state="ended")
    told = {(row["task_id"], row["attempt_number"]): row for row in live["tasks"]["data"]["result"]["result"]}
    rows = running.ask("/api/v0/tasks?limit=10000&detail=1&exclude_driver=false").rows
    assert len(rows) == len(told)
    for row in rows:
        row.pop("runtime_env_info")
        assert row == {name: told[row["task_id"], row["attempt_number"]][name] for name in row}
    assert running.ask("/api/v0/actors/summarize").json == recorded("actors_summarize")
    assert running.ask("/api/v0/tasks/summarize?summary_by=lineage").status == 200
    assert {row["state"] for row in ended.ask("/api/v0/actors").rows} == {"DEAD"}
    assert {row["state"] for row in ended.ask("/api/v0/tasks?limit=10000&exclude_driver=false").rows} == {
        "FINISHED",
        "FAILED",
    }


def test_summaries_refuse_what_ray_refuses(recorded_api: Any) -> None:
    assert recorded_api.ask("/api/v0/tasks/summarize?summary_by=colour").status == 400
    assert recorded_api.ask(f"/api/v0/tasks/summarize?{asked([('bogus', '=', '1')])}").status == 400


def test_environment_values_are_redacted_everywhere(recorded_api: Any) -> None:
    for path in (
        "/api/v0/tasks?detail=1&limit=10000&exclude_driver=false",
        "/api/v0/actors?detail=1",
        "/api/v0/jobs?detail=1",
        "/api/jobs/",
        "/api/train/v2/runs/v1",
    ):
        body = recorded_api.ask(path).body.decode()
        assert "<redacted>" in body
        assert "my-value" not in body
        assert '"RAY_TRAIN_V2_ENABLED":"1"' not in body.replace(" ", "").replace("\\", "")
