"""Bad input of training and evaluation, through the configurations as they are run, and pictures of public sets."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.transforms import Compose
from PIL import Image
from typer.testing import CliRunner

from bundles.chest_radiograph.scripts.datalist import load_radiographs
from bundles.chest_radiograph.scripts.datasets.__main__ import app as chest_sets
from bundles.wrist_fracture.scripts.datalist import load_wrists
from bundles.wrist_fracture.scripts.datasets.__main__ import app as wrist_sets
from tests.unit.bundles.common.dicom import change, save
from tests.unit.pretraining.data.archive import radiograph

pytestmark = pytest.mark.usefixtures("_at_the_root")
CHEST, WRIST = "chest_radiograph", "wrist_fracture"
LABELS = {CHEST: {"lesion": 0, "pneumothorax": 0}, WRIST: {"fracture": 0}}
PRESENT = {CHEST: {"lesion": 1, "pneumothorax": 0}, WRIST: {"fracture": 1}}
SIDES = (90, 70)


@pytest.fixture
def _at_the_root(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Configurations name the bundle's folder from there."""
    monkeypatch.chdir(root)


def config(bundle: str, name: str, folder: Path, **overrides: Any) -> ConfigParser:
    parser = ConfigParser()
    parser.read_config(f"bundles/{bundle}/configs/{name}.yaml")
    given = {"dataset_dir": str(folder), "output_dir": str(folder / "out"), "size": 64, "device": torch.device("cpu")}
    parser.update({**given, **overrides})
    return parser


def causes(error: BaseException | None) -> str:
    """An error's words, and those of what led to it."""
    return "" if error is None else f"{error}\n{causes(error.__cause__)}"


def values(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (SIDES[1], SIDES[0])).astype(np.uint8)


def picture(path: Path, pixels: np.ndarray | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values() if pixels is None else pixels).save(path)
    return path


def row(bundle: str, image: str, **changes: Any) -> dict[str, Any]:
    return {"image": image, "boxes": [], "classes": [], "labels": LABELS[bundle], "patient": image, **changes}


def deterministic(bundle: str, folder: Path) -> Compose:
    """What training does to an image before anything random."""
    parser = config(bundle, "train", folder)
    return Compose(parser.get_parsed_content("deterministic_transforms")[:2])


@pytest.mark.parametrize(("load", "other"), [(load_radiographs, WRIST), (load_wrists, CHEST)])
def test_a_datalist_of_another_bundle_is_refused(tmp_path: Path, load: Any, other: str) -> None:
    picture(tmp_path / "a.png")
    whole = row(other, "a.png", boxes=[[1, 1, 20, 20]], classes=[0], labels=PRESENT[other])
    (tmp_path / "datalist.json").write_text(json.dumps({"training": [whole]}))
    with pytest.raises(ValueError, match="it was made for another bundle"):
        load(str(tmp_path / "datalist.json"), "training")


@pytest.mark.parametrize("bundle", [CHEST, WRIST])
@pytest.mark.parametrize(("name", "dataset"), [("train", "train#dataset"), ("evaluate", "dataset")])
def test_a_bad_datalist_is_refused_before_anything_runs_all_named(
    tmp_path: Path, bundle: str, name: str, dataset: str
) -> None:
    section = {"train": "training", "evaluate": "test"}[name]
    for image in ("a", "flat", "outside", "leak"):
        picture(tmp_path / f"{image}.png")
    boxed = {"classes": [0], "labels": PRESENT[bundle]}
    rows = [
        row(bundle, "a.png"),
        *(row(bundle, f"gone{number}.png") for number in range(3)),
        row(bundle, "flat.png", boxes=[[5, 5, 5, 9]], **boxed),
        row(bundle, "outside.png", boxes=[[5, 5, 95, 9]], **boxed),
    ]
    leaked = {"validation": [row(bundle, "leak.png", patient="a.png")]}
    (tmp_path / "datalist.json").write_text(json.dumps({section: rows, **leaked}))
    with pytest.raises(RuntimeError) as raised:  # ConfigParser wraps what the reader of the datalist raises
        config(bundle, name, tmp_path).get_parsed_content(dataset)
    told = causes(raised.value)
    assert "6 problems" in told
    assert all(f"gone{number}.png: no such image" in told for number in range(3))
    assert "flat.png: box [5.0, 5.0, 5.0, 9.0] has no area" in told
    assert "outside.png: box [5.0, 5.0, 95.0, 9.0] reaches out" in told
    assert "patient 'a.png' is in" in told


