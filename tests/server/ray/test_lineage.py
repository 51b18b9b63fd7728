"""The tree of who started whom, from attempts in any shape."""

from hypothesis import given, settings
from hypothesis import strategies as st

from server.ray.lineage import DEEPEST, DRIVER_PREFIX, Attempt, Group, tree


def attempt(
    task_id: str,
    parent: str | None = None,
    *,
    name: str = "f",
    kind: str = "NORMAL_TASK",
    actor: str | None = None,
    created: int | None = 1,
    state: str = "FINISHED",
) -> Attempt:
    return Attempt(task_id, name, kind, actor, parent or DRIVER_PREFIX, created, state, f"{name}.__init__")


def names(groups: list[Group]) -> list[object]:
    return [(group.name, names(group.children)) if group.children else group.name for group in groups]


def depth(groups: list[Group]) -> int:
    return 1 + max((depth(group.children) for group in groups), default=0)


def test_a_task_hangs_below_the_one_that_started_it() -> None:
    top = tree([attempt("b", "a", name="child"), attempt("a", name="parent")], {})
    assert names(top) == [("parent", ["child"])]
    assert top[0].states == {"FINISHED": 2}


def test_an_actors_tasks_hang_below_the_actor() -> None:
    made = attempt("m", "a", name="C.__init__", kind="ACTOR_CREATION_TASK", actor="x")
    called = attempt("c", name="C.go", kind="ACTOR_TASK", actor="x")
    top = tree([attempt("a", name="parent"), made, called], {"x": "C(7)"})
    assert names(top) == [("parent", [("C(7)", ["C.__init__", "C.go"])])]


def test_an_actor_of_which_only_its_making_is_known_is_called_by_its_class() -> None:
    top = tree([attempt("m", name="C", kind="ACTOR_CREATION_TASK", actor="x")], {})
    assert (top[0].name, top[0].type) == ("C", "ACTOR")


def test_siblings_of_one_name_are_a_group_with_the_earliest_time() -> None:
    (group,) = tree([attempt("a", created=5), attempt("b", created=3, state="FAILED")], {})
    assert (group.type, group.created_ms, group.states) == ("GROUP", 3, {"FINISHED": 1, "FAILED": 1})


def test_running_ones_come_first_then_failed_ones_then_older_ones() -> None:
    top = tree(
        [
            attempt("a", name="young", created=9),
            attempt("b", name="old", created=2),
            attempt("c", name="failed", created=5, state="FAILED"),
            attempt("d", name="running", created=8, state="RUNNING"),
        ],
        {},
    )
    assert names(top) == ["running", "failed", "old", "young"]


def test_what_hangs_below_an_unknown_task_is_left_out() -> None:
    assert names(tree([attempt("a", "unknown"), attempt("b")], {})) == ["f"]


def test_a_chain_of_any_length_is_flattened_where_it_gets_too_deep() -> None:
    chain = [attempt(f"t{n}", f"t{n - 1}" if n else None, name=f"f{n}") for n in range(5_000)]
    top = tree(chain[::-1], {})
    assert depth(top) <= DEEPEST + 2
    assert top[0].states == {"FINISHED": 5_000}


@given(parents=st.lists(st.one_of(st.none(), st.integers(0, 12)), max_size=13))
@settings(max_examples=80, deadline=None)
def test_no_parents_break_the_tree_not_even_circles(parents: list[int | None]) -> None:
    attempts = [
        attempt(str(place), None if parent is None else str(parent), name=f"f{place % 3}")
        for place, parent in enumerate(parents)
    ]
    assert sum(group.states.get("FINISHED", 0) for group in tree(attempts, {})) <= len(attempts)
