"""Jobs: `api/v0/jobs`, `api/jobs/` and `api/jobs/<submission or job id>`.

A submitted job's truth is its export file or a polled answer, whichever knows its end or, failing that, is
newer; its driver's events add the driver. Where only those are known, how the job ended is not: it is
STOPPED with a message that says so, since Ray has no word for it. A driver without a submission succeeds by
ending, as in Ray.
"""

from typing import Final

from starlette.requests import Request

from server.ray import closing
from server.ray.answers import Answer
from server.ray.closing import INFERRED, literal
from server.ray.columns import Column, Kind, redacted
from server.ray.errors import NotRecorded
from server.ray.listing import Noun
from server.view.view import SessionFacts, View

COLUMNS: Final = (
    Column("type"),
    Column("job_id"),
    Column("submission_id"),
    Column("driver_info", Kind.JSON, filterable=False),
    Column("status"),
    Column("entrypoint", filterable=False),
    Column("message", filterable=False),
    Column("error_type", filterable=False),
    Column("start_time", Kind.INTEGER, filterable=False, detail=True),
    Column("end_time", Kind.INTEGER, filterable=False, detail=True),
    Column("metadata", Kind.JSON, filterable=False, detail=True),
    Column("runtime_env", Kind.JSON, filterable=False, detail=True),
    Column("driver_agent_http_address", filterable=False, detail=True),
    Column("driver_node_id", filterable=False, detail=True),
    Column("driver_exit_code", Kind.INTEGER, filterable=False, detail=True),
)
_NAMES: Final = ", ".join(column.name for column in COLUMNS)

_TERMINAL: Final = "('SUCCEEDED', 'FAILED', 'STOPPED')"
_RESULT_UNKNOWN: Final = f"The driver ended; whether it succeeded was not recorded. {INFERRED}."

_POLLED: Final = """
    SELECT row ->> '$.type' AS type, row ->> '$.job_id' AS job_id, row ->> '$.submission_id' AS submission_id,
        row -> '$.driver_info' AS driver_info, row ->> '$.status' AS status,
        row ->> '$.entrypoint' AS entrypoint, row ->> '$.message' AS message,
        row ->> '$.error_type' AS error_type, try_cast(row ->> '$.start_time' AS BIGINT) AS start_ms,
        try_cast(row ->> '$.end_time' AS BIGINT) AS end_ms,
        row ->> '$.metadata' AS metadata, row ->> '$.runtime_env' AS runtime_env,
        row ->> '$.driver_agent_http_address' AS driver_agent_http_address,
        row ->> '$.driver_node_id' AS driver_node_id,
        try_cast(row ->> '$.driver_exit_code' AS INTEGER) AS driver_exit_code, seen_ns
    FROM (SELECT unnest(CAST(body AS JSON) -> '$[*]') AS row, seen_ns
          FROM (SELECT body, seen_ns FROM polls
                WHERE path = 'api/jobs/' AND status BETWEEN 200 AND 299 AND json_valid(body)
                ORDER BY seen_ns DESC LIMIT 1))"""

_TOLD: Final = f"""
    SELECT * FROM (
        SELECT submission_id, status, entrypoint, message, error_type, start_ms, end_ms, metadata,
            runtime_env, driver_agent_http_address, driver_node_id, driver_exit_code, seen_ns, NULL AS job_id,
            NULL::JSON AS driver_info
        FROM submissions
        UNION ALL BY NAME
        SELECT * EXCLUDE (type) FROM polled WHERE submission_id IS NOT NULL
    ) QUALIFY row_number() OVER (
        PARTITION BY submission_id ORDER BY status IN {_TERMINAL} DESC, seen_ns DESC NULLS LAST) = 1"""

_DRIVERS: Final = """
    SELECT j.*, j.created_ns // 1000000 AS created_ms, j.finished_ns // 1000000 AS finished_ms,
        to_json({'id': j.job_id, 'node_ip_address': coalesce(n.node_ip, j.driver_ip, ''),
                 'pid': coalesce(CAST(j.driver_pid AS VARCHAR), '')}) AS info
    FROM jobs j LEFT JOIN (SELECT node_id, node_ip FROM nodes) n ON n.node_id = j.driver_node_id"""


def relation(facts: SessionFacts) -> str:
    """Jobs under Ray's names, closed."""
    return f"""
        WITH polled AS MATERIALIZED ({_POLLED}), told AS MATERIALIZED ({_TOLD}),
        drivers AS MATERIALIZED ({_DRIVERS})
        SELECT * REPLACE (
            coalesce(try_cast(metadata AS JSON), '{{}}'::JSON) AS metadata,
            coalesce(try_cast({redacted("runtime_env")} AS JSON), '{{}}'::JSON) AS runtime_env)
        FROM ({_submitted(facts)} UNION ALL BY NAME {_driven(facts)})"""


