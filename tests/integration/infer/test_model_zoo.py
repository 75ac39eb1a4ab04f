"""Model Zoo bundles in the runner: the geometry of what they outline, and what is refused when they run."""

import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from monai.bundle import ConfigParser
from monai.networks.nets import UNet
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from app.assignment import Assignment
from app.errors import Failed
from app.findings import Outcome, Report
from app.infer.catalogue import Catalogue
from app.infer.runner import Runner
from app.masks import masks_of
from app.settings import Bundles, Inference
from app.structures import STRUCTURES, UNTESTED
from app.study import BROKEN_OFF, Study
from bundles.common.reader import read_stack
from tests.integration.infer import zoo
from tests.unit.report.factory import make_study
from tests.unit.report.radiographs import chest_study
from tests.unit.report.volumes import turned_study

SLICES = 9


def head_study(folder: Path, slices: int = SLICES) -> Study:
    return make_study(folder / "study", slices=slices, size=32)


def runner(folder: Path) -> Runner:
    return Runner(Catalogue.load(Bundles(folder=folder)), Inference(device="cpu", threads=1))


def analyse(folder: Path, study: Study, bundle: str) -> Report:
    series = study.series
    more = tuple((each.uid, each.stack) for each in series[1:])
    assignment = Assignment(bundle, "rule", series[0].uid, series[0].stack, 100, more=more)
    return runner(folder / "bundles").analyse(study, assignment, folder / "out")


def mask(folder: Path, report: Report) -> NDArray[np.uint8]:
    """(slices, rows, columns)."""
    return masks_of(folder / "out", report, STRUCTURES).whole()


def test_a_unet_with_random_weights_outlines_structures_in_millilitres(tmp_path: Path) -> None:
    study = head_study(tmp_path)
    zoo.write_segmentation(tmp_path / "bundles")
    report = analyse(tmp_path, study, "head_ct_structures")
    assert (report.outcome, report.findings, report.classes) == (Outcome.SUCCEEDED, (), ())
    assert UNTESTED in report.notes
    assert [structure.name for structure in report.structures] == list(zoo.LABELS[1:])
    voxels = mask(tmp_path, report)
    assert voxels.shape == (SLICES, 32, 32)
    drawn = [structure for structure in report.structures if structure.segment]
    assert drawn
    for structure in drawn:
        number = int((voxels == structure.segment).sum())
        assert structure.volume_mm3 == pytest.approx(number * 5 * (220 / 32) ** 2)


def test_it_outlines_what_monai_itself_outlines_on_the_same_image(tmp_path: Path) -> None:
    """Against the bundle run by hand with MONAI's own loader, on the NIfTI that says the same as the DICOM."""
    study = head_study(tmp_path)
    root = zoo.write_segmentation(tmp_path / "bundles")
    report = analyse(tmp_path, study, root.name)
    stack = read_stack([instance.path for instance in study.series[0].instances])
    import nibabel

    nibabel.save(nibabel.Nifti1Image(stack.array.transpose(2, 1, 0), stack.affine_ras), tmp_path / "image.nii.gz")
    config = json.loads((root / "configs/inference.json").read_text())
    config["postprocessing"]["transforms"].pop()  # the writer
    parser = ConfigParser(config)
    network = UNet(**zoo.UNET).eval()
    network.load_state_dict(torch.load(root / "models/model.pt", weights_only=True))
    item = parser.get_parsed_content("preprocessing")({"image": str(tmp_path / "image.nii.gz")})
    with torch.inference_mode():
        item["pred"] = parser.get_parsed_content("inferer")(item["image"][None], network)[0]
    expected = parser.get_parsed_content("postprocessing")(item)["pred"][0].numpy().transpose(2, 1, 0)
    numbers = {label: structure.segment for label, structure in enumerate(report.structures, 1) if structure.segment}
    found = mask(tmp_path, report)
    for label, segment in numbers.items():
        assert np.array_equal(found == segment, expected == label)
    assert set(np.unique(expected)) - {0} == set(numbers)


