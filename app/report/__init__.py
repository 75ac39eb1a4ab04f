"""Reports into documents: DICOM structured report, key image, JSON."""

from app.report.documents import encode

__all__ = ["encode"]
