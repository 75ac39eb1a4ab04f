"""Whatever happens to the bytes of a mask object, it is read or refused with words; nothing else ever comes out."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundles.common.headers import UnreadableImage
from bundles.common.masks.grid import SourceGrid, UnusableMask
from bundles.common.masks.rtstruct import read_rtstruct
from bundles.common.masks.segmentation import read_segmentation
from tests.unit.bundles.common.dicom import AXIAL
from tests.unit.bundles.common.masks.objects import grid_of, outline, segmentation, structure_set

Made = tuple[Path, SourceGrid, dict[str, bytes]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("masks")
    sources, grid = grid_of(folder / "series", AXIAL)
    drawn = [outline(grid, 1, [(1.5, 0.5), (5.5, 0.5), (5.5, 3.5)])]
    masks = np.arange(4 * 6 * 8).reshape(4, 6, 8) % 3
    objects = {
        "rtstruct": structure_set(folder / "rt", [("GTV", drawn), ("brain", drawn)]),
        "segmentation": segmentation(folder / "seg", sources, masks.astype(np.uint8)),
        "label map": segmentation(folder / "map", sources, masks.astype(np.uint8), "LABELMAP"),
    }
    return folder, grid, {name: path.read_bytes() for name, path in objects.items()}


@pytest.mark.parametrize("name", ["rtstruct", "segmentation", "label map"])
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_read_or_refused(name: str, made: Made, data: st.DataObject) -> None:
    folder, grid, objects = made
    raw = objects[name]
    # Behind the preamble; a file whose first bytes are damaged is simply no DICOM.
    start = data.draw(st.integers(132, len(raw)))
    end = data.draw(st.integers(start, min(len(raw), start + 8)))
    piece = data.draw(st.one_of(st.binary(max_size=8), st.sampled_from([b"-", b"9", b"\\", b"nan", b"1e999"])))
    path = folder / "damaged"
    path.write_bytes(raw[:start] + piece + (raw[end:] if data.draw(st.booleans()) else b""))
    try:
        mask = (read_rtstruct if name == "rtstruct" else read_segmentation)(path, grid)
    except (UnusableMask, UnreadableImage) as error:
        assert str(error)
    else:
        assert mask.labels.shape == grid.shape


@pytest.mark.parametrize("name", ["rtstruct", "segmentation", "label map"])
def test_a_file_cut_off_anywhere_is_whole_or_refused(name: str, made: Made) -> None:
    folder, grid, objects = made
    read, path = read_rtstruct if name == "rtstruct" else read_segmentation, folder / "cut"
    path.write_bytes(objects[name])
    whole = read(path, grid)
    for end in range(132, len(objects[name]), 11):
        path.write_bytes(objects[name][:end])
        try:
            mask = read(path, grid)
        except (UnusableMask, UnreadableImage):
            continue
        np.testing.assert_array_equal(mask.labels, whole.labels)
