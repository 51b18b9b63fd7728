"""What is done with objects, once it is known who asks and that the request is theirs."""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final
from urllib.parse import quote
from xml.parsers import expat
from xml.sax.saxutils import escape

from fake_oss import faults, listing
from fake_oss.bucket import BucketSettings
from fake_oss.clock import Clock
from fake_oss.errors import ServiceError, access_denied, invalid_argument, no_such_key
from fake_oss.faults import Act
from fake_oss.objects import Objects, Stored
from fake_oss.rights import Identity
from fake_oss.wire import Answer, Request

XML: Final = {"Content-Type": "application/xml"}
_MOST_DELETED: Final = 1000
_MOST_DELETE_BODY: Final = 2 << 20
_MOST_KEY_BYTES: Final = 1023
_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)")


@dataclass(frozen=True, slots=True)
class _Held:
    """A put without an answer that is stored later."""

    key: str
    successor: str | None
    apply: Callable[[], object]


class Operations:
    """On the objects of one bucket. `settings` may be replaced at any time."""

    def __init__(self, bucket: str, objects: Objects, clock: Clock) -> None:
        self.settings = BucketSettings()
        self._bucket = bucket
        self._objects = objects
        self._clock = clock
        self._lock = threading.Lock()
        self._held: list[_Held] = []

    def put(self, request: Request, identity: Identity, key: str, act: Act | None) -> Answer | None:
        """None: it is held back."""
        allow(identity, "oss:PutObject", key)
        _check_key(key)
        _check_md5(request)
        if "content-length" not in request.headers:
            raise ServiceError(
                411, "MissingContentLength", "You must provide the Content-Length HTTP header."
            )
        body, content_type = request.body, request.headers.get("content-type", "application/octet-stream")
        once = _once(request) and not self.settings.versioning

        def apply() -> Stored:
            self._check_overwrite(key, once=once)
            return self._objects.put(key, body, content_type, self._clock.now())

        if isinstance(act, faults.ApplyLater):
            self._hold(act, key, apply)
            return None
        stored = apply()
        self._apply_what_waited_for(key)
        return Answer(
            200,
            {
                "ETag": stored.etag,
                "x-oss-hash-crc64ecma": str(stored.crc),
                "Content-MD5": base64.b64encode(bytes.fromhex(stored.md5)).decode(),
            },
        )

    def read(self, request: Request, identity: Identity, key: str) -> Answer:
        """GetObject and HeadObject."""
        allow(identity, "oss:GetObject", key)
        stored = self._objects.get(key)
        if stored is None:
            raise no_such_key(key)
        _check_conditions(request, stored)
        headers = {
            "Content-Type": stored.content_type,
            "ETag": stored.etag,
            "Last-Modified": formatdate(stored.modified, usegmt=True),
            "x-oss-object-type": "Normal",
            "x-oss-hash-crc64ecma": str(stored.crc),
            "x-oss-storage-class": self.settings.storage_class,
            "Accept-Ranges": "bytes",
        }
        if request.method == "HEAD":
            return Answer(200, headers | {"Content-Length": str(stored.size)})
        span = _span(request, stored)
        if span is None:
            headers["Content-MD5"] = base64.b64encode(bytes.fromhex(stored.md5)).decode()
            return Answer(200, headers, stored.span(0, stored.size))
        start, length = span
        headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{stored.size}"
        return Answer(206, headers, stored.span(start, length))

    def delete(self, identity: Identity, key: str) -> Answer:
        allow(identity, "oss:DeleteObject", key)
        self._check_immutable(key)
        self._objects.delete(key)
        return Answer(204)

    def delete_many(self, request: Request, identity: Identity) -> Answer:
        """DeleteMultipleObjects: all or, where one may not be deleted, none."""
        if "content-md5" not in request.headers:
            raise ServiceError(400, "MissingArgument", "Missing Some Required Arguments.")
        _check_md5(request)
        keys, quiet = _to_delete(request.body)
        for key in keys:
            allow(identity, "oss:DeleteObject", key)
            self._check_immutable(key)
        for key in keys:
            self._objects.delete(key)
        if quiet:
            return Answer(200, dict(XML))
        encoded = request.parameters().get("encoding-type") == "url"
        told = [quote(key, safe="") if encoded else escape(key) for key in keys]
        inner = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in told)
        encoding = "<EncodingType>url</EncodingType>" if encoded else ""
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<DeleteResult>{encoding}{inner}</DeleteResult>'
        return Answer(200, dict(XML), body.encode())

    def list(self, request: Request, identity: Identity, act: Act | None) -> Answer:
        parameters = request.parameters()
        allow(identity, "oss:ListObjects", parameters.get("prefix", ""))
        question = listing.question_of(parameters)
        before = self._clock.now() - act.seconds if isinstance(act, faults.ListLate) else None
        page = listing.page_of(self._objects, question, put_before=before)
        return Answer(200, dict(XML), listing.xml(self._bucket, question, page))

    def release(self) -> None:
        """Store now whatever puts are held back."""
        with self._lock:
            held = list(self._held)
        for one in held:
            self._apply(one)

    def _hold(self, act: faults.ApplyLater, key: str, apply: Callable[[], object]) -> None:
        held = _Held(key, act.successor, apply)
        with self._lock:
            self._held.append(held)
        if act.seconds is not None:
            timer = threading.Timer(act.seconds, self._apply, args=(held,))
            timer.daemon = True
            timer.start()

    def _apply_what_waited_for(self, key: str) -> None:
        with self._lock:
            due = [one for one in self._held if one.successor == ("same" if one.key == key else "other")]
        for one in due:
            self._apply(one)

    def _apply(self, held: _Held) -> None:
        with self._lock:
            if held not in self._held:
                return
            self._held.remove(held)
        held.apply()

    def _check_overwrite(self, key: str, *, once: bool) -> None:
        self._check_immutable(key)
        forbidden = once or any(key.startswith(prefix) for prefix in self.settings.no_overwrite)
        if forbidden and self._objects.get(key) is not None:
            raise ServiceError(
                409,
                "FileAlreadyExists",
                "The object you specified already exists and can not be overwritten.",
                "0026-00000002",
            )

    def _check_immutable(self, key: str) -> None:
        locked = self.settings.worm == "Locked" or self.settings.object_worm
        if locked and self._objects.get(key) is not None:
            raise ServiceError(409, "FileImmutable", "The object you specified is immutable.")


