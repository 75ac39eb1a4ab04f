"""From what the one reader hands over to a volume in its gantry frame."""

import numpy as np
import torch
from monai.data import MetaTensor

from bundles.common.sampling import Positions
from bundles.head_ct_hemorrhage.scripts.volume import Frame, Volume, frame_of

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
    frame = frame_at((image.shape[0], image.shape[1], image.shape[2]), np.asarray(image.affine), origins)
    return Volume(frame.view(np.asarray(image, dtype=np.float32).transpose(2, 1, 0)), frame)


def frame_at(shape: tuple[int, int, int], affine: Positions, origins: Positions) -> Frame:
    """Gantry frame of an image (columns, rows, slices) by its affine to RAS and its slices' origins in LPS."""
    lps = LPS_FROM_RAS @ np.asarray(affine, dtype=np.float64)
    columns, rows = lps[:3, 0], lps[:3, 1]
    between_columns, between_rows = float(np.linalg.norm(columns)), float(np.linalg.norm(rows))
    directions = np.stack((columns / between_columns, rows / between_rows))
    return frame_of((shape[2], shape[1], shape[0]), origins, directions, (between_rows, between_columns))


def source_of(image: MetaTensor) -> dict[str, torch.Tensor]:
    """What it takes to come back to the image's own voxels: `source_shape` (columns, rows, slices), `source_affine` (to
    RAS) and `source_origins` (slices, 3; LPS).
    """
    return {
        "source_shape": torch.tensor(image.shape, dtype=torch.int64),
        "source_affine": torch.as_tensor(np.asarray(image.affine, dtype=np.float64)),
        "source_origins": torch.as_tensor(np.asarray(image.meta["origins_mm"], dtype=np.float64)),
    }
