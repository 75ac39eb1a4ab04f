"""Pixels are scaled with their proportions, boxes go with them and come back."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.transforms import Compose, LoadImaged
from PIL import Image

from bundles.chest_radiograph.scripts.augment import RandRadiographd, moved, moved_boxes
from bundles.chest_radiograph.scripts.preprocess import TrainingItemd
from bundles.common.boxes.geometry import clip
from bundles.common.headers import UnreadableImage
from bundles.common.radiograph.grey import normalised
from bundles.common.radiograph.placement import Placement, placed
from bundles.common.radiograph.scaling import Radiographd
from tests.unit.bundles.common.dicom import save
from tests.unit.pretraining.data.archive import radiograph

side = st.integers(64, 5000)


def steps(size: int) -> Compose:
    reader = "bundles.common.monai_reader.SeriesReader"
    return Compose([LoadImaged("image", reader=reader, image_only=True), Radiographd("image", size)])


def bright_box(image: torch.Tensor) -> list[int]:
    """Edges around what is brighter than the middle grey, of (rows, columns)."""
    rows, columns = torch.nonzero(image > 0.5, as_tuple=True)
    return [int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1]


@given(rows=side, columns=side, size=st.sampled_from([512, 768, 1024]), seed=st.integers(0, 999))
def test_boxes_come_back_to_source_pixels(rows: int, columns: int, size: int, seed: int) -> None:
    placement = Placement.fitting((rows, columns), size)
    corners = torch.rand(8, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    boxes = corners * torch.tensor([columns, rows, columns, rows])
    torch.testing.assert_close(placement.to_source(placement.to_input(boxes)), boxes, rtol=1e-14, atol=0)
    whole = torch.tensor([0.0, 0.0, columns, rows], dtype=torch.float64)
    there = placement.to_input(whole)
    assert there.tolist() == pytest.approx([0, 0, placement.scaled[1], placement.scaled[0]], rel=1e-15)
    assert max(placement.scaled) == size
    assert Placement.from_tensor(placement.as_tensor()) == placement


@pytest.mark.parametrize(("rows", "columns"), [(200, 300), (300, 200), (64, 400), (97, 64)])
def test_pixels_go_where_their_box_goes(rows: int, columns: int) -> None:
    pixels = torch.zeros(rows, columns)
    x0, y0, x1, y1 = columns // 4, rows // 5, columns // 2, rows // 2
    pixels[y0:y1, x0:x1] = 1
    placement = Placement.fitting((rows, columns), 256)
    image = placed(pixels, placement, 256)
    assert image.shape == (1, 256, 256)
    expected = placement.to_input(torch.tensor([x0, y0, x1, y1]).double())
    assert bright_box(image[0]) == pytest.approx(expected.tolist(), abs=1)
    assert image[:, placement.scaled[0] :].abs().sum() + image[:, :, placement.scaled[1] :].abs().sum() == 0


def test_the_brightest_hundredth_is_clipped() -> None:
    pixels = np.arange(1000, dtype=np.float32).reshape(25, 40)
    pixels.flat[990:] = 1e6
    scaled = normalised(pixels)
    assert scaled.min() == 0
    assert scaled.max() == 1
    assert (scaled == 1).sum() == 11
    np.testing.assert_allclose(scaled.flat[:990], np.arange(990) / 989, rtol=1e-6)


@given(
    rows=st.integers(64, 200),
    columns=st.integers(64, 200),
    seed=st.integers(0, 99),
    grades=st.sampled_from([2, 9, 4096]),
)
def test_the_cut_is_that_of_sorted_pixels(rows: int, columns: int, seed: int, grades: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, grades, (rows, columns)).astype(np.float32)
    cut = np.sort(pixels, axis=None)[int(np.ceil(0.99 * pixels.size)) - 1]
    expected = np.minimum((pixels - pixels.min()) / (cut - pixels.min()), np.float32(1))
    assert np.array_equal(normalised(pixels), expected)
    assert np.array_equal(normalised(pixels.T), expected.T)


@pytest.mark.parametrize(
    "value", [np.zeros((80, 80), np.float32), np.eye(200, dtype=np.float32), np.full((80, 80), np.nan, np.float32)]
)
def test_a_radiograph_that_shows_nothing_is_refused(value: np.ndarray) -> None:
    with pytest.raises(UnreadableImage, match="shows nothing"):
        normalised(value)


def test_monochrome1_and_its_turned_picture_are_one_image(tmp_path: Path) -> None:
    dark = radiograph("1", Rows=80, Columns=96)
    values = np.random.default_rng(0).integers(0, 4096, (dark.Rows, dark.Columns), dtype=np.uint16)
    dark.PixelData, dark.BitsStored, dark.HighBit = values.tobytes(), 12, 11
    dark.PhotometricInterpretation = "MONOCHROME1"
    (path,) = save(tmp_path, [dark])
    Image.fromarray(4095 - values).save(tmp_path / "bright.png")
    first, second = (steps(128)({"image": [str(file)]})["image"] for file in (path, tmp_path / "bright.png"))
    torch.testing.assert_close(first.as_tensor(), second.as_tensor())
    assert first.meta["source_uids"] == [dark.SOPInstanceUID]


@pytest.mark.parametrize(("shape", "words"), [((1, 900), "at least 64"), ((900, 63), "at least 64")])
def test_a_strip_is_refused_by_name(tmp_path: Path, shape: tuple[int, int], words: str) -> None:
    Image.fromarray(np.zeros(shape, np.uint8)).save(tmp_path / "strip.png")
    with pytest.raises(RuntimeError) as raised:
        steps(128)({"image": str(tmp_path / "strip.png"), "name": "strip.png"})
    assert words in str(raised.value.__cause__)
    assert "strip.png" in str(raised.value.__cause__)


def item(tmp_path: Path, boxes: list[list[float]]) -> dict:
    values = np.random.default_rng(0).integers(0, 255, (100, 200), dtype=np.uint8)
    Image.fromarray(values).save(tmp_path / "a.png")
    given = {"image": str(tmp_path / "a.png"), "name": "a.png", "patient": "p", "boxes": boxes, "boxed": True}
    return steps(128)({**given, "classes": [0] * len(boxes), "labels": [1.0, 0.0]})


def test_a_training_item_has_its_boxes_in_pixels_of_the_input(tmp_path: Path) -> None:
    made = TrainingItemd()(item(tmp_path, [[20, 10, 60, 50]]))
    torch.testing.assert_close(made["boxes"], torch.tensor([[20, 10, 60, 50]]) * 0.64)
    assert (made["image"].dtype, made["classes"].tolist()) == (torch.float16, [0])
    assert TrainingItemd()(item(tmp_path, []))["boxes"].shape == (0, 4)


@pytest.mark.parametrize(("box", "words"), [([20, 10, 20, 50], "has no area"), ([150, 10, 240, 50], "reaches out")])
def test_a_wrong_box_is_refused_by_the_file_s_name(tmp_path: Path, box: list[float], words: str) -> None:
    with pytest.raises(ValueError, match=rf"a\.png: box .*{words}"):
        TrainingItemd()(item(tmp_path, [box]))


@pytest.mark.parametrize("factors", [(1.2, 1.2), (0.8, -0.8), (1.0, -1.0), (0.9, 0.9)])
def test_augmented_pixels_go_where_their_box_goes(factors: tuple[float, float]) -> None:
    image = torch.zeros(1, 120, 160)
    image[0, 30:60, 40:100] = 1
    boxes = moved_boxes(torch.tensor([[40.0, 30, 100, 60]]), (120, 160), factors, (0.05, -0.1))
    there = bright_box(moved(image, factors, (0.05, -0.1))[0])
    assert there == pytest.approx(clip(boxes, 120, 160)[0].tolist(), abs=1)


def test_a_box_that_leaves_the_image_is_dropped_and_the_item_no_longer_complete() -> None:
    random = RandRadiographd(mirror=0, scale=0, shift=0.0)
    made = {"image": torch.rand(1, 64, 64), "boxes": torch.tensor([[4.0, 4, 9, 9], [70, 4, 80, 9]])}
    result = random({**made, "classes": torch.tensor([1, 0]), "boxed": torch.tensor([True, True])})
    assert result["classes"].tolist() == [1]
    torch.testing.assert_close(result["boxes"], torch.tensor([[4.0, 4, 9, 9]]))
    assert result["boxed"].tolist() == [False, True]
    assert 0 <= result["image"].min() <= result["image"].max() <= 1


def test_the_same_seed_changes_an_image_the_same_way() -> None:
    made = {
        "image": torch.rand(1, 64, 64),
        "boxes": torch.tensor([[4.0, 4, 40, 40]]),
        "boxed": torch.ones(2, dtype=torch.bool),
    }
    one, other = (RandRadiographd().set_random_state(5)({**made, "classes": torch.tensor([0])}) for _ in range(2))
    assert torch.equal(one["image"], other["image"])
    assert torch.equal(one["boxes"], other["boxes"])
