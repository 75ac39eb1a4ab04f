"""From logits on the network's grid to slices, lesions and presence in the source's own voxels."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.transforms import Transform
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor

from bundles.brain_metastasis.scripts.volume import orientation_of
from bundles.common.lesions import Lesion, label_lesions
from bundles.common.sampling import Floats, Grids, Positions, grids_of, interpolation

Scale = Mapping[str, tuple[float, float]]
Bool = NDArray[np.bool_]
Box = tuple[slice, slice, slice]


class Lesionsd(Transform):  # type: ignore[misc]
    """Turn `pred` (`mask` (slices, rows, columns) and `slices` (slices,), logits) into what the service reads.

    - `probabilities` (1,): of a metastasis anywhere. Its logit is the largest of all slices of the grid.
    - `slices` (source slices,): one for each slice of the series, in its order. Of an axial series: the classifier's,
      interpolated linearly between the grid's slices (logits). A sagittal or coronal slice crosses all of them: it gets
      the largest product of the mask's probability in a voxel and the classifier's in that voxel's axial slice. Slices
      outside of the head's box get 0.
    - `lesions` (columns, rows, slices) of the source, uint8 (int32 where there are more than 255): 0, or the number of
      the lesion. The mask's probability is interpolated linearly from the grid to the centre of every source voxel,
      then cut; what lies outside of the head's box is 0. Components are 26-connected (`bundles.common.lesions`).
    - `lesion_scores` (n,): certainty of lesion n at n − 1, falling: the largest product, as above, of its voxels.
    - `lesion_measures` (n, 5) float64: volume (mm³), longest diameter (mm) and centre (RAS mm), as
      `bundles.common.lesions.Lesion` says.
    - `pred`: unchanged.

    Args:
        scale: Platt scaling (logit · factor + offset) by output: `study`, `slices`; missing ones are left as they are.
        mask_threshold: Probability at which a voxel belongs to a lesion.
        min_volume_mm3: Smaller components are none; a ball of 2 mm has 4.2 mm³.
        min_certainty: Less certain components are none.
    """

    def __init__(
        self,
        scale: Scale | None = None,
        mask_threshold: float = 0.5,
        min_volume_mm3: float = 4.0,
        min_certainty: float = 0.0,
    ) -> None:
        if not 0 < mask_threshold < 1 or not 0 <= min_certainty < 1:
            raise ValueError(f"thresholds lie between 0 and 1, got {mask_threshold} and {min_certainty}")
        self.scale = dict(scale or {})
        self.mask_threshold, self.min_volume_mm3 = float(mask_threshold), float(min_volume_mm3)
        self.min_certainty = float(min_certainty)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Apply to one item with `pred` and what `preprocess.AxialHeadd` wrote."""
        item = dict(data)
        place = Place.of(item)
        mask = torch.sigmoid(_plain(item["pred"]["mask"])).numpy()
        raw = _plain(item["pred"]["slices"])
        logits = self._scaled("slices", raw)
        weighted = mask * torch.sigmoid(logits).numpy()[:, None, None]
        item["probabilities"] = torch.sigmoid(self._scaled("study", raw.max()[None]))
        item["slices"] = torch.from_numpy(place.source_slices(logits.numpy(), weighted)).float()
        labels, lesions = self._lesions(mask, weighted, place)
        item["lesions"] = torch.from_numpy(labels)
        item["lesion_scores"] = torch.tensor([lesion.certainty or 0.0 for lesion in lesions], dtype=torch.float32)
        measures = [[lesion.volume_mm3, lesion.longest_diameter_mm, *lesion.centre_mm] for lesion in lesions]
        item["lesion_measures"] = torch.tensor(measures, dtype=torch.float64).reshape(-1, 5)
        return item

    def _lesions(self, mask: Floats, weighted: Floats, place: "Place") -> tuple[NDArray[Any], list[Lesion]]:
        """Labels in the source's order, and what has them."""
        found, certainty = place.to_source(mask, weighted, self.mask_threshold)
        inside, box = found
        numbers, lesions = label_lesions(inside, certainty, place.affine_of(box), min_volume_mm3=self.min_volume_mm3)
        sure = [lesion for lesion in lesions if (lesion.certainty or 0.0) >= self.min_certainty]
        kind = np.uint8 if len(sure) < 256 else np.int32
        labels = np.zeros(place.shape, kind)
        # Numbers fall in certainty: those to drop are the last.
        labels[box] = np.where(numbers <= len(sure), numbers, 0)
        return labels, sure

    def _scaled(self, key: str, logits: Tensor) -> Tensor:
        factor, offset = self.scale.get(key, (1.0, 0.0))
        return logits * factor + offset


