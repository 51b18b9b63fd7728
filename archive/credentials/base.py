"""What a store needs of credentials, and the kind that never changes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Credentials:
    """A pair of keys; with `security_token` it is temporary. Its text shows no secret.

    `expires`: seconds by this machine's clock; None where nobody says.
    """

    access_key_id: str
    access_key_secret: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)
    expires: float | None = None


class CredentialSource(Protocol):
    """Thread-safe, and survives pickling: a child goes on with the credentials at hand."""

    @property
    def description(self) -> str:
        """Which identity this is, in words for people and without secrets."""
        ...

    def current(self) -> Credentials:
        """Credentials that should work now, at once while there are valid ones.

        Raises: CredentialsMissing, CredentialsRefused, StoreMisconfigured, TransientStoreError.
        """
        ...

    def invalidate(self, credentials: Credentials) -> None:
        """The store says that these have expired or are unknown: fetch new ones for the next use."""
        ...


@dataclass(frozen=True, slots=True)
class Fixed:
    """Keys that were given: nothing can renew them."""

    credentials: Credentials

    @property
    def description(self) -> str:
        kind = "access key" if self.credentials.security_token is None else "STS token of access key"
        return f"{kind} {self.credentials.access_key_id}"

    def current(self) -> Credentials:
        return self.credentials

    def invalidate(self, credentials: Credentials) -> None:
        """The store's own sentence has to do: there is nothing to fetch."""
