"""What stayed open, closed: the rules, as SQL over the merged relations.

A cluster's end is not told by Ray. Once the session has ended (or its collector fell silent, which is
`lost`), whatever had no end gets a terminal state at the end of the session, and a reason that says it was
inferred. While it runs, the rules are Ray's own: tasks of a dead worker, a dead node or a finished job have
failed. (Ray waits 1 s and 15 s for late events before it says so; here a late event simply wins at the next
look.)

| what | while it runs | once the session has ended |
|---|---|---|
| task | worker or job ended: WORKER_DIED; node dead: NODE_DIED; at that time | WORKER_DIED |
| actor | as Ray reports | DEAD |
| worker | node dead: dead with it | dead, SYSTEM_ERROR |
| node | as Ray reports | DEAD |
| submitted job | driver finished and nothing newer known: STOPPED, result unknown | FAILED |
| driver job | as Ray reports | FAILED |
| placement group | as polled | REMOVED |
| Serve's applications, deployments, proxies | as polled | UNHEALTHY (`serve.py`) |
"""

from dataclasses import dataclass
from typing import Final

from server.view.schema import TASK_STATES
from server.view.view import SessionFacts

INFERRED: Final = "Inferred by the history server"

LATE_STATE: Final = "GETTING_AND_PINNING_ARGS"
"""The newest number in Ray's enumeration, though it happens before RUNNING."""

STATE_ORDER: Final = tuple(
    state
    for name in TASK_STATES
    if name != LATE_STATE
    for state in ((LATE_STATE, name) if name == "RUNNING" else (name,))
)
"""Task states in the order in which a task passes them."""


@dataclass(frozen=True)
class Ending:
    """When and how a session ended; `ms` is None while it runs."""

    ms: int | None
    sentence: str

    @property
    def ns(self) -> int | None:
        return None if self.ms is None else self.ms * 1_000_000


def ending(facts: SessionFacts) -> Ending:
    if facts.state == "running":
        return Ending(None, "")
    ended = facts.ended_ms if facts.ended_ms is not None else facts.started_ms
    how = (
        "The session was lost: nothing was heard from it any more"
        if facts.state == "lost"
        else f"The session ended{f' ({facts.reason})' if facts.reason else ''}"
    )
    return Ending(ended or 0, f"{how}, and no end of this was reported. {INFERRED}.")


def literal(value: str | int | None) -> str:
    """A value as SQL text."""
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def later(one: str, other: str) -> str:
    """SQL of the later of two times, of which the second may be NULL.

    Not `greatest`: DuckDB 2.0 fails on filters that it moves into one.
    """
    return f"CASE WHEN {other} > {one} THEN {other} ELSE {one} END"


def tasks(facts: SessionFacts) -> str:
    """Defined task attempts with `state`, `failed_ns`, and error columns that hold when it failed."""
    end = ending(facts)
    times = ", ".join(_column(state) for state in STATE_ORDER)  # no task ends before it began
    # Materialized, for DuckDB 2.0 fails on filters that it moves through an outer join into a function.
    return f"""
        WITH dead_workers AS MATERIALIZED (
            SELECT worker_id, exit_type, exit_detail, coalesce(end_ms * 1000000, dead_ns) AS end_ns
            FROM workers WHERE end_ms IS NOT NULL OR dead_ns IS NOT NULL),
        dead_nodes AS MATERIALIZED (SELECT node_id, end_ns FROM nodes WHERE end_ns IS NOT NULL),
        finished_jobs AS MATERIALIZED (SELECT job_id, finished_ns FROM jobs WHERE finished_ns IS NOT NULL)
        SELECT * REPLACE (
            CASE WHEN closed_by IS NULL THEN error_type
                 WHEN closed_by = 'node' THEN 'NODE_DIED' ELSE 'WORKER_DIED' END AS error_type,
            CASE closed_by
                WHEN 'worker' THEN 'Worker running the task (' || worker_id || ') died with exit_type: '
                    || coalesce(exit_type, 'unknown') || ' with error_message: ' || coalesce(exit_detail, '')
                WHEN 'node' THEN 'The node running the task (' || node_id || ') died. {INFERRED}.'
                WHEN 'job' THEN 'Job finishes (' || job_id || ') as driver exits. '
                    || 'Marking all non-terminal tasks as failed.'
                WHEN 'session' THEN {literal(end.sentence)}
                ELSE error_message END AS error_message
        ), CASE WHEN closed_by IS NOT NULL OR t_failed IS NOT NULL THEN 'FAILED' ELSE {_newest_state()} END
            AS state
        FROM (
            SELECT t.*, w.exit_type, w.exit_detail,
                CASE WHEN t.t_finished IS NOT NULL OR t.t_failed IS NOT NULL THEN NULL
                     WHEN w.end_ns IS NOT NULL THEN 'worker'
                     WHEN n.end_ns IS NOT NULL THEN 'node'
                     WHEN j.finished_ns IS NOT NULL THEN 'job'
                     WHEN {literal(end.ns)} IS NOT NULL THEN 'session' END AS closed_by,
                CASE closed_by WHEN 'worker' THEN w.end_ns WHEN 'node' THEN n.end_ns
                     WHEN 'job' THEN j.finished_ns WHEN 'session' THEN {literal(end.ns)} END AS closed_ns,
                CASE WHEN closed_by IS NULL THEN t.t_failed ELSE list_max([closed_ns, {times}])
                END AS failed_ns
            FROM tasks t LEFT JOIN dead_workers w USING (worker_id) LEFT JOIN dead_nodes n USING (node_id)
            LEFT JOIN finished_jobs j USING (job_id)
            WHERE t.defined
        )"""