@pytest.mark.parametrize(
    "after",
    [
        None,
        [zoo.SOFTMAX, zoo.ARGMAX, zoo.SAVE],
        [zoo.SOFTMAX],
        [zoo.SOFTMAX, zoo.INVERT],
        [zoo.SOFTMAX, zoo.ARGMAX | {"to_onehot": 2}, zoo.INVERT | {"nearest_interp": True}],
        [zoo.ARGMAX, zoo.INVERT | {"nearest_interp": True}],
        [zoo.ARGMAX, zoo.INVERT],
    ],
    ids=["spleen", "not inverted", "shares, not inverted", "shares", "one hot", "labels inverted", "prostate"],
)
def test_whatever_form_the_output_has_the_outline_is_the_same(after: list[Any] | None, tmp_path: Path) -> None:
    study = head_study(tmp_path)
    zoo.write_exact(tmp_path / "bundles", after=after)
    report = analyse(tmp_path, study, "exact")
    stack = read_stack([instance.path for instance in study.series[0].instances])
    assert np.array_equal(mask(tmp_path, report) == 1, stack.array > 0)
    (structure,) = report.structures
    assert (structure.segment, structure.code.value, structure.words[:6]) == (1, "12738006", "brain ")


def by_reference(config: dict[str, Any]) -> None:
    """As `wholeBody_ct_segmentation` does: keys and steps behind references and expressions."""
    config["image_key"] = "image"
    config["displayable_configs"] = {"flip": True}
    for step in config["preprocessing"]["transforms"]:
        step["keys"] = "@image_key"
    config["preprocessing_transforms"] = config["preprocessing"]["transforms"]
    config["preprocessing"] = "$monai.transforms.Compose(@preprocessing_transforms)"
    config["axes"] = "$'LPS' if @displayable_configs#flip else 'RAS'"
    config["preprocessing_transforms"][2]["axcodes"] = "@axes"


def own_code(config: dict[str, Any]) -> None:
    """As bundles with `scripts` of their own do."""
    config["imports"].append("$import scripts.steps")
    config["preprocessing"]["transforms"].append({"_target_": "scripts.steps.Unchangedd"})


def loads_twice(config: dict[str, Any]) -> None:
    """As `lung_nodule_ct_detection` does: one of two loaders is disabled."""
    loader = {"_target_": "LoadImaged", "keys": "image", "reader": "itkreader", "_disabled_": True}
    config["preprocessing"]["transforms"].insert(0, loader)


def channel_by_the_loader(config: dict[str, Any]) -> None:
    config["preprocessing"]["transforms"][0]["ensure_channel_first"] = True
    del config["preprocessing"]["transforms"][1]


@pytest.mark.parametrize("rewrite", [by_reference, own_code, loads_twice, channel_by_the_loader])
@pytest.mark.parametrize("form", ["json", "yaml"])
def test_however_the_configuration_is_written_the_outline_is_the_same(
    rewrite: Callable[[dict[str, Any]], None], form: str, tmp_path: Path
) -> None:
    study = head_study(tmp_path)
    root = zoo.write_exact(tmp_path / "bundles")
    (root / "scripts").mkdir()
    (root / "scripts/steps.py").write_text("class Unchangedd:\n    def __call__(self, item):\n        return item\n")
    path = root / "configs/inference.json"
    config = json.loads(path.read_text())
    rewrite(config)
    path.unlink()
    (root / f"configs/inference.{form}").write_text(json.dumps(config) if form == "json" else yaml.safe_dump(config))
    report = analyse(tmp_path, study, "exact")
    stack = read_stack([instance.path for instance in study.series[0].instances])
    assert np.array_equal(mask(tmp_path, report) == 1, stack.array > 0)
    assert not (root / "eval").exists()


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(turn=st.tuples(*[st.floats(-180, 180)] * 3), order=st.permutations(range(SLICES)))
def test_the_outline_lies_where_it_was_drawn_however_the_series_is_turned(
    turn: tuple[float, float, float], order: list[int]
) -> None:
    rotation = Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    directions = [[round(float(v), 6) for v in rotation[:, axis]] for axis in (0, 1)]
    step = [float(v) for v in np.round(rotation[:, 2] * 2, 6)]
    folder = Path(tempfile.mkdtemp())
    try:
        written = turned_study(folder / "series", directions, step, places=order, slices=SLICES)
        stack = read_stack([instance.path for instance in written.series[0].instances])
        study = replace(written, series=(sorted_as(written, stack.source_uids),))
        zoo.write_exact(folder / "bundles")
        report = analyse(folder, study, "exact")
        assert np.array_equal(mask(folder, report) == 1, stack.array > 0)
    finally:
        shutil.rmtree(folder)


