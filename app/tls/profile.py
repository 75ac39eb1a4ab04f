"""What our own ports accept: the BCP 195 RFC 8996, 9325 TLS Secure Transport Connection Profile (PS3.15 B.12).

TLS 1.2 and 1.3 and nothing older, so that nothing can be talked down. Of TLS 1.2 the four suites that RFC 9325 section
4.2 recommends: ephemeral elliptic curves and AES-GCM; of TLS 1.3 its three (RFC 8446 section 9.1). No renegotiation, no
compression, no session that outlives its connection: each proves its certificate anew.
"""

import ssl
from pathlib import Path
from typing import Final

from app.errors import Rejected
from app.tls.settings import KeyPair

PROFILE: Final = "BCP 195 RFC 8996, 9325 TLS Secure Transport Connection Profile (PS3.15 B.12)"
CIPHERS_1_2: Final = (
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
)
CIPHERS_1_3: Final = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")


def server_context(pair: KeyPair, who: str) -> ssl.SSLContext:
    """Make the context of a port of ours, which asks for no certificate yet.

    Args:
        pair: Our certificate with its chain, and its key.
        who: Name of the section of the settings, for messages.

    Raises:
        Rejected: A file is missing, or is no PEM of what it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(":".join(CIPHERS_1_2))
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_NO_TICKET
    context.num_tickets = 0
    load_pair(context, pair, who)
    return context


def load_pair(context: ssl.SSLContext, pair: KeyPair, who: str) -> None:
    """Load a certificate of ours and its key.

    Raises:
        Rejected: A file is missing, or they are no pair in PEM.
    """
    try:
        # Without a password of ours OpenSSL would ask for one at the terminal.
        context.load_cert_chain(pair.certificate_file, pair.key_file, password="")
    except OSError as error:
        if isinstance(error, ssl.SSLError):
            files = f"tls.certificate_file {pair.certificate_file}, tls.key_file {pair.key_file}"
            raise Rejected(f"{who}: {files}: no pair in PEM without a password") from error
        # OpenSSL does not say which of the two it is.
        for name, path in (("certificate_file", pair.certificate_file), ("key_file", pair.key_file)):
            check_readable(path, f"{who}: tls.{name}")
        raise Rejected(f"{who}: tls.certificate_file {pair.certificate_file}: {error.strerror}") from error


def load_authorities(context: ssl.SSLContext, ca_file: object, who: str) -> None:
    """Load who may sign the certificates of others; None: what the system trusts.

    Raises:
        Rejected: The file is missing, or holds no certificate in PEM.
    """
    try:
        if ca_file is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(cafile=str(ca_file))
    except OSError as error:
        if not isinstance(error, ssl.SSLError) and ca_file is not None:
            check_readable(Path(str(ca_file)), f"{who}: tls.ca_file")
        words = "no certificates in PEM" if isinstance(error, ssl.SSLError) else error.strerror
        raise Rejected(f"{who}: tls.ca_file {ca_file}: {words}") from error


def check_readable(path: Path, what: str) -> None:
    """Try to open a file of ours.

    Args:
        path: Of the file.
        what: Names it in the message.

    Raises:
        Rejected: It cannot be read; says what to do.
    """
    try:
        path.open("rb").close()
    except OSError as error:
        hint = (
            "let the user of the service read it; for containers deploy/setup does, or chgrp 10001 and chmod 640"
            if isinstance(error, PermissionError)
            else "put it there, or name another"
        )
        raise Rejected(f"{what} {path}: {error.strerror}; {hint}") from error
