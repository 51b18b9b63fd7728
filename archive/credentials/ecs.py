"""The role of the ECS instance that this machine is, from its metadata service."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from archive.credentials.answer import document, issued
from archive.credentials.fetched import Issued
from archive.credentials.http import Answer, ask
from archive.errors import CredentialsMissing, CredentialsRefused, StoreError, TransientStoreError

ADDRESS: Final = "http://100.100.100.200"
_SECONDS: Final = 2.0  # it is on this very machine, or nowhere
_ROLES: Final = "/latest/meta-data/ram/security-credentials/"


@dataclass(frozen=True, slots=True)
class EcsRole:
    """An Issuer. An empty `role` is found, since nothing else was set. `hardened_only`: no first version."""

    role: str
    address: str = ADDRESS
    hardened_only: bool = False

    @property
    def description(self) -> str:
        return f"role {self.role or 'of this machine'} by ECS metadata"

    def fetch(self) -> Issued:
        try:
            session = self._session()
            role = self.role or self._found(session)
            answer = self._get(_ROLES + quote(role, safe=""), session)
        except TransientStoreError as error:
            if self.role:
                raise
            raise CredentialsMissing(f"{NOTHING_SET}, and this machine has no role ({error})") from error
        if answer.status == 404:
            raise CredentialsRefused(
                f"this machine has no role {role!r}: attach it to the ECS instance, "
                "or set ALIBABA_CLOUD_ECS_METADATA right"
            )
        told = document(answer, self._who)
        if answer.status != 200 or told.get("Code") != "Success":
            raise _refused(self._who, answer.status, str(told.get("Code") or ""))
        return issued(told, self._who, answer.date, time.time())

    @property
    def _who(self) -> str:
        return f"the metadata service at {self.address}"

    def _session(self) -> dict[str, str]:
        """The header of the service's second version; nothing where only the first answers."""
        ttl = {"X-aliyun-ecs-metadata-token-ttl-seconds": "60"}
        answer = ask("PUT", f"{self.address}/latest/api/token", ttl, seconds=_SECONDS)
        token = answer.body.decode("ascii", "replace").strip()
        if answer.status == 200 and token.isprintable() and token:
            return {"X-aliyun-ecs-metadata-token": token}
        if self.hardened_only:
            raise _refused(self._who, answer.status, "no token, and ALIBABA_CLOUD_IMDSV1_DISABLED is set")
        return {}

    def _found(self, session: dict[str, str]) -> str:
        answer = self._get(_ROLES, session)
        names = answer.body.decode("utf-8", "replace").split()
        if answer.status != 200 or len(names) != 1 or "<" in names[0]:
            raise CredentialsMissing(f"{NOTHING_SET}, and this machine has no role")
        return names[0]

    def _get(self, path: str, session: dict[str, str]) -> Answer:
        return ask("GET", self.address + path, session, seconds=_SECONDS)


def _refused(who: str, status: int, why: str) -> StoreError:
    sentence = f"{who} gave no credentials: {status} {why}".rstrip()
    return TransientStoreError(sentence) if status >= 500 else CredentialsRefused(sentence)


NOTHING_SET: Final = (
    "no credentials are set: give an access key (ALIBABA_CLOUD_ACCESS_KEY_ID, "
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET), or RRSA's three ("
    "ALIBABA_CLOUD_ROLE_ARN, ALIBABA_CLOUD_OIDC_PROVIDER_ARN, ALIBABA_CLOUD_OIDC_TOKEN_FILE)"
)
