"""The spool: everything accepted and not yet stored, on the node's disk."""

from sidecar.errors import SpoolError, SpoolFull, SpoolInUse, SpoolUnusable
from sidecar.spool.node import Batch, NodeSpool
from sidecar.spool.record import JournalDamaged, Position, Read, Record, Source, raw_bytes
from sidecar.spool.spool import Spool

__all__ = [
    "Batch",
    "JournalDamaged",
    "NodeSpool",
    "Position",
    "Read",
    "Record",
    "Source",
    "Spool",
    "SpoolError",
    "SpoolFull",
    "SpoolInUse",
    "SpoolUnusable",
    "raw_bytes",
]
