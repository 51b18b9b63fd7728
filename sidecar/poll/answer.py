"""An answer of the dashboard: its line in the stream `polls`, and what tells it from the one before.

A line is `{"t": seconds, "path": "…", "status": 200, "body": <JSON, or a string>}`.
"""

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import msgspec

from sidecar.receiver.masking import mask_equal_length

TEXT_KEPT: Final = 64 * 1024
"""What is kept of a body that is not JSON."""
AT_ONCE: Final = 64 * 1024
"""What is taken apart at once for a comparison: objects cost many times the memory of their text."""

# The text of `api/cluster_status?format=1`: the time in its first line, and in its usage
# "1.0/4.0 CPU (0.5 used of 2.0 reserved in placement groups)".
_TEXT_STATISTICS: Final = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+|^ *[\d.]+[A-Za-z]*/"
    r"|\([\d.]+[A-Za-z]* used of [\d.]+[A-Za-z]* reserved",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        status: the HTTP status.
        body: the whole body.
        took: seconds from the question to the last byte.
    """

    status: int
    body: bytes
    took: float


def line(path: str, answer: Answer, at: float) -> bytes:
    """The answer as one line; the values of environment variables are masked."""
    body = mask_equal_length(answer.body) if _is_json(answer.body) else _quoted(answer.body)
    return b'{"t":%.3f,"path":%s,"status":%d,"body":%s}\n' % (at, _quoted(path.encode()), answer.status, body)


def digest(answer: Answer, statistics: frozenset[str]) -> bytes:
    """Equal for answers that differ in nothing but statistics."""
    told = blake2b(b"%d " % answer.status, digest_size=16)
    try:
        _tell(told, msgspec.Raw(answer.body), statistics)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        told.update(answer.body)
    return told.digest()


def _tell(told: blake2b, value: msgspec.Raw, statistics: frozenset[str]) -> None:
    """Adds a JSON value to the digest, a large one piece by piece."""
    text = memoryview(value)
    opening = bytes(text[:1])
    if len(text) <= AT_ONCE or opening not in (b"{", b"["):
        told.update(msgspec.json.encode(_without(msgspec.json.decode(text), statistics), order="sorted"))
    elif opening == b"[":
        for item in msgspec.json.decode(text, type=list[msgspec.Raw]):
            told.update(b",")
            _tell(told, item, statistics)
    else:
        for key, item in sorted(msgspec.json.decode(text, type=dict[str, msgspec.Raw]).items()):
            if key not in statistics:
                told.update(msgspec.json.encode(key) + b":")
                _tell(told, item, statistics)


def _without(value: object, statistics: frozenset[str]) -> object:
    match value:
        case dict():
            return {key: _without(item, statistics) for key, item in value.items() if key not in statistics}
        case list():
            return [_without(item, statistics) for item in value]
        case str():
            return _TEXT_STATISTICS.sub("", value)
        case _:
            return value


def _is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
        body.decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return b"\n" not in body and b"\r" not in body


def _quoted(text: bytes) -> bytes:
    return msgspec.json.encode(text[:TEXT_KEPT].decode("utf-8", "replace"))
