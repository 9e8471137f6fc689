"""Says in words why TLS with a receiver failed; none of the words are the receiver's own."""

import ssl
from collections.abc import Iterable

_NOT_TLS = "The receiver does not speak TLS at this port. Check the URL's port and scheme."
_UNKNOWN_AUTHORITY = (
    "The receiver's certificate is not signed by an authority that is trusted here, or the receiver"
    " does not send the certificates in between."
)
_TOO_WEAK = "A key or a signature in the receiver's certificates is too weak."
_TOO_OLD = "The receiver has no version of TLS from 1.2 on."
_CERTIFICATES = {  # by OpenSSL's X509_V_ERR_…
    2: _UNKNOWN_AUTHORITY,
    9: "A certificate of the receiver is not valid yet.",
    10: "A certificate of the receiver has expired.",
    18: "The receiver's certificate is signed by itself, and is not trusted here.",
    19: "The receiver's certificate is signed by an authority that is not trusted here.",
    20: _UNKNOWN_AUTHORITY,
    21: _UNKNOWN_AUTHORITY,
    23: "A certificate of the receiver is revoked.",
    62: "The receiver's certificate is for other names than the URL's host.",
    64: "The receiver's certificate is for other names than the URL's address.",
    66: _TOO_WEAK,
    67: _TOO_WEAK,
    68: _TOO_WEAK,
}
_HANDSHAKES = {  # by OpenSSL's name of the reason; alerts are what the receiver says
    "WRONG_VERSION_NUMBER": _NOT_TLS,
    "PACKET_LENGTH_TOO_LONG": _NOT_TLS,
    "HTTP_REQUEST": _NOT_TLS,
    "UNSUPPORTED_PROTOCOL": _TOO_OLD,
    "TLSV1_ALERT_PROTOCOL_VERSION": _TOO_OLD,
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "The receiver accepts no kind of encryption that is offered"
    " here, or wants a client certificate.",
    "TLSV1_UNRECOGNIZED_NAME": "The receiver has no certificate for the URL's host.",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "The receiver wants a client certificate.",
    "TLSV1_ALERT_UNKNOWN_CA": "The receiver does not trust the client certificate's authority.",
    "SSLV3_ALERT_BAD_CERTIFICATE": "The receiver refuses the client certificate.",
    "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE": "The receiver refuses this kind of client certificate.",
    "SSLV3_ALERT_CERTIFICATE_REVOKED": "The client certificate is revoked.",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "The client certificate has expired.",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "The receiver refuses the client certificate.",
    "TLSV1_ALERT_ACCESS_DENIED": "The receiver refuses the client certificate.",
    "DH_KEY_TOO_SMALL": _TOO_WEAK,
    "UNEXPECTED_EOF_WHILE_READING": "The receiver closed the connection without ending TLS.",
}


def tls_reason(causes: Iterable[BaseException]) -> str | None:
    """Returns a sentence about the TLS failure among the causes, or None without one."""
    failures = [one for one in causes if isinstance(one, ssl.SSLError)]
    for one in failures:
        if (code := getattr(one, "verify_code", None)) is not None:
            text = str(getattr(one, "verify_message", code)).rstrip(".")
            return _CERTIFICATES.get(code) or f"The receiver's certificate is not accepted: {text}."
        if name := getattr(one, "reason", None):
            return _HANDSHAKES.get(name) or f"TLS failed: {name}."
    return "TLS failed." if failures else None
