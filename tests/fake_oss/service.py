"""OSS itself: whose request it is, whether it may be, and what it does."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final
from urllib.parse import quote, unquote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from fake_oss import bucket as buckets
from fake_oss import faults, listing
from fake_oss.bucket import BucketSettings
from fake_oss.clock import Clock
from fake_oss.errors import ServiceError, access_denied, invalid_argument, no_such_bucket, no_such_key
from fake_oss.faults import Act, Subject
from fake_oss.objects import Objects, Stored
from fake_oss.rights import Identity
from fake_oss.signature import Claim, claim_of, verify
from fake_oss.wire import Answer, Request

_MOST_DELETED: Final = 1000
_MOST_DELETE_BODY: Final = 2 << 20
_MOST_KEY_BYTES: Final = 1023
_IP: Final = re.compile(r"\d+(\.\d+){3}|\[.*\]")
_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)")
_XML: Final = {"Content-Type": "application/xml"}


@dataclass(frozen=True, slots=True)
class Signer:
    """Whose access key it is. Temporary ones have a token, and an end by the services' clock."""

    identity: Identity
    secret: str
    token: str | None = None
    expires: float | None = None


@dataclass(frozen=True, slots=True)
class _Held:
    """A put without an answer that is stored later."""

    key: str
    successor: str | None
    apply: Callable[[], object]


