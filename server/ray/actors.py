"""Actors: `api/v0/actors`.

An actor's row is worked out from its transitions, in the order of their times: the newest says how it is,
the newest that names a process says where it lives, and the first DEAD of the last row of DEADs says when
and why it died (Ray reports a second one when the actor's job ends).
"""

from typing import Final

from server.ray import closing
from server.ray.closing import later, literal
from server.ray.columns import Column, Kind, redacted
from server.ray.listing import Noun
from server.ray.polled_lists import polled_rows
from server.view.view import SessionFacts

COLUMNS: Final = (
    Column("actor_id", Kind.ID),
    Column("class_name"),
    Column("state"),
    Column("job_id", Kind.ID),
    Column("name"),
    Column("node_id", Kind.ID),
    Column("pid", Kind.INTEGER),
    Column("ray_namespace"),
    Column("serialized_runtime_env", filterable=False, detail=True),
    Column("required_resources", Kind.JSON, filterable=False, detail=True),
    Column("death_cause", Kind.JSON, filterable=False, detail=True),
    Column("is_detached", Kind.BOOLEAN, filterable=False, detail=True),
    Column("placement_group_id", Kind.ID, detail=True),
    Column("repr_name", detail=True),
    Column("num_restarts", filterable=False, detail=True),
    Column("num_restarts_due_to_lineage_reconstruction", filterable=False, detail=True),
    Column("num_restarts_due_to_node_preemption", filterable=False, detail=True),
    Column("call_site", filterable=False, detail=True),
    Column("label_selector", Kind.JSON, filterable=False, detail=True),
    Column("fallback_strategy", Kind.JSON, filterable=False, detail=True),
)

TRANSITIONS: Final = (
    """'[{"state":"VARCHAR","ns":"BIGINT","node_id":"VARCHAR","worker_id":"VARCHAR","pid":"INTEGER","""
    """"port":"INTEGER","repr_name":"VARCHAR","restart_reason":"VARCHAR","death_cause":"JSON"}]'"""
)
"""The shape of `actors.transitions`, for `from_json`."""


def relation(facts: SessionFacts) -> str:
    """Actors under Ray's names, closed; besides the columns: worker_id, port, lived_on, started_ms,
    changed_ms, ended_ms."""
    end = closing.ending(facts)
    closed = "state <> 'DEAD'" if end.ms is not None else "FALSE"
    return f"""
        SELECT * REPLACE (
            CASE WHEN {closed} THEN {_inferred_death(end.sentence)} ELSE death_cause END AS death_cause,
            CASE WHEN {closed} THEN {later(literal(end.ms), "started_ms")} ELSE ended_ms END AS ended_ms,
            CASE WHEN {closed} THEN 'DEAD' ELSE state END AS state)
        FROM (
            SELECT actor_id, job_id, class_name, ray_namespace, is_detached, placement_group_id, call_site,
                coalesce(name, '') AS name,
                {redacted("runtime_env")} AS serialized_runtime_env,
                coalesce(try_cast(required_resources AS JSON), '{{}}'::JSON) AS required_resources,
                coalesce(try_cast(label_selector AS JSON), '{{}}'::JSON) AS label_selector,
                try_cast(fallback_strategy AS JSON) AS fallback_strategy,
                coalesce(newest.state, 'DEPENDENCIES_UNREADY') AS state,
                home.node_id AS node_id, home.worker_id AS worker_id,
                list_distinct(list_transform(seen, lambda t: t.node_id)) AS lived_on,
                coalesce(home.pid, 0) AS pid, coalesce(home.port, 0) AS port,
                coalesce(named.repr_name, '') AS repr_name,
                {_restarts("TRUE")} AS num_restarts,
                {_restarts("contains(t.restart_reason, 'LINEAGE')")}
                    AS num_restarts_due_to_lineage_reconstruction,
                {_restarts("contains(t.restart_reason, 'PREEMPTION')")}
                    AS num_restarts_due_to_node_preemption,
                births[1].ns // 1000000 AS started_ms,
                newest.ns // 1000000 AS changed_ms,
                death.ns // 1000000 AS ended_ms,
                death.death_cause AS death_cause
            FROM (
                SELECT *,
                    seen[-1] AS newest,
                    list_filter(seen, lambda t: t.node_id IS NOT NULL)[-1] AS home,
                    list_filter(seen, lambda t: t.repr_name <> '')[-1] AS named,
                    list_filter(seen, lambda t: t.state = 'RESTARTING') AS restarts,
                    list_filter(seen, lambda t: t.state = 'ALIVE') AS births,
                    list_filter(seen, lambda t: t.state = 'DEAD' AND t.ns >= lived)[1] AS death
                FROM (
                    SELECT *, coalesce(list_max(list_transform(
                        list_filter(seen, lambda t: t.state <> 'DEAD'), lambda t: t.ns)), 0) AS lived
                    FROM (SELECT *, from_json(transitions, {TRANSITIONS}) AS seen FROM actors)
                )
            )
        )"""


def _restarts(which: str) -> str:
    """Ray prints these numbers as text."""
    return f"CAST(coalesce(len(list_filter(restarts, lambda t: {which})), 0) AS VARCHAR)"


def _inferred_death(sentence: str) -> str:
    return (
        "to_json({'actor_died_error_context': {'error_message': "
        f"{literal(sentence)}, 'reason': 'UNSPECIFIED', 'actor_id': actor_id, 'node_id': node_id, "
        "'pid': pid, 'class_name': class_name, 'name': name, 'ray_namespace': ray_namespace}})"
    )


def _polled(facts: SessionFacts) -> str:
    """Actors as last polled, for clusters that neither post events nor write export files."""
    end = closing.ending(facts)
    still_open = "FALSE" if end.ms is None else "state <> 'DEAD'"
    return f"""
        SELECT * REPLACE (
            CASE WHEN {still_open} THEN {_inferred_death(end.sentence)} ELSE death_cause END AS death_cause,
            CASE WHEN {still_open} THEN 'DEAD' ELSE state END AS state,
            {redacted("serialized_runtime_env")} AS serialized_runtime_env)
        FROM ({polled_rows("api/v0/actors", COLUMNS)})"""


_POLLED: Final = Noun("actors", COLUMNS, "actor_id", _polled)
ACTORS: Final = Noun("actors", COLUMNS, "actor_id", relation, stored="SELECT * FROM actors", polled=_POLLED)
