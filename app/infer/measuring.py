"""From the output of a Model Zoo bundle to structures in millilitres, or scores of classes.

What cannot be told for sure is not told: an outline that is not on the grid of the source series, a number that the
metadata do not explain, values that are no probabilities.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from app.errors import Failed
from app.infer.images import Image
from app.infer.lesions import outlined
from app.infer.model_zoo import ModelZoo
from app.masks import LabelVolume
from app.structures import ClassScore, Structure
from app.study import Series
from bundles.common import geometry as space
from bundles.common.contract import SegmentationOutput
from bundles.common.geometry import to_ras
from bundles.common.model_zoo.building import lies_on
from bundles.common.model_zoo.declared import Declared

ALL = SegmentationOutput(mask="pred", scores=None, kind="lesions", limit=255)
SURE = 1e-3
LIKELIEST = "the bundle names the likeliest class alone; the scores are its raw outputs, made shares of 1 by softmax"


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What was measured in one series, or one image.

    Attributes:
        structures, classes: In the order of the metadata.
        volume: The mask of all structures, by `Structure.segment`; None where nothing is outlined.
        notes: In words, for people.
    """

    structures: tuple[Structure, ...] = ()
    classes: tuple[ClassScore, ...] = ()
    volume: LabelVolume | None = None
    notes: tuple[str, ...] = ()


def measure(found: ModelZoo, pred: Any, series: Series) -> Measured:
    """Read what a bundle said of a series.

    Args:
        found: What it says that its output means.
        pred: What its postprocessing left under "pred".
        series: What was analysed.

    Raises:
        Failed: The output is not what its metadata say, or does not lie on the grid of the series.
    """
    if found.declared.task == "classification":
        return score(found, pred)
    geometry = series.geometry
    if geometry is None:
        raise Failed("the series has no place in the patient, so an outline in it has none either")
    shape = (geometry.columns, geometry.rows, len(geometry.origins))
    if not lies_on(pred, shape, to_ras(space.affine(geometry))):
        raise Failed(
            f"bundle '{found.declared.name}': its outline does not lie on the grid of the images; its postprocessing "
            "must undo every change of orientation, spacing and size (Invertd)"
        )
    labels = label_map(found.declared, pred)
    present = [number for number, count in enumerate(_counts(labels)) if count and number]
    drawn = outlined(ALL, labels, None, series)
    lesions = dict(zip(present, drawn.lesions, strict=True))
    structures = []
    for label, blank in zip(found.declared.labels, found.structures, strict=True):
        lesion = lesions.get(_value(found.declared, label.number))
        if lesion is None:
            structures.append(replace(blank, volume_mm3=0.0))
            continue
        structures.append(
            replace(
                blank,
                segment=lesion.number,
                volume_mm3=lesion.volume_mm3,
                centre_mm=lesion.centre_mm,
                sop_instance_uid=lesion.sop_instance_uid,
                index=lesion.index,
            )
        )
    return Measured(tuple(structures), volume=drawn.volume if lesions else None)


def score(found: ModelZoo, pred: Any, image: Image | None = None, *, several: bool = False) -> Measured:
    """Read how a bundle's output divides over its classes.

    Args:
        found: What it says that its output means.
        pred: What its postprocessing left under "pred", its choice of one class left out.
        image: Which; None for a series.
        several: Whether other images were read for the same report.

    Raises:
        Failed: There is not one probability for each class.
    """
    name, labels = found.declared.name, found.declared.labels
    values = torch.as_tensor(pred).flatten().double()
    if len(values) != len(labels):
        raise Failed(f"bundle '{name}' gave {len(values)} numbers, its metadata name {len(labels)} classes")
    within = bool(torch.isfinite(values).all() and (values >= 0).all() and (values <= 1).all())
    shares = within and abs(float(values.sum()) - 1) < SURE
    notes: tuple[str, ...] = ()
    if found.configuration.scores == "likeliest" and not shares and bool(torch.isfinite(values).all()):
        values, notes, within = torch.softmax(values, 0), (LIKELIEST,), True
    elif found.configuration.scores != "given" and not shares:
        within = False
    if not within:
        raise Failed(f"bundle '{name}' gave no probabilities: its postprocessing has no softmax or sigmoid")
    uid = "" if image is None else image.instance.sop_instance_uid
    number = image.index + 1 if image is not None and several else None
    classes = tuple(
        replace(blank, score=value, sop_instance_uid=uid, image=number)
        for blank, value in zip(found.classes, values.tolist(), strict=True)
    )
    return Measured(classes=classes, notes=notes)


