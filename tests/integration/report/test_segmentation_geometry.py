"""Masks of series in any position, read back by others: the right voxels carry them.

`segimage2itkimage` of dcmqi (its own C++ on DCMTK and ITK) reads those that an ITK image can hold; a slow reader of our
own, frame by frame from the standard's formula (PS3.3 C.7.6.2.1.1), reads all, tilted and uneven ones too.
"""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from scipy.spatial.transform import Rotation

from app.assemble import assemble
from app.documents import DocumentKind
from app.report import encode
from app.study import Study
from tests.allowlists.dciodvfy import errors
from tests.unit.report.factory import MADE_AT
from tests.unit.report.volumes import lesion_report, turned_study

ROWS, COLUMNS, SLICES = 10, 12, 5
DCMQI = Path(sys.executable).with_name("segimage2itkimage")
TOLERANCE_MM = 1e-3

Points = NDArray[np.float64]

AXIAL = ((1, 0, 0), (0, 1, 0))
SAGITTAL = ((0, 1, 0), (0, 0, -1))
CORONAL = ((1, 0, 0), (0, 0, -1))
FEET_FIRST = ((-1, 0, 0), (0, 1, 0))
OBLIQUE = ((0.8, 0.6, 0), (-0.48, 0.64, 0.6))


def lesions() -> NDArray[np.int32]:
    """Unlike its mirror images and its transpositions."""
    mask = np.zeros((COLUMNS, ROWS, SLICES), np.int32)
    mask[2:6, 3, 1:3] = 1
    mask[2, 3:5, 1] = 1
    mask[8, 6:9, 4] = 2
    mask[9, 6, 4] = 2
    return mask


def normal(directions: Sequence[Sequence[float]]) -> Points:
    return np.asarray(np.cross(*directions), dtype=np.float64)


def reported(folder: Path, study: Study, mask: NDArray[np.int32]) -> Path:
    report = lesion_report(study, folder, mask)
    documents = encode(report, study, folder, made_at=MADE_AT)
    (document,) = [each for each in documents if each.kind is DocumentKind.SEG]
    assert document.problem == ""
    return document.path


def expected(files: Sequence[Path], mask: NDArray[np.int32]) -> dict[tuple[str, int], Points]:
    """LPS points of every lesion on every source image, from the headers on disk.

    The slices of a mask follow each other along the normal; nothing else of ours is used.
    """
    images = [dcmread(file, stop_before_pixels=True) for file in files]
    first = images[0].ImageOrientationPatient
    along = normal((first[:3], first[3:]))
    images.sort(key=lambda image: float(np.dot(image.ImagePositionPatient, along)))
    found = {}
    for index, image in enumerate(images):
        for number in (1, 2):
            columns, rows = np.nonzero(mask[..., index] == number)
            found[str(image.SOPInstanceUID), number] = points(image, image, image, rows, columns)
    return found


