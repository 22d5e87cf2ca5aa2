"""Whom a sink's certificate is checked against, and what is told where it does not pass."""

from __future__ import annotations

import ssl
from pathlib import Path

from streamtag.errors import ConfigError, in_words

# OpenSSL's numbers of what a certificate of the right CA may fail by: tls_ca is no remedy for these.
_EXPIRED, _OTHER_HOST, _OTHER_ADDRESS = 10, 62, 64


def trusted_by(authority: Path | None) -> ssl.SSLContext:
    """What checks certificates: by a CA's file, or by the system's CAs.

    Raises:
        ConfigError: the file is not there, or holds no certificate.
    """
    try:
        return ssl.create_default_context(cafile=authority)
    except ssl.SSLError:
        raise ConfigError(f"tls_ca: {authority}: no certificate in it, or none in PEM") from None
    except OSError as error:
        raise ConfigError(f"tls_ca: {authority}: {error.strerror}") from None


def told(error: OSError) -> str:
    """Why there is no connection, and what to do where TLS is the reason."""
    if isinstance(error, ssl.SSLCertVerificationError):
        known = error.verify_code in (_EXPIRED, _OTHER_HOST, _OTHER_ADDRESS)
        remedy = "" if known else "; name the file of the CA that signed it in tls_ca"
        return f"its certificate is not accepted: {error.verify_message.rstrip('.')}{remedy}"
    if isinstance(error, ssl.SSLError) and error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
        return "it does not speak TLS at that port"
    return in_words(error)
