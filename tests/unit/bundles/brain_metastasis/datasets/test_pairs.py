"""DICOM series with structure sets and segmentations: the right voxels, the right series, the right regions."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset

from bundles.brain_metastasis.scripts.datasets.pairs import NAMES, SUFFIXES, read
from bundles.common.datalist.images import ImageFolder
from bundles.common.datalist.problems import Problems
from bundles.common.datalist.records import Reading
from bundles.common.masks.grid import SourceGrid, source_grid
from bundles.common.reader import read_stack
from tests.unit.bundles.common.datalist.sets import datalist, records, refusal
from tests.unit.bundles.common.datalist.volumes_in import labels
from tests.unit.bundles.common.dicom import AXIAL, SAGITTAL, SERIES
from tests.unit.bundles.common.masks.objects import orientation_of, outline, segmentation, series, structure_set

SQUARE = [(1.5, 0.5), (5.5, 0.5), (5.5, 3.5), (1.5, 3.5)]
VOXELS = {(x, y, 2) for x in range(2, 6) for y in range(1, 4)}


def head(
    folder: Path, name: str = "head", orientation: tuple[float, ...] = AXIAL, **changes: object
) -> tuple[list[FileDataset], list[Path]]:
    """An MR series in a folder of its own."""
    datasets, paths = series(folder / "set" / name, orientation)
    for dataset, path in zip(datasets, paths[::-1], strict=True):
        dataset.Modality, dataset.PatientID = "MR", "P1"
        for keyword, value in changes.items():
            setattr(dataset, keyword, value)
        dataset.save_as(path)
    return datasets, paths


def drawn(folder: Path, grid: SourceGrid, name: str = "GTV 1", **options: object) -> Path:
    (folder / "set" / "masks").mkdir(exist_ok=True)
    regions = [("Brain", [outline(grid, 1, SQUARE)]), (name, [outline(grid, 2, SQUARE)])]
    return structure_set(folder / "set" / "masks" / "rt", regions, **options)


def reader(folder: Path, names: str = NAMES) -> Callable[[Problems], Reading]:
    return lambda problems: read(ImageFolder(folder / "set", SUFFIXES), folder / "made", problems, names)


@pytest.mark.parametrize("orientation", [AXIAL, SAGITTAL, orientation_of((10, -20, 30))])
def test_a_structure_set_becomes_a_mask_on_the_grid_of_its_series(
    tmp_path: Path, orientation: tuple[float, ...]
) -> None:
    _, paths = head(tmp_path, orientation=orientation)
    drawn(tmp_path, source_grid(paths))
    item = records(reader(tmp_path))["head"].item()
    mask = tmp_path / "made" / f"{SERIES}_mask.nii.gz"
    expected = {"image": "head", "mask": str(mask), "patient": "P1", "label": 1, "series": SERIES, "regions": 1}
    assert item == expected
    stack, written = read_stack(tmp_path / "set" / "head"), read_stack(mask)
    assert stack.array.shape == written.array.shape
    np.testing.assert_allclose(written.affine, stack.affine, atol=1e-4)
    assert {tuple(voxel) for voxel in np.argwhere(labels(mask)).tolist()} == VOXELS


def test_a_segmentation_and_a_structure_set_are_joined(tmp_path: Path) -> None:
    datasets, paths = head(tmp_path)
    grid = source_grid(paths)
    drawn(tmp_path, grid)
    masks = np.zeros((4, 6, 8), np.uint8)
    masks[0, 5, 7] = 1
    segmentation(tmp_path / "set" / "masks" / "seg", datasets, masks)
    (tmp_path / "set" / "notes.txt").write_text("no DICOM")
    made = datalist(reader(tmp_path))
    assert "1 files are neither images nor masks and were passed over" in made.notes
    found = labels(tmp_path / "made" / f"{SERIES}_mask.nii.gz")
    assert {tuple(voxel) for voxel in np.argwhere(found).tolist()} == VOXELS | {(7, 5, 0)}
    assert set(np.unique(found)) == {0, 1}


def test_series_that_nobody_drew_on_are_counted(tmp_path: Path) -> None:
    _, paths = head(tmp_path)
    drawn(tmp_path, source_grid(paths))
    head(tmp_path, "other", SeriesInstanceUID="1.9")
    assert datalist(reader(tmp_path)).notes == ("1 series have no mask object and were passed over",)


def test_of_several_series_that_an_object_names_the_mr_series_count(tmp_path: Path) -> None:
    _, paths = head(tmp_path)
    head(tmp_path, "planning", Modality="CT", SeriesInstanceUID="1.9")
    rt = drawn(tmp_path, source_grid(paths))
    dataset = dcmread(rt)
    study = dataset.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0]
    for uid in ("1.9", "1.8"):
        study.RTReferencedSeriesSequence.append(Dataset())
        study.RTReferencedSeriesSequence[-1].SeriesInstanceUID = uid
    dataset.save_as(rt)
    assert list(records(reader(tmp_path))) == ["head"]


def test_names_choose_the_regions(tmp_path: Path) -> None:
    _, paths = head(tmp_path)
    drawn(tmp_path, source_grid(paths), "Left frontal")
    message = refusal(reader(tmp_path))
    assert "rt: no region has the name of a metastasis; it has 'Brain', 'Left frontal'" in message
    assert records(reader(tmp_path, "^left"))["head"].item()["label"] == 1
    assert "'(' is no regular expression" in refusal(reader(tmp_path, "("))


def test_a_region_too_small_for_a_voxel_is_no_healthy_head(tmp_path: Path) -> None:
    _, paths = head(tmp_path)
    tiny = outline(source_grid(paths), 1, [(2.2, 2.2), (2.8, 2.2), (2.8, 2.8)])
    structure_set(tmp_path / "set" / "rt", [("met", [tiny])])
    assert "no voxel is marked: rt, region 1 'met': its outlines enclose no voxel's centre" in refusal(reader(tmp_path))


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    datasets, paths = head(tmp_path)
    grid = source_grid(paths)
    rt = drawn(tmp_path, grid, on="1.2.3.4")
    assert f"{rt}: the series 1.2.3.4 on which it was drawn is not below" in refusal(reader(tmp_path))
    drawn(tmp_path, grid, on="")
    assert f"{rt}: it names no series on which it was drawn" in refusal(reader(tmp_path))
    drawn(tmp_path, grid, space="1.5")
    assert "is of the frame of reference 1.5, the series of" in refusal(reader(tmp_path))
    drawn(tmp_path, grid)
    datasets[1].SeriesInstanceUID = "1.77"
    datasets[1].save_as(tmp_path / "set" / "head" / "stranger")
    assert "has no folder of its own; put its images alone into one" in refusal(reader(tmp_path))
    (tmp_path / "set" / "head" / "stranger").unlink()
    paths[0].rename(tmp_path / "set" / "masks" / "slice")
    assert "has no folder of its own" in refusal(reader(tmp_path))
    (tmp_path / "set" / "masks" / "slice").rename(paths[0])
    rt.rename(tmp_path / "set" / "head" / "rt")
    assert "has no folder of its own" in refusal(reader(tmp_path))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"Modality": "CT"}, "drawn on a series of modality CT, expected MR"),
        ({"PatientID": ""}, "tells no PatientID, and splits go by patient"),
    ],
)
def test_other_series_are_refused(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    _, paths = head(tmp_path, **changes)
    drawn(tmp_path, source_grid(paths))
    assert words in refusal(reader(tmp_path))


def test_a_damaged_slice_spoils_its_series(tmp_path: Path) -> None:
    _, paths = head(tmp_path)
    drawn(tmp_path, source_grid(paths))
    whole = paths[2].read_bytes()
    paths[2].write_bytes(whole[:-10])
    assert "truncated, 86 of 96 bytes of pixel data" in refusal(reader(tmp_path))
    paths[2].write_bytes(whole[:300])
    assert str(paths[2]) in refusal(reader(tmp_path))
    assert "no image is left" in refusal(reader(tmp_path), leave_out=True)