def points(
    position: Dataset, orientation: Dataset, measures: Dataset, rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> Points:
    origin = np.array(position.ImagePositionPatient, dtype=np.float64)
    cosines = np.array(orientation.ImageOrientationPatient, dtype=np.float64)
    between_rows, between_columns = (float(value) for value in measures.PixelSpacing)
    places = [
        origin + cosines[:3] * between_columns * column + cosines[3:] * between_rows * row
        for row, column in zip(rows, columns, strict=True)
    ]
    return np.array(places, dtype=np.float64).reshape(-1, 3)


def read_slowly(path: Path) -> dict[tuple[str, int], Points]:
    """LPS points of every segment on every source image that a frame names."""
    document = dcmread(path)
    (shared,) = document.SharedFunctionalGroupsSequence
    bits = np.array([byte >> bit & 1 for byte in document.PixelData for bit in range(8)])
    size = document.Rows * document.Columns
    found = {}
    for number, frame in enumerate(document.PerFrameFunctionalGroupsSequence):
        inside = bits[number * size : (number + 1) * size].reshape(document.Rows, document.Columns)
        segmented = frame if "SegmentIdentificationSequence" in frame else shared
        segment = segmented.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        (source,) = frame.DerivationImageSequence[0].SourceImageSequence
        found[str(source.ReferencedSOPInstanceUID), int(segment)] = points(
            frame.PlanePositionSequence[0],
            shared.PlaneOrientationSequence[0],
            shared.PixelMeasuresSequence[0],
            *np.nonzero(inside),
        )
    return found


def read_with_dcmqi(path: Path) -> dict[int, Points]:
    """LPS points of every segment, by dcmqi."""
    with tempfile.TemporaryDirectory() as out:
        command = [DCMQI, "--inputDICOM", path, "--outputDirectory", out, "--prefix", "it", "--outputType", "nrrd"]
        subprocess.run([str(part) for part in command], check=True, capture_output=True, timeout=60)
        found = {}
        for file in sorted(Path(out).glob("it-*.nrrd")):
            image = SimpleITK.ReadImage(str(file))
            array = SimpleITK.GetArrayFromImage(image)
            for number in sorted(set(array.ravel().tolist()) - {0}):
                indices = np.argwhere(array == number)[:, ::-1]
                found[number] = np.array([image.TransformIndexToPhysicalPoint([int(v) for v in at]) for at in indices])
        return found


def same(one: Points, other: Points) -> bool:
    if one.shape != other.shape:
        return False
    if not len(one):
        return True
    distances = np.linalg.norm(one[:, None] - other[None], axis=-1)
    return bool((distances.min(axis=1) < TOLERANCE_MM).all() and (distances.min(axis=0) < TOLERANCE_MM).all())


def check(folder: Path, mask: NDArray[np.int32], *, dcmqi: bool) -> Path:
    files = sorted((folder / "series").glob("*.dcm"))
    path = reported(folder / "out", assemble(files), mask)
    wanted, read = expected(files, mask), read_slowly(path)
    assert set(read) == set(wanted)
    assert all(same(read[each], wanted[each]) for each in wanted)
    if dcmqi:
        by_number = {n: np.concatenate([wanted[each] for each in wanted if each[1] == n]) for n in (1, 2)}
        found = read_with_dcmqi(path)
        assert set(found) == {n for n, places in by_number.items() if len(places)}
        assert all(same(found[n], by_number[n]) for n in found)
    return path


@pytest.mark.debian
@pytest.mark.parametrize(
    ("directions", "tilt", "places"),
    [
        (AXIAL, 0, None),
        (SAGITTAL, 0, None),
        (CORONAL, 0, None),
        (FEET_FIRST, 0, None),
        (OBLIQUE, 0, None),
        (AXIAL, 0.33, None),
        (OBLIQUE, -0.2, None),
        (AXIAL, 0, (4, 3, 2, 1, 0)),
        (SAGITTAL, 0, (3, 0, 4, 2, 1)),
        (AXIAL, 0, (0, 1, 2, 4, 6)),
        (CORONAL, 0.25, (6, 4, 2, 1, 0)),
    ],
    ids=[
        "axial",
        "sagittal",
        "coronal",
        "feet first",
        "oblique",
        "tilted",
        "oblique and tilted",
        "reversed",
        "shuffled",
        "uneven",
        "coronal, reversed, tilted, uneven",
    ],
)
def test_the_mask_lies_where_it_was_drawn(
    directions: Sequence[Sequence[float]], tilt: float, places: Sequence[float] | None, tmp_path: Path
) -> None:
    """Tilted and uneven stacks are none that an ITK image holds: dcmqi is not asked about them."""
    step = (normal(directions) + tilt * np.array(directions[1])) * 3
    turned_study(tmp_path / "series", directions, step, places=places, rows=ROWS, columns=COLUMNS, slices=SLICES)
    even = tilt == 0 and (places is None or sorted(places) == list(range(SLICES)))
    path = check(tmp_path, lesions(), dcmqi=even)
    assert errors(path) == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    turn=st.tuples(*[st.floats(-180, 180)] * 3),
    gap=st.floats(0.4, 6),
    tilt=st.sampled_from([0.0, 0.0, 0.3, -0.4]),
    order=st.permutations(range(SLICES)),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_mask_lies_where_it_was_drawn_however_the_series_is_turned(
    turn: tuple[float, float, float], gap: float, tilt: float, order: list[int], seed: int
) -> None:
    rotation = Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    directions = [[round(float(v), 6) for v in rotation[:, axis]] for axis in (0, 1)]
    step = np.round((rotation[:, 2] + tilt * rotation[:, 0]) * gap, 6)
    mask = np.random.default_rng(seed).integers(0, 3, (COLUMNS, ROWS, SLICES)).astype(np.int32)
    mask[0, 0, 0], mask[-1, -1, -1] = 1, 2
    folder = Path(tempfile.mkdtemp())
    try:
        turned_study(
            folder / "series",
            directions,
            [float(v) for v in step],
            places=order,
            rows=ROWS,
            columns=COLUMNS,
            slices=SLICES,
        )
        check(folder, mask, dcmqi=tilt == 0)
    finally:
        shutil.rmtree(folder)


@pytest.mark.debian
@pytest.mark.parametrize(("series", "dcmqi"), [("mr_t1c_mprage", True), ("ct_head_ge", False)])
def test_the_mask_lies_where_it_was_drawn_on_real_series(
    series: str, dcmqi: bool, imaging_data: Path, tmp_path: Path
) -> None:
    """An MPRAGE of 120 slices; a head CT with tilted gantry and two spacings."""
    files = sorted((imaging_data / "dicom" / series).glob("*"))
    study = assemble(files)
    geometry = study.series[0].geometry
    assert geometry is not None
    mask = np.zeros((geometry.columns, geometry.rows, len(geometry.origins)), np.int32)
    middle = len(geometry.origins) // 2
    mask[100:104, 120:123, middle - 1 : middle + 1] = 1
    mask[100, 123, middle] = 1
    mask[60:62, 70:74, 2] = 2
    path = reported(tmp_path, study, mask)
    wanted = {key: places for key, places in expected(files, mask).items() if len(places)}
    read = read_quickly(path)
    assert set(read) == set(wanted)
    assert all(same(read[each], wanted[each]) for each in wanted)
    if dcmqi:
        found = read_with_dcmqi(path)
        for number in (1, 2):
            assert same(found[number], np.concatenate([wanted[each] for each in wanted if each[1] == number]))
    assert errors(path) == []


def read_quickly(path: Path) -> dict[tuple[str, int], Points]:
    """As `read_slowly`, of frames that show something; bits by numpy."""
    document = dcmread(path)
    (shared,) = document.SharedFunctionalGroupsSequence
    bits = np.unpackbits(np.frombuffer(document.PixelData, np.uint8), bitorder="little")
    size = document.Rows * document.Columns
    found = {}
    for number, frame in enumerate(document.PerFrameFunctionalGroupsSequence):
        inside = bits[number * size : (number + 1) * size].reshape(document.Rows, document.Columns)
        if inside.any():
            (source,) = frame.DerivationImageSequence[0].SourceImageSequence
            segment = frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber
            found[str(source.ReferencedSOPInstanceUID), int(segment)] = points(
                frame.PlanePositionSequence[0],
                shared.PlaneOrientationSequence[0],
                shared.PixelMeasuresSequence[0],
                *np.nonzero(inside),
            )
    return found
