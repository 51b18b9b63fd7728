"""The flusher: from a node's spool to segments in the store."""

from sidecar.flush.flusher import Clock, Flusher

__all__ = ["Clock", "Flusher"]
