"""Training sets: what the datalist says is what the files hold."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from app.demo.phantoms.phantom import make_phantom
from app.demo.phantoms.training_set import Item, case_seed, nifti_affine, split, withhold, write_case
from app.demo.phantoms.truth import SLICE_AREA_MM2
from tests.unit.demo.phantoms.conftest import flat_phantom, scan


def test_the_split_is_35_to_4_to_6_and_stays_as_the_set_grows() -> None:
    lines = [{"seed": index} for index in range(900)]
    lists = split(lines)
    assert {name: len(part) for name, part in lists.items()} == {"training": 700, "validation": 80, "test": 120}
    for name, part in split(lines[:200]).items():
        assert part == lists[name][: len(part)]
    assert sorted(line["seed"] for part in lists.values() for line in part) == list(range(900))


def test_cases_of_two_sets_share_no_seed() -> None:
    assert not {case_seed(1, i) for i in range(900)} & {case_seed(2, i) for i in range(900)}


def test_the_affine_is_ras_and_sheared_under_tilt() -> None:
    phantom = flat_phantom(scan(tilt_deg=20.0))
    affine = nifti_affine(phantom)
    column, row, index = 5, 9, 2
    lps = (phantom.acquisition.affine_lps @ [index, row, column, 1])[:3]
    np.testing.assert_allclose((affine @ [column, row, index, 1])[:3], lps * [-1, -1, 1])
    assert abs(affine[:3, 1] @ affine[:3, 2]) > 0.1


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Item, int]:
    folder = tmp_path_factory.mktemp("set")
    seed = next(s for s in range(100) if make_positive(s))
    return folder, write_case(folder, seed, 48), seed


def make_positive(seed: int) -> bool:
    from app.demo.phantoms.fields import stream

    return bool(stream(seed, "presence").random() < 0.5)


def test_a_case_holds_what_its_item_says(written: tuple[Path, Item, int]) -> None:
    folder, item, seed = written
    image, mask = nibabel.load(folder / item.image), nibabel.load(folder / item.mask)
    phantom = make_phantom(seed, 48)
    assert np.array_equal(np.asarray(image.dataobj), phantom.volume_hu.transpose(2, 1, 0))
    assert image.get_data_dtype() == np.int16
    assert mask.get_data_dtype() == np.uint8
    np.testing.assert_allclose(image.affine, nifti_affine(phantom), atol=1e-4)
    np.testing.assert_allclose(mask.affine, image.affine)
    labels = np.asarray(mask.dataobj)
    area = (labels > 0).sum(axis=(0, 1)) * phantom.acquisition.pixel_mm**2
    assert item.slices == [int(value > SLICE_AREA_MM2) for value in area]
    assert item.types == [int((labels == kind).any()) for kind in range(1, 6)]
    assert item.label == 1


def test_a_case_that_is_there_is_kept(written: tuple[Path, Item, int]) -> None:
    folder, item, seed = written
    before = (folder / item.image).stat().st_mtime_ns
    assert write_case(folder, seed, 48) == item
    assert (folder / item.image).stat().st_mtime_ns == before


def test_labels_are_withheld_as_often_as_asked() -> None:
    items = [Item("i", "m", seed, 1, [1, 0, 0, 0, 0], [1]) for seed in range(200)]
    lines = [withhold(item, 0.3) for item in items]
    for key in ("types", "slices"):
        assert 40 <= sum(line[key] is None for line in lines) <= 80
    assert all(withhold(item, 0.0)["types"] for item in items)
    assert json.loads(json.dumps(lines[0]))["label"] == 1