class OssService:
    """One bucket of one region. `signer_of` gives who an access key is of; None: nobody."""

    name = "oss"

    def __init__(
        self,
        bucket: str,
        region: str,
        objects: Objects,
        clock: Clock,
        signer_of: Callable[[str], Signer | None],
        elsewhere: Mapping[str, str],
    ) -> None:
        self.bucket = bucket
        self.region = region
        self.objects = objects
        self.settings = BucketSettings()
        self.cnames = {"localhost"}
        self._clock = clock
        self._signer_of = signer_of
        self._elsewhere = elsewhere
        self._lock = threading.Lock()
        self._held: list[_Held] = []

    def subject(self, request: Request) -> Subject:
        key = self._place(request)[1]
        try:
            signer = self._signer_of(claim_of(request).access_key_id)
        except ServiceError:
            signer = None
        operation = _operation(request, key)
        about = request.parameters().get("prefix", "") if operation == "ListObjectsV2" else key
        return Subject(
            self.name, request.method, operation, about, "" if signer is None else signer.identity.name
        )

    def common_headers(self) -> dict[str, str]:
        return {
            "Server": "AliyunOSS",
            "Date": formatdate(self._clock.now(), usegmt=True),
            "Connection": "keep-alive",
            "x-oss-request-id": secrets.token_hex(12).upper(),
            "x-oss-server-time": "1",
        }

    def refusal(self, request: Request, error: ServiceError) -> Answer:
        headers = {**_XML, "x-oss-request-id": secrets.token_hex(12).upper()}
        if error.ec:
            headers["x-oss-ec"] = error.ec
        if error.status == 304:
            return Answer(304, headers, code=error.code)
        body = error.xml(headers["x-oss-request-id"], request.headers.get("host", ""))
        if request.method == "HEAD":
            headers["x-oss-err"] = base64.b64encode(body).decode()
            body = b""
        return Answer(error.status, headers, body, error.code)

    def answer(self, request: Request, subject: Subject, act: Act | None) -> Answer | None:
        bucket, key = self._place(request)
        claim = claim_of(request)
        self._check_bucket(bucket)
        identity = self._authenticated(request, claim, f"/{bucket}/{key}" if bucket else "/")
        operation = subject.operation
        if operation == "PutObject":
            return self._put(request, identity, key, act)
        if operation in {"GetObject", "HeadObject", "GetObjectMeta"}:
            return self._read(request, identity, key)
        if operation == "DeleteObject":
            return self._delete(identity, key)
        if operation == "DeleteMultipleObjects":
            return self._delete_many(request, identity)
        if operation == "ListObjectsV2":
            return self._list(request, identity, act)
        for sub_resource, (name, _) in buckets.TOLD.items():
            if name == operation:
                _allow(identity, f"oss:{name}", "")
                return Answer(
                    200, dict(_XML), buckets.xml(sub_resource, self.bucket, self.region, self.settings)
                )
        raise ServiceError(
            501, "NotImplemented", "A header you provided implies functionality that is not implemented."
        )

    def release(self) -> None:
        """Store now whatever puts are held."""
        with self._lock:
            held, self._held = self._held, []
        for one in held:
            one.apply()

    def _place(self, request: Request) -> tuple[str, str]:
        """Bucket and key, from the host and the path."""
        host = request.headers.get("host", "").rpartition(":")[0] or request.headers.get("host", "")
        path = unquote(request.path.removeprefix("/"), errors="surrogateescape")
        if _IP.fullmatch(host):
            bucket, _, key = path.partition("/")
            return bucket, key
        if host in self.cnames:
            return self.bucket, path
        bucket = host.partition(".")[0]
        return ("", path) if bucket.startswith("oss-") else (bucket, path)

    def _check_bucket(self, bucket: str) -> None:
        if not bucket:
            raise ServiceError(
                403,
                "SecondLevelDomainForbidden",
                "The bucket you are attempting to access must be addressed using OSS third level domain.",
                "0048-00000001",
            )
        if bucket in self._elsewhere:
            raise ServiceError(
                403,
                "AccessDenied",
                "The bucket you are attempting to access must be addressed using the specified endpoint. "
                "Please send all future requests to this endpoint.",
                "0003-00001403",
                {"Bucket": bucket, "Endpoint": f"oss-{self._elsewhere[bucket]}.aliyuncs.com"},
            )
        if not re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", bucket):
            raise ServiceError(
                400,
                "InvalidBucketName",
                "The specified bucket is not valid.",
                "0016-00000001",
                {"BucketName": bucket},
            )

    def _authenticated(self, request: Request, claim: Claim, path: str) -> Identity:
        signer = self._signer_of(claim.access_key_id)
        if signer is None:
            raise ServiceError(
                403,
                "InvalidAccessKeyId",
                "The OSS Access Key Id you provided does not exist in our records.",
                "0002-00000902",
                {"OSSAccessKeyId": claim.access_key_id},
            )
        verify(request, claim, signer.secret, path, self.region, self._clock.now())
        if request.headers.get("x-oss-security-token") != signer.token:
            raise ServiceError(
                403, "InvalidSecurityToken", "The security token you provided is invalid.", "0002-00000011"
            )
        if signer.expires is not None and signer.expires <= self._clock.now():
            raise ServiceError(
                403, "SecurityTokenExpired", "The security token you provided has expired.", "0002-00000007"
            )
        bucket = path.split("/", 2)[1]
        if bucket != self.bucket:
            raise no_such_bucket(bucket)
        return signer.identity

    def _put(self, request: Request, identity: Identity, key: str, act: Act | None) -> Answer | None:
        _allow(identity, "oss:PutObject", key)
        _check_key(key)
        _check_md5(request)
        if "content-length" not in request.headers:
            raise ServiceError(
                411,
                "MissingContentLength",
                "You must provide the Content-Length HTTP header.",
                "0017-00000301",
            )
        body, content_type = request.body, request.headers.get("content-type", "application/octet-stream")
        forbidden = request.headers.get("x-oss-forbid-overwrite") == "true" and not self.settings.versioning

        def apply() -> Stored:
            self._check_overwrite(key, forbidden=forbidden)
            return self.objects.put(key, body, content_type, self._clock.now())

        if isinstance(act, faults.ApplyLater):
            self._hold(act, key, apply)
            return None
        stored = apply()
        self._apply_held(key)
        return Answer(
            200,
            {
                "ETag": stored.etag,
                "x-oss-hash-crc64ecma": str(stored.crc),
                "Content-MD5": base64.b64encode(bytes.fromhex(stored.md5)).decode(),
            },
        )

    def _check_overwrite(self, key: str, *, forbidden: bool) -> None:
        if self.objects.get(key) is None:
            return
        if self.settings.worm == "Locked" or self.settings.object_worm:
            raise ServiceError(
                409, "FileImmutable", "The object you specified is immutable.", "0026-00000015"
            )
        if forbidden or any(key.startswith(prefix) for prefix in self.settings.no_overwrite):
            raise ServiceError(
                409,
                "FileAlreadyExists",
                "The object you specified already exists and can not be overwritten.",
                "0026-00000016",
            )

    def _hold(self, act: faults.ApplyLater, key: str, apply: Callable[[], object]) -> None:
        held = _Held(key, act.successor, apply)
        with self._lock:
            self._held.append(held)
        if act.seconds is not None:
            timer = threading.Timer(act.seconds, self._apply, args=(held,))
            timer.daemon = True
            timer.start()

    def _apply_held(self, key: str) -> None:
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

    def _read(self, request: Request, identity: Identity, key: str) -> Answer:
        _allow(identity, "oss:GetObject", key)
        stored = self.objects.get(key)
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
            "Content-MD5": base64.b64encode(bytes.fromhex(stored.md5)).decode(),
            "Accept-Ranges": "bytes",
        }
        if request.method == "HEAD":
            return Answer(200, headers | {"Content-Length": str(stored.size)})
        span = _span(request, stored)
        if span is None:
            return Answer(200, headers, stored.span(0, stored.size))
        start, length = span
        del headers["Content-MD5"]
        headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{stored.size}"
        return Answer(206, headers, stored.span(start, length))

    def _delete(self, identity: Identity, key: str) -> Answer:
        _allow(identity, "oss:DeleteObject", key)
        self._check_immutable(key)
        self.objects.delete(key)
        return Answer(204)

    def _delete_many(self, request: Request, identity: Identity) -> Answer:
        if len(request.body) > _MOST_DELETE_BODY:
            raise invalid_argument("The body must not exceed 2 MB.")
        if "content-md5" not in request.headers:
            raise ServiceError(400, "MissingArgument", "Missing Some Required Arguments.", "0016-00000502")
        _check_md5(request)
        try:
            tree = ET.fromstring(request.body)
        except ET.ParseError:
            raise _malformed() from None
        keys = [element.text or "" for element in tree.findall("Object/Key")]
        if tree.tag != "Delete" or not 1 <= len(keys) <= _MOST_DELETED or "" in keys:
            raise _malformed()
        for key in keys:
            _allow(identity, "oss:DeleteObject", key)
            self._check_immutable(key)
        for key in keys:
            self.objects.delete(key)
        if (tree.findtext("Quiet") or "").lower() == "true":
            return Answer(200, dict(_XML))
        encoded = request.parameters().get("encoding-type") == "url"
        told = [quote(key, safe="") if encoded else escape(key) for key in keys]
        inner = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in told)
        encoding = "<EncodingType>url</EncodingType>" if encoded else ""
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<DeleteResult>{encoding}{inner}</DeleteResult>'
        return Answer(200, dict(_XML), body.encode())

    def _check_immutable(self, key: str) -> None:
        if self.objects.get(key) is not None and (
            self.settings.worm == "Locked" or self.settings.object_worm
        ):
            raise ServiceError(
                409, "FileImmutable", "The object you specified is immutable.", "0026-00000015"
            )

    def _list(self, request: Request, identity: Identity, act: Act | None) -> Answer:
        parameters = request.parameters()
        _allow(identity, "oss:ListObjects", parameters.get("prefix", ""))
        question = listing.question_of(parameters)
        before = self._clock.now() - act.seconds if isinstance(act, faults.ListLate) else None
        page = listing.page_of(self.objects, question, put_before=before)
        return Answer(200, dict(_XML), listing.xml(self.bucket, question, page))


