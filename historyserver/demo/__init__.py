"""`historyserver demo`: a real Ray cluster works, is killed, and its dashboard opens again."""

from historyserver.demo.command import main

__all__ = ["main"]
