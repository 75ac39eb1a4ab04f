"""BrainMetShare: pictures by number into volumes."""

from collections.abc import Callable, Sequence
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from bundles.brain_metastasis.scripts.datasets import brainmetshare
from bundles.brain_metastasis.scripts.datasets.brainmetshare import parse_spacing, read
from bundles.common.datalist.images import ImageFolder
from bundles.common.datalist.problems import DatalistError, Problems
from bundles.common.datalist.records import Reading
from tests.unit.bundles.common.datalist.sets import datalist, records, refusal

NUMBERS = tuple(range(8, 12))


def make(folder: Path, case: str, numbers: Sequence[int] = NUMBERS, mark: int = 255) -> Path:
    path = folder / "set" / "mets_stanford_releaseMask_train" / case
    for kind in ("0", "1", "2", "3", "seg"):
        (path / kind).mkdir(parents=True, exist_ok=True)
        for number in numbers:
            pixels = np.arange(20, dtype=np.uint8).reshape(4, 5) + 10 * number + (100 if kind == "2" else 0)
            if kind == "seg":
                pixels = np.zeros((4, 5), np.uint8)
                pixels[1, 2] = mark if number == 9 else 0
            Image.fromarray(pixels).save(path / kind / f"{number}.png")
    return path


def reader(folder: Path, **options: object) -> Callable[[Problems], Reading]:
    images = lambda: ImageFolder(folder / "set", brainmetshare.SUFFIXES)  # noqa: E731
    return lambda problems: read(images(), folder / "made", problems, **options)


def test_pictures_become_a_volume_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    make(tmp_path, "Mets_005")
    made = tmp_path / "made"
    item = records(reader(tmp_path))["Mets_005"].item()
    assert item == {
        "image": str(made / "Mets_005.nii.gz"),
        "mask": str(made / "Mets_005_mask.nii.gz"),
        "patient": "Mets_005",
        "label": 1,
        "sequence": "gradient-echo",
    }
    image, mask = (nibabel.load(item[key]) for key in ("image", "mask"))
    np.testing.assert_array_equal(image.affine, np.diag([-0.9375, -0.9375, 1, 1]))
    values = np.asarray(image.dataobj)
    assert values.shape == (5, 4, 4)
    # Column 2, row 1, second slice: picture 9.
    assert values[2, 1, 1] == 1 * 5 + 2 + 90
    assert np.argwhere(np.asarray(mask.dataobj)).tolist() == [[2, 1, 1]]
    np.testing.assert_array_equal(mask.affine, image.affine)
    notes = datalist(reader(tmp_path)).notes
    expected = (
        "the spacing is taken to be 0.9375 × 0.9375 × 1 mm, slices from inferior to superior; the pictures do not"
    )
    assert notes == (f"{expected} tell",)


def test_the_other_sequence_spacing_and_direction(tmp_path: Path) -> None:
    make(tmp_path, "Mets_005", mark=0)
    options = {"sequence": brainmetshare.Sequence.SPIN_ECHO, "spacing_mm": (0.5, 0.6, 2.0), "from_top": True}
    item = records(reader(tmp_path, **options))["Mets_005"].item()
    image = nibabel.load(item["image"])
    np.testing.assert_allclose(image.affine, np.diag([-0.5, -0.6, -2, 1]), rtol=1e-6)
    assert (np.asarray(image.dataobj)[0, 0, 0], item["label"], item["sequence"]) == (180, 0, "spin-echo")


@pytest.mark.parametrize("text", ["1,1", "1,1,x", "1,1,0", "1,1,nan", "1,1,1,1"])
def test_a_spacing_that_is_none(text: str) -> None:
    assert parse_spacing("0.94, 0.94,1") == (0.94, 0.94, 1.0)
    with pytest.raises(DatalistError, match="the spacing is"):
        parse_spacing(text)


def test_what_is_missing_or_damaged_is_named_all_at_once(tmp_path: Path) -> None:
    cases = {name: make(tmp_path, f"Mets_{name}") for name in ("a", "b", "c", "d", "e", "f", "g", "h")}
    for picture in (cases["a"] / "seg").iterdir():
        picture.unlink()
    (cases["b"] / "0" / "10.png").unlink()
    for kind in ("0", "seg"):
        (cases["c"] / kind / "10.png").unlink()
    (cases["d"] / "0" / "10.png").write_bytes(b"no picture")
    Image.new("L", (7, 7)).save(cases["e"] / "0" / "10.png")
    Image.fromarray(np.full((4, 5), 77, np.uint8)).save(cases["f"] / "seg" / "10.png")
    Image.new("L", (5, 4)).save(cases["g"] / "0" / "010.png")
    for number in NUMBERS:
        Image.new("L", (6, 4)).save(cases["h"] / "seg" / f"{number}.png")
    message = refusal(reader(tmp_path))
    for words in (
        "Mets_a has no folder seg",
        "Mets_b has slice 10 in only one of the folders 0 and seg",
        "Mets_c has no slice 10",
        f"{cases['d'] / '0' / '10.png'}: not a readable picture",
        f"{cases['e'] / '0' / '10.png'}: (7, 7) rows and columns, the slices before have (4, 5)",
        "Mets_f: the mask has 3 grey values, expected black and one other",
        "slice 10 is there twice: also",
        "Mets_h: images of (5, 4, 4) and masks of (6, 4, 4) columns, rows and slices",
        "3 images are listed but missing:",
    ):
        assert words in message
    make(tmp_path, "Mets_i")
    Image.new("L", (5, 4)).save(tmp_path / "set" / "cover.png")
    made = datalist(reader(tmp_path), leave_out=True)
    assert [record.key for found in made.splits.values() for record in found] == ["Mets_i"]
    assert "1 pictures are not in a folder 0, 1, 2, 3 or seg and were passed over" in made.notes
