"""Requests of the official client: signed (version 4), sent once, answered by OSS or told as an error.

Importing the client costs 14 MiB and 0.2 s, so only the first request does.
"""

from __future__ import annotations

import ipaddress
import logging
import threading
from collections.abc import Mapping
from typing import Final, NoReturn
from urllib.parse import urlsplit

from archive.credentials import Credentials, CredentialSource
from archive.store.oss.address import Address
from archive.store.oss.answers import NOTHING_THERE, Reply
from archive.store.oss.clock import StoreClock
from archive.store.oss.errors import RENEWABLE, Answer, Asked, Trouble, refused, unanswered
from archive.store.oss.sdk import (
    CaseInsensitiveDict,
    Client,
    Config,
    CredentialsFetchError,
    CredentialsProvider,
    NopRetryer,
    OperationError,
    OperationInput,
    ServiceError,
    SignerV4,
    SigningContext,
)
from archive.store.oss.sdk import Credentials as ClientCredentials
from archive.store.oss.transport import LineFailed, NotOss, Transport

log = logging.getLogger(__name__)

_UNREADABLE: Final = "BadErrorResponse"
"""The client's word for an answer without OSS's error in it, as one to HEAD."""


class Requests:
    """Thread-safe. Of one process: neither connections nor locks survive a fork."""

    def __init__(self, address: Address, credentials: CredentialSource, clock: StoreClock) -> None:
        self._address = address
        self._clock = clock
        self._identity = _Identity(credentials)
        if not _is_private(address.endpoint):
            log.warning(
                "%s is no https: logs and security tokens cross the network unencrypted", address.endpoint
            )
        self._client = Client(
            Config(
                region=address.region,
                endpoint=address.endpoint,
                use_cname=address.cname,
                credentials_provider=self._identity,
                http_client=Transport(_base(address)),
                retryer=NopRetryer(),
            ),
            signer=_Signer(clock),
        )

    def send(
        self,
        asked: Asked,
        method: str,
        *,
        key: str | None = None,
        headers: Mapping[str, str] | None = None,
        parameters: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Reply:
        """One request. `key`: the object's name in the bucket. Raises StoreError."""
        request = OperationInput(
            op_name=asked.action,
            method=method,
            bucket=self._address.bucket,
            key=key,
            headers=CaseInsensitiveDict(headers or {}),
            parameters=dict(parameters or {}),
            body=body,
        )
        try:
            output = self._client.invoke_operation(request)
        except OperationError as error:
            failure = error.unwrap()
            if isinstance(failure, ServiceError) and failure.status_code == NOTHING_THERE:
                return Reply(NOTHING_THERE, failure.headers, b"")
            self._raise(asked, failure)
        self._clock.heard(output.headers.get("Date", ""))
        return Reply(output.status_code, output.headers, output.http_response.content)

    def _raise(self, asked: Asked, error: Exception) -> NoReturn:
        if isinstance(error, ServiceError):
            answer = self._answer(error)
            if answer.code in RENEWABLE:
                self._identity.invalidate()
            raise refused(asked, answer) from None
        if isinstance(error, CredentialsFetchError):
            raise error.kwargs["error"]
        if isinstance(error, NotOss):
            answer = Answer(error.status, content_type=error.content_type, by_oss=False)
            raise refused(asked, answer) from None
        if isinstance(error, LineFailed):
            raise unanswered(asked, error.trouble, error.detail) from error
        why = f"the answer can't be read: {type(error).__name__}"
        raise unanswered(asked, Trouble.DAMAGED, why) from error

    def _answer(self, error: ServiceError) -> Answer:
        self._clock.heard(error.headers.get("Date", ""))
        fields: Mapping[str, str | None] = error.error_fileds
        told = error.code != _UNREADABLE
        return Answer(
            status=error.status_code,
            code=error.code or "" if told else "",
            message=error.message or "" if told else "",
            ec=error.ec or "",
            request_id=error.request_id or "",
            endpoint=fields.get("Endpoint") or "",
            skew=self._clock.ahead(),
        )


class _Identity(CredentialsProvider):  # type: ignore[misc]  # the client has no types
    """Our source of credentials as the client asks for it; remembers what each thread signed with last."""

    def __init__(self, source: CredentialSource) -> None:
        self._source = source
        self._used = threading.local()

    def get_credentials(self) -> ClientCredentials:
        found = self._source.current()
        self._used.last = found
        return ClientCredentials(found.access_key_id, found.access_key_secret, found.security_token)

    def invalidate(self) -> None:
        """What this thread signed with last is no longer accepted."""
        last: Credentials = self._used.last
        self._source.invalidate(last)


class _Signer(SignerV4):  # type: ignore[misc]  # as above
    """Signs by the store's clock: the client has a place for the difference, and never fills it."""

    def __init__(self, clock: StoreClock) -> None:
        self._clock = clock

    def sign(self, signing_ctx: SigningContext) -> None:
        signing_ctx.clock_offset = self._clock.ahead()
        super().sign(signing_ctx)


def _is_private(endpoint: str) -> bool:
    """Whether nobody can listen: encrypted, or within this machine."""
    parts = urlsplit(endpoint)
    try:
        return parts.scheme == "https" or ipaddress.ip_address(parts.hostname or "").is_loopback
    except ValueError:
        return False


def _base(address: Address) -> str:
    """A URL on the host that requests go to, by which the proxy is chosen."""
    parts = urlsplit(address.endpoint)
    return address.endpoint if address.cname else f"{parts.scheme}://{address.bucket}.{parts.netloc}"
