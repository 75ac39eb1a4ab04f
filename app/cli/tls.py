"""TLS as options of a command."""

from pathlib import Path

from app.errors import Rejected
from app.tls.settings import Tls


def client_tls(
    wanted: bool, ca_file: Path | None, certificate_file: Path | None, key_file: Path | None, *, any_name: bool
) -> Tls | None:
    """TLS settings from the options of a command; None where it is to speak without.

    Raises:
        Rejected: A certificate without its key, or the other way round.
    """
    if (certificate_file is None) != (key_file is None):
        raise Rejected("--tls-certificate and --tls-key belong together; give both or neither")
    if not wanted and ca_file is None and certificate_file is None and not any_name:
        return None
    return Tls(ca_file=ca_file, certificate_file=certificate_file, key_file=key_file, check_host_name=not any_name)