def _submitted(facts: SessionFacts) -> str:
    end = closing.ending(facts)
    known = (
        f"t.status IN {_TERMINAL} OR (t.status IS NOT NULL AND {'FALSE' if end.ms is not None else 'TRUE'})"
    )
    ended = f"coalesce(d.finished_ms, {literal(end.ms)})"
    return f"""
        SELECT 'SUBMISSION' AS type, coalesce(d.job_id, t.job_id) AS job_id, submission_id,
            coalesce(d.info, t.driver_info) AS driver_info,
            CASE WHEN {known} THEN t.status WHEN d.finished_ms IS NOT NULL THEN 'STOPPED'
                 WHEN {ended} IS NOT NULL THEN 'FAILED' ELSE 'RUNNING' END AS status,
            coalesce(t.entrypoint, d.entrypoint, '') AS entrypoint,
            CASE WHEN {known} THEN t.message WHEN d.finished_ms IS NOT NULL THEN {literal(_RESULT_UNKNOWN)}
                 WHEN {ended} IS NOT NULL THEN {literal(end.sentence)} ELSE 'Job is currently running.'
                 END AS message,
            CASE WHEN {known} THEN nullif(t.error_type, '')
                 WHEN d.finished_ms IS NULL AND {ended} IS NOT NULL THEN 'JOB_SUPERVISOR_ACTOR_DIED'
                 END AS error_type,
            coalesce(t.start_ms, d.created_ms) AS start_time,
            CASE WHEN {known} THEN nullif(t.end_ms, 0) WHEN {ended} IS NOT NULL
                 THEN {closing.later(ended, "coalesce(t.start_ms, d.created_ms)")} END AS end_time,
            coalesce(t.metadata, json_merge_patch(d.metadata, CASE
                WHEN d.metadata ->> '$.job_name' = submission_id
                THEN '{{"job_submission_id": null, "job_name": null}}'
                ELSE '{{"job_submission_id": null}}' END)::VARCHAR) AS metadata,
            coalesce(t.runtime_env, d.runtime_env) AS runtime_env,
            t.driver_agent_http_address AS driver_agent_http_address,
            coalesce(t.driver_node_id, d.driver_node_id) AS driver_node_id,
            t.driver_exit_code AS driver_exit_code
        FROM told t FULL JOIN (
            SELECT * FROM drivers WHERE submission_id IS NOT NULL
            QUALIFY row_number() OVER (PARTITION BY submission_id ORDER BY job_id DESC) = 1
        ) d USING (submission_id)"""


def _driven(facts: SessionFacts) -> str:
    end = closing.ending(facts)
    ended = "NULL" if end.ms is None else closing.later(str(end.ms), "coalesce(d.created_ms, p.start_ms)")
    return f"""
        SELECT 'DRIVER' AS type, job_id, NULL AS submission_id,
            coalesce(d.info, p.driver_info) AS driver_info,
            CASE WHEN d.finished_ms IS NOT NULL THEN 'SUCCEEDED' WHEN p.status IN {_TERMINAL} THEN p.status
                 WHEN {ended} IS NOT NULL THEN 'FAILED' ELSE 'RUNNING' END AS status,
            coalesce(d.entrypoint, p.entrypoint, '') AS entrypoint,
            CASE WHEN d.finished_ms IS NULL AND p.status NOT IN {_TERMINAL} IS NOT FALSE
                 AND {ended} IS NOT NULL THEN {literal(end.sentence)} END AS message,
            NULL AS error_type, coalesce(p.start_ms, d.created_ms) AS start_time,
            coalesce(nullif(p.end_ms, 0), d.finished_ms, {ended}) AS end_time,
            coalesce(d.metadata, p.metadata) AS metadata,
            coalesce(d.runtime_env, p.runtime_env) AS runtime_env,
            NULL AS driver_agent_http_address, NULL AS driver_node_id, NULL::INTEGER AS driver_exit_code
        FROM (SELECT * FROM drivers WHERE submission_id IS NULL) d
        FULL JOIN (SELECT * FROM polled WHERE type = 'DRIVER'
                   AND job_id NOT IN (SELECT job_id FROM drivers WHERE submission_id IS NOT NULL)) p USING
                       (job_id)"""


JOBS: Final = Noun("jobs", COLUMNS, "coalesce(job_id, ''), submission_id", relation)


def all_jobs(view: View, _request: Request) -> Answer:
    """`api/jobs/`: newest first."""
    return Answer(
        view.json(
            f"SELECT {_NAMES} FROM ({relation(view.facts)}) ORDER BY start_time DESC NULLS LAST, job_id"
        )
    )


def one_job(view: View, request: Request) -> Answer:
    """`api/jobs/<id>`, with or without a slash at its end."""
    asked = request.path_params["job"]
    found = view.json(
        f"SELECT {_NAMES} FROM ({relation(view.facts)}) WHERE submission_id = ? OR job_id = ? "
        "ORDER BY submission_id IS DISTINCT FROM ? LIMIT 1",
        (asked, asked, asked),
    )
    if found == b"[]":
        raise NotRecorded(f"Job {asked} does not exist")
    return Answer(found.strip().removeprefix(b"[").removesuffix(b"]"))
