"""What an answer of OSS, or none, means to us: pure functions to the archive's errors.

A sentence says what failed, why, and what to do; the request's id ends it, for support asks for it. No
sentence holds a header, a signature or a secret.

`effect_unknown` is set for a put that may have been applied: the answer is lost, or a 5xx doesn't say that
the request was turned away. A refusal, a throttle and a connection that never came about changed nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, NamedTuple

from archive.errors import (
    ObjectChanged,
    ObjectMissing,
    StoreError,
    StoreMisconfigured,
    StoreRefused,
    TransientStoreError,
)

PUT: Final = "PutObject"
GET: Final = "GetObject"
HEAD: Final = "HeadObject"
LIST: Final = "ListObjectsV2"
DELETE: Final = "DeleteMultipleObjects"

RENEWABLE: Final = frozenset({"SecurityTokenExpired", "InvalidSecurityToken", "InvalidAccessKeyId"})
"""Codes that newer credentials may cure."""

_RIGHTS: Final = {
    PUT: "PutObject",
    GET: "GetObject",
    HEAD: "GetObject",
    LIST: "ListObjects",
    DELETE: "DeleteObject",
}
_THROTTLED: Final = re.compile(r"SlowDown|Limit|TooManyRequests|Throttl|ServerBusy", re.IGNORECASE)
_IMMUTABLE: Final = re.compile(r"Worm|Immutable|Retention|LegalHold", re.IGNORECASE)
_MOVED: Final = frozenset({301, 302, 307, 308})
_PASSING: Final = frozenset({408, 429})
_LONGEST_MESSAGE: Final = 300


class Trouble(Enum):
    """How a request can end without an answer that can be used."""

    UNREACHABLE = auto()
    """Nothing was sent: refused, no such host, no connection in time."""
    UNTRUSTED = auto()
    NO_TLS = auto()
    CUT = auto()
    """Sent, but not to the end."""
    LOST = auto()
    """Sent, as far as anybody knows; no answer in time, or half of one."""
    DAMAGED = auto()
    """Answered, but a checksum says that the bytes are others."""


class Asked(NamedTuple):
    """A request. `name`: the object's name in the bucket, or the prefix listed; "" where it is the bucket.

    `place`: scheme and host.
    """

    action: str
    bucket: str
    name: str
    place: str

    @property
    def what(self) -> str:
        where = f"oss://{self.bucket}/{self.name[:300]}"
        return f"{self.action} of {where}" if self.name else f"{self.action} of oss://{self.bucket}"

    @property
    def right(self) -> str:
        """The right it takes and what on, as a policy writes it."""
        on = self.bucket
        if self.name and self.action != LIST:
            folder = "/".join(self.name.split("/")[:-1][:3])
            on = f"{self.bucket}/{folder}/*" if folder else f"{self.bucket}/*"
        return f"oss:{_RIGHTS.get(self.action, self.action)} on acs:oss:*:*:{on}"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is no success. `by_oss`: it has the request id that OSS gives to all of them.

    `endpoint`: the one OSS tells to use instead. `skew`: seconds by which OSS's clock is ahead of ours.
    """

    status: int
    code: str = ""
    message: str = ""
    ec: str = ""
    request_id: str = ""
    endpoint: str = ""
    content_type: str = ""
    skew: float = 0.0
    by_oss: bool = True


# What a code means, for codes that always mean the same.
_MEANING: Final[dict[str, tuple[type[StoreError], str]]] = {
    "NoSuchKey": (ObjectMissing, "there is no such object"),
    "PreconditionFailed": (ObjectChanged, "it was replaced meanwhile: list it and read again"),
    "NoSuchBucket": (
        StoreMisconfigured,
        "there is no such bucket at {place}: create it, or correct its name or region",
    ),
    "InvalidBucketName": (StoreMisconfigured, "that is no bucket's name: correct the URL"),
    "InvalidAccessKeyId": (
        StoreRefused,
        "OSS does not know the access key id: deleted, disabled, or another account's; give a valid pair",
    ),
    "SignatureDoesNotMatch": (
        StoreRefused,
        "the access key secret does not belong to its id, or a proxy changes requests; give the pair anew",
    ),
    "InvalidSecurityToken": (StoreRefused, "OSS does not accept the security token: give a new one"),
    "SecurityTokenExpired": (
        TransientStoreError,
        "the security token has expired: the next try asks for a new one; if it was given by hand, renew it",
    ),
    "FileAlreadyExists": (
        StoreMisconfigured,
        "the bucket forbids overwriting, yet open segments and heartbeats are rewritten: take that rule away",
    ),
    "InvalidObjectState": (
        StoreRefused,
        "it lies in an archive storage class: restore it, and let no lifecycle rule move the archive there",
    ),
    "UserDisable": (
        StoreRefused,
        "OSS is disabled for the account, mostly for unpaid bills: see the account in the console",
    ),
    "RequestTimeout": (TransientStoreError, "the request came too slowly"),
    "IncompleteBody": (TransientStoreError, "the request was cut on the way"),
    "InvalidDigest": (TransientStoreError, "the request was changed on the way"),
}


