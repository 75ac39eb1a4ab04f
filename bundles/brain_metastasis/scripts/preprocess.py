"""From a read series to the network's input, as MONAI dictionary transforms."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_tensor

from bundles.brain_metastasis.scripts.head import find_head
from bundles.brain_metastasis.scripts.volume import Stack, resample, stack_of
from bundles.common.headers import UnreadableImage
from bundles.common.sampling import grid_rows

SPACING_MM = (1.0, 1.0, 1.0)
BOX = (224, 192)
KEPT_META = ("source_uids", "notes")
"""Of the reader's metadata: by these the service checks the order of the slices, and tells what was odd."""
SAME_PLACE_MM = 0.1
Triple = tuple[float, float, float]


class AxialHeadd(MapTransform):  # type: ignore[misc]
    """Reorient to axial, resample the head to a set spacing, pad or crop in plane, and normalise brightness.

    Reads `image` as `LoadImaged` with `bundles.common.monai_reader.SeriesReader` gives it, and an optional `mask` on
    the same grid, not zero in lesions. Writes the image (1, slices, rows, columns) float32 in 0 to 1 (slices inferior →
    superior, rows anterior → posterior, columns right → left), and what leads back to the source's voxels:

    - `grids` (3, 3) float64: `bundles.common.sampling.grid_rows` of the network's grid;
    - `source_affine` (4, 4) float64, index (column, row, slice) to RAS; `source_shape` (3,) int64.

    A mask becomes (slices, rows, columns) uint8 on the same grid: 1 where lesions fill half of the voxel.

    Args:
        keys: Of the image.
        spacing_mm: Of slices, rows, columns.
        box: (rows, columns); multiples of 32.

    Raises:
        NoHead: As `find_head` says.
        UnreadableImage: The mask has another shape or place than the image.
    """

    def __init__(self, keys: Hashable, spacing_mm: Triple = SPACING_MM, box: tuple[int, int] = BOX) -> None:
        super().__init__(keys)
        first, second, third = (float(each) for each in spacing_mm)
        self.spacing_mm: Triple = (first, second, third)
        self.box = (int(box[0]), int(box[1]))
        if min(self.spacing_mm) <= 0 or any(side < 32 or side % 32 for side in self.box):
            raise ValueError(f"expected spacings above 0 and sides in multiples of 32, got {spacing_mm} and {box}")

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to one item."""
        item = dict(data)
        for key in self.key_iterator(item):
            image = item[key]
            stack = stack_of(image)
            head = find_head(stack)
            grids = head.grids(self.spacing_mm, self.box)
            if item.get("mask") is not None:
                share = _mask_stack(item["mask"], stack, item.get("name", "this image"))
                item["mask"] = torch.from_numpy((resample(share, grids) >= 0.5).astype(np.uint8))
            meta = {name: image.meta[name] for name in KEPT_META if name in image.meta}
            values = head.normalised(resample(stack, grids, outside=head.dark))
            item[key] = MetaTensor(torch.from_numpy(values)[None], meta=meta)
            item["grids"] = torch.from_numpy(grid_rows(grids))
            item["source_affine"] = torch.from_numpy(stack.affine.copy())
            item["source_shape"] = torch.tensor(stack.values.shape)
        return item


class SliceTargetsd(Transform):  # type: ignore[misc]
    """What is known of every slice of the grid, from the mask or, without one, from the label of the whole head.

    Reads `mask` (slices, rows, columns) or None, and `label` (0, 1 or None). Writes `mask` (zeros where there is none),
    `slices` (slices,) 0, 1 or NaN where unknown, and `mask_known` (1,). A head without metastasis needs no mask: all of
    its slices are negative.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to one item that `AxialHeadd` made."""
        item = dict(data)
        mask, label = item.get("mask"), item.get("label")
        known = mask is not None or label == 0
        if mask is None:
            mask = torch.zeros(item["image"].shape[1:], dtype=torch.uint8)
        slices = mask.flatten(1).any(dim=1).float() if known else torch.full((len(mask),), torch.nan)
        item["mask"], item["slices"], item["mask_known"] = mask, slices, torch.tensor([float(known)])
        return item


class ToBytesd(MapTransform):  # type: ignore[misc]
    """(0, 1) → 8 bits for the cache: a hundredth of the brightness of brain a step, a quarter of the room."""

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to one item; without metadata."""
        item = dict(data)
        for key in self.key_iterator(item):
            item[key] = (convert_to_tensor(item[key], track_meta=False) * 255).round().to(torch.uint8)
        return item


def _mask_stack(mask: MetaTensor, stack: Stack, name: str) -> Stack:
    """The mask as 0 and 1, in its image's orientation.

    Raises:
        UnreadableImage: It does not lie on the image's grid.
    """
    if tuple(mask.shape) != stack.values.shape:
        raise UnreadableImage(
            f"{name}: its mask has shape {tuple(mask.shape)}, the image {stack.values.shape} (columns, rows, slices); "
            "write masks on the grid of their image"
        )
    apart = largest_shift_mm(np.asarray(mask.affine, dtype=np.float64), stack.affine, stack.values.shape)
    if apart > SAME_PLACE_MM:
        raise UnreadableImage(
            f"{name}: its mask lies up to {apart:.1f} mm beside the image; write masks on the grid of their image"
        )
    values = (np.asarray(mask) > 0).astype(np.float32)
    return Stack(values, stack.affine, stack.orientation, stack.spacing_mm)


def largest_shift_mm(first: Any, second: Any, shape: tuple[int, ...]) -> float:
    """How far two affines put the same corner of an array of this shape apart, at most."""
    corners = np.array([[*corner, 1.0] for corner in np.ndindex(2, 2, 2)])
    corners[:, :3] *= np.asarray(shape) - 1
    return float(np.linalg.norm(corners @ (np.asarray(first) - np.asarray(second)).T, axis=1).max())
