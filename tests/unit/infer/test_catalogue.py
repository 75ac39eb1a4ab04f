"""Which bundles are served, and what is said of the others."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.errors import Failed
from app.findings import Algorithm
from app.infer.catalogue import Catalogue, load_bundle
from app.settings import Bundles

Write = Callable[..., Path]
IMAGES = """
title: Lesions
accepts: {{Modality: DX}}
reads: {reads}
findings:
  - {{finding: lung_lesion, probability: presence, {extra}}}
"""


def test_a_bundle_is_served_with_everything_that_names_its_weights(write_bundle: Write) -> None:
    root = write_bundle()
    catalogue = Catalogue.load(Bundles(folder=root.parent))
    assert catalogue.refused == ()
    assert catalogue.get("bleeds").algorithm == Algorithm(
        name="bleeds",
        version="1.2.3",
        weights_sha256=hashlib.sha256(b"weights").hexdigest(),
        training_data="phantom head CT",
        status="research",
        title="Hemorrhage",
    )
    assert list(catalogue.services) == ["bleeds"]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"model": "tampered"}, "sha256 is"),
        ({"model": None}, "model.pt: No such file"),
        ({"manifest": None}, "manifest.json: No such file"),
        ({"manifest": "{}"}, "'sha256' is missing"),
        ({"manifest": "[]"}, "expected a JSON object"),
        ({"metadata": "{"}, "not valid JSON"),
        ({"metadata": "{}"}, "'version' is missing"),
        ({"service": "titel: x"}, "did you mean 'title'?"),
        ({"service": IMAGES.format(reads="image", extra="slices: in_slice")}, "'slices' is for stacks"),
        ({"service": IMAGES.format(reads="stack", extra="regions: {}")}, "they need 'reads: image'"),
        ({"service": IMAGES.format(reads="image", extra="regions: {limit: 0}")}, "limit"),
        ({"service": IMAGES.format(reads="image", extra="segmentation: {}")}, "it needs 'reads: stack'"),
        ({"service": IMAGES.format(reads="stack", extra="segmentation: {limit: 256}")}, "limit"),
        ({"service": IMAGES.format(reads="stack", extra="segmentation: {kind: organ}")}, "kind"),
    ],
)
def test_a_bundle_whose_files_do_not_fit_is_refused_with_the_reason(
    write_bundle: Write, changed: dict[str, str | None], words: str
) -> None:
    root = write_bundle(**changed)
    catalogue = Catalogue.load(Bundles(folder=root.parent))
    assert dict(catalogue.bundles) == {}
    (refused,) = catalogue.refused
    assert refused.name == "bleeds"
    assert words in refused.reason
    with pytest.raises(Failed, match="is not served"):
        catalogue.get("bleeds")


def test_a_bundle_that_reads_images_needs_no_window(write_bundle: Write) -> None:
    service = load_bundle(write_bundle(service=IMAGES.format(reads="image", extra="regions: {index: 1}"))).service
    assert (service.reads, service.window) == ("image", None)


def test_an_unknown_finding_comes_with_the_nearest_known_one(write_bundle: Write) -> None:
    root = write_bundle()
    service = root / "configs" / "service.yaml"
    service.write_text(service.read_text().replace("subdural_hemorrhage", "subdural_haemorrhage"))
    with pytest.raises(Failed, match="did you mean 'subdural_hemorrhage'"):
        load_bundle(root)


def test_one_bad_bundle_does_not_stop_the_others(write_bundle: Write) -> None:
    root = write_bundle("good")
    write_bundle("bad", model="tampered")
    write_bundle("no_contract", service=None)
    catalogue = Catalogue.load(Bundles(folder=root.parent))
    assert list(catalogue.bundles) == ["good"]
    assert [refused.name for refused in catalogue.refused] == ["bad"]


def test_an_enabled_bundle_that_is_missing_is_refused(write_bundle: Write) -> None:
    root = write_bundle("good")
    catalogue = Catalogue.load(Bundles(folder=root.parent, enabled=("good", "gone")))
    assert list(catalogue.bundles) == ["good"]
    (refused,) = catalogue.refused
    assert (refused.name, "bundles.enabled: no bundle 'gone' in" in refused.reason) == ("gone", True)


def test_a_misspelt_bundle_comes_with_the_nearest_known_one(write_bundle: Write) -> None:
    root = write_bundle("head_ct_hemorrhage")
    (refused,) = Catalogue.load(Bundles(folder=root.parent, enabled=("head_ct_haemorrhage",))).refused
    assert refused.reason.endswith(", did you mean 'head_ct_hemorrhage'?")
    (refused,) = Catalogue.load(Bundles(folder=root.parent / "none", enabled=("head_ct_hemorrhage",))).refused
    assert refused.reason.endswith("set bundles.folder")


def test_a_bundle_for_pretraining_is_listed_with_its_reason_and_is_no_error(write_bundle: Write) -> None:
    root = write_bundle("good")
    write_bundle("ssl", metadata=json.dumps({"version": "1", "kind": "pretraining"}), service=None, model=None)
    catalogue = Catalogue.load(Bundles(folder=root.parent))
    assert (list(catalogue.bundles), catalogue.refused) == (["good"], ())
    (left_out,) = catalogue.not_served
    assert (left_out.name, "makes encoders for other bundles" in left_out.reason) == ("ssl", True)


def test_a_bundle_that_waits_to_be_asked_for_is_served_only_by_name(write_bundle: Write) -> None:
    root = write_bundle("good")
    waiting = write_bundle("second_opinion") / "configs/service.yaml"
    waiting.write_text(f"opt_in: true\n{waiting.read_text()}")
    catalogue = Catalogue.load(Bundles(folder=root.parent))
    assert (list(catalogue.bundles), catalogue.refused) == (["good"], ())
    (left_out,) = catalogue.not_served
    assert (left_out.name, "name it in bundles.enabled" in left_out.reason) == ("second_opinion", True)
    asked = Catalogue.load(Bundles(folder=root.parent, enabled=("second_opinion", "good")))
    assert (set(asked.bundles), asked.refused, asked.not_served) == ({"second_opinion", "good"}, (), ())


def test_a_wrong_contract_is_refused_whether_or_not_it_waits(write_bundle: Write) -> None:
    waiting = write_bundle("wrong") / "configs/service.yaml"
    waiting.write_text(f"opt_in: perhaps\n{waiting.read_text()}")
    (refused,) = Catalogue.load(Bundles(folder=waiting.parents[2])).refused
    assert (refused.name, "opt_in" in refused.reason) == ("wrong", True)


def test_a_bundle_for_pretraining_that_is_enabled_is_refused(write_bundle: Write) -> None:
    root = write_bundle("ssl", metadata=json.dumps({"version": "1", "kind": "pretraining"}))
    (refused,) = Catalogue.load(Bundles(folder=root.parent, enabled=("ssl",))).refused
    assert "take it out of bundles.enabled" in refused.reason


def test_a_missing_folder_serves_nothing(tmp_path: Path) -> None:
    assert Catalogue.load(Bundles(folder=tmp_path / "none")) == Catalogue({})


@pytest.mark.parametrize(
    ("image", "shape"),
    [
        ({"num_channels": 1, "spatial_shape": [40, 224, 192]}, (1, 40, 224, 192)),
        ({"num_channels": 1, "spatial_shape": ["16*n", 224, 192]}, ()),
        ({"num_channels": 1}, ()),
        ({}, ()),
    ],
)
def test_the_documented_input_shape_is_known_where_it_is_fixed(
    write_bundle: Write, image: dict[str, object], shape: tuple[int, ...]
) -> None:
    metadata = {"version": "1", "network_data_format": {"inputs": {"image": image}}}
    assert load_bundle(write_bundle(metadata=json.dumps(metadata))).input_shape == shape


def test_reading_the_catalogue_loads_no_torch() -> None:
    code = "import sys, app.infer.catalogue, app.infer.results; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


VIEW_METADATA = json.dumps({"version": "1", "kind": "view"})
VIEW_CONTRACT = "views: [frontal_chest, wrist]\nleast_certainty: 0.7\n"


def test_a_bundle_that_tells_views_apart_is_found_and_not_served(write_bundle: Write) -> None:
    root = write_bundle("views", metadata=VIEW_METADATA, service=None)
    (root / "configs" / "view.yaml").write_text(VIEW_CONTRACT)
    catalogue = Catalogue.load(Bundles(folder=root.parent))
    assert (dict(catalogue.bundles), catalogue.refused) == ({}, ())
    assert catalogue.views is not None
    assert (catalogue.views.name, catalogue.views.contract.views) == ("views", ("frontal_chest", "wrist"))
    assert [each.name for each in catalogue.not_served] == ["views"]


@pytest.mark.parametrize(("contract", "words"), [(VIEW_CONTRACT, "sha256 is"), ("views: [knee]", "view.yaml")])
def test_a_view_bundle_that_does_not_fit_is_refused_with_the_reason(
    write_bundle: Write, contract: str, words: str
) -> None:
    root = write_bundle("views", metadata=VIEW_METADATA, service=None, model="other weights")
    (root / "configs" / "view.yaml").write_text(contract)
    catalogue = Catalogue.load(Bundles(folder=root.parent))
    assert catalogue.views is None
    (refused,) = catalogue.refused
    assert words in refused.reason


def test_bundles_of_further_folders_are_served_beside_the_others(write_bundle: Write, tmp_path: Path) -> None:
    folder = write_bundle("ours").parent
    own = moved(write_bundle("theirs"), tmp_path / "own")
    catalogue = Catalogue.load(Bundles(folder=folder, also=(own.parent,)))
    assert {name: bundle.root for name, bundle in catalogue.bundles.items()} == {"ours": folder / "ours", "theirs": own}
    assert catalogue.refused == ()
    chosen = Catalogue.load(Bundles(folder=folder, also=(own.parent,), enabled=("theirs",)))
    assert list(chosen.bundles) == ["theirs"]


def test_a_bundle_of_a_further_folder_never_takes_the_place_of_another(write_bundle: Write, tmp_path: Path) -> None:
    own = moved(write_bundle("bleeds"), tmp_path / "own")
    folder = write_bundle("bleeds").parent
    catalogue = Catalogue.load(Bundles(folder=folder, also=(own.parent,)))
    assert catalogue.get("bleeds").root == folder / "bleeds"
    (refused,) = catalogue.refused
    assert refused.reason == f"{own}: another bundle of this name lies in {folder}; rename the folder"


def test_a_further_folder_that_is_missing_is_told(write_bundle: Write, tmp_path: Path) -> None:
    folder = write_bundle("ours").parent
    catalogue = Catalogue.load(Bundles(folder=folder, also=(tmp_path / "gone",)))
    assert list(catalogue.bundles) == ["ours"]
    assert [refused.reason for refused in catalogue.refused] == [
        f"bundles.also: no folder {tmp_path / 'gone'}; make it, or take it out"
    ]


def moved(root: Path, folder: Path) -> Path:
    """The bundle, in another folder."""
    folder.mkdir()
    return root.rename(folder / root.name)
