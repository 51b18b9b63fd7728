"""What OSS's successes say: from headers and XML to objects. Pure; what contradicts itself is no success."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Final, NamedTuple
from urllib.parse import unquote
from xml.etree import ElementTree as ET

from archive.errors import StoreError, TransientStoreError
from archive.store.base import Object, ObjectInfo
from archive.store.oss.clock import seconds_of
from archive.store.oss.errors import DELETE, Answer, Asked, Trouble, refused, unanswered
from archive.store.oss.span import Span, answered

WHOLE: Final = 200
PART: Final = 206
NOTHING_THERE: Final = 416
REQUEST_ID: Final = "x-oss-request-id"
_IN_TROUBLE: Final = frozenset({"InternalError", "ServiceUnavailable"})


class Reply(NamedTuple):
    """A success, or 416: there is nothing in the range asked for. `headers` are found in any case."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class Page(NamedTuple):
    """A page of a listing. `next`: where the following one begins, None at the end."""

    objects: tuple[ObjectInfo, ...]
    folders: tuple[str, ...]
    next: str | None


def object_of(asked: Asked, key: str, span: Span, reply: Reply) -> Object:
    """The bytes asked for out of a part, or out of the whole if that is what came. Raises StoreError."""
    if reply.status == PART:
        there = answered(reply.headers.get("Content-Range", ""))
        if there is None or span.place(there[2]) != there[:2] or len(reply.data) != there[1] - there[0]:
            raise unanswered(asked, Trouble.DAMAGED, "other bytes came than were asked for")
        return Object(info_of(asked, key, reply, there[2]), reply.data, there[0])
    require_checksum(asked, reply, reply.data)
    info = info_of(asked, key, reply, len(reply.data))
    if span.header is None:
        return Object(info, reply.data, 0)
    begin, end = span.place(info.size)
    return Object(info, reply.data[begin:end], begin)


def nothing_of(asked: Asked, key: str, span: Span, reply: Reply) -> Object:
    """No bytes, out of an answer to HEAD. Raises StoreError, also if there are some."""
    info = info_of(asked, key, reply, int(reply.headers.get("Content-Length", "0")))
    begin, end = span.place(info.size)
    if end > begin:
        raise TransientStoreError(f"{asked.what} failed: it was replaced meanwhile; read it again")
    return Object(info, b"", begin)


def info_of(asked: Asked, key: str, reply: Reply, size: int) -> ObjectInfo:
    """An answer to a put tells no time but its own, which is the object's."""
    modified = seconds_of(reply.headers.get("Last-Modified") or reply.headers.get("Date", ""))
    etag = reply.headers.get("ETag", "").strip('"')
    if modified is None or not etag:
        raise unanswered(asked, Trouble.DAMAGED, "ETag or date are missing")
    return ObjectInfo(key, size, etag, modified)


def require_checksum(asked: Asked, reply: Reply, data: bytes) -> None:
    """Raises StoreError unless the object that the answer is about has the checksum of `data`."""
    told = reply.headers.get("x-oss-hash-crc64ecma")
    if told is None:
        return
    from archive.store.oss.checksum import crc64  # noqa: PLC0415 - a library that other stores do without

    if told != str(crc64(data)):
        raise unanswered(asked, Trouble.DAMAGED, "CRC-64 differs")


def page_of(asked: Asked, reply: Reply, relative: Callable[[str], str]) -> Page:
    """`relative`: from a name in the bucket to the key or folder to give. Raises StoreError."""
    root = _parsed(asked, reply, "ListBucketResult")
    token = root.findtext("NextContinuationToken")
    if root.findtext("IsTruncated") != "true":
        token = None
    elif not token:
        raise unanswered(asked, Trouble.DAMAGED, "a page does not say where the next one begins")
    try:
        return Page(
            objects=tuple(_listed(root, relative)),
            folders=tuple(
                relative(unquote(each.findtext("Prefix", ""))) for each in root.iterfind("CommonPrefixes")
            ),
            next=token and unquote(token),
        )
    except ValueError as error:
        raise unanswered(asked, Trouble.DAMAGED, f"an entry can't be read: {error}") from None


def undeleted(asked: Asked, reply: Reply) -> StoreError | None:
    """What kept the first object from being deleted, if any was: a quiet answer lists nothing else."""
    failed = _parsed(asked, reply, "DeleteResult").find("Error") if reply.data else None
    if failed is None:
        return None
    code = failed.findtext("Code", "")
    answer = Answer(
        status=500 if code in _IN_TROUBLE else 403,
        code=code,
        message=failed.findtext("Message", ""),
        request_id=reply.headers.get(REQUEST_ID, ""),
    )
    return refused(asked._replace(action=DELETE, name=unquote(failed.findtext("Key", ""))), answer)


def _listed(root: ET.Element, relative: Callable[[str], str]) -> Iterator[ObjectInfo]:
    for entry in root.iterfind("Contents"):
        yield ObjectInfo(
            key=relative(unquote(entry.findtext("Key", ""))),
            size=int(entry.findtext("Size", "")),
            etag=entry.findtext("ETag", "").strip('"'),
            modified=datetime.fromisoformat(entry.findtext("LastModified", "")).timestamp(),
        )


def _parsed(asked: Asked, reply: Reply, tag: str) -> ET.Element:
    try:
        root = ET.fromstring(reply.data)  # noqa: S314 - the store's own answer, and expat limits expansion
    except ET.ParseError as error:
        raise unanswered(asked, Trouble.DAMAGED, f"the answer can't be read: {error}") from None
    if root.tag != tag:
        raise unanswered(asked, Trouble.DAMAGED, f"the answer is no {tag}")
    return root
