"""Which certificates of the object storage and its neighbours to trust."""

import os
import ssl

import certifi


def trusted() -> ssl.SSLContext:
    """The authorities that the usual variables name, else certifi's: slim images have none of their own."""
    given = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    named = "SSL_CERT_FILE" in os.environ or "SSL_CERT_DIR" in os.environ
    return ssl.create_default_context(cafile=given or (None if named else certifi.where()))
