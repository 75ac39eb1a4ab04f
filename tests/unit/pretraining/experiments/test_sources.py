"""Radiographs of several sources, plain and with the energies of their bands alike."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from typer.testing import CliRunner

from bundles.common.metrics.cases import patient_id
from pretraining.data.errors import ArchiveError
from pretraining.experiments.layout import SHARES
from pretraining.experiments.prepare import app
from pretraining.experiments.sources import RANGE, make_looks, shrunk
from pretraining.views.energy import MAX_GAIN, SIGMAS


def picture(seed: int, sharpness: float, side: int = 64) -> np.ndarray:
    """Noise, blurred as its source does it, over a ramp; 8 bits."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(side, side)), 1 / sharpness)
    pixels = noise / noise.std() + np.linspace(-2, 2, side)
    return ((pixels - pixels.min()) / np.ptp(pixels) * 255).astype(np.uint8)


def data(folder: Path, count: int = 24) -> Path:
    """Three sources as they lie in the folder of real images; the second is blurred."""
    for number, name in enumerate(("cxr_nih", "cxr_nih64")):
        (folder / name / "images").mkdir(parents=True)
        with (folder / name / "labels.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["image", "patient_id", "view", "findings"])
            for n in range(number * count, (number + 1) * count):
                writer.writerow([f"{n:03d}.png", n, "AP" if n % 2 else "PA", "Mass" if n % 3 else "No Finding"])
                made = picture(n, 0.5 if number else 2.0, 64 if number else 128)
                Image.fromarray(made).save(folder / name / "images" / f"{n:03d}.png")
    (folder / "xr_wrist_grazped").mkdir()
    for n in range(3):
        wide = picture(n, 1.0, 100)[:, :40].astype(np.uint16) * 200
        Image.fromarray(wide).save(folder / "xr_wrist_grazped" / f"{n:04d}_1_01_WRI.png")
    return folder


def stored(path: Path) -> np.ndarray:
    """The values of a picture that was written."""
    share = np.asarray(Image.open(path)).astype(np.float64) / 65535
    return RANGE[0] + share * (RANGE[1] - RANGE[0])


def deviations(image: np.ndarray) -> list[float]:
    """Energy of each band by SciPy: the slow reference."""
    found = []
    for sigma in SIGMAS:
        smooth = gaussian_filter(image, sigma, mode="reflect", truncate=4)
        found.append(float((image - smooth).std()))
        image = smooth
    return found


def test_both_looks_are_written_with_one_list(tmp_path: Path) -> None:
    folder = tmp_path / "laid_out"
    ended = CliRunner().invoke(app, ["sources", str(data(tmp_path / "data")), str(folder)])
    assert ended.exit_code == 0, ended.output
    content = json.loads((folder / "datalist.json").read_text())
    rows = [row for name in ("training", "validation", "test") for row in content[name]]
    assert len(rows) == 51
    assert {row["image"] for row in rows} == {path.name for path in (folder / "bands").iterdir()}
    assert {row["image"] for row in rows} == {path.name for path in (folder / "images").iterdir()}
    labels = {row["image"]: (*row["labels"].values(), row["metadata"]["source"]) for row in rows}
    assert labels["nih_001.png"] == (1, 0, 0, "NIH")
    assert labels["nih64_024.png"] == (0, 1, None, "NIH 64")
    assert labels["wrist_0000_1_01_WRI.png"] == (None, None, 1, "wrist")
    assert Image.open(folder / "images" / "wrist_0000_1_01_WRI.png").size == (26, 64)
    learnt = [n for n in range(24) if SHARES.split_of(patient_id(str(n))) == "train"]
    assert content["energy"]["images"] == len(learnt)
    again = CliRunner().invoke(app, ["sources", str(tmp_path / "data"), str(folder)])
    assert (again.exit_code, json.loads((folder / "datalist.json").read_text())) == (0, content)


def test_the_reference_is_that_of_the_first_source_and_images_come_to_it(tmp_path: Path) -> None:
    rows = rows_of(data(tmp_path / "data"))
    looks = make_looks(rows, tmp_path)
    learnt = [row for row in rows if row["source"] == "NIH" and SHARES.split_of(patient_id(row["patient"])) == "train"]
    slow = np.mean([deviations(shrunk(row["path"], 64)[0].double().numpy()) for row in learnt], axis=0)
    np.testing.assert_allclose(looks.reference.mean, slow, rtol=1e-4)
    assert looks.clipped < 0.01
    for path in [*sorted((tmp_path / "plain").glob("nih64_*.png"))[:3], *(tmp_path / "plain").glob("wrist_*.png")]:
        rest = stored(path)
        gains = np.minimum(slow / deviations(rest), MAX_GAIN)
        wanted = np.zeros_like(rest)
        for sigma, gain in zip(SIGMAS, gains, strict=True):
            smooth = gaussian_filter(rest, sigma, mode="reflect", truncate=4)
            wanted, rest = wanted + gain * (rest - smooth), smooth
        found = stored(tmp_path / "bands" / path.name)
        np.testing.assert_allclose(found, np.clip(wanted + rest, *RANGE), atol=5e-4)
        assert np.abs(found - stored(path)).max() > 0.05


def rows_of(folder: Path) -> list[dict[str, Any]]:
    """As the command has them."""
    from pretraining.experiments.prepare import nih_rows
    from pretraining.experiments.sources import source_rows

    return source_rows(folder, nih_rows(folder))


def test_what_is_missing_or_of_no_use_is_named(tmp_path: Path) -> None:
    folder = data(tmp_path / "data")
    rows = rows_of(folder)
    with pytest.raises(ArchiveError, match="two images of one source have the same name"):
        make_looks([*rows, rows[0]], tmp_path / "twice")
    with pytest.raises(ArchiveError, match="0 training images of NIH"):
        make_looks([row for row in rows if row["source"] != "NIH"], tmp_path / "none")
    Image.fromarray(np.full((8, 8), 7, np.uint8)).save(folder / "cxr_nih" / "images" / "003.png")
    with pytest.raises(ArchiveError, match=r"003\.png: every pixel has the same value"):
        make_looks(rows, tmp_path / "flat")
    Image.fromarray(picture(1, 1.0)).save(folder / "xr_wrist_grazped" / "unnamed.png")
    with pytest.raises(ArchiveError, match="begins with no number"):
        rows_of(folder)