def nodes(facts: SessionFacts) -> str:
    """Nodes with `state`, `ended_ms` (NULL while alive) and `state_message`."""
    end = ending(facts)
    how = " ".join(
        f"WHEN '{reason}' THEN '{words}'"
        for reason, words in (
            ("EXPECTED_TERMINATION", "Expected termination"),
            ("UNEXPECTED_TERMINATION", "Unexpected termination"),
            ("AUTOSCALER_DRAIN_PREEMPTED", "Terminated due to preemption"),
            ("AUTOSCALER_DRAIN_IDLE", "Terminated due to idle (no Ray activity)"),
        )
    )
    return f"""
        SELECT *,
            CASE WHEN ended_ms IS NULL THEN 'ALIVE' ELSE 'DEAD' END AS state,
            CASE WHEN end_ns IS NOT NULL
                    THEN nullif(concat_ws(': ', CASE death_reason {how} END, nullif(death_message, '')), '')
                 WHEN ended_ms IS NOT NULL THEN {literal(end.sentence)} END AS state_message
        FROM (SELECT *, coalesce(end_ns // 1000000, {_not_before(end, "start_ns // 1000000")}) AS ended_ms
              FROM nodes)"""


def workers(facts: SessionFacts) -> str:
    """Workers with `ended_ms` (NULL while alive); exit type and detail hold when they ended."""
    end = ending(facts)
    return f"""
        SELECT w.* REPLACE (
            CASE WHEN w.closed THEN 'SYSTEM_ERROR' ELSE w.exit_type END AS exit_type,
            CASE WHEN w.closed THEN coalesce({literal(end.sentence or None)},
                'The node of this worker died. {INFERRED}.') ELSE w.exit_detail END AS exit_detail)
        FROM (
            SELECT w.*,
                coalesce(w.end_ms, w.dead_ns // 1000000, n.end_ns // 1000000,
                    {_not_before(end, "w.start_ms")}) AS ended_ms,
                coalesce(w.end_ms, w.dead_ns // 1000000) IS NULL AND ended_ms IS NOT NULL AS closed
            FROM workers w LEFT JOIN nodes n USING (node_id)
        ) w"""


def _not_before(end: Ending, start: str) -> str:
    """The session's end in milliseconds, or the thing's own start where clocks disagree."""
    return "NULL" if end.ms is None else later(str(end.ms), start)


def _column(state: str) -> str:
    return f"t_{state.lower()}"


def _newest_state() -> str:
    """The furthest state that was seen: rank first, whatever the clocks say."""
    whens = " ".join(f"WHEN {_column(state)} IS NOT NULL THEN '{state}'" for state in reversed(STATE_ORDER))
    return f"CASE {whens} ELSE 'NIL' END"
