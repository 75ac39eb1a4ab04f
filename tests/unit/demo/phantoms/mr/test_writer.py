"""Headers say what the array's geometry says, and as much about contrast agent as the seed decides."""

from dataclasses import replace

import numpy as np
import pytest

from app.demo.phantoms.mr.phantom import MrPhantom
from app.demo.phantoms.mr.writer import SCANNERS, description, says_agent, scanner_of, stored_values, to_datasets


@pytest.mark.parametrize("which", ["axial", "sagittal"])
def test_header_geometry_is_the_arrays_affine(which: str, request: pytest.FixtureRequest) -> None:
    phantom: MrPhantom = request.getfixturevalue(which)
    affine = phantom.scan.affine_lps
    for index, image in enumerate(to_datasets(phantom)):
        directions = np.array(image.ImageOrientationPatient, dtype=float)
        for row, column in ((0, 0), (31, 4)):
            point = np.array(image.ImagePositionPatient, dtype=float)
            point = point + directions[:3] * column * float(image.PixelSpacing[1])
            point = point + directions[3:] * row * float(image.PixelSpacing[0])
            np.testing.assert_allclose(point, (affine @ [index, row, column, 1])[:3], atol=1e-4)


@pytest.mark.parametrize("name", sorted(SCANNERS))
def test_stored_values_keep_the_signal(name: str, axial: MrPhantom) -> None:
    scanner = SCANNERS[name]
    stored = stored_values(axial, scanner)
    assert stored.dtype == (np.uint16 if scanner.bits == 12 else np.int16)
    np.testing.assert_allclose(stored / scanner.white, axial.volume, atol=0.51 / scanner.white)
    images = to_datasets(axial, scanner=scanner)
    assert np.array_equal(np.stack([image.pixel_array for image in images]), stored)
    numbers = [image.InstanceNumber for image in images]
    assert numbers == sorted(numbers, reverse=scanner.descending)


def test_the_agent_is_named_in_some_headers_only_and_never_without_one(axial: MrPhantom) -> None:
    heads = [replace(axial, seed=seed) for seed in range(60)]
    said = [says_agent(head) for head in heads]
    assert 20 < sum(said) < 50
    plain = [replace(head, signals=replace(head.signals, enhanced=False)) for head in heads]
    assert not any(says_agent(head) for head in plain)
    told = {description(head, scanner_of(head.seed)) for head in heads}
    untold = {description(head, scanner_of(head.seed)) for head in plain}
    assert untold == {"t1_mprage_tra_p2_iso", "Ax 3D T1 BRAVO", "T1W_3D_TFE_TRA"}
    assert told == untold | {"t1_mprage_tra_p2_iso_KM", "Ax 3D T1 BRAVO +C", "T1W_3D_TFE_TRA_GD"}
    for head, expected in zip(heads[:4], said, strict=False):
        assert ("ContrastBolusAgent" in to_datasets(head)[0]) == expected


def test_uids_come_from_the_seed_the_series_and_a_token(sagittal: MrPhantom) -> None:
    first, again = to_datasets(sagittal), to_datasets(sagittal)
    later, plain = to_datasets(sagittal, token="later"), to_datasets(sagittal, number=3)
    assert [i.SOPInstanceUID for i in first] == [i.SOPInstanceUID for i in again]
    assert first[0].StudyInstanceUID == plain[0].StudyInstanceUID != later[0].StudyInstanceUID
    assert first[0].SeriesInstanceUID != plain[0].SeriesInstanceUID
    assert len({i.SOPInstanceUID for i in (*first, *later, *plain)}) == 3 * len(first)
    assert first[0].PatientID == "PHANTOM-MR-6"
