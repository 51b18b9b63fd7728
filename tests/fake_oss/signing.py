"""Signed requests that no client would send."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import unquote

from fake_oss.fake import FakeOss
from fake_oss.signature import canonical_request, signing_key, string_to_sign
from fake_oss.wire import Request


def signed(
    oss: FakeOss, method: str, path: str, headers: Mapping[str, str] | None = None, *, bucket_path: str = ""
) -> dict[str, str]:
    """The headers with the operator's signature. `bucket_path`: /bucket/key, where `path` isn't that."""
    who = oss.environment("operator")
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    given = {**(headers or {}), "x-oss-date": stamp, "x-oss-content-sha256": "UNSIGNED-PAYLOAD"}
    place, _, query = path.partition("?")
    pairs = [(name, value) for name, _, value in (pair.partition("=") for pair in query.split("&") if pair)]
    request = Request(method, place, pairs, {name.lower(): value for name, value in given.items()})
    scope = f"{stamp[:8]}/{oss.region}/oss/aliyun_v4_request"
    to_sign = string_to_sign(stamp, scope, canonical_request(request, (), unquote(bucket_path or place)))
    key = signing_key(who["ALIBABA_CLOUD_ACCESS_KEY_SECRET"], stamp[:8], oss.region)
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    credential = f"{who['ALIBABA_CLOUD_ACCESS_KEY_ID']}/{scope}"
    return {**given, "Authorization": f"OSS4-HMAC-SHA256 Credential={credential},Signature={signature}"}
