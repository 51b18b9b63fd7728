"""The cluster as a whole: its versions, status text and what the front end asks once on every page."""

from typing import Any, Final

from starlette.requests import Request

from server.ray.answers import Answer, plain, text, wrapped
from server.ray.polls import data, polled
from server.view.view import View

API_VERSION: Final = "4"
"""Of Ray's job API; its clients check it."""

_PROFILING: Final = {
    "native": False,
    "subprocesses": False,
    "idle": False,
    "leaks": False,
    "tracePythonAllocators": False,
    "cpuDuration": 5,
    "memoryDuration": 10,
    "maxDuration": 60,
    "cpuFormat": "flamegraph",
    "memoryFormat": "flamegraph",
    "pyspyNativeSupported": False,
}
_DASHBOARDS: Final = {
    "default": "rayDefaultDashboard",
    "serve": "rayServeDashboard",
    "serveDeployment": "rayServeDeploymentDashboard",
    "serveLlm": "rayServeLlmDashboard",
    "serveLlmSglang": "rayServeLlmSglangDashboard",
    "data": "rayDataDashboard",
    "dataLlm": "rayDataLlmDashboard",
    "train": "rayTrainDashboard",
}


def timezone(view: View, _request: Request) -> Answer:
    """`timezone`: the head's, else UTC."""
    known = polled(view, "timezone")
    return plain(known if isinstance(known, dict) else {"offset": "+00:00", "value": "Etc/UTC"})


def authentication_mode(_view: View, _request: Request) -> Answer:
    """`api/authentication_mode`: whoever got here may read."""
    return plain({"authentication_mode": "disabled"})


def version(view: View, _request: Request) -> Answer:
    """`api/version` and `api/ray/version`: the session's own, in the shape of Ray's job clients."""
    known = polled(view, "api/version")
    told = {
        "version": API_VERSION,
        "ray_version": view.facts.ray_version or "2.60.0",
        "ray_commit": "",
        "session_name": view.key.session,
    }
    return plain({**told, **known} if isinstance(known, dict) else told)


def metadata(view: View, _request: Request) -> Answer:
    """`api/v0/cluster_metadata`."""
    told = {
        "rayVersion": view.facts.ray_version,
        "pythonVersion": view.facts.python_version,
        "rayInitCluster": False,
        "sessionId": view.key.session,
    }
    return wrapped("", {**told, **data(polled(view, "api/v0/cluster_metadata"))})


def status(view: View, request: Request) -> Answer:
    """`api/cluster_status[?format=1]`: the last text that the autoscaler wrote."""
    known = data(polled(view, "api/cluster_status?format=1")).get("clusterStatus")
    if request.query_params.get("format") == "1":
        return wrapped("Got formatted cluster status.", {"clusterStatus": known or "No status was recorded."})
    whole = data(polled(view, "api/cluster_status"))
    nothing: dict[str, Any] = {"autoscalingStatus": known, "autoscalingError": None, "clusterStatus": None}
    return wrapped("Got cluster status.", whole or nothing)


def grafana_health(view: View, _request: Request) -> Answer:
    """`api/grafana_health`: there is no Grafana. The front end reads the host of a good result only, and
    shows neither the Metrics tab nor hints how to set Grafana up when it is `DISABLED`.
    """
    about = {
        "grafanaHost": "DISABLED",
        "grafanaOrgId": "1",
        "sessionName": view.key.session,
        "dashboardUids": _DASHBOARDS,
        "dashboardDatasource": "Prometheus",
        "grafanaClusterFilter": None,
    }
    return wrapped("Grafana is not connected to this history.", about)


def prometheus_health(_view: View, _request: Request) -> Answer:
    """`api/prometheus_health`."""
    return wrapped("Prometheus is not connected to this history.", {}, result=False)


def prometheus_targets(_view: View, _request: Request) -> Answer:
    """`api/prometheus/sd`: a recorded session has nothing to scrape."""
    return plain([])


def profiling(_view: View, _request: Request) -> Answer:
    """`api/profiling_enabled`: false greys the profiling links out."""
    return wrapped("", {"profilingEnabled": False, "profilingDefaults": _PROFILING})


def redaction(_view: View, _request: Request) -> Answer:
    """`api/v0/runtime_env_redaction`: values of environment variables are never shown."""
    return wrapped("", {"redactionEnabled": True})


def usage_stats(_view: View, _request: Request) -> Answer:
    """`usage_stats_enabled`."""
    told = {"usageStatsEnabled": False, "usageStatsPromptEnabled": False}
    return wrapped("Fetched usage stats enabled", told)


def cluster_id(view: View, _request: Request) -> Answer:
    """`cluster_id`: as polled, else the name of the session."""
    known = data(polled(view, "cluster_id")).get("clusterId")
    return wrapped("Fetched cluster id", {"clusterId": known or view.key.session})


def activities(view: View, _request: Request) -> Answer:
    """`api/component_activities`: is anybody still using the cluster?"""
    facts = view.facts
    active = "ACTIVE" if facts.state == "running" else "INACTIVE"
    told = {
        "is_active": active,
        "reason": None,
        "timestamp": (facts.ended_ms or facts.started_ms or 0) / 1000,
    }
    return plain({"driver": told})


def healthy(_view: View, _request: Request) -> Answer:
    """`api/gcs_healthz`: the history answers, in the place of the control store."""
    return text("success")
