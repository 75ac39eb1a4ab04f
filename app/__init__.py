"""Vigil: studies in by DICOM, structured reports out."""

__version__ = "0.1.0"