def label_map(declared: Declared, pred: Any) -> NDArray[np.uint8]:
    """One number a voxel, (columns, rows, slices): that of a label, 0 for what is none.

    Args:
        declared: What the output means.
        pred: (channel, columns, rows, slices): a map of labels in one channel, or a channel for each label.

    Raises:
        Failed: Something is no number, a number stands for no label, two labels overlap, or nothing was decided.
    """
    array: NDArray[np.float32] = torch.as_tensor(pred).cpu().float().numpy()
    if not all(bool(np.isfinite(plane).all()) for plane in array):
        raise Failed(f"bundle '{declared.name}' gave no outline: its output holds values that are no numbers")
    if len(array) == 1:
        return _of_one_channel(declared, array[0])
    if len(array) != declared.channels:
        raise Failed(f"bundle '{declared.name}' gave {len(array)} channels, its metadata say {declared.channels}")
    return _of_channels(declared, array)


def _of_one_channel(declared: Declared, values: NDArray[np.float32]) -> NDArray[np.uint8]:
    known = {_value(declared, label.number): label.name for label in declared.labels}
    if declared.channels > 1 and not declared.background:
        raise Failed(
            f"bundle '{declared.name}' gave one map for {declared.channels} channels; which is which is not told"
        )
    if not bool(((values >= 0) & (values <= 255) & (values == np.floor(values))).all()):
        raise Failed(f"bundle '{declared.name}' gave no map of labels: its values are no whole numbers from 0 to 255")
    labels = values.astype(np.uint8)
    unknown = [n for n, count in enumerate(_counts(labels)) if count and n and n not in known]
    if unknown:
        raise Failed(f"bundle '{declared.name}' gave the label {unknown[0]}, which its metadata do not name")
    return labels


def _of_channels(declared: Declared, array: NDArray[np.float32]) -> NDArray[np.uint8]:
    decided = bool(((array == 0) | (array == 1)).all())
    if not decided and not declared.background:
        raise Failed(f"bundle '{declared.name}' gave shares and no outline: its postprocessing decides nothing")
    if not decided:
        likeliest: NDArray[np.uint8] = np.argmax(array, axis=0).astype(np.uint8)
        return likeliest
    channels = [label.number for label in declared.labels]
    if max(channels) >= len(array):
        raise Failed(f"bundle '{declared.name}': its metadata name channel {max(channels)}, it gave {len(array)}")
    labels: NDArray[np.uint8] = np.zeros(array.shape[1:], np.uint8)
    for label in declared.labels:
        inside = array[label.number] == 1
        if bool(labels[inside].any()):
            raise Failed(
                f"bundle '{declared.name}': the outlines of its structures overlap, and cannot be kept as one mask"
            )
        labels[inside] = _value(declared, label.number)
    return labels


def _value(declared: Declared, number: int) -> int:
    """The number of a label in a mask, where 0 is nothing: channels without a background move up by one."""
    return number if declared.background else number + 1


def _counts(labels: NDArray[np.uint8]) -> NDArray[np.intp]:
    counts: NDArray[np.intp] = np.zeros(256, np.intp)
    for plane in labels:
        counts += np.bincount(plane.ravel(), minlength=256)
    return counts
