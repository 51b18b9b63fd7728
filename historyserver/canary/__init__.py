"""`historyserver canary`: writes what is known beside a collector, and tells what arrives of it."""

from historyserver.canary.command import main

__all__ = ["main"]
