"""What can be set about tailing."""

from dataclasses import dataclass

KIB = 1024
MIB = 1024 * KIB

PIECE = MIB
"""Bytes read at once, at most. A masked line, or a file kept as latest content, can't be longer."""


@dataclass(frozen=True, slots=True)
class TailSettings:
    """Patterns match the path below the logs folder (`serve/*.log`) as in a shell; `*` crosses slashes."""

    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()
    rewritten: tuple[str, ...] = ("debug_state*.txt",)
    """Files that Ray writes anew in place, kept as latest content."""
    masked: tuple[str, ...] = ("runtime_env_agent.*", "runtime_env_setup-*", "dashboard_agent.*")
    """Logs that print environment variables."""
    bytes_per_log: int | None = None
    """What is kept of one log at most."""
    bytes_per_scan: int = 96 * MIB
    """What one scan reads at most, so that the main loop comes round."""
    rewritten_every_s: float = 300.0
    handles: int = 512
    """Files kept open at most, so that what is deleted can be read to its end."""
    deleted_bytes: int = 256 * MIB
    """Unread bytes of deleted files at most: they take the node's disk for as long as they are open."""
    files: int = 20_000
    """Files looked at; what lies beyond is counted, not read."""
