"""What client and server of a put over HTTP say to each other.

    PUT <base>/store/<key>                      the key percent-encoded, its slashes plain
    Authorization: Bearer <token>
    Content-Length: …
    Repr-Digest: sha-256=:<base64>:             of the object's bytes (RFC 9530), verified before it is stored

    200                                         stored; nothing else means so
    ETag, Last-Modified, Repr-Digest            of what was stored
    History-Put: stored

Every answer names its outcome in `History-Put`, so that it can't be mistaken for a proxy's, a login page's or
another server's, and so that a failure tells whether the object may have been stored. Its text is a sentence.
"""

from __future__ import annotations

import base64
import hashlib
from enum import StrEnum
from typing import Final

PATH: Final = "/store/"
DIGEST: Final = "Repr-Digest"
OUTCOME: Final = "History-Put"
LARGEST_SEGMENT: Final = 64 << 20
"""Bytes; a put of a collector carries about 8 MiB compressed, or 32 MiB of raw bytes, and an append."""
LARGEST_ENTRY: Final = 64 << 10
"""Bytes of a catalog entry."""


class Outcome(StrEnum):
    """How a put ended. All but the first and the last stored nothing."""

    STORED = "stored"
    CALLER_UNKNOWN = "caller_unknown"
    DENIED = "denied"
    MALFORMED = "malformed"
    DAMAGED = "damaged"
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    INTERRUPTED = "interrupted"
    BUSY = "busy"
    CALLERS_OUT = "callers_out"
    FULL = "full"
    FAILED = "failed"
    UNKNOWN = "unknown"


def digest_of(data: bytes) -> str:
    """The value of `Repr-Digest`."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"
