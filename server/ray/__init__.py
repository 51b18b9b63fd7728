"""Ray's dashboard API (as of 2.60), answered from the archive: one module a noun.

`routes` are relative to a session's address; handlers find the session in `request.state.session`. Log
endpoints are in `server/logs/`, and come before these.
"""

from typing import Final

from starlette.routing import BaseRoute, Route

from server.ray import (
    cluster,
    cluster_events,
    jobs,
    logical,
    machines,
    refusals,
    serve,
    summaries,
    timeline,
    workloads,
)
from server.ray.actors import ACTORS
from server.ray.answers import get
from server.ray.listing import listing
from server.ray.nodes import NODES
from server.ray.polled_lists import OBJECTS, PLACEMENT_GROUPS, RUNTIME_ENVS, never_polled
from server.ray.tasks import TASKS
from server.ray.workers import WORKERS

_OF_LIVING_PROCESSES: Final = (
    "/task/traceback",
    "/task/cpu_profile",
    "/worker/traceback",
    "/worker/cpu_profile",
    "/worker/gpu_profile",
    "/worker/jax_profile",
    "/memory_profile",
)

routes: list[BaseRoute] = [
    get("/timezone", cluster.timezone),
    get("/usage_stats_enabled", cluster.usage_stats),
    get("/cluster_id", cluster.cluster_id),
    get("/events", cluster_events.events),
    get("/nodes", machines.nodes),
    get("/nodes/{node_id}", machines.one_node),
    get("/logical/actors", logical.all_actors),
    get("/logical/actors/{actor_id}", logical.one_actor),
    get("/api/authentication_mode", cluster.authentication_mode),
    get("/api/version", cluster.version),
    get("/api/ray/version", cluster.version),
    get("/api/cluster_status", cluster.status),
    get("/api/grafana_health", cluster.grafana_health),
    get("/api/prometheus_health", cluster.prometheus_health),
    get("/api/prometheus/sd", cluster.prometheus_targets),
    get("/api/profiling_enabled", cluster.profiling),
    get("/api/component_activities", cluster.activities),
    get("/api/gcs_healthz", cluster.healthy),
    get("/api/jobs", jobs.all_jobs),
    get("/api/jobs/", jobs.all_jobs),
    get("/api/jobs/{job}", jobs.one_job),
    get("/api/serve/applications", serve.applications),
    get("/api/serve/applications/", serve.applications),
    get("/api/data/datasets/{job}", workloads.datasets),
    get("/api/train/v2/runs/v1", workloads.train_runs),
    get("/api/train/v2/runs", workloads.old_train_runs),
    get("/api/v0/cluster_metadata", cluster.metadata),
    get("/api/v0/runtime_env_redaction", cluster.redaction),
    get("/api/v0/platform_events", refusals.no_platform_events),
    get("/api/v0/tasks", listing(TASKS)),
    get("/api/v0/tasks/summarize", summaries.tasks),
    get("/api/v0/tasks/timeline", timeline.timeline),
    get("/api/v0/actors", listing(ACTORS)),
    get("/api/v0/actors/summarize", summaries.actors),
    get("/api/v0/jobs", listing(jobs.JOBS)),
    get("/api/v0/nodes", listing(NODES)),
    get("/api/v0/workers", listing(WORKERS)),
    get("/api/v0/placement_groups", listing(PLACEMENT_GROUPS, never_polled(PLACEMENT_GROUPS))),
    get("/api/v0/objects", listing(OBJECTS, never_polled(OBJECTS))),
    get("/api/v0/objects/summarize", summaries.objects),
    get("/api/v0/runtime_envs", listing(RUNTIME_ENVS, never_polled(RUNTIME_ENVS))),
    get("/api/v0/cluster_events", listing(cluster_events.CLUSTER_EVENTS)),
    *(get(path, refusals.cluster_is_gone) for path in _OF_LIVING_PROCESSES),
    Route("/api/{path:path}", refusals.unknown, methods=["GET"]),
    Route("/logical/{path:path}", refusals.unknown, methods=["GET"]),
]

__all__ = ["routes"]
