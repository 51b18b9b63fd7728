"""Errors of the front end's files.

FrontendError
├── FrontendUnavailable   there is no front end on this machine and none could be fetched
└── FrontendChanged       the front end is not the one that this server knows
"""


class FrontendError(Exception):
    """Something about Ray's front end is wrong; the text says what, why and what to do."""


class FrontendUnavailable(FrontendError):
    """There is no front end on this machine and none could be fetched."""


class FrontendChanged(FrontendError):
    """The front end is not the one that this server knows."""
