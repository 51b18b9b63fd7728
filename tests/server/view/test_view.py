"""Reading a view with SQL."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from server.view.view import Only, View, connect


def test_json_gives_objects_with_the_columns_as_keys(recorded_view: View) -> None:
    answer = json.loads(recorded_view.json("SELECT job_id, driver_pid FROM jobs ORDER BY job_id LIMIT 1"))
    assert answer == [{"job_id": "02000000", "driver_pid": 17017}]


def test_json_columns_stand_as_they_are(recorded_view: View) -> None:
    sql = "SELECT metadata::JSON AS metadata FROM jobs WHERE job_id = ?"
    ((answer,),) = [row.values() for row in json.loads(recorded_view.json(sql, ["02000000"]))]
    assert answer["team"] == "lab"


def test_no_rows_are_an_empty_array(recorded_view: View) -> None:
    assert recorded_view.json("SELECT * FROM tasks WHERE task_id = 'none'") == b"[]"


def test_threads_read_side_by_side(recorded_view: View) -> None:
    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(lambda _: recorded_view.rows("SELECT count(*) FROM tasks"), range(40)))
    assert set(map(tuple, counts)) == {((228,),)}


def test_the_last_answer_in_which_an_actor_lived_is_kept_by_its_id(recorded_view: View) -> None:
    rows = recorded_view.rows("SELECT path, body FROM polls WHERE path LIKE 'logical/actors#%'")
    assert len(rows) > 5
    for path, body in rows:
        row = json.loads(body)
        assert (path.partition("#")[2], row["state"]) == (row["actorId"], "ALIVE")


def test_an_actor_dies_once(recorded_view: View) -> None:
    for (transitions,) in recorded_view.rows("SELECT transitions FROM actors"):
        states = [transition["state"] for transition in json.loads(transitions)]
        assert states.count("DEAD") <= 1
        assert "DEAD" not in states[:-1]


def test_a_question_about_some_keys_sees_their_rows_only_and_leaves_the_view_as_it_is(
    recorded_view: View,
) -> None:
    ids = [row[0] for row in recorded_view.rows("SELECT DISTINCT task_id FROM tasks ORDER BY 1 LIMIT 9")]
    some = Only(("tasks", "profile"), "task_id", (ids[2], ids[7]))
    seen = recorded_view.json("SELECT DISTINCT task_id FROM tasks ORDER BY 1", only=some)
    assert [row["task_id"] for row in json.loads(seen)] == [ids[2], ids[7]]
    assert recorded_view.rows("SELECT count(DISTINCT task_id) FROM tasks")[0][0] > len(ids)


def test_what_does_not_fit_into_memory_goes_to_a_folder_that_goes_with_the_database(tmp_path: Path) -> None:
    with connect("30MB", tmp_path / "spilled") as database:
        assert not (tmp_path / "spilled").exists()
        database.execute("CREATE TEMP TABLE wide AS SELECT range, md5(range::VARCHAR) FROM range(1_000_000)")
        assert any((tmp_path / "spilled").iterdir())
    assert not (tmp_path / "spilled").exists()