def sorted_as(study: Study, uids: tuple[str, ...]) -> Any:
    """The first series with its instances, and their origins, in the order in which they lie."""
    series = study.series[0]
    places = {instance.sop_instance_uid: index for index, instance in enumerate(series.instances)}
    order = [places[uid] for uid in uids]
    assert series.geometry
    geometry = replace(series.geometry, origins=tuple(series.geometry.origins[index] for index in order))
    return replace(series, instances=tuple(series.instances[index] for index in order), geometry=geometry)


def test_labels_are_never_interpolated_on_their_way_back(tmp_path: Path) -> None:
    """Label 2 beside background, resampled: the numbers between them are those of another structure."""
    study = head_study(tmp_path)
    root = zoo.write_exact(tmp_path / "bundles", labels=("background", "liver", "brain"))
    path = root / "configs/inference.json"
    config = json.loads(path.read_text())
    config["preprocessing"]["transforms"].insert(3, zoo.SPACING | {"pixdim": [9.0, 9.0, 7.5]})
    double = {"_target_": "Lambdad", "keys": "pred", "func": "$lambda x: x * 2"}
    config["postprocessing"]["transforms"] = [zoo.ARGMAX, double, zoo.INVERT]
    path.write_text(json.dumps(config))
    liver, brain = analyse(tmp_path, study, "exact").structures
    assert (liver.segment, brain.segment) == (0, 1)


def test_a_structure_without_a_voxel_is_told_with_none(tmp_path: Path) -> None:
    study = head_study(tmp_path)
    zoo.write_exact(tmp_path / "bundles", labels=("background", "brain", "liver"))
    report = analyse(tmp_path, study, "exact")
    brain, liver = report.structures
    assert brain.segment == 1
    assert (liver.segment, liver.volume_mm3, liver.words) == (0, 0.0, "liver: nothing outlined")


def test_what_is_outlined_in_a_part_of_a_study_is_not_measured(tmp_path: Path) -> None:
    study = replace(head_study(tmp_path), interrupted=True)
    zoo.write_exact(tmp_path / "bundles")
    report = analyse(tmp_path, study, "exact")
    assert (report.outcome, report.reason) == (Outcome.PARTIAL, BROKEN_OFF)
    assert [(each.segment, each.volume_mm3) for each in report.structures] == [(0, None)]
    assert not report.determined


def off_grid(config: dict[str, Any]) -> None:
    config["postprocessing"]["transforms"].append({"_target_": "Flipd", "keys": "pred", "spatial_axis": 0})
    config["postprocessing"]["transforms"].append({"_target_": "Spacingd", "keys": "pred", "pixdim": [9.0, 9.0, 9.0]})


def shifted(config: dict[str, Any]) -> None:
    """Same size, another place: only the affine tells."""
    config["postprocessing"]["transforms"].insert(
        -1,
        {"_target_": "SpatialCropd", "keys": "pred", "roi_start": [1, 0, 0], "roi_end": [32, 32, SLICES]},
    )
    config["postprocessing"]["transforms"].insert(
        -1, {"_target_": "SpatialPadd", "keys": "pred", "spatial_size": [32, 32, SLICES], "method": "end"}
    )


def unknown_label(config: dict[str, Any]) -> None:
    config["postprocessing"]["transforms"].append({"_target_": "Lambdad", "keys": "pred", "func": "$lambda x: x * 7"})


