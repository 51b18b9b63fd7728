"""Listing logs as Ray lists them: patterns, groups, compared with what a live Ray answered."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.logs.errors import ParameterInvalid
from server.logs.listing import grouped, matching, path_of, stream_of, worker_file

RECORDED = Path(__file__).parents[2] / "fixtures" / "ray" / "http"


def recorded(name: str) -> dict[str, list[str]]:
    answer: Any = json.loads((RECORDED / f"{name}.json").read_text())
    return {group: sorted(names) for group, names in answer["data"]["result"].items()}


@pytest.mark.parametrize(
    "name", ["logs_list_node0", "logs_list_node1", "logs_list_dir_node0", "logs_list_dir_node1"]
)
def test_names_are_grouped_as_ray_groups_them(name: str) -> None:
    expected = recorded(name)
    assert grouped(sorted(name for names in expected.values() for name in names)) == expected


def test_two_stars_alone_mean_folders_as_before_python_3_13() -> None:
    assert matching(["a", "serve/b", "serve/c/d"], "**") == ["serve/", "serve/c/"]


@settings(max_examples=80, deadline=None)
@given(
    paths=st.lists(
        st.lists(st.sampled_from(["a", "ab", ".hid", "serve", "x.log", "[x]"]), min_size=1, max_size=3),
        max_size=8,
    ),
    pattern=st.sampled_from(
        [
            "*",
            "*/*",
            "a*",
            "*.log",
            "**/*",
            "**/*.log",
            "serve/*",
            "serve/**/x.log",
            "?",
            "[a-b]*",
            "[x]",
            "./a",
            "a//b",
        ]
    ),
)
def test_patterns_mean_what_they_mean_to_path_glob(
    tmp_path_factory: pytest.TempPathFactory, paths: list[list[str]], pattern: str
) -> None:
    root = tmp_path_factory.mktemp("logs")
    files = []
    for parts in paths:
        file = root.joinpath(*parts)
        if any(parent.is_file() for parent in file.parents) or file.exists():
            continue
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        files.append("/".join(parts))
    expected = {
        str(path.relative_to(root)) + ("/" if path.is_dir() else "")
        for path in root.glob(pattern)
        if path != root
    }
    assert set(matching(files, pattern)) == expected


@pytest.mark.parametrize("pattern", ["/etc/*", "../*", "a/../../b", "**/.."])
def test_patterns_that_leave_the_folder_are_refused(pattern: str) -> None:
    with pytest.raises(ParameterInvalid, match="must be a relative path"):
        matching(["a"], pattern)


def test_export_files_are_logs_under_their_own_folder() -> None:
    assert path_of("exports/event_EXPORT_NODE.log") == "export_events/event_EXPORT_NODE.log"
    assert stream_of("export_events/event_EXPORT_NODE.log") == "exports/event_EXPORT_NODE.log"
    assert path_of("logs/serve/proxy.log") == "serve/proxy.log"
    assert stream_of("serve/proxy.log") == "logs/serve/proxy.log"
    assert path_of("events") is None


def test_a_workers_output_is_found_by_worker_or_process_id() -> None:
    files = [
        "worker-ab12-02000000-771.out",
        "worker-ab12-02000000-771.err",
        "worker-cd34-02000000-77.out",
        "old/worker-ab12-x-1.out",
    ]
    assert worker_file(files, "err", worker_id="ab12") == "worker-ab12-02000000-771.err"
    assert worker_file(files, "out", pid=77) == "worker-cd34-02000000-77.out"
    assert worker_file(files, "out", pid=7) is None
    assert worker_file(files, "err", worker_id="cd34") is None
