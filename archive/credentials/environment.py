"""From an environment to a source: access keys, STS token, RRSA, ECS role, in the order of Alibaba's SDKs.

Half a set is an error, never a reason to go on with the next kind: that would be somebody else's identity.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from archive.credentials.base import Credentials, CredentialSource, Fixed
from archive.credentials.ecs import ADDRESS, NOTHING_SET, EcsRole
from archive.credentials.fetched import Fetched
from archive.credentials.http import checked_address
from archive.credentials.rrsa import PROVIDER, ROLE, TOKEN_FILE, Rrsa, session_name, sts_endpoint
from archive.errors import CredentialsMissing

_KEYS: Final = (
    ("ALIBABA_CLOUD_ACCESS_KEY_ID", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "ALIBABA_CLOUD_SECURITY_TOKEN"),
    ("OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "OSS_SESSION_TOKEN"),
)


def source_from(environment: Mapping[str, str]) -> CredentialSource:
    """Asks nobody yet. Raises CredentialsMissing for half a set, and for none where metadata is switched off,
    and StoreMisconfigured for an address that is none.

    ALIBABA_CLOUD_ECS_METADATA names the machine's role, ALIBABA_CLOUD_ECS_METADATA_DISABLED=true leaves it
    out; HISTORYSERVER_METADATA_ADDRESS is where the metadata service answers in tests.
    """
    given = {name: value.strip() for name, value in environment.items()}
    for names in _KEYS:
        if _any(given, names):
            return Fixed(_key_pair(given, names))
    if _any(given, (ROLE, PROVIDER, TOKEN_FILE)):
        return Fetched(_rrsa(given))
    role = given.get("ALIBABA_CLOUD_ECS_METADATA", "")
    if _true(given, "ALIBABA_CLOUD_ECS_METADATA_DISABLED"):
        raise CredentialsMissing(f"{NOTHING_SET}; the machine's role is switched off")
    address = checked_address(given.get("HISTORYSERVER_METADATA_ADDRESS", "") or ADDRESS)
    return Fetched(EcsRole(role, address, hardened_only=_true(given, "ALIBABA_CLOUD_IMDSV1_DISABLED")))


def _key_pair(given: Mapping[str, str], names: tuple[str, str, str]) -> Credentials:
    _require_all(given, names[:2])
    identity, secret, token = (given.get(name, "") for name in names)
    if not all(text.isascii() and text.isprintable() for text in (identity, secret, token)):
        raise CredentialsMissing(f"{names[0]} and its secret hold letters that no key has: copy them again")
    return Credentials(identity, secret, token or None)


def _rrsa(given: Mapping[str, str]) -> Rrsa:
    _require_all(given, (ROLE, PROVIDER, TOKEN_FILE))
    return Rrsa(given[ROLE], given[PROVIDER], given[TOKEN_FILE], session_name(given), sts_endpoint(given))


def _require_all(given: Mapping[str, str], names: tuple[str, ...]) -> None:
    missing = [name for name in names if not given.get(name)]
    if missing:
        raise CredentialsMissing(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set, but what belongs to it "
            f"is: set all of {', '.join(names)}, or none"
        )


def _any(given: Mapping[str, str], names: tuple[str, ...]) -> bool:
    return any(given.get(name) for name in names)


def _true(given: Mapping[str, str], name: str) -> bool:
    return given.get(name, "").lower() in {"true", "1"}
