"""What the catalog's two entries say together."""

from archive.catalog import CatalogEntry
from archive.layout import Role, SessionKey
from server.view.facts import Sighting, session_facts

KEY = SessionKey("lab", "c", "session_2026-11-23_02-43-27_490622_12278")
NOW = 1795402000.0


def sighting(role: Role, modified: float = NOW - 10, **fields: object) -> Sighting:
    entry = CatalogEntry(namespace="lab", cluster="c", session=KEY.session, role=role, **fields)  # type: ignore[arg-type]  # what a test names
    return Sighting(role, entry, modified)


def test_a_session_with_a_fresh_heartbeat_runs() -> None:
    found = [sighting(Role.HEAD, node_id="abc", started_ms=5, ray_version="2.60.0")]
    facts = session_facts(KEY, found, NOW, None, 180)
    assert (facts.state, facts.ended_ms, facts.head_node_id) == ("running", None, "abc")
    assert (facts.started_ms, facts.ray_version) == (5, "2.60.0")


def test_a_session_that_says_running_but_is_silent_is_lost_and_ended_when_it_was_last_seen() -> None:
    found = [sighting(Role.HEAD, modified=NOW - 181, last_seen_ms=1795401800_000)]
    facts = session_facts(KEY, found, NOW, 1795401810_000, 180)
    assert (facts.state, facts.ended_ms) == ("lost", 1795401810_000)


def test_a_busy_workers_entry_does_not_keep_a_silent_head_alive() -> None:
    found = [sighting(Role.HEAD, modified=NOW - 181), sighting(Role.WORKER)]
    assert session_facts(KEY, found, NOW, None, 180).state == "lost"


def test_an_ended_session_has_the_heads_reason_and_end() -> None:
    found = [
        sighting(Role.HEAD, state="ended", reason="SIGTERM", last_seen_ms=1795401800_000),
        sighting(Role.WORKER),
    ]
    facts = session_facts(KEY, found, NOW, 1795401999_000, 180)
    assert (facts.state, facts.reason, facts.ended_ms) == ("ended", "SIGTERM", 1795401800_000)


def test_a_worker_that_ended_does_not_end_the_session() -> None:
    found = [sighting(Role.WORKER, state="ended", python_version="3.11.2")]
    facts = session_facts(KEY, found, NOW, None, 180)
    assert (facts.state, facts.python_version) == ("running", "3.11.2")


def test_an_entry_that_can_not_be_read_still_shows_that_somebody_lives() -> None:
    assert session_facts(KEY, [Sighting(Role.HEAD, None, NOW)], NOW, None, 180).state == "running"


def test_segments_without_any_entry_are_a_lost_session_with_the_start_from_its_name() -> None:
    facts = session_facts(KEY, [], NOW, 1795401999_000, 180)
    assert (facts.state, facts.started_ms, facts.ended_ms) == ("lost", KEY.started_ms, 1795401999_000)
