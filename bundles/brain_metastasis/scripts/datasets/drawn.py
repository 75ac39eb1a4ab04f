"""What this bundle's datalist says of one head: `{"image", "mask", "patient", "label", …}`, read by `load_heads`."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bundles.common.datalist.problems import Place
from bundles.common.datalist.records import Plain, VolumeRecord
from bundles.common.datalist.volumes import Labels, write_volume
from bundles.common.geometry import Matrix


def drawn(  # noqa: PLR0917
    key: str,
    image: str,
    patient: str,
    place: Place,
    mask: Labels,
    affine: Matrix,
    made: Path,
    more: Mapping[str, Plain] | None = None,
) -> VolumeRecord:
    """Write a mask of one value, and return the record of its head.

    Args:
        key: As problems name the head.
        image: NIfTI file or folder of a DICOM series.
        patient: Who it is of.
        place: What brought the head in.
        mask: (columns, rows, slices) on the grid of the image; what is not 0 is metastasis.
        affine: Index → RAS mm.
        made: The file to write, `.nii.gz`.
        more: What else is known.
    """
    present = mask > 0
    label = int(present.any())
    return VolumeRecord(
        key=key,
        image=image,
        patient=patient,
        place=place,
        labels={"metastasis": label},
        mask=str(write_volume(made, present.astype(np.uint8), affine)),
        label=label,
        more=more or {},
    )
