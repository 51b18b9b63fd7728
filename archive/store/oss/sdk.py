"""What is used of the official client, imported without its encryption, for which nobody here asks.

The client does without where its library is missing. That saves 7 of 21 MiB in every process, of which a
collector may take 60 in all, and a fourth of the import's time.
"""

from __future__ import annotations

import sys
from typing import Final

_LIBRARY: Final = "Crypto"
_there: Final = _LIBRARY in sys.modules
if not _there:
    sys.modules[_LIBRARY] = None  # type: ignore[assignment]  # how Python spells that there is no such module

from alibabacloud_oss_v2 import Client, Config  # noqa: E402 - see above, and below
from alibabacloud_oss_v2.exceptions import (  # noqa: E402
    CredentialsFetchError,
    OperationError,
    ServiceError,
)
from alibabacloud_oss_v2.retry import NopRetryer  # noqa: E402
from alibabacloud_oss_v2.signer import SignerV4  # noqa: E402
from alibabacloud_oss_v2.types import (  # noqa: E402
    CaseInsensitiveDict,
    Credentials,
    CredentialsProvider,
    HttpClient,
    HttpRequest,
    HttpResponse,
    OperationInput,
    SigningContext,
)

if not _there:
    del sys.modules[_LIBRARY]

__all__ = [
    "CaseInsensitiveDict",
    "Client",
    "Config",
    "Credentials",
    "CredentialsFetchError",
    "CredentialsProvider",
    "HttpClient",
    "HttpRequest",
    "HttpResponse",
    "NopRetryer",
    "OperationError",
    "OperationInput",
    "ServiceError",
    "SignerV4",
    "SigningContext",
]