class Place:
    """Where the network's grid lies in its source.

    Attributes:
        shape: (columns, rows, slices) of the source.
        affine: Of the source, index to RAS millimetres.
        orientation: From the source to axial.
        grids: Of the network.
    """

    def __init__(self, shape: tuple[int, int, int], affine: Positions, grids: Grids) -> None:
        self.shape, self.affine, self.grids = shape, affine, grids
        self.orientation, self.spacing = orientation_of(affine)
        axial = [shape[axis] for axis in self.orientation.axes]
        # (source samples, grid samples) of every axial axis: how the source reads the grid.
        self.weights = [
            interpolation(grid, np.arange(count, dtype=np.float64) * step)
            for grid, count, step in zip(grids, axial, self.spacing, strict=True)
        ]

    @classmethod
    def of(cls, item: Mapping[Hashable, Any]) -> "Place":
        """Of an item that `preprocess.AxialHeadd` made."""
        columns, rows, slices = (int(side) for side in _whole(item["source_shape"]))
        affine = np.asarray(_whole(item["source_affine"]), dtype=np.float64)
        return cls((columns, rows, slices), affine, grids_of(_whole(item["grids"])))

    def to_source(self, mask: Floats, weighted: Floats, threshold: float) -> tuple[tuple[Bool, Box], Floats]:
        """Cut mask and weighted probability in the source's order, within a box of the source that holds the mask.

        Args:
            mask: Probability on the grid (slices, rows, columns).
            weighted: The same, weighted by the slices' probability.
            threshold: Of the mask.

        Returns:
            (mask in the box, box) and the weighted probability in the box.
        """
        box = self._axial_box(mask >= threshold)
        inside = np.zeros([part.stop - part.start for part in box], dtype=np.bool_)
        certainty = np.zeros(inside.shape, dtype=np.float32)
        along = [weights[part] for weights, part in zip(self.weights, box, strict=True)]
        for index, shares in enumerate(along[0]):
            used = np.flatnonzero(shares)
            if len(used):
                inside[index] = self._plane(mask, shares, used, along) >= threshold
                certainty[index] = self._plane(weighted, shares, used, along)
        back, ordered = np.argsort(self.orientation.axes), self._source_box(box)
        turned = tuple(slice(None, None, -1) if flip else slice(None) for flip in self.orientation.flipped)
        return (inside[turned].transpose(back), ordered), np.clip(certainty[turned].transpose(back), 0, 1)

    def affine_of(self, box: Box) -> Positions:
        """Affine of a box of the source."""
        moved = self.affine.copy()
        moved[:3, 3] += self.affine[:3, :3] @ [part.start for part in box]
        return moved

    def source_slices(self, logits: Floats, weighted: Floats) -> Floats:
        """Probability of every slice of the source, in its order; see `Lesionsd`."""
        axis = self.orientation.axes.index(2)
        weights = self.weights[axis]
        inside = weights.any(axis=1)
        if axis == 0:
            values = expit(weights @ logits)
        else:
            values = weights @ weighted.max(axis=tuple(other for other in range(3) if other != axis))
        result = np.where(inside, values, 0.0)
        return np.ascontiguousarray(result[::-1] if self.orientation.flipped[axis] else result)

    @staticmethod
    def _plane(values: Floats, shares: Floats, used: NDArray[np.intp], along: list[Floats]) -> Floats:
        plane = np.tensordot(shares[used], values[used], axes=1)
        return np.asarray(along[1] @ plane @ along[2].T, dtype=np.float32)

    def _axial_box(self, mask: Bool) -> Box:
        """Of the axial array, what reads any of the grid's mask; one voxel where there is none."""
        parts = []
        for axis, weights in enumerate(self.weights):
            used = mask.any(axis=tuple(other for other in range(3) if other != axis))
            reading = np.flatnonzero(weights[:, used].any(axis=1))
            parts.append(slice(int(reading[0]), int(reading[-1]) + 1) if len(reading) else slice(0, 1))
        return parts[0], parts[1], parts[2]

    def _source_box(self, box: Box) -> Box:
        """The same box in the source's order."""
        parts: list[slice] = [slice(0)] * 3
        for part, axis, flip in zip(box, self.orientation.axes, self.orientation.flipped, strict=True):
            count = self.shape[axis]
            parts[axis] = slice(count - part.stop, count - part.start) if flip else part
        return parts[0], parts[1], parts[2]


def _plain(values: Any) -> Tensor:
    return torch.as_tensor(values).detach().float().cpu()


def _whole(values: Any) -> Any:
    """A tensor of one item, without the batch that a loader may have left around it."""
    return torch.as_tensor(values).cpu().numpy()
