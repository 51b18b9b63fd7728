"""Which sessions a question finds, and that pages together are the whole answer."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archive.layout import CATALOG, CatalogName, Role, SessionKey
from server.pages.errors import QuestionInvalid
from server.pages.listing import Question, answer, read_question
from server.sessions import Entry, Session, Snapshot

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
LOST_AFTER_MS = 180_000


def session(hours_ago: float, *, namespace: str = "team", cluster: str = "trainer", **told: Any) -> Session:
    start = NOON - timedelta(hours=hours_ago)
    key = SessionKey(namespace, cluster, start.strftime("session_%Y-%m-%d_%H-%M-%S_%f_1"))
    started_ms = int(start.timestamp() * 1000)
    values: dict[str, Any] = {
        "etag": "1",
        "modified": started_ms / 1000 + 60,
        "ended": True,
        "started_ms": started_ms,
        "last_seen_ms": started_ms + 60_000,
        "ray_version": "2.60.0",
        "python_version": "3.11.9",
    }
    order = CatalogName(key, Role.HEAD).key.removeprefix(CATALOG).removesuffix("head.json")
    return Session(key, order, Entry(**(values | told)), None, int(NOON.timestamp() * 1000))


def snapshot(*sessions: Session) -> Snapshot:
    ordered = tuple(sorted(sessions, key=lambda one: one.order))
    return Snapshot(ordered, {one.key: one for one in ordered}, (), (), int(NOON.timestamp() * 1000))


def found(known: Snapshot, **asked: str) -> list[SessionKey]:
    return [one.key for one in answer(known, read_question(asked), LOST_AFTER_MS).sessions]


@settings(max_examples=60, deadline=None)
@given(
    starts=st.lists(st.integers(0, 40), min_size=1, max_size=60),
    limit=st.integers(1, 20),
    arriving=st.integers(0, 3),
)
def test_pages_together_are_the_whole_list_even_while_sessions_begin(
    starts: list[int], limit: int, arriving: int
) -> None:
    known = [session(hours, cluster=f"c{number}") for number, hours in enumerate(starts)]
    seen: list[Session] = []
    cursor = ""
    for turn in range(1000):
        newer = [session(-1 - number, cluster="new") for number in range(turn * arriving)]
        page = answer(snapshot(*known, *newer), Question(cursor=cursor, limit=limit), LOST_AFTER_MS)
        assert page.before >= len(seen)
        seen += [one for one in page.sessions if one in known]
        if page.next_cursor is None:
            break
        assert len(page.sessions) == limit
        cursor = page.next_cursor
    assert seen == sorted(known, key=lambda one: one.order)


def test_every_filter_narrows_the_list() -> None:
    nightly = session(1, namespace="nlp", owner_kind="RayJob", owner_name="nightly")
    lost = session(30, cluster="serving", ended=False, ray_version="2.55.1")
    running = session(2, ended=False, modified=NOON.timestamp())
    known = snapshot(nightly, lost, running)
    assert found(known) == [nightly.key, running.key, lost.key]
    assert found(known, namespace="nlp") == [nightly.key]
    assert found(known, owner="rayjob/") == [nightly.key]
    assert found(known, owner="night") == [nightly.key]
    assert found(known, state="lost") == [lost.key]
    assert found(known, state="running") == [running.key]
    assert found(known, since="2026-11-23") == [nightly.key, running.key]
    assert found(known, until="2026-11-22") == [lost.key]
    assert found(known, q="SERVING 2.55") == [lost.key]
    assert found(known, q="serving 2.60") == []


@pytest.mark.parametrize(
    "asked",
    [
        {"limit": "0"},
        {"limit": "1001"},
        {"limit": "ten"},
        {"limit": "-1"},
        {"limit": "٣"},
        {"state": "dead"},
        {"since": "yesterday"},
    ],
)
def test_a_question_without_meaning_is_answered_with_a_sentence(asked: dict[str, str]) -> None:
    with pytest.raises(QuestionInvalid, match=next(iter(asked.values()))):
        read_question(asked)


def test_the_way_to_the_next_page_keeps_the_question() -> None:
    asked = {
        "q": "a b",
        "namespace": "nlp",
        "state": "lost",
        "since": "2026-11-01",
        "limit": "7",
        "cursor": "x~y",
    }
    assert read_question(read_question(asked).parameters()) == read_question(asked)
    assert read_question(asked).parameters(cursor="") == {
        name: asked[name] for name in asked if name != "cursor"
    }
