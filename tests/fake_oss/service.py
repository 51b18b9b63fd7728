"""OSS itself: which bucket and object a request is about, whose it is, and whether it may be."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Final
from urllib.parse import unquote

from fake_oss import bucket as buckets
from fake_oss.clock import Clock
from fake_oss.errors import ServiceError, no_such_bucket
from fake_oss.faults import Act, Subject
from fake_oss.operations import XML, Operations, allow
from fake_oss.rights import Identity
from fake_oss.signature import Claim, claim_of, verify
from fake_oss.wire import Answer, Request

_IP: Final = re.compile(r"\d+(\.\d+){3}|\[.*\]")
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_BY_METHOD: Final = {"PUT": "PutObject", "GET": "GetObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}


@dataclass(frozen=True, slots=True)
class Signer:
    """Whose access key it is. Temporary ones have a token, and an end by the services' clock."""

    identity: Identity
    secret: str
    token: str | None = None
    expires: float | None = None


class OssService:
    """One bucket of one region. `signer_of` gives who an access key is of; None: nobody."""

    name = "oss"
    asks_in_body = False

    def __init__(
        self,
        bucket: str,
        region: str,
        *,
        operations: Operations,
        clock: Clock,
        signer_of: Callable[[str], Signer | None],
        elsewhere: Mapping[str, str],
    ) -> None:
        self.cnames = {"localhost"}
        self._bucket = bucket
        self._region = region
        self._operations = operations
        self._clock = clock
        self._signer_of = signer_of
        self._elsewhere = elsewhere

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
        headers = {**XML, "x-oss-request-id": secrets.token_hex(12).upper()}
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
        identity = self._authenticated(request, claim, f"/{bucket}/{key}")
        if bucket != self._bucket:
            raise no_such_bucket(bucket)
        match subject.operation:
            case "PutObject":
                return self._operations.put(request, identity, key, act)
            case "GetObject" | "HeadObject":
                return self._operations.read(request, identity, key)
            case "DeleteObject":
                return self._operations.delete(identity, key)
            case "DeleteMultipleObjects":
                return self._operations.delete_many(request, identity)
            case "ListObjectsV2":
                return self._operations.list(request, identity, act)
            case told if told in buckets.TOLD:
                allow(identity, f"oss:{told}", "")
                body = buckets.xml(told, self._bucket, self._region, self._operations.settings)
                return Answer(200, dict(XML), body)
        raise ServiceError(501, "NotImplemented", "The fake does not do this.")

    def _place(self, request: Request) -> tuple[str, str]:
        """Bucket and key, from the host and the path: path style is for IP addresses alone."""
        host = request.headers.get("host", "").partition(":")[0]
        path = unquote(request.path.removeprefix("/"), errors="surrogateescape")
        if _IP.fullmatch(host):
            bucket, _, key = path.partition("/")
            return bucket, key
        if host in self.cnames:
            return self._bucket, path
        bucket = host.partition(".")[0]
        return ("", path) if bucket.startswith("oss-") else (bucket, path)

    def _check_bucket(self, bucket: str) -> None:
        if not bucket:
            raise ServiceError(
                403,
                "SecondLevelDomainForbidden",
                "The bucket you are attempting to access must be addressed using OSS third level domain.",
            )
        if not _BUCKET.fullmatch(bucket):
            raise ServiceError(
                400, "InvalidBucketName", "The specified bucket is not valid.", details={"BucketName": bucket}
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

    def _authenticated(self, request: Request, claim: Claim, path: str) -> Identity:
        signer = self._signer_of(claim.access_key_id)
        token = request.headers.get("x-oss-security-token")
        # A temporary key without its token is as unknown as a lasting key with one.
        if signer is None or (signer.token is None) != (token is None):
            raise ServiceError(
                403,
                "InvalidAccessKeyId",
                "The OSS Access Key Id you provided does not exist in our records.",
                "0002-00000902" if token is None else "0002-00000002",
                {"OSSAccessKeyId": claim.access_key_id},
            )
        if token != signer.token:
            raise ServiceError(
                403, "InvalidSecurityToken", "The security token you provided is invalid.", "0002-00000004"
            )
        verify(request, claim, secret=signer.secret, path=path, region=self._region, now=self._clock.now())
        if signer.expires is not None and signer.expires <= self._clock.now():
            raise ServiceError(
                403, "SecurityTokenExpired", "The security token you provided has expired.", "0002-00000007"
            )
        return signer.identity


def _operation(request: Request, key: str) -> str:
    """The API's name of what is asked; "" for what the fake does not know."""
    parameters = {name for name, _ in request.query}
    if key:
        return "" if parameters else _BY_METHOD.get(request.method, "")
    if request.method == "POST" and "delete" in parameters:
        return "DeleteMultipleObjects"
    if request.method == "GET" and ("list-type", "2") in request.query:
        return "ListObjectsV2"
    if request.method == "GET":
        return next((buckets.SUB_RESOURCES[name] for name in parameters & buckets.SUB_RESOURCES.keys()), "")
    return ""
