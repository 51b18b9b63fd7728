"""Errors of the collector.

CollectorError
├── SpoolError
│   ├── SpoolFull             the budget or the disk is spent: drop, count, go on
│   └── SpoolUnusable         the folder can't be used: missing right, read-only, broken disk, finished spool
│       └── SpoolInUse        another collector has it
└── DashboardSilent           no usable answer from the head's dashboard
    └── AnswerTooLarge        one that is more than the collector may hold

What one part tells itself stands in that part and is no error of the collector: JournalTorn and
JournalDamaged (spool), NotHttp and Interrupted (receiver), FileReplaced (tail).
"""


class CollectorError(Exception):
    """Base of everything the collector raises on purpose."""


class SpoolError(CollectorError):
    """The spool could not do what was asked; nothing of it was kept."""


class SpoolFull(SpoolError):
    """The spool's budget or its disk is spent. What was to be kept is to be dropped and counted."""


class SpoolUnusable(SpoolError):
    """The spool's folder can't be used; the sentence says why."""


class SpoolInUse(SpoolUnusable):
    """Another collector uses this folder."""


class DashboardSilent(CollectorError):
    """No usable answer came from the dashboard.

    `took`: seconds spent on it, which the head may have spent as well. `absent`: nobody listens at all.
    """

    def __init__(self, reason: str, *, took: float, absent: bool = False) -> None:
        super().__init__(reason)
        self.took = took
        self.absent = absent


class AnswerTooLarge(DashboardSilent):
    """The answer is more than the collector may hold."""
