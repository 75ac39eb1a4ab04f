from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.errors import Failed
from app.masks import LabelVolume, keep, mask_file, mask_files, masks_of
from tests.unit.report.factory import make_report

REPORT = make_report()
VOLUME = LabelVolume(np.arange(24, dtype=np.uint8).reshape(2, 3, 4), (1, 2, 3), (5, 6, 8))


def kept(folder: Path) -> Path:
    path = mask_file(folder, REPORT.algorithm.name, REPORT.series_uid, REPORT.stack)
    keep(path, {"brain_metastasis": VOLUME, "intracranial_hemorrhage": replace(VOLUME, start=(0, 0, 0))})
    return path


def test_masks_come_back_as_they_were_kept(tmp_path: Path) -> None:
    kept(tmp_path / "results")
    volume = masks_of(tmp_path / "results", REPORT, "brain_metastasis")
    assert (volume.start, volume.shape) == (VOLUME.start, VOLUME.shape)
    assert (volume.whole() == VOLUME.whole()).all()
    assert (volume.whole()[1:3, 2:5, 3:7] == VOLUME.labels).all()
    assert volume.whole().sum() == VOLUME.labels.sum()


@pytest.mark.parametrize("change", [{"stack": 1}, {"series_uid": "1.2"}])
def test_every_report_has_its_own(change: dict[str, Any], tmp_path: Path) -> None:
    kept(tmp_path)
    with pytest.raises(Failed, match="missing or damaged"):
        masks_of(tmp_path, replace(REPORT, **change), "brain_metastasis")


def test_a_finding_without_a_mask(tmp_path: Path) -> None:
    kept(tmp_path)
    with pytest.raises(Failed, match="missing or damaged"):
        masks_of(tmp_path, REPORT, "subdural_hemorrhage")


@pytest.mark.parametrize("size", [0, 10, 300])
def test_a_damaged_file(size: int, tmp_path: Path) -> None:
    path = kept(tmp_path)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(Failed, match="missing or damaged"):
        masks_of(tmp_path, REPORT, "brain_metastasis")


def test_all_that_lies_there_is_found(tmp_path: Path) -> None:
    path = kept(tmp_path)
    half = path.with_name(f"{path.name}.17.tmp")
    half.write_bytes(b"half")
    assert set(mask_files(tmp_path, REPORT)) == {path, half}
    assert mask_files(tmp_path, replace(REPORT, stack=1)) == ()
