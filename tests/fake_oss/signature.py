"""Version 4 signatures of requests to OSS, verified as the service does.

The string to sign has four lines: OSS4-HMAC-SHA256, time, date/region/oss/aliyun_v4_request, and the SHA-256
of the canonical request, which is: method, /bucket/key, query, headers, names of additional headers, and
UNSIGNED-PAYLOAD, a line each.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import quote

from fake_oss.errors import ServiceError, invalid_argument
from fake_oss.wire import Request

ALGORITHM: Final = "OSS4-HMAC-SHA256"
MOST_SKEW_SECONDS: Final = 900.0
_TIME: Final = re.compile(r"\d{8}T\d{6}Z")
_SIGNED_ALWAYS: Final = frozenset({"content-type", "content-md5"})


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says about its signer, not yet believed."""

    access_key_id: str
    date: str
    region: str
    product: str
    additional: tuple[str, ...]
    signature: str


def claim_of(request: Request) -> Claim:
    """Read the Authorization header. Raises ServiceError for one that is missing or of another version."""
    header = request.headers.get("authorization")
    if header is None:
        raise ServiceError(
            403,
            "AccessDenied",
            "You have no right to access this object because of bucket acl.",
            "0003-00000001",
        )
    if not header.startswith(f"{ALGORITHM} "):
        raise invalid_argument(
            "The bucket or the account no longer allows signature version 1. Use signature version 4."
        )
    parts = dict(part.strip().partition("=")[::2] for part in header[len(ALGORITHM) + 1 :].split(","))
    credential = parts.get("Credential", "").rsplit("/", 4)
    if len(credential) != 5 or credential[4] != "aliyun_v4_request" or "Signature" not in parts:
        raise invalid_argument("Authorization header is invalid.", "Authorization", header)
    additional = tuple(name for name in parts.get("AdditionalHeaders", "").split(";") if name)
    return Claim(credential[0], credential[1], credential[2], credential[3], additional, parts["Signature"])


def verify(request: Request, claim: Claim, *, secret: str, path: str, region: str, now: float) -> None:
    """`path` is /bucket/key, unescaped; `now` the service's clock. Raises ServiceError."""
    stamp = _stamp(request)
    if claim.region != region:
        raise ServiceError(
            400,
            "InvalidArgument",
            "Invalid signing region in Authorization header.",
            "0002-00000226",
            {"Authorization": request.headers["authorization"]},
        )
    if claim.product != "oss" or claim.date != stamp[:8]:
        raise invalid_argument("Invalid credential scope.", "Authorization", request.headers["authorization"])
    if request.headers.get("x-oss-content-sha256") != "UNSIGNED-PAYLOAD":
        raise invalid_argument("x-oss-content-sha256 must be UNSIGNED-PAYLOAD.", "x-oss-content-sha256")
    _check_time(stamp, now)
    canonical = canonical_request(request, claim.additional, path)
    to_sign = string_to_sign(stamp, f"{claim.date}/{claim.region}/oss/aliyun_v4_request", canonical)
    key = signing_key(secret, claim.date, claim.region)
    right = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(right, claim.signature):
        raise ServiceError(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method.",
            details={
                "OSSAccessKeyId": claim.access_key_id,
                "SignatureProvided": claim.signature,
                "StringToSign": to_sign,
                "CanonicalRequest": canonical,
            },
        )


def canonical_request(request: Request, additional: tuple[str, ...], path: str) -> str:
    query = "&".join(f"{name}={value}" if value else name for name, value in sorted(request.query))
    headers = "".join(
        f"{name}:{value}\n"
        for name, value in sorted(request.headers.items())
        if name.startswith("x-oss-") or name in _SIGNED_ALWAYS or name in additional
    )
    payload = request.headers.get("x-oss-content-sha256", "UNSIGNED-PAYLOAD")
    return f"{request.method}\n{quote(path, safe='/')}\n{query}\n{headers}\n{';'.join(additional)}\n{payload}"


def string_to_sign(stamp: str, scope: str, canonical: str) -> str:
    return f"{ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"


@functools.lru_cache(maxsize=1024)
def signing_key(secret: str, date: str, region: str) -> bytes:
    key = f"aliyun_v4{secret}".encode()
    for part in (date, region, "oss", "aliyun_v4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def _stamp(request: Request) -> str:
    stamp = request.headers.get("x-oss-date")
    if stamp is None:
        try:
            moment = parsedate_to_datetime(request.headers["date"])
        except (KeyError, ValueError):
            raise _no_time("Date") from None
        return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    if not _TIME.fullmatch(stamp):
        raise _no_time("x-oss-date")
    return stamp


def _no_time(header: str) -> ServiceError:
    return ServiceError(403, "AccessDenied", f"OSS authentication requires a valid {header}.")


def _check_time(stamp: str, now: float) -> None:
    moment = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if abs(moment.timestamp() - now) > MOST_SKEW_SECONDS:
        raise ServiceError(
            403,
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
            "0002-00000504",
            {
                "MaxAllowedSkewMilliseconds": str(int(MOST_SKEW_SECONDS * 1000)),
                "RequestTime": moment.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
                "ServerTime": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            },
        )
