"""ListObjectsV2: pages of keys by prefix, start, token and delimiter, as XML."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote
from xml.sax.saxutils import escape

from fake_oss.errors import invalid_argument
from fake_oss.objects import Objects, Stored

_MOST_KEYS: Final = 1000
_USUAL_KEYS: Final = 100
ACCOUNT: Final = "1234567890123456"


@dataclass(frozen=True, slots=True)
class Question:
    prefix: str
    start_after: str
    token: str | None
    delimiter: str
    max_keys: int
    url_encoded: bool
    with_owner: bool


@dataclass(frozen=True, slots=True)
class Page:
    objects: list[Stored]
    folders: list[str]
    next_token: str | None


def question_of(parameters: Mapping[str, str]) -> Question:
    encoding = parameters.get("encoding-type", "")
    if encoding not in {"", "url"}:
        raise invalid_argument("Invalid Encoding Method specified in Request.", "encoding-type", encoding)
    text = parameters.get("max-keys", str(_USUAL_KEYS))
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _MOST_KEYS:
        raise invalid_argument("Argument maxKeys must be an integer between 1 and 1000.", "max-keys", text)
    for name in ("prefix", "start-after", "delimiter"):
        if len(parameters.get(name, "").encode()) > 1023:
            raise invalid_argument(f"The length of {name} must not exceed 1023.", name)
    return Question(
        parameters.get("prefix", ""),
        parameters.get("start-after", ""),
        parameters.get("continuation-token"),
        parameters.get("delimiter", ""),
        int(text),
        encoding == "url",
        parameters.get("fetch-owner") == "true",
    )


def page_of(objects: Objects, question: Question, *, put_before: float | None) -> Page:
    """`put_before` leaves out what was first put later than that: a listing that lags behind."""
    found: list[Stored] = []
    folders: list[str] = []
    if question.start_after < question.prefix:
        stored = objects.following(question.prefix, including=True)
    else:
        stored = objects.following(question.start_after)
    if question.token is not None:
        stored = objects.following(_key_of(question.token), including=True)
    while stored is not None and stored.key.startswith(question.prefix):
        folder = _folder(stored.key, question)
        if put_before is not None and stored.first_put > put_before:
            stored = objects.following(stored.key)
            continue
        if len(found) + len(folders) == question.max_keys:
            return Page(found, folders, _token_of(stored.key))
        if folder is None:
            found.append(stored)
            stored = objects.following(stored.key)
        else:
            folders.append(folder)
            stored = objects.following(f"{folder[:-1]}{chr(ord(folder[-1]) + 1)}", including=True)
    return Page(found, folders, None)


def xml(bucket: str, question: Question, page: Page) -> bytes:
    def told(text: str) -> str:
        return quote(text, safe="") if question.url_encoded else escape(text)

    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult>',
        f"<Name>{escape(bucket)}</Name><Prefix>{told(question.prefix)}</Prefix>",
        f"<StartAfter>{told(question.start_after)}</StartAfter><MaxKeys>{question.max_keys}</MaxKeys>",
        f"<Delimiter>{told(question.delimiter)}</Delimiter>",
        "<EncodingType>url</EncodingType>" if question.url_encoded else "",
        f"<IsTruncated>{'false' if page.next_token is None else 'true'}</IsTruncated>",
        "" if question.token is None else f"<ContinuationToken>{told(question.token)}</ContinuationToken>",
        ""
        if page.next_token is None
        else f"<NextContinuationToken>{told(page.next_token)}</NextContinuationToken>",
    ]
    owner = f"<Owner><ID>{ACCOUNT}</ID><DisplayName>{ACCOUNT}</DisplayName></Owner>"
    lines += [
        f"<Contents><Key>{told(stored.key)}</Key><LastModified>{_time(stored.modified)}</LastModified>"
        f"<ETag>{stored.etag}</ETag><Type>Normal</Type><Size>{stored.size}</Size>"
        f"<StorageClass>Standard</StorageClass>{owner if question.with_owner else ''}</Contents>"
        for stored in page.objects
    ]
    lines += [f"<CommonPrefixes><Prefix>{told(folder)}</Prefix></CommonPrefixes>" for folder in page.folders]
    lines.append(f"<KeyCount>{len(page.objects) + len(page.folders)}</KeyCount></ListBucketResult>")
    return "".join(lines).encode()


def _folder(key: str, question: Question) -> str | None:
    if not question.delimiter:
        return None
    end = key.find(question.delimiter, len(question.prefix))
    return None if end < 0 else key[: end + len(question.delimiter)]


def _token_of(key: str) -> str:
    return base64.urlsafe_b64encode(key.encode()).decode()


def _key_of(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token.encode()).decode()
    except (binascii.Error, UnicodeError):
        raise invalid_argument("The continuation token is invalid.", "continuation-token", token) from None


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
