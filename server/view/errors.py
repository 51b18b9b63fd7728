"""Errors of the server.

ServerError
├── SessionUnknown     no catalog entry and no segment bear this session's name
├── ViewPending        the view isn't ready yet; carries how far the fold is
├── FoldFailed         a fold process ended or failed; trying again may help
└── PartDamaged        a part or manifest isn't what its name says; fold afresh
"""


class ServerError(Exception):
    """Base of everything the server raises on purpose."""


class SessionUnknown(ServerError):
    """The archive knows no such session."""


class ViewPending(ServerError):
    """The view is being made. `done` of `total` segments are folded; `total` is 0 before that is known."""

    def __init__(self, done: int, total: int) -> None:
        super().__init__(f"the session is being read: {done} of {total} segments; try again in some seconds")
        self.done = done
        self.total = total


class FoldFailed(ServerError):
    """Segments could not be folded; the sentence says why."""


class PartDamaged(ServerError):
    """A stored part or manifest that can't be used."""
