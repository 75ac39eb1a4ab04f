"""What a folder or a setting that cannot work gets: a clear error, or a line in the report."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pretraining.data.store import ImageStore
from tests.integration.pretraining.runs import losses, pictures, radiographs, reasons, train
from tests.unit.pretraining.data.archive import save_nifti


def refused(overlays: tuple[str, ...], folder: Path, tmp: Path, **changes: Any) -> str:
    """The words of the error that a run ends with before its first step."""
    with pytest.raises((RuntimeError, ValueError)) as caught:
        train("ssl_2d", overlays, folder, tmp, **changes)
    assert losses(tmp / "out") == []
    return reasons(caught.value)


def test_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "archive").mkdir()
    assert "no image in this folder (0 other files); expected DICOM" in refused((), tmp_path / "archive", tmp_path)


def test_a_missing_folder(tmp_path: Path) -> None:
    assert "archive: no such folder" in refused((), tmp_path / "archive", tmp_path)


def test_one_image(tmp_path: Path) -> None:
    words = refused((), pictures(tmp_path / "archive", 1), tmp_path, batch_size=1)
    assert "1 images to train on" in words
    assert "at least one other to be told from" in words


def test_fewer_images_than_a_batch(tmp_path: Path) -> None:
    assert "8 images to train on, but a batch of all processes has 16" in refused(
        (), pictures(tmp_path / "archive"), tmp_path, batch_size=16
    )


def test_a_batch_smaller_than_the_modalities(tmp_path: Path) -> None:
    for modality in ("DX", "CR", "US"):
        radiographs(tmp_path / "archive" / modality, 3, modality)
    words = refused(("ghesu_swav_2d",), tmp_path / "archive", tmp_path, batch_size=2)
    assert "holds 2 samples, fewer than the 3 groups" in words


def test_a_corrupt_image_is_named_and_left_out(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "archive", 9)
    broken = folder / "image03.png"
    broken.write_bytes(broken.read_bytes()[:200])
    out = train("ssl_2d", ("thesis_simclr",), folder, tmp_path)
    assert len(losses(out)) == 4
    reports = [tmp_path / "store" / name for name in ("report.jsonl", "index.report.jsonl")]
    lines = [json.loads(line) for report in reports for line in report.read_text().splitlines()]
    (line,) = lines
    assert line["path"] == "image03.png"
    assert "truncated or corrupt" in line["reason"]


def test_nan_in_an_image_is_named_and_left_out(tmp_path: Path) -> None:
    for number in range(9):
        voxels = np.random.default_rng(number).random((1, 20, 20)).astype(np.float32)
        if number == 4:
            voxels[0, 3, 3] = np.nan
        save_nifti(tmp_path / "archive" / f"v{number}.nii.gz", voxels)
    out = train("ssl_2d", ("thesis_simclr",), tmp_path / "archive", tmp_path)
    assert len(losses(out)) == 4
    (line,) = [json.loads(line) for line in (tmp_path / "store" / "report.jsonl").read_text().splitlines()]
    assert (line["path"], "not finite" in line["reason"]) == ("v4.nii.gz", True)


@pytest.mark.parametrize(
    ("overlays", "changes", "words"),
    [
        (("thesis_moco",), {"queue_length": 18}, "queue of 18 keys is no multiple of the joint batch of 4"),
        (("thesis_moco",), {"bn_splits": 3}, "cannot normalise a batch of 4 images in 3 equal parts"),
        (("ghesu_swav_2d",), {"prototypes": 1}, "at least 2 prototypes"),
        (("ghesu_hybrid",), {}, "hybrid training needs labels"),
        ((), {"amp": "half"}, "amp must be one of off, bf16, fp16"),
        ((), {"backbone": "resnet17"}, "did you mean 'resnet1"),
        ((), {"image_size": 0}, "positive sizes"),
        ((), {"probe_label": "finding"}, "no label 'finding'"),
    ],
)
def test_a_setting_that_cannot_work(
    tmp_path: Path, overlays: tuple[str, ...], changes: dict[str, Any], words: str
) -> None:
    folder = pictures(tmp_path / "archive")
    with pytest.raises((RuntimeError, ValueError)) as caught:
        train("ssl_2d", overlays, folder, tmp_path, **changes)
    assert words in reasons(caught.value)


def test_a_store_made_with_other_settings(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "archive")
    train("ssl_2d", ("thesis_simclr",), folder, tmp_path)
    with pytest.raises(RuntimeError) as caught:
        train("ssl_2d", (), folder, tmp_path, max_side=16, bits=8)
    assert "made with another bits, max_side; give another --store_dir" in reasons(caught.value)


def test_other_images_or_crops_in_the_folder_of_a_training_are_refused_and_its_encoder_stays(tmp_path: Path) -> None:
    one, other = pictures(tmp_path / "one"), pictures(tmp_path / "other", 9)
    out = train("ssl_2d", ("thesis_simclr",), one, tmp_path)
    kept = {name: (out / name).read_bytes() for name in ("encoder.pt", "encoder.json", "views.png", "checkpoint.pt")}
    for dataset, changes in ((other, {"store_dir": str(tmp_path / "store2")}), (one, {"image_size": 48})):
        with pytest.raises(RuntimeError) as caught:
            train("ssl_2d", ("thesis_simclr",), dataset, tmp_path, **changes)
        words = reasons(caught.value)
        assert "checkpoint.pt was written with " in words
        assert "give another --output_dir" in words
    assert {name: (out / name).read_bytes() for name in kept} == kept


def test_a_run_that_never_came_to_a_checkpoint_leaves_no_page_and_no_energies_to_the_next(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "archive")
    out = tmp_path / "out"
    out.mkdir()
    for name in ("views.png", "energy.json"):
        (out / name).write_text("of an earlier try")
    train("ssl_2d", ("ghesu_swav_2d",), folder, tmp_path)
    assert (out / "views.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((out / "energy.json").read_text())["images"] == 4


def test_labels_of_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,finding\nelsewhere.png,1\n")
    changes = {"labels": str(tmp_path / "labels.csv"), "label_names": ["finding"]}
    words = refused(("ghesu_hybrid",), pictures(tmp_path / "archive"), tmp_path, **changes)
    assert "no image has a value of finding" in words


def test_an_empty_patient_is_nobody_and_a_short_line_is_named(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "archive")
    table = tmp_path / "patients.csv"
    table.write_text("patient,file\n" + "".join(f"{'P1' if n < 2 else ''},image{n:02d}.png\n" for n in range(8)))
    train("ssl_2d", (), folder, tmp_path, patients=str(table))
    patients = ImageStore(tmp_path / "store").patients.tolist()
    assert len(set(patients)) == 7
    table.write_text("patient,file\nP1,image00.png\nP2\n")
    assert "line 3 ends before the column 'file'" in refused((), folder, tmp_path / "b", patients=str(table))


def test_a_tiff_of_several_pages_is_named_and_left_out(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "archive")
    pages = [Image.fromarray(np.full((40, 36), 9 * number, np.uint8)) for number in range(3)]
    pages[0].save(folder / "pages.tif", save_all=True, append_images=pages[1:])
    train("ssl_2d", (), folder, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "store" / "index.report.jsonl").read_text().splitlines()]
    assert [line["path"] for line in lines] == ["pages.tif"]
    assert "3 pages, expected one picture" in lines[0]["reason"]
