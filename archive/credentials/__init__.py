"""Who we are to the object storage: one source of credentials, kept fresh, each failure a sentence."""

from archive.credentials.base import Credentials, CredentialSource
from archive.credentials.environment import source_from

__all__ = ["CredentialSource", "Credentials", "source_from"]