def _operation(request: Request, key: str) -> str:
    parameters = {name for name, _ in request.query}
    if key:
        by_method = {"PUT": "PutObject", "GET": "GetObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}
        if parameters <= {"objectMeta"}:
            return by_method.get(request.method, "Unknown")
        return "Unknown"
    if request.method == "POST" and "delete" in parameters:
        return "DeleteMultipleObjects"
    if request.method == "GET" and ("list-type", "2") in request.query:
        return "ListObjectsV2"
    if request.method == "GET":
        for sub_resource, (name, _) in buckets.TOLD.items():
            if sub_resource in parameters:
                return name
    return "Unknown"


def _allow(identity: Identity, action: str, resource: str) -> None:
    if not identity.may(action, resource):
        raise access_denied()


def _check_key(key: str) -> None:
    try:
        long = len(key.encode()) > _MOST_KEY_BYTES
    except UnicodeEncodeError:
        long = True
    if long or not key or key[0] in "/\\" or "\r" in key or "\n" in key:
        raise ServiceError(400, "InvalidObjectName", "The specified object is not valid.", "0016-00000202")


def _check_md5(request: Request) -> None:
    given = request.headers.get("content-md5")
    right = base64.b64encode(hashlib.md5(request.body, usedforsecurity=False).digest()).decode()
    if given is not None and given != right:
        raise ServiceError(
            400,
            "InvalidDigest",
            "The Content-MD5 you specified was invalid.",
            "0017-00000501",
            {"Content-MD5": given},
        )


def _check_conditions(request: Request, stored: Stored) -> None:
    wanted = request.headers.get("if-match")
    if wanted is not None and wanted.strip('"') != stored.etag.strip('"'):
        raise ServiceError(
            412,
            "PreconditionFailed",
            "At least one of the pre-conditions you specified did not hold.",
            "0026-00000021",
            {"Condition": "If-Match"},
        )
    unwanted = request.headers.get("if-none-match")
    if unwanted is not None and unwanted.strip('"') == stored.etag.strip('"'):
        raise ServiceError(304, "NotModified", "Not Modified")


def _span(request: Request, stored: Stored) -> tuple[int, int] | None:
    """First byte and number of bytes; None for the whole object, which is also the answer to ranges that can't be
    understood or, unless the standard behaviour is asked for, don't lie within the object."""
    match = _RANGE.fullmatch(request.headers.get("range", ""))
    if match is None or match.group(0) == "bytes=-":
        return None
    first, last = match.groups()
    size = stored.size
    standard = request.headers.get("x-oss-range-behavior") == "standard"
    if not first:
        start, end = size - int(last), size
        fits = 0 < int(last) <= size
        can_be = int(last) > 0 and size > 0
    else:
        start, end = int(first), int(last) + 1 if last else size
        if end <= start and last:
            return None
        fits = start < size and end <= size
        can_be = start < size
    if not fits and not (standard and can_be):
        if not standard:
            return None
        raise ServiceError(
            416,
            "InvalidRange",
            "The requested range cannot be satisfied",
            "0026-00000003",
            {"ActualObjectSize": str(size), "RangeRequested": match.group(0)},
        )
    start = max(0, start)
    return start, min(end, size) - start


def _malformed() -> ServiceError:
    return ServiceError(
        400,
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema.",
        "0016-00000801",
    )
