"""The service account's token that proves to STS who this pod is: a JSON web token, read but not verified."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from archive.errors import CredentialsMissing

AUDIENCE: Final = "sts.aliyuncs.com"
_LONGEST: Final = 20_000  # what STS takes


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says of itself. `expires`: seconds since 1970; None and empty where it doesn't say."""

    issuer: str = ""
    subject: str = ""
    audiences: tuple[str, ...] = ()
    expires: float | None = None


def read(path: str) -> str:
    """The token in the file, as it is now: the kubelet replaces it. Raises CredentialsMissing."""
    try:
        with Path(path).open("rb") as file:
            token = file.read(_LONGEST + 1).strip()
    except OSError as error:
        raise CredentialsMissing(
            f"the token file {path!r} can't be read ({error.strerror}): is the projected service account "
            "token mounted in this container, and readable for its user?"
        ) from error
    if not token:
        raise CredentialsMissing(
            f"the token file {path!r} is empty: the kubelet has not written the token yet"
        )
    if len(token) > _LONGEST or not token.isascii() or any(byte <= 0x20 for byte in token):
        raise CredentialsMissing(
            f"the token file {path!r} holds no token: it must be a service account token of one line"
        )
    return token.decode("ascii")


def claims(token: str) -> Claims | None:
    """What the token says; None for what is no JSON web token."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        told = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return None
    if not isinstance(told, dict):
        return None
    audience, expires = told.get("aud"), told.get("exp")
    return Claims(
        issuer=str(told.get("iss") or ""),
        subject=str(told.get("sub") or ""),
        audiences=tuple(map(str, audience))
        if isinstance(audience, list)
        else (str(audience),)
        if audience
        else (),
        expires=float(expires) if isinstance(expires, int | float) else None,
    )
