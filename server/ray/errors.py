"""What can be wrong with a question to Ray's API.

RayApiError
├── QueryInvalid     the question makes no sense; Ray answers it with 400
└── NotRecorded      the question is fine, and the archive holds no answer to it
    └── PartUnknown  a task's worker is known, but not which part of its output is the task's
"""


class RayApiError(Exception):
    """Root of this package's errors; its text is shown to whoever asked."""


class QueryInvalid(RayApiError):
    """A query parameter that Ray would refuse too: unknown column, bad number, limit too high."""


class NotRecorded(RayApiError):
    """The thing asked for does not exist in this session, or what is needed to answer was never recorded."""


class PartUnknown(NotRecorded):
    """A task attempt's worker is known, but not which part of the worker's output the attempt wrote."""

    def __init__(self, reason: str, node_id: str, worker_id: str) -> None:
        super().__init__(reason)
        self.node_id = node_id
        self.worker_id = worker_id
