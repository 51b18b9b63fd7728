"""Who may put into which namespace: the token a caller shows, and what is known of it.

The file of tokens has a line for each, `<namespace> sha256:<digest>`, so that it tells nobody a token:

    printf %s "$TOKEN" | sha256sum

A namespace may have several lines, so that a token can be replaced; `#` begins a comment.
"""

import hashlib
import hmac
import re
import threading
from pathlib import Path
from typing import Final, Protocol

from archive.errors import NameInvalid
from archive.layout import checked
from server.view.errors import ServerError

_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")
_LARGEST: Final = 4 << 20


class CallersUnknowable(ServerError):
    """Nobody can be told from anybody now: everybody is denied, and may try again."""


class Callers(Protocol):
    """Thread-safe; may take its time."""

    def namespace_of(self, token: str) -> str | None:
        """The one namespace the token's owner may put into, None for a token that nobody has.

        Raises CallersUnknowable.
        """
        ...


class TokenFile:
    """Callers as a file names them. It is read again when it has changed."""

    def __init__(self, path: Path) -> None:
        """Raises CallersUnknowable."""
        self._path = path
        self._lock = threading.Lock()
        self._version: tuple[int, ...] = ()
        self._known: tuple[tuple[str, str], ...] = ()
        self._read()

    def namespace_of(self, token: str) -> str | None:
        known = self._read()
        digest = hashlib.sha256(token.encode()).hexdigest()
        # Every line is compared, and each in the same time, so that waiting tells nothing.
        found = [namespace for namespace, each in known if hmac.compare_digest(each, digest)]
        return found[0] if found else None

    def _read(self) -> tuple[tuple[str, str], ...]:
        """Namespaces and digests."""
        with self._lock:
            try:
                status = self._path.stat()
                version = (status.st_mtime_ns, status.st_size, status.st_ino)
                if version != self._version:
                    self._known = _parsed(self._path)
                    self._version = version
            except OSError as error:
                raise CallersUnknowable(
                    f"the tokens in {str(self._path)!r} can't be read: {error.strerror}"
                ) from error
            return self._known


def _parsed(path: Path) -> tuple[tuple[str, str], ...]:
    with path.open("rb") as file:
        lines = file.read(_LARGEST).decode("utf-8", "replace").splitlines()
    known: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        digest = _DIGEST.fullmatch(words[-1])
        if len(words) != 2 or digest is None:
            raise CallersUnknowable(
                f"line {number} of {str(path)!r} is not of the form: namespace sha256:digest"
            )
        try:
            namespace = checked(words[0], "namespace")
        except NameInvalid as error:
            raise CallersUnknowable(f"line {number} of {str(path)!r}: {error}") from None
        if known.setdefault(digest[1], namespace) != namespace:
            raise CallersUnknowable(
                f"line {number} of {str(path)!r} gives a second namespace to the same token"
            )
    return tuple((namespace, digest) for digest, namespace in known.items())