def allow(identity: Identity, action: str, resource: str) -> None:
    """Raises ServiceError where no rule allows it."""
    if not identity.may(action, resource):
        raise access_denied(action, identity.name)


def _check_key(key: str) -> None:
    try:
        long = len(key.encode()) > _MOST_KEY_BYTES
    except UnicodeEncodeError:
        long = True
    if long or key[0] in "/\\":
        raise ServiceError(400, "InvalidObjectName", "The specified object is not valid.")


def _once(request: Request) -> bool:
    """Whether the put must not replace anything. Versioned buckets don't care."""
    told = request.headers.get("x-oss-forbid-overwrite", "false")
    if told not in {"true", "false"}:
        raise invalid_argument(
            "The value of x-oss-forbid-overwrite is invalid.", "x-oss-forbid-overwrite", told
        )
    return told == "true"


def _check_md5(request: Request) -> None:
    given = request.headers.get("content-md5")
    if given is None:
        return
    right = base64.b64encode(hashlib.md5(request.body, usedforsecurity=False).digest()).decode()
    if given != right:
        raise ServiceError(
            400, "InvalidDigest", "The Content-MD5 you specified was invalid.", details={"Content-MD5": given}
        )


def _check_conditions(request: Request, stored: Stored) -> None:
    wanted, unwanted = request.headers.get("if-match"), request.headers.get("if-none-match")
    etag = stored.etag.strip('"')
    if wanted is not None and wanted.strip('"') != etag:
        sentence = "At least one of the pre-conditions you specified did not hold."
        raise ServiceError(412, "PreconditionFailed", sentence, details={"Condition": "If-Match"})
    if unwanted is not None and unwanted.strip('"') == etag:
        raise ServiceError(304, "NotModified", "Not Modified")


def _span(request: Request, stored: Stored) -> tuple[int, int] | None:
    """First byte and number of bytes; None for the whole object.

    The whole object also answers a range that can't be understood, and one that reaches beyond the object,
    unless `x-oss-range-behavior: standard` asks for what HTTP says.
    """
    match = _RANGE.fullmatch(request.headers.get("range", ""))
    if match is None or not any(match.groups()):
        return None
    first, last = match.groups()
    size = stored.size
    if first:
        start, end = int(first), int(last) + 1 if last else max(size, int(first) + 1)
    else:
        start, end = size - int(last), size
    if end <= start and first:
        return None
    if request.headers.get("x-oss-range-behavior") != "standard":
        return (start, end - start) if 0 <= start < end <= size else None
    if start >= size or end <= start:
        raise ServiceError(
            416,
            "InvalidRange",
            "The requested range cannot be satisfied",
            details={"ActualObjectSize": str(size), "RangeRequested": match.group(0)},
        )
    start = max(0, start)
    return start, min(end, size) - start


def _to_delete(body: bytes) -> tuple[list[str], bool]:
    """Keys of a <Delete> document, and whether it asks for quiet."""
    if len(body) > _MOST_DELETE_BODY:
        raise invalid_argument("The body must not exceed 2 MB.")
    place: list[str] = []
    texts: dict[tuple[str, ...], list[str]] = {}
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def begin(name: str, _: dict[str, str]) -> None:
        place.append(name)
        texts.setdefault(tuple(place), []).append("")

    def text(data: str) -> None:
        texts[tuple(place)][-1] += data

    parser.StartElementHandler = begin
    parser.EndElementHandler = lambda _: place.pop()
    parser.CharacterDataHandler = text
    try:
        parser.Parse(body, True)
    except expat.ExpatError:
        raise _malformed() from None
    keys = texts.get(("Delete", "Object", "Key"), [])
    if not 1 <= len(keys) <= _MOST_DELETED or "" in keys:
        raise _malformed()
    return keys, texts.get(("Delete", "Quiet"), [""])[0].lower() == "true"


def _malformed() -> ServiceError:
    return ServiceError(
        400,
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema.",
    )
