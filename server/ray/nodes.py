"""Nodes: `api/v0/nodes`, which tells the truth about the dead."""

from typing import Final

from server.ray import closing
from server.ray.columns import Column, Kind
from server.ray.listing import Noun
from server.view.view import SessionFacts

COLUMNS: Final = (
    Column("node_id", Kind.ID),
    Column("node_ip"),
    Column("is_head_node", Kind.BOOLEAN),
    Column("state"),
    Column("state_message", filterable=False),
    Column("node_name"),
    Column("resources_total", Kind.JSON, filterable=False),
    Column("labels", Kind.JSON, filterable=False),
    Column("start_time_ms", Kind.INTEGER, filterable=False, detail=True),
    Column("end_time_ms", Kind.INTEGER, filterable=False, detail=True),
)


def relation(facts: SessionFacts) -> str:
    """Nodes under Ray's names, closed; besides the columns: hostname."""
    return f"""
        SELECT node_id, node_ip, coalesce(is_head, FALSE) AS is_head_node, state, state_message,
            coalesce(node_name, node_ip) AS node_name, hostname,
            coalesce(try_cast(resources AS JSON), '{{}}'::JSON) AS resources_total,
            coalesce(try_cast(labels AS JSON), '{{}}'::JSON) AS labels,
            coalesce(start_ns // 1000000, 0) AS start_time_ms, coalesce(ended_ms, 0) AS end_time_ms
        FROM ({closing.nodes(facts)})"""


NODES: Final = Noun("nodes", COLUMNS, "node_id", relation)
