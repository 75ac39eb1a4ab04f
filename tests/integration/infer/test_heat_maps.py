"""Heat maps of a real bundle that reads images: kept beside the results where they are sound, and never at the cost of
the answer.
"""

import errno
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydicom import Dataset
from structlog.testing import capture_logs

from app.findings import Outcome, Presence, Report
from app.heat import heat_file, heat_name
from tests.integration.infer.test_image_runner import assembled, planned
from tests.integration.workflow.tiny_images import LESION, NOTHING, PNEUMOTHORAX, bright_part, two_views, with_pixels

PRESENT, ABSENT = Presence.PRESENT, Presence.ABSENT


def analysed(folder: Path, images: Sequence[Dataset], **spoilt: Any) -> Report:
    study = assembled(folder, images)
    runner, plan = planned(folder, study, **spoilt)
    return runner.analyse(study, plan.assignment, folder / "results")


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "results").glob("*")) if (folder / "results").is_dir() else []


def name_of(image: Dataset, finding: str = "pneumothorax") -> str:
    return heat_file(Path(), heat_name("bright", finding, image.SOPInstanceUID)).name


def test_the_image_that_shows_the_finding_has_a_heat_map_and_the_other_none(tmp_path: Path) -> None:
    images = two_views((PNEUMOTHORAX, NOTHING))
    report = analysed(tmp_path, images)
    assert [each.presence for each in report.findings] == [ABSENT, PRESENT]
    assert kept(tmp_path) == [name_of(images[0])]
    picture = Image.open(tmp_path / "results" / name_of(images[0]))
    assert (picture.format, picture.mode, picture.size) == ("PNG", "L", (80, 80))
    # What is dark spoke for it: all but the left tenth.
    assert np.array_equal(np.asarray(picture), np.where(np.arange(80) < 8, 0, 255)[None].repeat(80, axis=0))


def test_names_tell_nothing_of_image_or_study(tmp_path: Path) -> None:
    image = two_views((PNEUMOTHORAX, NOTHING))[0]
    analysed(tmp_path, [image])
    (name,) = kept(tmp_path)
    for told in (image.SOPInstanceUID, image.StudyInstanceUID, "Test", "T2", "pneumothorax", "bright"):
        assert told not in name


def test_a_finding_whose_contract_names_no_heat_map_has_none(tmp_path: Path) -> None:
    report = analysed(tmp_path, two_views((LESION, NOTHING)))
    assert report.findings[0].presence is PRESENT
    assert kept(tmp_path) == []


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        ("heat nan", "output 'looked' holds values from nan to nan, expected 0 to 1"),
        ("heat beyond", "output 'looked' holds values from 0 to 255, expected 0 to 1"),
        ("heat flat", "output 'looked' has the shape (12800,), expected (rows, columns)"),
        ("heat one class", "output 'looked' has the shape (1, 80, 80), expected (rows, columns)"),
        ("heat words", "output 'looked' is no heat map: "),
        ("heat missing", "the bundle's postprocessing gave no 'looked', its heat map"),
        ("heat cold", ""),  # nothing spoke: nothing to show, and nothing wrong
    ],
)
def test_an_unsound_heat_map_is_left_out_and_the_answer_stands(tmp_path: Path, spoil: str, words: str) -> None:
    images = two_views((PNEUMOTHORAX, NOTHING))
    good = analysed(tmp_path / "good", images)
    with capture_logs() as logs:
        report = analysed(tmp_path / "bad", images, spoil=spoil)
    assert replace(report, seconds=0, algorithm=good.algorithm) == replace(good, seconds=0)
    assert (report.outcome, kept(tmp_path / "bad")) == (Outcome.SUCCEEDED, [])
    reasons = [each["reason"] for each in logs if each["event"] == "heat_map_left_out"]
    assert [reason[: len(words)] for reason in reasons] == ([words] if words else [])


def test_a_full_disk_costs_the_heat_map_and_not_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with capture_logs() as logs:
        report = analysed(tmp_path, two_views((PNEUMOTHORAX, NOTHING)))
    assert (report.outcome, report.findings[1].presence, report.notes) == (Outcome.SUCCEEDED, PRESENT, ())
    assert kept(tmp_path) == []
    assert [each["reason"] for each in logs if each["event"] == "heat_map_left_out"] == ["OSError"]


def test_a_large_image_has_a_small_heat_map_and_one_of_an_earlier_analysis_goes(tmp_path: Path) -> None:
    image = with_pixels(two_views((PNEUMOTHORAX, NOTHING))[0], bright_part(PNEUMOTHORAX, 700, 350))
    study = assembled(tmp_path, [image])
    runner, plan = planned(tmp_path, study)
    runner.analyse(study, plan.assignment, tmp_path / "results")
    path = tmp_path / "results" / name_of(image)
    columns, rows = Image.open(path).size
    assert (columns, rows) == (40, 80)  # the network's own, which the page draws over the whole image
    spoilt, plan = planned(tmp_path / "again", study, spoil="heat nan")
    spoilt.analyse(study, plan.assignment, tmp_path / "results")
    assert not path.exists()
