"""Errors of the archive. The type says whether trying again can help.

ArchiveError
├── NameInvalid               a name that may not stand in an object's key
├── FormatError               bytes that can't be read as what they claim to be
│   ├── SegmentDamaged        a segment cut short, changed or contradicting itself
│   ├── FormatUnknown         written by a newer version
│   └── SuffixTooShort        the footer begins before the bytes at hand; carries how many are needed
└── StoreError
    ├── TransientStoreError   trying again may help; carries whether the put may have taken effect
    └── PermanentStoreError   trying the same again won't help
        ├── ObjectMissing
        ├── ObjectChanged     If-Match failed: the object was replaced
        ├── StoreRefused      no right to do this
        │   └── CredentialsRefused    nobody gives this identity credentials
        └── StoreMisconfigured
            └── CredentialsMissing    no identity is set, or its token file is gone
"""


class ArchiveError(Exception):
    """Base of everything the archive raises on purpose."""


class NameInvalid(ArchiveError):
    """A namespace, cluster, session, node, stream or key that could escape its place."""


class FormatError(ArchiveError):
    """Bytes that can't be read as what they claim to be."""


class SegmentDamaged(FormatError):
    """A segment cut short, changed, or contradicting itself."""


class FormatUnknown(FormatError):
    """A version this code does not know; a newer one reads it."""


class SuffixTooShort(FormatError):
    """The footer begins before the bytes at hand. `needed`: length in bytes of a suffix that holds it."""

    def __init__(self, needed: int) -> None:
        super().__init__(f"the footer needs the last {needed} bytes of the object: read them and try again")
        self.needed = needed


class StoreError(ArchiveError):
    """A store could not do what was asked. `code`: the store's own word for it, "" where it has none."""

    code = ""


class TransientStoreError(StoreError):
    """Trying again may help. `effect_unknown`: a put may have taken effect, or still take it later."""

    def __init__(self, message: str, *, effect_unknown: bool = False) -> None:
        super().__init__(message)
        self.effect_unknown = effect_unknown


class PermanentStoreError(StoreError):
    """Trying the same again won't help."""


class ObjectMissing(PermanentStoreError):
    """There is no such object."""


class ObjectChanged(PermanentStoreError):
    """The object is no longer the one that `if_match` names: list and read again."""


class StoreRefused(PermanentStoreError):
    """The store knows us and says no."""


class StoreMisconfigured(PermanentStoreError):
    """The store's URL or its place is wrong; the sentence says what to set."""


class CredentialsRefused(StoreRefused):
    """STS or the metadata service gives this identity no credentials; the sentence says what to fix."""


class CredentialsMissing(StoreMisconfigured):
    """No identity is set, half of one is, or what proves it is gone; the sentence says what to set."""
