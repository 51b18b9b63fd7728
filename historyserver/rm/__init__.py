"""`historyserver rm`: removes sessions from an archive."""

from historyserver.rm.command import main

__all__ = ["main"]
