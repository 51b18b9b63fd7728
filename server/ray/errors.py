"""What can be wrong with a question to Ray's API.

RayApiError
├── QueryInvalid     the question makes no sense; Ray answers it with 400
└── NotRecorded      the question is fine, and the archive holds no answer to it
"""


class RayApiError(Exception):
    """Root of this package's errors; its text is shown to whoever asked."""


class QueryInvalid(RayApiError):
    """A query parameter that Ray would refuse too: unknown column, bad number, limit too high."""


class NotRecorded(RayApiError):
    """The thing asked for does not exist in this session, or what is needed to answer was never recorded."""
