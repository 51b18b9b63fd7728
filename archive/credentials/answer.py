"""What STS and the metadata service answer, taken apart: pure.

STS:      {"Credentials": {"AccessKeyId", "AccessKeySecret", "SecurityToken",
                           "Expiration": "2026-11-23T03:43:27Z"}, …}
          {"Code", "Message", "RequestId", "HostId", "Recommend"} with a status of 400 or more
metadata: {"Code": "Success", "AccessKeyId", "AccessKeySecret", "SecurityToken", "Expiration", "LastUpdated"}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from archive.credentials.base import Credentials
from archive.credentials.fetched import Issued
from archive.credentials.http import Answer
from archive.errors import TransientStoreError

_LONGEST_LIFE: Final = 48 * 3600.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """An issuer's no, in its own words."""

    status: int
    code: str
    message: str
    request_id: str


def document(answer: Answer, who: str) -> Mapping[str, object]:
    """The JSON object in an answer. Raises TransientStoreError, saying what came instead."""
    try:
        told = json.loads(answer.body)
    except ValueError:
        told = None
    if isinstance(told, dict):
        return told
    start = answer.body[:200].lstrip().lower()
    what = (
        "a web page (is that the right address? does a proxy answer in its place?)"
        if start.startswith((b"<!doctype", b"<html"))
        else "nothing"
        if not start
        else "something that is no JSON, or only a part of it"
    )
    raise TransientStoreError(f"{who} answered {answer.status} with {what}")


def refusal(answer: Answer, told: Mapping[str, object]) -> Refusal:
    """The refusal in an STS answer that is not 200."""
    return Refusal(
        answer.status,
        str(told.get("Code") or ""),
        str(told.get("Message") or ""),
        str(told.get("RequestId") or ""),
    )


def issued(told: object, who: str, issuer_now: float | None, own_now: float) -> Issued:
    """Credentials from their JSON object. `issuer_now`: its clock, None if unknown.

    Raises TransientStoreError.
    """
    fields = told if isinstance(told, dict) else {}
    texts = [fields.get(name) for name in ("AccessKeyId", "AccessKeySecret", "SecurityToken")]
    ends = _time(fields.get("Expiration"))
    if ends is None or not all(isinstance(text, str) and text for text in texts):
        raise TransientStoreError(f"{who} answered without credentials: fields are missing or are no text")
    lifetime = ends - (own_now if issuer_now is None else issuer_now)
    if not 0 < lifetime <= _LONGEST_LIFE:
        raise TransientStoreError(
            f"{who} gave credentials that end at {fields['Expiration']}, which is no time to come: "
            "is the clock of this machine right?"
        )
    identity, secret, token = map(str, texts)
    return Issued(Credentials(identity, secret, token, own_now + lifetime), lifetime)


def _time(text: object) -> float | None:
    try:
        return datetime.strptime(str(text), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None
