"""Masks that others drew on a DICOM series, brought onto the voxels of that series."""
