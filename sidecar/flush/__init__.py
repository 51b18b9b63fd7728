"""The flusher: from a node's spool to segments in the store."""

from sidecar.flush.flusher import Clock, Flusher, Puts
from sidecar.flush.schedule import Rest

__all__ = ["Clock", "Flusher", "Puts", "Rest"]