@pytest.mark.parametrize("bundle", [CHEST, WRIST])
def test_a_strip_and_a_picture_of_one_value_stop_training_by_name(tmp_path: Path, bundle: str) -> None:
    steps = deterministic(bundle, tmp_path)
    for name, pixels, words in (
        ("strip.png", np.arange(900, dtype=np.uint16)[None], "strip.png: 900 × 1 pixels"),
        ("even.png", np.full((90, 90), 7, np.uint8), "shows nothing"),
    ):
        image = picture(tmp_path / name, pixels)
        with pytest.raises(RuntimeError) as raised:
            steps({"image": str(image), "name": name})
        assert words in str(raised.value.__cause__)


@pytest.mark.parametrize(
    ("said", "stored_turned"),
    [
        ({}, False),
        ({"PhotometricInterpretation": "MONOCHROME1"}, True),
        ({"PresentationLUTShape": "INVERSE"}, True),
        ({"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}, True),
    ],
)
def test_a_capture_of_8_bits_trains_like_its_picture_whichever_way_it_is_stored(
    tmp_path: Path, said: dict[str, str], stored_turned: bool
) -> None:
    pixels = values()
    capture = radiograph("1", Modality="CR", SOPClassUID="1.2.840.10008.5.1.4.1.1.7", ConversionType="WSD", **said)
    capture.Rows, capture.Columns = pixels.shape
    capture.BitsAllocated, capture.BitsStored, capture.HighBit = 8, 8, 7
    capture.PixelData = (255 - pixels if stored_turned else pixels).tobytes()
    change(capture["PixelData"], VR="OB")
    (path,) = save(tmp_path, [capture])
    steps = deterministic(CHEST, tmp_path)
    seen, expected = (steps({"image": str(each)})["image"] for each in (path, picture(tmp_path / "a.png", pixels)))
    assert torch.equal(seen.as_tensor(), expected.as_tensor())


def run(app: Any, *arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.output


def test_rows_of_mura_lead_to_images_that_can_be_read(tmp_path: Path) -> None:
    """MURA's pictures are PNG of 8 bits, some of them with three equal colours."""
    study, other = (
        f"MURA-v1.1/train/XR_WRIST/patient0001{n}/study1_{k}/" for n, k in ((0, "positive"), (1, "negative"))
    )
    picture(tmp_path / study / "image1.png", np.repeat(values(1)[..., None], 3, axis=2))
    picture(tmp_path / other / "image1.png", values(2))
    (tmp_path / "paths.csv").write_text(f"{study}image1.png\n{other}image1.png\n")
    (tmp_path / "studies.csv").write_text(f"{study},1\n{other},0\n")
    out, tables = tmp_path / "datalist.json", ("--paths", "paths.csv", "--studies", "studies.csv")
    tables = tuple(str(tmp_path / each) if each.endswith(".csv") else each for each in tables)
    run(wrist_sets, "mura", *tables, "--images", str(tmp_path), "--out", str(out))
    items = load_wrists(str(out), "training", str(tmp_path), finding="abnormal")
    assert [item["label"] for item in items] == [1.0, 0.0]
    steps = deterministic(WRIST, tmp_path)
    for item, seed in zip(items, (1, 2), strict=True):
        expected = steps({"image": str(picture(tmp_path / "grey.png", values(seed)))})["image"]
        assert torch.equal(steps(item)["image"].as_tensor(), expected.as_tensor())


def test_rows_of_chexpert_lead_to_images_that_can_be_read(tmp_path: Path) -> None:
    """CheXpert's pictures are JPEG."""
    name = "CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg"
    smooth = np.add.outer(np.arange(SIDES[1]), np.arange(SIDES[0])).astype(np.uint8)
    picture(tmp_path / name, smooth)
    header = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Lung Lesion,Pneumothorax\n"
    (tmp_path / "train.csv").write_text(f"{header}{name},Female,50,Frontal,AP,,,1.0\n")
    out = tmp_path / "datalist.json"
    run(chest_sets, "chexpert", "--csv", str(tmp_path / "train.csv"), "--images", str(tmp_path), "--out", str(out))
    (item,) = load_radiographs(str(out), "training", str(tmp_path))
    steps = deterministic(CHEST, tmp_path)
    expected = steps({"image": str(picture(tmp_path / "lossless.png", smooth))})["image"]
    assert (steps(item)["image"] - expected).abs().max() < 0.03


def test_a_jpeg_with_boxes_is_checked_against_its_size(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    boxed = {"boxes": [[5, 5, 95, 9]], "classes": [0], "labels": PRESENT[CHEST]}
    (tmp_path / "d.json").write_text(json.dumps({"training": [row(CHEST, "a.jpg", **boxed)]}))
    with pytest.raises(ValueError, match=r"a\.jpg: box .* reaches out of the image of 90 columns and 70 rows"):
        load_radiographs(str(tmp_path / "d.json"), "training")
