"""Reports into documents: DICOM structured report, key image, JSON."""

from app.report.documents import encode
from app.report.warm import warm_up

__all__ = ["encode", "warm_up"]
