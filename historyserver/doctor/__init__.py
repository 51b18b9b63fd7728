"""`historyserver doctor`: whether everything is as it must be, looked at with the rights of one identity."""

from historyserver.doctor.command import main

__all__ = ["main"]
