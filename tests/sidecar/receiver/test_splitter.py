"""Splitting, whole and in pieces."""

import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidecar.receiver.scanner import Scanner
from sidecar.receiver.splitter import Split, Splitter

SCALARS = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)
EVENTS = st.dictionaries(st.text(max_size=8), VALUES, max_size=4)
CUTS = st.lists(st.integers(0, 2000), max_size=20)
LAYOUT = st.sampled_from([{"separators": (",", ":")}, {}, {"indent": 2}, {"ensure_ascii": False}])


def in_pieces(body: bytes, cuts: list[int]) -> Split:
    split = Splitter().begin()
    whole = Split()
    edges = [0, *sorted(cut % (len(body) + 1) for cut in cuts), len(body)]
    steps = [lambda start=start, end=end: split.feed(body[start:end]) for start, end in zip(edges, edges[1:])]  # noqa: B905, RUF007
    for step in (*steps, split.finish):
        part = step()
        whole.events += part.events
        whole.profile += part.profile
        whole.odd += part.odd
    return whole


def summary(split: Split) -> tuple[Any, ...]:
    odd = [(reason, bytes(sample.head), sample.length) for reason, sample in split.odd]
    return split.events, split.profile, odd


@settings(max_examples=150, deadline=None)
@given(st.lists(EVENTS | VALUES, max_size=6), CUTS, LAYOUT)
def test_any_cut_of_a_body_gives_the_events_that_json_sees(
    items: list[Any], cuts: list[int], layout: dict[str, Any]
) -> None:
    body = json.dumps(items, **layout).encode()
    split = in_pieces(body, cuts)
    assert [json.loads(event) for event in split.events] == [item for item in items if isinstance(item, dict)]
    assert not split.profile
    odd = [json.loads(bytes(sample.head)) for _, sample in split.odd]
    assert odd == [item for item in items if not isinstance(item, dict)]
    assert summary(Splitter().whole(body)) == summary(split)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet='[]{}",:\\ \n1a', max_size=40).map(str.encode), CUTS)
def test_any_cut_of_any_bytes_gives_the_same(body: bytes, cuts: list[int]) -> None:
    assert summary(in_pieces(body, cuts)) == summary(in_pieces(body, []))


@settings(max_examples=150, deadline=None)
@given(st.binary(min_size=1, max_size=60), CUTS)
@example(b"}", [])
@example(b",]", [])
def test_whatever_comes_in_an_array_is_an_event_or_odd(body: bytes, cuts: list[int]) -> None:
    split = in_pieces(b"[" + body, cuts)
    empty = body.strip(b" \t\r\n") == b"]"
    assert empty or split.events or split.profile or split.odd


def test_a_profile_event_is_told_by_its_type_and_not_by_what_it_quotes() -> None:
    quoting = json.dumps({"eventType": "TASK_LIFECYCLE_EVENT", "message": 'is no "TASK_PROFILE_EVENT"'})
    profile = json.dumps({"eventType": "TASK_PROFILE_EVENT"})
    split = Splitter().whole(f"[{quoting},{profile}]".encode())
    assert split.events == [quoting.encode()]
    assert split.profile == [profile.encode()]


def test_an_environment_that_can_not_be_followed_does_not_hide_the_events_behind_it() -> None:
    split = Splitter().whole(b'[1, {"message": "env_vars={<s3cr3t>}", "a": 1}, {"b": 2}]')
    assert split.events == [b'{"message": "env_vars={*********", "a": 1}', b'{"b": 2}']


def test_one_bad_event_of_a_large_body_costs_that_event_only() -> None:
    split = in_pieces(b'[{"a": 1}, {"b": tru}, {"c": "\n"}, {"d": [}]}, {"e": 5}]', [])
    assert split.events[0] == b'{"a": 1}'
    assert [bytes(sample.head) for _, sample in split.odd][:2] == [b'{"b": tru}', b'{"c": "\n"}']


def test_an_element_longer_than_the_limit_is_sampled_without_being_held() -> None:
    scanner = Scanner(largest=1000)
    found = scanner.feed(b'[{"a": 1}, {"b": "')
    assert found.elements == [b'{"a": 1}']
    for _ in range(100):
        assert scanner.feed(b"x" * 1000).elements == []
    found = scanner.feed(b'"}, {"c": 3}]')
    assert found.elements == [b'{"c": 3}']
    (sample,) = found.odd
    assert sample.length == 100_000 + len(b' {"b": ""}')
    assert scanner.finish().odd == []