def refused(asked: Asked, answer: Answer) -> StoreError:
    """The error for an answer other than the one hoped for."""
    if not answer.by_oss:
        return _stranger(asked, answer)
    kind, why = _coded(asked, answer) or _by_status(asked, answer)
    sentence = _sentence(asked, why, answer.request_id)
    error = kind(sentence)
    if isinstance(error, TransientStoreError):
        applied = answer.status >= 500 and not _THROTTLED.search(answer.code)
        error.effect_unknown = applied and asked.action == PUT
    error.code = answer.code
    return error


def _coded(asked: Asked, answer: Answer) -> tuple[type[StoreError], str] | None:
    """What the code or the message tells."""
    if answer.code in _MEANING:
        kind, why = _MEANING[answer.code]
        return kind, why.format(place=asked.place)
    if answer.code == "RequestTimeTooSkewed":
        if not answer.skew:
            return TransientStoreError, "OSS's clock has jumped: the next try is signed by what it shows now"
        way = "behind" if answer.skew > 0 else "ahead of"
        return TransientStoreError, (
            f"this machine's clock is {abs(answer.skew):.0f} s {way} OSS's: set it right; until then "
            "OSS's is used to sign"
        )
    if answer.status in _MOVED or "specified endpoint" in answer.message:
        there = f" {answer.endpoint}" if answer.endpoint else ""
        return (
            StoreMisconfigured,
            f"the bucket is not at {asked.place}: give its region or its endpoint{there}",
        )
    if "region" in answer.message.lower() and answer.status in {400, 403}:
        return (
            StoreMisconfigured,
            f"the region does not fit {asked.place}: correct region= in the store's URL: {_said(answer)}",
        )
    if _IMMUTABLE.search(answer.code):
        return StoreMisconfigured, (
            "the bucket keeps objects from being changed or deleted, yet open segments and heartbeats are "
            f"rewritten: take a bucket without retention: {_said(answer)}"
        )
    if "kms" in f"{answer.code} {answer.message}".lower():
        return StoreRefused, (
            "the bucket encrypts with a KMS key that is disabled or not ours to use: grant "
            f"kms:GenerateDataKey and kms:Decrypt, or choose another encryption: {_said(answer)}"
        )
    return None


def _by_status(asked: Asked, answer: Answer) -> tuple[type[StoreError], str]:
    if answer.status == 404 and asked.action in {GET, HEAD}:  # an answer without a body may lack the code
        return _MEANING["NoSuchKey"]
    if answer.status == 412:
        return _MEANING["PreconditionFailed"]
    if answer.status in _PASSING or answer.status >= 500:
        return TransientStoreError, f"OSS is in trouble or turns requests away: {_said(answer)}"
    if answer.status == 403:
        return StoreRefused, f"that takes {asked.right}, which this identity has not: {_said(answer)}"
    return StoreMisconfigured, f"OSS does not take the request: {_said(answer)}"


def _stranger(asked: Asked, answer: Answer) -> StoreError:
    """Something other than OSS answered: a portal, a proxy, a gateway, a wrong address."""
    page = ", a web page" if "html" in answer.content_type else ""
    status = f"status {answer.status}{page}"
    if answer.status in {407, 511}:
        why = f"a proxy or portal wants a login first ({status}): let requests to {asked.place} pass"
        return StoreMisconfigured(_sentence(asked, why))
    if answer.status in _PASSING or answer.status >= 500:
        unclear = answer.status >= 500 and asked.action == PUT
        why = f"a gateway before OSS is in trouble ({status})"
        return TransientStoreError(_sentence(asked, why), effect_unknown=unclear)
    why = (
        f"what answers at {asked.place} is not OSS ({status}): correct the endpoint, or see whether a proxy "
        "or portal stands between"
    )
    return StoreMisconfigured(_sentence(asked, why))


def unanswered(asked: Asked, trouble: Trouble, detail: str) -> StoreError:
    """The error for a request without an answer that can be used. `detail`: what the system calls it."""
    match trouble:
        case Trouble.UNREACHABLE:
            why = f"{asked.place} can't be reached ({detail}): see to region, endpoint, and the way there"
            return TransientStoreError(_sentence(asked, why))
        case Trouble.UNTRUSTED:
            why = (
                f"the certificate at {asked.place} is not to be trusted ({detail}): see to endpoint and proxy"
            )
            return StoreMisconfigured(_sentence(asked, why))
        case Trouble.NO_TLS:
            why = f"what answers at {asked.place} does not speak TLS ({detail}): correct the endpoint"
            return StoreMisconfigured(_sentence(asked, why))
        case Trouble.CUT:
            why = f"the connection to {asked.place} failed before all was sent ({detail})"
            return TransientStoreError(_sentence(asked, why))
        case Trouble.LOST:
            why = f"the connection to {asked.place} failed under way ({detail})"
        case Trouble.DAMAGED:
            why = f"bytes were changed on the way ({detail})"
    return TransientStoreError(_sentence(asked, why), effect_unknown=asked.action == PUT)


def _sentence(asked: Asked, why: str, request_id: str = "") -> str:
    told = f"{asked.what} failed: {why}"
    return f"{told} [request {request_id[:64]}]" if request_id else told


def _said(answer: Answer) -> str:
    """OSS's own words, on one line."""
    words = " ".join(answer.message.split())[:_LONGEST_MESSAGE]
    codes = " ".join(part for part in (str(answer.status), answer.code, answer.ec) if part)
    return f"{words} ({codes})" if words else codes
