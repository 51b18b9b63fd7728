"""What may be an object's key in any store."""

from __future__ import annotations

from archive.errors import NameInvalid


def require_key(key: str) -> None:
    """Raises NameInvalid unless `key` is a plain relative path in UTF-8."""
    if any(part in {"", ".", ".."} for part in key.split("/")) or "\0" in key:
        raise NameInvalid(f"{key[:300]!r} can't be an object's key: it must be a plain relative path")
    try:
        key.encode()
    except UnicodeEncodeError:
        raise NameInvalid(f"{key[:300]!r} can't be an object's key: it isn't UTF-8") from None
