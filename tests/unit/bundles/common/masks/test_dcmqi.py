"""A segmentation that another maker's writer made: dcmqi, on DCMTK and ITK."""

import json
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from bundles.common.masks.segmentation import read_segmentation
from tests.unit.bundles.common.dicom import AXIAL, CORONAL, SAGITTAL
from tests.unit.bundles.common.masks.objects import grid_of, orientation_of

WRITER = Path(sys.executable).with_name("itkimage2segimage")
TISSUE = {"CodeValue": "49755003", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Morphologically Abnormal Structure"}
LESION = {"CodeValue": "52988006", "CodingSchemeDesignator": "SCT", "CodeMeaning": "Lesion"}


def description(numbers: list[int]) -> dict[str, object]:
    segments = [
        {
            "labelID": number,
            "SegmentDescription": f"lesion {number}",
            "SegmentLabel": f"lesion {number}",
            "SegmentAlgorithmType": "MANUAL",
            "SegmentedPropertyCategoryCodeSequence": TISSUE,
            "SegmentedPropertyTypeCodeSequence": LESION,
            "recommendedDisplayRGBValue": [255, 0, 0],
        }
        for number in numbers
    ]
    return {
        "ContentCreatorName": "Test",
        "ClinicalTrialSeriesID": "1",
        "ClinicalTrialTimePointID": "1",
        "SeriesDescription": "Segmentation",
        "SeriesNumber": "300",
        "InstanceNumber": "1",
        "segmentAttributes": [segments],
    }


@pytest.mark.parametrize(
    "orientation", [AXIAL, CORONAL, SAGITTAL, (1.0, 0.0, 0.0, 0.0, -1.0, 0.0), orientation_of((15, -25, 40))]
)
def test_its_voxels_are_ours(tmp_path: Path, orientation: tuple[float, ...]) -> None:
    _, grid = grid_of(tmp_path / "series", orientation)
    wanted = np.random.default_rng(7).integers(0, 3, grid.shape).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(wanted, grid.affine_ras), tmp_path / "labels.nii")
    (tmp_path / "meta.json").write_text(json.dumps(description([1, 2])), encoding="utf-8")
    subprocess.run(
        [
            *(str(WRITER), "--inputImageList", str(tmp_path / "labels.nii")),
            *("--inputDICOMDirectory", str(tmp_path / "series")),
            *("--inputMetadata", str(tmp_path / "meta.json"), "--outputDICOM", str(tmp_path / "seg.dcm")),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    mask = read_segmentation(tmp_path / "seg.dcm", grid)
    np.testing.assert_array_equal(mask.labels, wanted)
    assert [(region.number, region.name) for region in mask.regions] == [(1, "lesion 1"), (2, "lesion 2")]
