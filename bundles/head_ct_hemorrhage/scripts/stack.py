"""From what the one reader hands over to a volume in its gantry frame."""

import numpy as np
from monai.data import MetaTensor

from bundles.head_ct_hemorrhage.scripts.volume import Volume, volume_from_stack

LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def volume_of(image: MetaTensor) -> Volume:
    """Volume of an image that `LoadImaged` read with `bundles.common.monai_reader.SeriesReader`.

    Args:
        image: (columns, rows, slices), HU, with its RAS affine and the reader's metadata `origins_mm` (slices, 3; LPS),
            the true positions where slice spacing varies.

    Raises:
        ValueError: The image has no place in the patient, or is no stack of parallel slices.
    """
    origins = np.asarray(image.meta["origins_mm"], dtype=np.float64)
    if image.ndim != 3 or len(origins) != image.shape[2]:
        raise ValueError(f"expected one stack of slices with positions, got shape {tuple(image.shape)}")
    affine = LPS_FROM_RAS @ np.asarray(image.affine, dtype=np.float64)
    columns, rows = affine[:3, 0], affine[:3, 1]
    between_columns, between_rows = float(np.linalg.norm(columns)), float(np.linalg.norm(rows))
    directions = np.stack((columns / between_columns, rows / between_rows))
    hu = np.asarray(image, dtype=np.float32).transpose(2, 1, 0)
    return volume_from_stack(hu, origins, directions, (between_rows, between_columns))
