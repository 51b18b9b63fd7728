"""Where a bucket is, and what of it is ours: `oss://bucket/root?region=…[&endpoint=…][&cname=true]`.

Without an endpoint it is the region's internal one: its traffic costs nothing, and public ones are closed to
new accounts. A standard endpoint names its region; with any other the URL has to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from archive.errors import NameInvalid, StoreMisconfigured
from archive.store.keys import require_key

LONGEST_KEY: Final = 1023
"""Bytes of UTF-8, with the root."""
_PARAMETERS: Final = frozenset({"region", "endpoint", "cname"})
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_REGION: Final = re.compile(r"[a-z]+-[a-z0-9-]*[a-z0-9]")
_STANDARD: Final = re.compile(r"oss-([a-z0-9-]+?)(?:-internal)?\.aliyuncs\.com")
_HOST: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*")
_EXAMPLE: Final = "oss://bucket/root?region=cn-hangzhou"


@dataclass(frozen=True, slots=True)
class Address:
    """A bucket and a root in it. `endpoint` has its scheme; `root` is "" or a path without slashes around."""

    bucket: str
    root: str
    region: str
    endpoint: str
    cname: bool = False

    def full(self, key: str) -> str:
        """The object's name in the bucket. Raises NameInvalid for a key that can't be."""
        require_key(key)
        name = self.inside(key)
        if any(letter < " " or letter == "\x7f" for letter in key):
            raise NameInvalid(f"{key[:300]!r} can't be an object's key: OSS takes no control characters")
        if len(name.encode()) > LONGEST_KEY:
            raise NameInvalid(
                f"{key[:300]!r} can't be an object's key: OSS takes {LONGEST_KEY} bytes at most"
            )
        return name

    def inside(self, prefix: str) -> str:
        """A prefix, or a place to begin behind, as it reads in the bucket."""
        return f"{self.root}/{prefix}" if self.root else prefix

    def relative(self, name: str) -> str:
        """The key of an object that was listed."""
        return name.removeprefix(f"{self.root}/") if self.root else name


def parse(url: str) -> Address:
    """Raises StoreMisconfigured with what to correct."""
    if "@" in url:
        raise StoreMisconfigured(
            "the store's URL has an @, as if a name or a password were in it: give access keys in the "
            "environment, and %40 for an @ of the root"
        )
    try:
        return _parse(url)
    except ValueError as error:
        raise StoreMisconfigured(f"the store {url!r} can't be used: {error}; give {_EXAMPLE}") from None


def _parse(url: str) -> Address:
    parts = urlsplit(url)
    if parts.fragment or not _BUCKET.fullmatch(parts.netloc):
        raise ValueError(
            "behind oss:// comes a bucket's name, 3 to 63 small letters, digits and inner hyphens"
        )
    given = _parameters(parts.query)
    if given.get("cname", "false") not in {"true", "false"}:
        raise ValueError("cname is true or false")
    cname = given.get("cname") == "true"
    region, endpoint = given.get("region", ""), given.get("endpoint", "")
    if endpoint:
        endpoint, host = _endpoint(endpoint)
        standard = _STANDARD.fullmatch(host)
        if standard and cname:
            raise ValueError("cname=true needs endpoint= with the domain of your own")
        if standard and region and standard[1] != region:
            raise ValueError(f"its endpoint is one of the region {standard[1]}, not of {region}")
        region = region or (standard[1] if standard else "")
    elif cname:
        raise ValueError("cname=true needs endpoint= with the domain of your own")
    if not region:
        raise ValueError("its region is missing, which signatures need")
    if not _REGION.fullmatch(region):
        raise ValueError(f"{region[:100]!r} is no region's id")
    return Address(
        bucket=parts.netloc,
        root=_root(parts.path),
        region=region,
        endpoint=endpoint or f"https://oss-{region}-internal.aliyuncs.com",
        cname=cname,
    )


def _parameters(query: str) -> Mapping[str, str]:
    pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    given = dict(pairs)
    unknown = sorted(given.keys() - _PARAMETERS)
    if unknown:
        raise ValueError(f"it has no parameter {unknown[0][:100]!r}, only {', '.join(sorted(_PARAMETERS))}")
    if len(given) < len(pairs):
        raise ValueError("it gives a parameter twice")
    return given


def _endpoint(text: str) -> tuple[str, str]:
    """The endpoint with its scheme, and its host."""
    parts = urlsplit(text if "://" in text else f"https://{text}")
    host = parts.hostname or ""
    if (
        parts.scheme not in {"http", "https"}
        or not _HOST.fullmatch(host)
        or parts.path.strip("/")
        or parts.query
        or parts.fragment
    ):
        raise ValueError("its endpoint is not a host, such as oss-cn-hangzhou-internal.aliyuncs.com")
    _ = parts.port  # ValueError where it is no number
    return f"{parts.scheme}://{parts.netloc}", host


def _root(path: str) -> str:
    root = unquote(path, errors="strict").strip("/")
    if root:
        try:
            require_key(root)
        except NameInvalid as error:
            raise ValueError(f"its root is no plain path ({error})") from None
        if root.startswith("\\") or any(ord(letter) < 0x20 for letter in root):
            raise ValueError("its root has letters that no path should have")
        if len(root.encode()) > LONGEST_KEY // 2:
            raise ValueError("its root is too long")
    return root
