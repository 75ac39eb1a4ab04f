"""From the logits of the segmentation head to single bleeds in the source's own voxels."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import Transform
from numpy.typing import NDArray
from torch import Tensor

from bundles.common.lesions import Lesion, label_lesions
from bundles.common.sampling import Floats, Grids, Positions, grids_of, interpolation
from bundles.head_ct_hemorrhage.scripts.stack import frame_at
from bundles.head_ct_hemorrhage.scripts.volume import DEPTH, Frame, Patch, back_to_slices

Scale = Mapping[str, tuple[float, float]]
Box = tuple[slice, slice, slice]


class Bleedsd(Transform):  # type: ignore[misc]
    """Turn the mask of `pred` into what the service reads; comes after `Probabilitiesd`.

    - `lesions` (columns, rows, slices) of the source, uint8 (int32 where there are more than 255): 0, or the number of
      the bleed. The mask's probability is interpolated linearly from the box to the centre of every source voxel, a
      tilted gantry's shear counted in, then cut; what lies outside of the box is 0. Components are 26-connected
      (`bundles.common.lesions`).
    - `lesion_scores` (n,): certainty of bleed n at n − 1, falling: the largest product of the mask's probability in a
      voxel and the slice head's in that voxel's box slice.
    - `lesion_measures` (n, 5) float64: volume (mm³), longest diameter (mm) and centre (RAS mm), as
      `bundles.common.lesions.Lesion` says; by the series' affine, which knows one slice spacing.
    - `slices` (source slices,) of a coronal or sagittal series, each of whose slices crosses all of the box's: the
      largest such product in the slice, 0 outside of the box. Those of an axial series stay what they are.

    Without a mask in `pred`, because the network has no such head or the inferer saw no reason to run it
    (`inferer.SegmentSuspected`), there is no bleed.

    Args:
        scale: Platt scaling (logit · factor + offset) by output; of `slices` it is used here.
        mask_threshold: Probability at which a voxel belongs to a bleed.
        min_volume_mm3: Smaller components are none.
        min_certainty: Less certain components are none.

    Raises:
        ValueError: A threshold is no probability.
    """

    def __init__(
        self,
        scale: Scale | None = None,
        mask_threshold: float = 0.5,
        min_volume_mm3: float = 30.0,
        min_certainty: float = 0.0,
    ) -> None:
        if not 0 < mask_threshold < 1 or not 0 <= min_certainty < 1:
            raise ValueError(f"thresholds lie between 0 and 1, got {mask_threshold} and {min_certainty}")
        self.scale = dict(scale or {})
        self.mask_threshold, self.min_volume_mm3 = float(mask_threshold), float(min_volume_mm3)
        self.min_certainty = float(min_certainty)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to one item with `pred`, `slices`, and what `preprocess.BrainBoxd` wrote."""
        item = dict(data)
        place = Place.of(item)
        logits = item["pred"].get("segmentation")
        probability = np.zeros(place.box, np.float32) if logits is None else _sigmoid(logits)[0]
        factor, offset = self.scale.get("slices", (1.0, 0.0))
        weighted = probability * _sigmoid(item["pred"]["slices"] * factor + offset)[:, None, None]
        if place.frame.axis != DEPTH:
            item["slices"] = torch.from_numpy(place.largest_in_slices(weighted)).float()
        labels, lesions = self._lesions(probability, weighted, place)
        item["lesions"] = torch.from_numpy(labels)
        item["lesion_scores"] = torch.tensor([lesion.certainty or 0.0 for lesion in lesions], dtype=torch.float32)
        measures = [[lesion.volume_mm3, lesion.longest_diameter_mm, *lesion.centre_mm] for lesion in lesions]
        item["lesion_measures"] = torch.tensor(measures, dtype=torch.float64).reshape(-1, 5)
        return item

    def _lesions(self, probability: Floats, weighted: Floats, place: "Place") -> tuple[NDArray[Any], list[Lesion]]:
        """Labels in the source's order, and what has them."""
        inside, certainty, box = place.to_source(probability, weighted, self.mask_threshold)
        numbers, lesions = label_lesions(inside, certainty, place.affine_of(box), min_volume_mm3=self.min_volume_mm3)
        sure = [lesion for lesion in lesions if (lesion.certainty or 0.0) >= self.min_certainty]
        labels = np.zeros(place.shape, np.uint8 if len(sure) < 256 else np.int32)
        # Numbers fall in certainty: those to drop are the last.
        labels[box] = np.where(numbers <= len(sure), numbers, 0)
        return labels, sure


