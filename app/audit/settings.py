"""Where audit messages go."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from app.tls.settings import Tls
from bundles.common.strict import Strict


class Syslog(Strict):
    """A syslog server (RFC 5424): over TLS (RFC 5425) where `tls` is given, else by UDP (RFC 5426), unencrypted.

    Attributes:
        timeout_s: For the connection and for each message.
    """

    host: str = Field(min_length=1)
    port: int = Field(6514, ge=1, le=65535)
    tls: Tls | None = None
    timeout_s: float = Field(5, gt=0)


class Audit(Strict):
    """The audit trail. Without `file` and `syslog` there is none.

    Attributes:
        file: One message a line, XML; durable before what it tells of is shown.
        max_mb: A file that is larger is renamed, with the next number behind its name; none is ever removed.
        syslog: To another machine, beside the file or without it.
        source: Names this installation in messages.
        site: Names the hospital in messages; "" leaves it out.
        required: Whether a page is refused where its message cannot be written.
    """

    file: Path | None = None
    max_mb: int = Field(64, ge=1)
    syslog: Syslog | None = None
    source: str = Field("vigil", min_length=1, max_length=64)
    site: str = Field("", max_length=64)
    required: bool = False

    @property
    def is_on(self) -> bool:
        """Whether there is a trail at all."""
        return self.file is not None or self.syslog is not None

    @model_validator(mode="after")
    def _required_of_something(self) -> Self:
        if self.required and not self.is_on:
            raise ValueError("audit.required needs audit.file or audit.syslog")
        return self
