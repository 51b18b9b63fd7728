"""Errors of the logs. Ray answers all but the last with 500 and the text; so do we, since clients expect it.

LogError
├── LogMissing       there is no such log, or it was not recorded; the text is Ray's where Ray has one
├── LogUnclear       the question does not name one log
└── ParameterInvalid a parameter that has no meaning: 400
"""


class LogError(Exception):
    """A log can't be told; the text says which, why, and where Ray has a sentence for it, in Ray's words."""


class LogMissing(LogError):
    """There is no such log, or it was not recorded."""


class LogUnclear(LogError):
    """The question does not name one log."""


class ParameterInvalid(LogError):
    """A parameter that has no meaning."""
