"""STS: AssumeRoleWithOIDC, unsigned, for tokens of the fake's own issuer; GetCallerIdentity, signed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from typing import Any, Final
from urllib.parse import parse_qsl, quote

from fake_oss.clock import Clock
from fake_oss.errors import ServiceError
from fake_oss.faults import Act, Subject
from fake_oss.listing import ACCOUNT
from fake_oss.pattern import fits
from fake_oss.rights import Identity
from fake_oss.service import Signer
from fake_oss.wire import Answer, Request

AUDIENCE: Final = "sts.aliyuncs.com"
ISSUER: Final = "https://oidc-ack-cn-hangzhou.oss-cn-hangzhou.aliyuncs.com/c0123456789abcdef0123456789abcdef"
PROVIDER_ARN: Final = f"acs:ram::{ACCOUNT}:oidc-provider/ack-rrsa-c0123456789abcdef0123456789abcdef"
_KEY: Final = b"the fake issuer's key"
_SESSION_NAME: Final = re.compile(r"[A-Za-z0-9.@_-]{2,64}")


@dataclass(frozen=True, slots=True)
class Role:
    """A role and its trust: who the token may be for (`subjects` with `*`, as StringLike has it)."""

    identity: Identity
    subjects: tuple[str, ...]
    audience: str = AUDIENCE
    issuer: str = ISSUER
    most_seconds: int = 3600


class StsService:
    """`lifetime` overrides how long credentials live, in seconds."""

    name = "sts"
    asks_in_body = True

    def __init__(self, clock: Clock, signer_of: Callable[[str], Signer | None]) -> None:
        self.roles: dict[str, Role] = {}
        self.lifetime: float | None = None
        self._clock = clock
        self._signer_of = signer_of
        self._lock = threading.Lock()
        self._issued: dict[str, Signer] = {}

    def issued(self, access_key_id: str) -> Signer | None:
        with self._lock:
            return self._issued.get(access_key_id)

    def issue(self, identity: Identity, seconds: float) -> tuple[str, Signer]:
        """Temporary credentials of an identity: access key id, and the rest."""
        access_key_id = f"STS.{secrets.token_hex(12)}"
        lives = seconds if self.lifetime is None else self.lifetime
        token = base64.b64encode(secrets.token_bytes(300)).decode()
        signer = Signer(identity, secrets.token_urlsafe(32), token, self._clock.now() + lives)
        with self._lock:
            self._issued[access_key_id] = signer
        return access_key_id, signer

    def subject(self, request: Request) -> Subject:
        return Subject(self.name, request.method, _parameters(request).get("Action", ""), "", "")

    def common_headers(self) -> dict[str, str]:
        return {
            "Date": formatdate(self._clock.now(), usegmt=True),
            "Content-Type": "application/json;charset=utf-8",
            "x-acs-request-id": _request_id(),
        }

    def refusal(self, request: Request, error: ServiceError) -> Answer:
        body = {
            "RequestId": _request_id(),
            "HostId": request.headers.get("host", ""),
            "Code": error.code,
            "Message": error.message,
            "Recommend": f"https://api.aliyun.com/troubleshoot?q={error.code}&product=Sts",
        }
        return Answer(error.status, {}, json.dumps(body).encode(), error.code)

    def answer(self, request: Request, subject: Subject, act: Act | None) -> Answer | None:
        parameters = _parameters(request)
        if parameters.get("Version", "2015-04-01") != "2015-04-01":
            raise ServiceError(400, "InvalidVersion", "Specified parameter Version is not valid.")
        action = parameters.get("Action")
        if action == "AssumeRoleWithOIDC":
            return self._assume(parameters)
        if action == "GetCallerIdentity":
            return self._caller(request, parameters)
        raise ServiceError(404, "InvalidAction.NotFound", "The specified api is not found.")

    def _assume(self, parameters: dict[str, str]) -> Answer:
        name = parameters.get("RoleSessionName", "")
        if not _SESSION_NAME.fullmatch(name):
            raise ServiceError(
                400, "InvalidParameter.RoleSessionName", "The parameter RoleSessionName is wrongly formed."
            )
        token = parameters.get("OIDCToken", "")
        if not 4 <= len(token) <= 20000:
            raise ServiceError(400, "MissingOIDCToken", "The parameter OIDCToken is wrongly formed.")
        if parameters.get("OIDCProviderArn") != PROVIDER_ARN:
            raise ServiceError(
                400,
                "AuthenticationFail.NoPermission",
                "No such OIDC Provider registered on your cloud account.",
            )
        role = self.roles.get(parameters.get("RoleArn", ""))
        if role is None:
            raise ServiceError(404, "EntityNotExist.Role", "The role not exists.")
        claims = self._claims(token, role)
        seconds = parameters.get("DurationSeconds", "3600")
        if not seconds.isdigit() or not 900 <= int(seconds) <= role.most_seconds:
            raise ServiceError(
                400,
                "InvalidParameter.DurationSeconds",
                f"The Min/Max value of DurationSeconds is 15min/{role.most_seconds // 60}min.",
            )
        access_key_id, signer = self.issue(role.identity, int(seconds))
        expires = datetime.fromtimestamp(signer.expires or 0, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return _json(
            {
                "RequestId": _request_id(),
                "OIDCTokenInfo": {
                    "Subject": claims["sub"],
                    "Issuer": claims["iss"],
                    "ClientIds": AUDIENCE,
                    "VerificationInfo": "Success",
                },
                "AssumedRoleUser": {
                    "AssumedRoleId": f"33{role.identity.name}:{name}",
                    "Arn": _assumed(role.identity, name),
                },
                "Credentials": {
                    "AccessKeyId": access_key_id,
                    "AccessKeySecret": signer.secret,
                    "SecurityToken": signer.token,
                    "Expiration": expires,
                },
            }
        )

    def _claims(self, token: str, role: Role) -> dict[str, Any]:
        claims = read_token(token)
        if claims is None:
            raise ServiceError(
                400,
                "AuthenticationFail.OIDCToken.Invalid",
                "This JWT Token is invalid: it can't be verified.",
            )
        if claims.get("iss") != ISSUER:
            raise ServiceError(
                400,
                "AuthenticationFail.OIDCToken.IssuerNotMatch",
                "The issuer of the OIDC token does not match the OIDC provider.",
            )
        audiences = claims.get("aud", [])
        if AUDIENCE not in ([audiences] if isinstance(audiences, str) else audiences):
            raise ServiceError(
                400,
                "AuthenticationFail.OIDCToken.AudienceNotMatch",
                "This audience in OIDC Token is not included in the client ids of the OIDC provider.",
            )
        if float(claims.get("exp", 0)) <= self._clock.now():
            raise ServiceError(400, "AuthenticationFail.OIDCToken.Expired", "This JsonWebToken is expired.")
        trusted = (
            role.issuer == claims["iss"]
            and role.audience == AUDIENCE
            and any(fits(pattern, str(claims.get("sub", ""))) for pattern in role.subjects)
        )
        if not trusted:
            raise ServiceError(
                403, "AuthenticationFail.NoPermission", "This operation is forbidden by permission system."
            )
        return claims

    def _caller(self, request: Request, parameters: dict[str, str]) -> Answer:
        signer = self._signer_of(parameters.get("AccessKeyId", ""))
        if signer is None:
            raise ServiceError(404, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
        if parameters.get("SecurityToken") != signer.token:
            raise ServiceError(
                403, "InvalidSecurityToken.MismatchWithAccessKey", "Specified SecurityToken is mismatch."
            )
        if signer.expires is not None and signer.expires <= self._clock.now():
            raise ServiceError(403, "InvalidSecurityToken.Expired", "Specified SecurityToken is expired.")
        if rpc_signature(request.method, parameters, signer.secret) != parameters.get("Signature"):
            raise ServiceError(
                400, "SignatureDoesNotMatch", "Specified signature is not matched with our calculation."
            )
        identity = signer.identity
        told = {"RequestId": _request_id(), "AccountId": ACCOUNT}
        if signer.token is None:
            arn = f"acs:ram::{ACCOUNT}:user/{identity.name}"
            return _json(
                told | {"IdentityType": "RAMUser", "UserId": "21fake", "PrincipalId": "21fake", "Arn": arn}
            )
        return _json(
            told
            | {
                "IdentityType": "AssumedRoleUser",
                "RoleId": "33fake",
                "PrincipalId": "33fake:session",
                "Arn": _assumed(identity, "session"),
            }
        )


def role_arn(identity: str) -> str:
    return f"acs:ram::{ACCOUNT}:role/ray-history-{identity}"


def write_token(subject: str, expires: float, *, audience: str = AUDIENCE, issuer: str = ISSUER) -> str:
    """A projected service account's token, as the cluster's API server makes it."""
    head = _part({"alg": "HS256", "typ": "JWT"})
    body = _part(
        {"iss": issuer, "aud": [audience], "sub": subject, "exp": int(expires), "iat": int(expires) - 3600}
    )
    return f"{head}.{body}.{_signed(f'{head}.{body}')}"


def read_token(token: str) -> dict[str, Any] | None:
    """The claims; None where it is none of ours."""
    signed, _, signature = token.strip().rpartition(".")
    if not hmac.compare_digest(_signed(signed), signature):
        return None
    body = signed.partition(".")[2]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return claims


def rpc_signature(method: str, parameters: dict[str, str], secret: str) -> str:
    """HMAC-SHA1 over the parameters in order, as Alibaba Cloud's older APIs have it."""
    query = "&".join(
        f"{quote(name, safe='~')}={quote(value, safe='~')}"
        for name, value in sorted(parameters.items())
        if name != "Signature"
    )
    text = f"{method}&%2F&{quote(query, safe='~')}"
    return base64.b64encode(hmac.new(f"{secret}&".encode(), text.encode(), hashlib.sha1).digest()).decode()


def _parameters(request: Request) -> dict[str, str]:
    return request.parameters() | dict(parse_qsl(request.body.decode(), keep_blank_values=True))


def _assumed(identity: Identity, session: str) -> str:
    return f"acs:ram::{ACCOUNT}:assumed-role/ray-history-{identity.name}/{session}"


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def _signed(text: str) -> str:
    return (
        base64.urlsafe_b64encode(hmac.new(_KEY, text.encode(), hashlib.sha256).digest()).rstrip(b"=").decode()
    )


def _json(value: dict[str, Any]) -> Answer:
    return Answer(200, {}, json.dumps(value).encode())


def _request_id() -> str:
    return secrets.token_hex(16).upper()
