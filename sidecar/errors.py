"""Errors of the collector.

CollectorError
└── SpoolError
    ├── SpoolFull             the budget or the disk is spent: drop, count, go on
    └── SpoolUnusable         the folder can't be used: missing right, read-only, broken disk, finished spool
        └── SpoolInUse        another collector has it
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
