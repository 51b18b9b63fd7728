"""Ray Data and Ray Train: what the libraries told while they lived."""

from typing import Any, Final

from starlette.requests import Request

from server.ray.answers import Answer, plain
from server.ray.errors import NotRecorded
from server.ray.polls import parsed, polled
from server.view.view import View


def datasets(view: View, request: Request) -> Answer:
    """`api/data/datasets/<job>`: as last polled, else what the export file tells."""
    job = request.path_params["job"]
    known = polled(view, f"api/data/datasets/{job}")
    if isinstance(known, dict):
        return plain(known)
    rows = view.rows("SELECT body FROM exports WHERE kind = 'DATASET_METADATA' ORDER BY seen_ns")
    told = [parsed(row[0]) for row in rows]
    return plain(
        {"datasets": [_dataset(one) for one in told if isinstance(one, dict) and one.get("job_id") == job]}
    )


def train_runs(view: View, _request: Request) -> Answer:
    """`api/train/v2/runs/v1`: as last polled."""
    known = polled(view, "api/train/v2/runs/v1")
    return plain(known if isinstance(known, dict) else {"train_runs": []})


def old_train_runs(_view: View, _request: Request) -> Answer:
    """`api/train/v2/runs`: of Train before its second version, which leaves nothing behind."""
    raise NotRecorded("Runs of Ray Train's first version leave no record; see api/train/v2/runs/v1.")


def _dataset(told: dict[str, Any]) -> dict[str, Any]:
    """Metric values came from Prometheus, and are zero without it."""
    operators = (told.get("topology") or {}).get("operators") or []
    return {
        "dataset": told.get("dataset_id", ""),
        "job_id": told.get("job_id", ""),
        "state": told.get("state", "UNKNOWN"),
        "progress": 0,
        "total": 0,
        "total_rows": None,
        "start_time": told.get("execution_start_time") or told.get("start_time") or 0.0,
        "end_time": told.get("execution_end_time"),
        "operators": [
            {
                "operator": operator.get("id", ""),
                "name": operator.get("name", ""),
                "state": operator.get("state", "UNKNOWN"),
                "progress": 0,
                "total": 0,
                "total_rows": None,
                "queued_blocks": 0,
                **_METRICS,
            }
            for operator in operators
        ],
        **_METRICS,
    }


_METRICS: Final = {
    "ray_data_output_rows": {"max": 0},
    "ray_data_spilled_bytes": {"max": 0},
    "ray_data_current_bytes": {"value": 0, "max": 0},
    "ray_data_cpu_usage_cores": {"value": 0, "max": 0},
    "ray_data_gpu_usage_cores": {"value": 0, "max": 0},
    "ray_data_memory_usage_bytes": {"value": 0, "max": 0},
}
