"""From STS's refusals to sentences that say what to fix: pure.

The codes are those of AssumeRoleWithOIDC. One code may have several causes; only its message tells which.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from archive.credentials.answer import Refusal
from archive.credentials.token import AUDIENCE, Claims
from archive.errors import CredentialsRefused, StoreError, StoreMisconfigured, TransientStoreError


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for."""

    role: str
    provider: str
    token_file: str
    claims: Claims | None

    @property
    def subject(self) -> str:
        return (self.claims.subject if self.claims else "") or "unknown"

    @property
    def issuer(self) -> str:
        return (self.claims.issuer if self.claims else "") or "unknown"


@dataclass(frozen=True, slots=True)
class _Rule:
    code: str  # of the refusal, or what it begins with
    message: str  # what its message contains, in small letters
    kind: Callable[[str], StoreError]
    remedy: str


_ENABLE_RRSA: Final = (
    "enable RRSA on this Kubernetes cluster, check ALIBABA_CLOUD_OIDC_PROVIDER_ARN ({provider}), and "
    "recreate the pod, since older tokens keep the old issuer ({issuer})"
)

_RULES: Final = (
    _Rule(
        "AuthenticationFail.OIDCToken.Expired",
        "",
        CredentialsRefused,
        "the token in {token_file} has expired: the kubelet has not renewed it, or a clock is wrong; "
        "recreate the pod",
    ),
    _Rule(
        "AuthenticationFail.OIDCToken.AudienceNotMatch",
        "",
        CredentialsRefused,
        "the token in {token_file} is for someone else: the projected volume's audience must be " + AUDIENCE,
    ),
    _Rule(
        "AuthenticationFail.OIDCToken.Issuer",
        "",
        CredentialsRefused,
        "the token's issuer is not the one registered: " + _ENABLE_RRSA,
    ),
    _Rule(
        "AuthenticationFail.OIDCToken.PublicKeyFingerprint",
        "",
        CredentialsRefused,
        "the identity provider {provider} has the fingerprint of another certificate: set it anew in RAM",
    ),
    _Rule(
        "AuthenticationFail.OIDCToken",
        "",
        CredentialsRefused,
        "the file {token_file} holds no valid service account token: mount a projected one with the audience "
        + AUDIENCE,
    ),
    _Rule(
        "AuthenticationFail.NoPermission",
        "no such oidc provider",
        CredentialsRefused,
        "there is no such identity provider: " + _ENABLE_RRSA,
    ),
    _Rule(
        "EntityNotExist.OIDCProvider",
        "",
        CredentialsRefused,
        "there is no such identity provider: " + _ENABLE_RRSA,
    ),
    _Rule(
        "AuthenticationFail.NoPermission",
        "oidcproviderarn",
        StoreMisconfigured,
        "{provider!r} is no identity provider's ARN: set ALIBABA_CLOUD_OIDC_PROVIDER_ARN to "
        "acs:ram::<account>:oidc-provider/ack-rrsa-<cluster id>",
    ),
    _Rule(
        "AuthenticationFail.NoPermission",
        "",
        CredentialsRefused,
        "the role {role} does not trust this pod: its trust policy must name {provider} and allow the "
        "subject {subject}; a condition on oidc:iss must be {issuer} or be left out",
    ),
    _Rule(
        "EntityNotExist.Role",
        "",
        CredentialsRefused,
        "there is no role {role}: create it, or set ALIBABA_CLOUD_ROLE_ARN (from the service account's "
        "annotation role-name) right",
    ),
    _Rule(
        "InvalidParameter.RoleArn",
        "",
        StoreMisconfigured,
        "{role!r} is no role's ARN: set ALIBABA_CLOUD_ROLE_ARN to acs:ram::<account>:role/<name>",
    ),
    _Rule(
        "InvalidParameter.OIDCProviderArn",
        "",
        StoreMisconfigured,
        "{provider!r} is no identity provider's ARN: set ALIBABA_CLOUD_OIDC_PROVIDER_ARN to "
        "acs:ram::<account>:oidc-provider/ack-rrsa-<cluster id>",
    ),
    _Rule(
        "InvalidParameter.DurationSeconds",
        "",
        CredentialsRefused,
        "the role {role} allows sessions of less than an hour: set its MaxSessionDuration to 3600 or more",
    ),
    _Rule(
        "InvalidParameter.RoleSessionName",
        "",
        StoreMisconfigured,
        "the session's name is not allowed: set ALIBABA_CLOUD_ROLE_SESSION_NAME to 2 to 64 letters, digits "
        "and any of .@-_",
    ),
    _Rule(
        "InvalidTimeStamp",
        "",
        CredentialsRefused,
        "the clock of this machine is wrong by more than 15 minutes: set it (NTP)",
    ),
    _Rule(
        "Throttling",
        "",
        TransientStoreError,
        "too many ask for credentials of this account; it is asked again later",
    ),
)


def error_of(refusal: Refusal, asked: Asked, host: str) -> StoreError:
    """The refusal as an error, with STS's own words behind the sentence and its code as the error's."""
    error = _error_of(refusal, asked, host)
    error.code = refusal.code
    return error


def _error_of(refusal: Refusal, asked: Asked, host: str) -> StoreError:
    told = f"STS at {host} said {refusal.status} {refusal.code or 'without a code'}: {refusal.message[:300]}"
    if refusal.request_id:
        told += f" (request {refusal.request_id})"
    message = refusal.message.lower()
    for rule in _RULES:
        if refusal.code.startswith(rule.code) and rule.message in message:
            remedy = rule.remedy.format(
                role=asked.role,
                provider=asked.provider,
                token_file=asked.token_file,
                subject=asked.subject,
                issuer=asked.issuer,
            )
            return rule.kind(f"{remedy}. {told}")
    if refusal.status >= 500 or refusal.status == 429:
        return TransientStoreError(f"STS is in trouble; it is asked again. {told}")
    return CredentialsRefused(f"STS gives no credentials for the role {asked.role}. {told}")
