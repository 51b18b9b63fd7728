"""`historyserver fold`: makes the views that sessions lack, here or on a Ray cluster."""

from historyserver.fold.command import main

__all__ = ["main"]
