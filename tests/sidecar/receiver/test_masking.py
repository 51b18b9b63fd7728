"""Environment variables hidden to equal length."""

import json
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.receiver.masking import Masker, mask_equal_length

RAY = Path(__file__).parents[2] / "fixtures" / "ray"
SECRET = "s3cr3t"
VALUES = st.text(max_size=12)
NAMES = st.text(min_size=1, max_size=6)


def nested(inner: Any, levels: int) -> Any:
    for level in range(levels):
        key = "serializedRuntimeEnv" if level % 2 else "serialized_runtime_env"
        inner = {"before": 'a "b"', key: json.dumps(inner), "after": ["c\\", {"env": SECRET}]}
    return inner


def opened(data: Any, levels: int) -> Any:
    for level in reversed(range(levels)):
        data = json.loads(data["serializedRuntimeEnv" if level % 2 else "serialized_runtime_env"])
    return data


@pytest.mark.parametrize("levels", range(4))
@settings(max_examples=40, deadline=None)
@given(variables=st.dictionaries(NAMES, VALUES, max_size=4))
def test_at_any_depth_of_strings_names_stay_values_go_and_nothing_else_changes(
    levels: int, variables: dict[str, str]
) -> None:
    def document(variables: dict[str, str]) -> Any:
        return nested({"env_vars": variables, "working_dir": "gcs://a.zip"}, levels)

    text = json.dumps(document(variables)).encode()
    masked = mask_equal_length(text)
    assert len(masked) == len(text)
    inner = opened(json.loads(masked), levels)["env_vars"]
    assert inner.keys() == variables.keys()
    assert all(set(value) <= {"*"} for value in inner.values())
    assert re.sub(rb"\*+", b"", masked) == re.sub(rb"\*+", b"", json.dumps(document(inner)).encode())


@pytest.mark.parametrize(
    "text",
    [
        "env_vars={'A': 's3cr3t'}",
        "{'env_vars': {'A': 's3cr3t', 'B': \"it's s3cr3t\"}, 'pip': None}",
        '{"env_vars":{"A":"s3cr3t"}}',
        '{ "env_vars" : { "A" : "s3cr3t" , "B" : [ "s3cr3t" ] } }',
        '{\n  "env_vars": {\n    "A": "s3cr3t"\n  }\n}',
        '"{\\"env_vars\\":\\n {\\"A\\": \\"s3cr3t\\\\\\"s3cr3t\\"}}"',
        "{\"message\": \"starting {'env_vars': {'A': 's3cr3t'}}\"}",
        '{"env_vars": {"A": "s3cr3t',
        '{"env_vars": {"A": "x", "s3cr3t',
        '{"env_vars": {"A": s3cr3t}}',
        "env_vars={'A': b's3cr3t'}",
        '{"env_vars": {"A": 1}, "x": {"env_vars": {"A": "s3cr3t"}}}',
    ],
)
def test_no_spelling_shows_a_value(text: str) -> None:
    data = text.encode()
    masked = mask_equal_length(data)
    assert len(masked) == len(data)
    assert SECRET.encode() not in masked


@pytest.mark.parametrize(
    "text",
    [
        "nothing of the kind",
        '{"env_vars": null}',
        "env_vars are not printed here",
        '{"env_vars": {}, "message": "s3cr3t"}',
        '[{"other": {"A": "s3cr3t"}}]',
    ],
)
def test_what_holds_no_value_stays_as_it_is(text: str) -> None:
    assert mask_equal_length(text.encode()) == text.encode()


def test_code_in_an_error_message_is_hidden_to_its_line_only_and_the_event_stays_json() -> None:
    message = 'ray.init(runtime_env={"env_vars": {"A": os.environ["s3cr3t"]}})\nValueError: x'
    event = {"errorMessage": message, "state": "FAILED"}
    masked = json.loads(mask_equal_length(json.dumps(event).encode()))
    assert masked["state"] == "FAILED"
    assert masked["errorMessage"].endswith("\nValueError: x")
    assert SECRET not in masked["errorMessage"]


def test_what_python_printed_into_an_event_does_not_hide_the_event_behind_it() -> None:
    event = {"message": "env_vars={'A': <s3cr3t object>}", "state": "FAILED"}
    masked = json.loads(mask_equal_length(json.dumps(event).encode()))
    assert masked["state"] == "FAILED"
    assert SECRET not in masked["message"]


def test_numbers_are_hidden_and_stay_numbers() -> None:
    assert (
        mask_equal_length(b'{"env_vars": {"A": -20.5e3, "B": true}}')
        == b'{"env_vars": {"A": -11.1e1, "B": true}}'
    )


def test_a_cut_off_value_is_hidden_to_the_end_of_its_line() -> None:
    assert (
        mask_equal_length(b'x env_vars={"A": "s3cr3t\nnext "line"')
        == b'x env_vars={"A": *******\nnext "line"'
    )


def test_a_remembered_environment_is_hidden_as_at_first() -> None:
    masker = Masker()
    data = b'[{"env_vars": {"A": "s3cr3t"}}, {"env_vars": {"A": "s3cr3t", "B": "s3cr3t"}}]'
    first = masker.mask(data)
    assert first == masker.mask(data) == (mask_equal_length(data), True)
    assert SECRET.encode() not in first[0]


@pytest.mark.parametrize("member", ["runtime_env_agent.log", "dashboard_agent.log", "raylet.out"])
def test_recorded_logs_keep_their_length_and_show_no_value(member: str) -> None:
    with tarfile.open(RAY / "logs" / "session_head_logs.tar.gz") as logs:
        file = logs.extractfile(f"logs/{member}")
        assert file is not None
        data = file.read()
    masked = mask_equal_length(data)
    assert len(masked) == len(data)
    assert b"my-value" not in masked
    changed = [
        (before, after)
        for before, after in zip(data.splitlines(), masked.splitlines(), strict=True)
        if before != after
    ]
    assert all(b"env_vars" in before for before, _ in changed)
    assert all(set(after) - set(before) <= {ord("*")} for before, after in changed)
    assert bool(changed) == (member == "runtime_env_agent.log")


def test_recorded_exports_of_ray_2_40_stay_json_of_equal_length() -> None:
    hidden = 0
    for path in (RAY / "2.40" / "logs" / "export_events").glob("*.log"):
        data = path.read_bytes()
        masked = mask_equal_length(data)
        assert len(masked) == len(data)
        for before, after in zip(data.splitlines(), masked.splitlines(), strict=True):
            hidden += before != after
            assert json.loads(after).keys() == json.loads(before).keys()
        assert b'RAY_worker_niceness\\": \\"0' not in masked
    assert hidden