def undecided(config: dict[str, Any]) -> None:
    config["postprocessing"]["transforms"].append({"_target_": "Lambdad", "keys": "pred", "func": "$lambda x: x - 0.5"})


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (off_grid, "does not lie on the grid of the images"),
        (shifted, "does not lie on the grid of the images"),
        (unknown_label, "the label 7, which its metadata do not name"),
        (undecided, "its values are no whole numbers"),
    ],
)
def test_an_output_that_cannot_be_trusted_is_not_reported(
    spoil: Callable[[dict[str, Any]], None], words: str, tmp_path: Path
) -> None:
    study = head_study(tmp_path)
    path = zoo.write_exact(tmp_path / "bundles") / "configs/inference.json"
    config = json.loads(path.read_text())
    spoil(config)
    path.write_text(json.dumps(config))
    with pytest.raises(Failed, match=words):
        analyse(tmp_path, study, "exact")


def test_weights_of_another_network_are_told_when_it_is_built(tmp_path: Path) -> None:
    study = head_study(tmp_path)
    root = zoo.write_exact(tmp_path / "bundles")
    torch.save({"weight": torch.zeros(1)}, root / "models/model.pt")
    with pytest.raises(Failed, match=r"models/model.pt cannot be loaded: RuntimeError"):
        analyse(tmp_path, study, "exact")


def test_a_pickle_in_the_weights_is_not_run(tmp_path: Path) -> None:
    study = head_study(tmp_path)
    root = zoo.write_exact(tmp_path / "bundles")
    torch.save(UNet(**zoo.UNET), root / "models/model.pt")
    with pytest.raises(Failed, match=r"models/model.pt cannot be loaded: UnpicklingError"):
        analyse(tmp_path, study, "exact")


def test_torchscript_needs_no_network_def(tmp_path: Path) -> None:
    study = head_study(tmp_path)
    root = zoo.write_exact(tmp_path / "bundles")
    conv = torch.nn.Conv3d(1, 2, 1)
    conv.load_state_dict(torch.load(root / "models/model.pt", weights_only=True)["model"])
    (root / "models/model.pt").unlink()
    torch.jit.save(torch.jit.script(conv), str(root / "models/model.ts"))
    path = root / "configs/inference.json"
    config = json.loads(path.read_text())
    del config["network_def"]
    path.write_text(json.dumps(config))
    report = analyse(tmp_path, study, "exact")
    stack = read_stack([instance.path for instance in study.series[0].instances])
    assert np.array_equal(mask(tmp_path, report) == 1, stack.array > 0)


@pytest.mark.parametrize(
    ("after", "noted"),
    [(None, False), ([{"_target_": "AsDiscreted", "keys": "pred", "argmax": True, "to_onehot": 3}], True)],
    ids=["softmax of its own", "class alone"],
)
def test_a_classifier_of_volumes_gives_a_score_for_each_class(
    after: list[Any] | None, noted: bool, tmp_path: Path
) -> None:
    study = head_study(tmp_path)
    zoo.write_classification(tmp_path / "bundles", after=after)
    report = analyse(tmp_path, study, "head_ct_classes")
    assert [each.name for each in report.classes] == list(zoo.CLASSES)
    assert sum(each.score or 0 for each in report.classes) == pytest.approx(1)
    assert (report.findings, report.structures) == ((), ())
    assert any("softmax" in note for note in report.notes) is noted


def test_raw_outputs_without_any_activation_are_no_scores(tmp_path: Path) -> None:
    study = head_study(tmp_path)
    zoo.write_classification(tmp_path / "bundles", after=[])
    with pytest.raises(Failed, match="no probabilities: its postprocessing has no softmax"):
        analyse(tmp_path, study, "head_ct_classes")


def test_a_classifier_of_radiographs_scores_each_image(tmp_path: Path) -> None:
    study = chest_study(tmp_path)
    zoo.write_radiograph_classification(tmp_path / "bundles")
    report = analyse(tmp_path, study, "chest_classes")
    assert [each.name for each in report.classes] == ["frontal", "lateral"]
    assert all(0 <= (each.score or -1) <= 1 for each in report.classes)
    assert {each.sop_instance_uid for each in report.classes} == {study.series[0].instances[0].sop_instance_uid}
