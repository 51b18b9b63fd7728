"""RRSA: a pod's service account token is exchanged at STS for an hour of a role (AssumeRoleWithOIDC)."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode, urlsplit

from archive.credentials import token as tokens
from archive.credentials.answer import document, issued, refusal
from archive.credentials.fetched import Issued
from archive.credentials.http import ask, checked_address
from archive.credentials.refusals import Asked, error_of
from archive.errors import TransientStoreError

ROLE: Final = "ALIBABA_CLOUD_ROLE_ARN"
PROVIDER: Final = "ALIBABA_CLOUD_OIDC_PROVIDER_ARN"
TOKEN_FILE: Final = "ALIBABA_CLOUD_OIDC_TOKEN_FILE"  # noqa: S105 - a variable's name
_SESSION_SECONDS: Final = 3600  # what every role allows
_SESSION_NAME: Final = "ray-history-server"


@dataclass(frozen=True, slots=True)
class Rrsa:
    """An Issuer. `endpoint`: STS's URL; https unless a setting says http."""

    role: str
    provider: str
    token_file: str
    session_name: str
    endpoint: str

    @property
    def description(self) -> str:
        return f"role {self.role} by RRSA"

    def fetch(self) -> Issued:
        token = tokens.read(self.token_file)
        query = {
            "Action": "AssumeRoleWithOIDC",
            "Format": "JSON",
            "Version": "2015-04-01",
            "Timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        body = {
            "RoleArn": self.role,
            "OIDCProviderArn": self.provider,
            "OIDCToken": token,  # in the body: addresses end up in logs
            "RoleSessionName": self.session_name,
            "DurationSeconds": str(_SESSION_SECONDS),
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        host = urlsplit(self.endpoint).netloc
        try:
            answer = ask("POST", f"{self.endpoint}/?{urlencode(query)}", headers, urlencode(body).encode())
        except TransientStoreError as error:
            raise TransientStoreError(f"STS gives no credentials: {error}. {self._hint()}") from error
        who = f"STS at {host}"
        told = document(answer, who)
        if answer.status != 200:
            asked = Asked(self.role, self.provider, self.token_file, tokens.claims(token))
            raise error_of(refusal(answer, told), asked, host)
        return issued(told.get("Credentials"), who, answer.date, time.time())

    def _hint(self) -> str:
        if urlsplit(self.endpoint).hostname == "sts.aliyuncs.com":
            return (
                "That is the public address, which needs a way out of the network: set "
                "ALIBABA_CLOUD_STS_REGION and ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED=true for the one inside"
            )
        return (
            "Is the address right (ALIBABA_CLOUD_STS_ENDPOINT, ALIBABA_CLOUD_STS_REGION), and the way open?"
        )


def sts_endpoint(environment: Mapping[str, str]) -> str:
    """STS's URL, without a slash at its end. Raises StoreMisconfigured."""
    given = environment.get("ALIBABA_CLOUD_STS_ENDPOINT", "").strip()
    if given:
        return checked_address(given)
    region = environment.get("ALIBABA_CLOUD_STS_REGION", "").strip()
    if not region:
        return "https://sts.aliyuncs.com"
    inside = environment.get("ALIBABA_CLOUD_VPC_ENDPOINT_ENABLED", "").strip().lower() == "true"
    return checked_address(f"sts{'-vpc' if inside else ''}.{region}.aliyuncs.com")


def session_name(environment: Mapping[str, str]) -> str:
    """A name that STS takes, for the account's audit log: the pod's where it is known."""
    wanted = (
        environment.get("ALIBABA_CLOUD_ROLE_SESSION_NAME", "").strip()
        or environment.get("HOSTNAME", "").strip()
    )
    allowed = re.sub(r"[^A-Za-z0-9.@_-]", "-", wanted)[:64]
    return allowed if len(allowed) >= 2 else _SESSION_NAME
