"""What can go wrong between poller and dashboard.

PollError
  DashboardSilent     no usable answer
"""


class PollError(Exception):
    """The root."""


class DashboardSilent(PollError):
    """No usable answer came.

    Attributes:
        took: seconds spent on it, which the head may have spent as well.
        absent: nobody listens at all.
    """

    def __init__(self, reason: str, *, took: float, absent: bool = False) -> None:
        super().__init__(reason)
        self.took = took
        self.absent = absent
