"""The page of example views shows what the network sees."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pretraining.views.pipeline import CropSpec, ViewPipeline
from pretraining.views.sheet import CAPTION, MARGIN, TILE, contact_sheet
from pretraining.views.windows import Whole
from tests.unit.pretraining.views import reference


def page_of(folder: Path, *shapes: tuple[int, ...], samples: int = 8) -> np.ndarray:
    images = [torch.full(shape, 50 * (place + 1), dtype=torch.uint8) for place, shape in enumerate(shapes)]
    batch = reference.batch_of(*images)
    pipeline = ViewPipeline([CropSpec(2, (16,) * len(shapes[0]), Whole())])
    views = pipeline(batch, torch.Generator().manual_seed(0))
    contact_sheet(batch, views, folder / "views.png", group_names=["CT"], samples=samples)
    assert [path.name for path in folder.iterdir()] == ["views.png"]
    return np.asarray(Image.open(folder / "views.png"))


def grey_at(page: np.ndarray, row: int, column: int, plane: int = 0, planes: int = 1) -> int:
    top = MARGIN + row * (planes * (TILE + MARGIN) + CAPTION) + CAPTION - MARGIN + plane * (TILE + MARGIN)
    return int(page[top + TILE // 2, MARGIN + column * (TILE + MARGIN) + TILE // 2])


def test_images_and_their_crops_lie_in_rows(tmp_path: Path) -> None:
    page = page_of(tmp_path, (30, 30), (20, 20))
    for row, grey in enumerate((50, 100)):
        assert [grey_at(page, row, column) for column in range(3)] == [grey] * 3


def test_volumes_show_three_planes(tmp_path: Path) -> None:
    page = page_of(tmp_path, (12, 12, 12), (9, 9, 9))
    for row, grey in enumerate((50, 100)):
        for plane in range(3):
            assert [grey_at(page, row, column, plane, planes=3) for column in range(3)] == [grey] * 3


def test_rows_have_captions(tmp_path: Path) -> None:
    page = page_of(tmp_path, (30, 30))
    assert int(page[MARGIN : MARGIN + CAPTION - MARGIN - 2, MARGIN : MARGIN + TILE].min()) < 100


@pytest.mark.parametrize(("samples", "rows"), [(2, 2), (8, 3)])
def test_a_large_batch_is_cut(tmp_path: Path, samples: int, rows: int) -> None:
    page = page_of(tmp_path, (9, 9), (9, 9), (9, 9), samples=samples)
    assert page.shape[0] == rows * (TILE + MARGIN + CAPTION) + MARGIN
