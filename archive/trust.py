"""Which certificates of the object storage and its neighbours to trust."""

import os
import ssl

import certifi


def trusted() -> ssl.SSLContext:
    """The authorities that OpenSSL's variables name, else certifi's: slim images have none of their own."""
    named = "SSL_CERT_FILE" in os.environ or "SSL_CERT_DIR" in os.environ
    return ssl.create_default_context(cafile=None if named else certifi.where())