class Place:
    """Where the network's box lies in its source.

    Attributes:
        shape: (columns, rows, slices) of the source.
        affine: Of the source, index to RAS millimetres.
        frame: Gantry frame of the source.
        grids: Of the box, in that frame.
    """

    def __init__(self, shape: tuple[int, int, int], affine: Positions, origins: Positions, grids: Grids) -> None:
        self.shape, self.affine, self.grids = shape, affine, grids
        self.frame: Frame = frame_at(shape, affine, origins)

    @classmethod
    def of(cls, item: Mapping[Hashable, Any]) -> "Place":
        """Of an item that `preprocess.BrainBoxd` made."""
        columns, rows, slices = (int(side) for side in _plain(item["source_shape"]))
        affine, origins = (_plain(item[name]).astype(np.float64) for name in ("source_affine", "source_origins"))
        return cls((columns, rows, slices), affine, origins, grids_of(_plain(item["grids"])))

    @property
    def box(self) -> tuple[int, int, int]:
        """(depth, rows, columns)."""
        depth, rows, columns = (grid.count for grid in self.grids)
        return depth, rows, columns

    def to_source(
        self, probability: Floats, weighted: Floats, threshold: float
    ) -> tuple[NDArray[np.bool_], Floats, Box]:
        """Cut mask and weighted probability in the source's order, within a box of the source that holds the mask.

        Args:
            probability: Of the mask on the grid (depth, rows, columns).
            weighted: The same, weighted by the slices' probability.
            threshold: Of the mask. Linear interpolation is never above what it reads: where no voxel of the grid
                reaches it, nothing of the source does.

        Returns:
            (columns, rows, slices) of the mask in the box, of the weighted probability, and the box; one voxel where
            there is no mask.
        """
        patches = back_to_slices(self.frame, self.grids, (probability, weighted), probability >= threshold)
        # (slice, its rows, its columns) of the source in its own order, views all of them.
        placed = [(int(self.frame.source[patch.index]), *self._in_order(patch)) for patch in patches]
        box = self._around([(index, rows, columns) for index, rows, columns, _ in placed])
        sides = [part.stop - part.start for part in box]
        inside, certainty = np.zeros(sides, np.bool_), np.zeros(sides, np.float32)
        first_column, first_row, first_slice = (part.start for part in box)
        for index, rows, columns, values in placed:
            at = (_moved(columns, first_column), _moved(rows, first_row), index - first_slice)
            inside[at], certainty[at] = np.greater_equal(values[0].T, threshold), values[1].T
        return inside, np.clip(certainty, 0, 1), box

    def affine_of(self, box: Box) -> Positions:
        """Affine of a box of the source."""
        moved = self.affine.copy()
        moved[:3, 3] += self.affine[:3, :3] @ [part.start for part in box]
        return moved

    def largest_in_slices(self, weighted: Floats) -> Floats:
        """Largest value of the box in every source slice, in the source's order: the box's own slices along that axis,
        between which it is interpolated; 0 outside of the box.
        """
        axis = self.frame.axis
        along = interpolation(self.grids[axis], self.frame.positions[axis])
        result = np.empty(self.shape[2], np.float32)
        result[self.frame.source] = along @ weighted.max(axis=self.frame.in_plane)
        return np.clip(result, 0, 1)

    def _in_order(self, patch: Patch) -> tuple[slice, slice, tuple[Floats, ...]]:
        """Rows, columns and values of a patch as the source's slice has them: turned and transposed back."""
        parts: list[slice] = [patch.rows, patch.columns]
        values = patch.values
        for number, axis in enumerate(self.frame.in_plane):
            if self.frame.flipped[axis]:
                count = len(self.frame.positions[axis])
                parts[number] = slice(count - parts[number].stop, count - parts[number].start)
                values = tuple(np.flip(each, number) for each in values)
        first, second = self.frame.in_plane
        if self.frame.axes[first] > self.frame.axes[second]:
            return parts[1], parts[0], tuple(each.T for each in values)
        return parts[0], parts[1], values

    @staticmethod
    def _around(placed: list[tuple[int, slice, slice]]) -> Box:
        if not placed:
            return slice(0, 1), slice(0, 1), slice(0, 1)
        indices, rows, columns = zip(*placed, strict=True)
        return _covering(columns), _covering(rows), slice(min(indices), max(indices) + 1)


def _covering(parts: Sequence[slice]) -> slice:
    return slice(min(part.start for part in parts), max(part.stop for part in parts))


def _moved(part: slice, start: int) -> slice:
    return slice(part.start - start, part.stop - start)


def _sigmoid(logits: Tensor) -> Floats:
    return torch.sigmoid(torch.as_tensor(logits).detach().float().cpu()).numpy()


def _plain(values: Any) -> NDArray[Any]:
    return torch.as_tensor(values).cpu().numpy()
