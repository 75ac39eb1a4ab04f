"""The papers' lists of augmentations. Every value names its source, or says that the paper is silent.

Image sizes and crop counts are arguments so that a preset can be shrunk; their defaults are the papers'. Views stay
in [0, 1] (about): ImageNet's mean and deviation of colours (seed 002, 4.3.1, step 7) mean nothing to one channel, and
an encoder's first normalisation takes them away.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from pretraining.views.cutout import Cutout
from pretraining.views.energy import EnergyReference
from pretraining.views.geometry import Geometry
from pretraining.views.intensity import Blur, Change, EnergyBands, Gamma, Linear, Noise, Sharpen
from pretraining.views.pipeline import CropSpec, ViewPipeline
from pretraining.views.windows import ImageSize, Share, Whole


def wrist_simclr(size: int = 512) -> ViewPipeline:
    """Seed 000, "Data pre-processing" and "Data augmentation and pair generation": two views of the whole radiograph.

    The paper names rotations, translations, flips and brightness; it gives no magnitudes.
    """
    return ViewPipeline(
        specs=[CropSpec(2, (size, size), Whole(keep_proportions=False))],  # "resizing all images to 512×512"
        geometry=Geometry(
            rotation_deg=(20.0,),  # silent; as seed 002, section 4.3.3
            shift=0.1,  # silent
            flip=(0.5, 0.5),  # silent on axes; wrists hang either way up and are left or right
        ),
        changes=[Linear(factor=(0.8, 1.2), offset=(-0.1, 0.1))],  # brightness; silent on magnitudes
    )


def ghesu_2d(
    energy: EnergyReference | None,
    counts: tuple[int, int] = (2, 6),
    sizes: tuple[int, int] = (224, 92),
    image_size: tuple[int, int] = (600, 1200),
) -> ViewPipeline:
    """Seed 001, section 3.3 and table 1, 2-D experiments.

    Args:
        energy: reference of the energy bands, fitted on images of the archive; None leaves this change out.
        counts: table 1, "number of crops".
        sizes: table 1, "size of crops".
        image_size: table 1, "image size range": rows and columns after rescaling.
    """
    # Section 3.3: rescaled to a fraction s in [0.1, 0.7] of the original. Table 1 bounds the result as well; where
    # no s obeys both (a CT slice of 512), table 1 rules.
    scale = ImageSize(*image_size, fraction=(0.1, 0.7))
    return ViewPipeline(
        specs=[CropSpec(count, (size, size), scale) for count, size in zip(counts, sizes, strict=True)],
        geometry=Geometry(border=0.1),  # table 1, "cropped image border"
        changes=_ghesu_changes(energy),
    )


def ghesu_3d(
    energy: EnergyReference | None,
    counts: tuple[int, int] = (1, 4),
    sizes: tuple[tuple[int, int, int], tuple[int, int, int]] = ((224, 224, 192), (112, 112, 96)),
    image_size: tuple[tuple[int, int, int], tuple[int, int, int]] = ((112, 112, 96), (250, 250, 200)),
) -> ViewPipeline:
    """Seed 001, section 3.3 and table 1, 3-D experiments; arguments as in `ghesu_2d`.

    The paper does not name the axes of its sizes. They are taken as (depth, rows, columns), as in its own head box
    of 40×224×192 (section 4.5), where the columns are the short side of a head.
    """
    # The fraction s of section 3.3 is left to 2-D: table 1's range for every axis leaves it no room.
    scale = ImageSize(*image_size)
    return ViewPipeline(
        specs=[CropSpec(count, size, scale) for count, size in zip(counts, sizes, strict=True)],
        geometry=Geometry(border=0.1),  # table 1, "cropped image border"
        changes=_ghesu_changes(energy),
    )


def _ghesu_changes(energy: EnergyReference | None) -> list[Change[Any]]:
    # Operations are "sampled from A" (section 3.2, step 1); the paper is silent on how often: every second time.
    changes: list[Change[Any]] = [] if energy is None else [EnergyBands(energy, probability=0.5)]
    changes.append(Gamma((1.8, 2.6), probability=0.5))  # section 3.3, nonlinear rescaling
    changes.append(Linear((0.9, 1.1), (-0.2, 0.2), probability=0.5))  # section 3.3, a and b
    return changes


def thesis_moco(size: int = 224) -> ViewPipeline:
    """Seed 002, sections 4.3.1 and 4.3.2: gentle changes of the whole chest radiograph, two views."""
    return ViewPipeline(
        specs=[CropSpec(2, (size, size), Whole(keep_proportions=True))],  # 4.3.1, steps 1 and 2: pad with 0, 224×224
        geometry=Geometry(
            rotation_deg=(15.0,),  # step 3
            shift=0.05,  # step 4: ± 224 · 0.05
            zoom=(0.95, 1.05),  # step 5
            flip=(0.5,),  # step 6
        ),
    )


def thesis_simclr(size: int = 224) -> ViewPipeline:
    """Seed 002, section 4.3.3: random resized crop, rotation and mirror, two views."""
    return ViewPipeline(
        # 4.3.3, step 1, "following the official torchvision guidelines": RandomResizedCrop's defaults.
        specs=[CropSpec(2, (size, size), Share(area=(0.08, 1.0), aspect=(3 / 4, 4 / 3)))],
        geometry=Geometry(rotation_deg=(20.0,), flip=(0.5,)),  # steps 2 and 3
    )


def chess_moco(size: int = 512) -> ViewPipeline:
    """Seed 004, "Image Preprocessing" and "Training Visual Representation…": two views of the whole chest radiograph.

    The brightest 1 % are cut off by the stored range: its white must be the image's 99th percentile. The paper names
    the changes without magnitudes; some stand in the authors' released script ("script": github.com/mi2rl/CheSS,
    upstream/main_moco.py). How often is ours: the script's changes come so seldom that two views are mostly equal.
    """
    return ViewPipeline(
        specs=[CropSpec(2, (size, size), Whole(keep_proportions=False))],  # "resized into 512 × 512 pixels"
        geometry=Geometry(
            shift=0.0625,  # script, ShiftScaleRotate
            zoom=(0.8, 1.2),  # script, ShiftScaleRotate
            rotation_deg=(10.0,),  # script, ShiftScaleRotate
            distortion=(-0.05, 0.05),  # silent; the default of the library in the script
            distorted=0.5,
        ),
        changes=[
            Blur((0.1, 2.0), probability=0.5),  # script, GaussianBlur of the list "aug_plus"
            Sharpen((0.2, 1.0), probability=0.5),  # silent
            Noise((0.005, 0.05), probability=0.5),  # silent
            Cutout(holes=3, edge=(0.05, 0.2), probability=0.5),  # silent
        ],
    )


PRESETS: Mapping[str, Callable[..., ViewPipeline]] = MappingProxyType(
    {preset.__name__: preset for preset in (wrist_simclr, ghesu_2d, ghesu_3d, thesis_moco, thesis_simclr, chess_moco)}
)
