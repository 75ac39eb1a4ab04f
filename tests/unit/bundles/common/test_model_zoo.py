"""What of the Model Zoo is served from its metadata alone, and the sentence for what is not."""

import json
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.check import State, check_bundles
from app.infer.catalogue import Catalogue
from app.route.router import Router
from app.settings import Bundles, Settings
from app.study import Instance, Series, Study
from bundles import verify as contract
from bundles.common.model_zoo.configuration import read_configuration
from bundles.common.model_zoo.declared import is_model_zoo, read_declared
from bundles.common.model_zoo.names import is_installed, known_to_monai
from bundles.common.model_zoo.routing import regions_of, service_of
from bundles.common.strict import ConfigurationError
from tests.integration.infer import zoo

Edit = Callable[[dict[str, Any]], object]


def edited(root: Path, name: str, change: Edit) -> None:
    path = root / "configs" / name
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def put(*keys: str, value: Any) -> Edit:
    def change(content: dict[str, Any]) -> None:
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = value

    return change


IMAGE = ("network_data_format", "inputs", "image")
PRED = ("network_data_format", "outputs", "pred")
BRATS = {"num_channels": 4, "channel_def": {"0": "T1c", "1": "T1", "2": "T2", "3": "FLAIR"}}
PREPROCESSING = ("preprocessing", "transforms")

OF_METADATA: dict[str, tuple[Edit, str]] = {
    "lung_nodule_ct_detection": (
        put(*PRED, value={"type": "object", "format": "dict", "num_channels": 1, "spatial_shape": ["n", "n", "n"]}),
        "it detects objects, and its metadata do not tell in what form it gives boxes and scores",
    ),
    "brats_mri_segmentation": (
        lambda content: content["network_data_format"]["inputs"]["image"].update(BRATS),
        "it wants 4 input channels (T1c, T1, T2, FLAIR); the service gives it one grey series or image at a time",
    ),
    "endoscopic_inbody_classification": (
        put(*IMAGE, "modality", value="regular"),
        "it reads images of modality 'regular'; the service reads CT, MR and radiographs (CR, DX)",
    ),
    "pathology_tumor_detection": (put(*IMAGE, "modality", value="histology"), "images of modality 'histology'"),
    "vista3d": (
        lambda content: content["network_data_format"]["inputs"].update(points={}),
        "its network wants one input 'image', and its metadata name points",
    ),
    "no modality": (put(*IMAGE, "modality", value=None), "'modality' of its input is missing"),
    "no format": (put("network_data_format", value=None), "'network_data_format' is missing in configs/metadata.json"),
    "no labels": (put(*PRED, "channel_def", value=None), "nothing tells what it means"),
    "odd labels": (put(*PRED, "channel_def", value={"x": "spleen"}), "keys that are no whole numbers"),
    "empty label": (put(*PRED, "channel_def", value={"0": " "}), "a name without letters"),
    "background": (put(*PRED, "channel_def", value={"0": "background"}), "tells nothing but background"),
    "two outputs": (
        lambda content: content["network_data_format"]["outputs"].update(latent={}),
        "expected one output 'pred', its metadata name latent, pred",
    ),
    "embedding": (put(*PRED, "format", value="embedding"), "its output is of type 'image' and format 'embedding'"),
    "slices": (put(*IMAGE, "spatial_shape", value=[96, 96]), "it reads 2-D images of CT; only volumes (3 spatial"),
    "no size": (put(*IMAGE, "spatial_shape", value=[]), "neither two nor three sizes"),
    "no version": (put("version", value=""), "'version' is missing"),
    "many": (
        put(*PRED, "channel_def", value={str(number): f"part {number}" for number in range(300)}),
        "it tells 300 structures apart, at most 255 can be kept",
    ),
    "more channels than names": (
        put(*PRED, "num_channels", value=7),
        "its output has 7 channels, and 'channel_def' names 3 of them",
    ),
    "newer MONAI": (put("monai_version", value="9.1.0"), "it was made for MONAI 9.1.0, and"),
    "package": (
        put("required_packages_version", value={"no-such-package": "1"}),
        "it requires the package 'no-such-package', which is not installed",
    ),
}
OF_CONFIGURATION: dict[str, tuple[Edit, str]] = {
    "old transform": (
        lambda content: content["preprocessing"]["transforms"].insert(1, {"_target_": "AsChannelFirstd"}),
        "'AsChannelFirstd' is unknown to MONAI",
    ),
    "misspelt": (
        lambda content: content["postprocessing"]["transforms"].insert(1, {"_target_": "AsDiscretedd"}),
        "did you mean 'AsDiscreted",
    ),
    "prostate_mri_anatomy": (
        lambda content: content["postprocessing"]["transforms"].append({"_target_": "KeepLargestConnectedComponentd"}),
        "'KeepLargestConnectedComponentd' needs scikit-image, which is not installed",
    ),
    "import": (put("imports", value=["$import no_such_module.part"]), "it imports 'no_such_module.part', which is not"),
    "no import": (put("imports", value=["$1 +"]), "'imports' holds a line that is no import"),
    "own target": (put("network_def", "_target_", value="no_such_module.Net"), "'no_such_module.Net' is not installed"),
    "no preprocessing": (lambda content: content.pop("preprocessing"), "has no 'preprocessing'"),
    "no inferer": (lambda content: content.pop("inferer"), "has no 'inferer'"),
    "no loader": (lambda content: content["preprocessing"]["transforms"].pop(0), "its preprocessing has no LoadImaged"),
}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return zoo.write_segmentation(tmp_path / "bundles")


def refusal(root: Path) -> str:
    """What the catalogue says of the only bundle."""
    catalogue = Catalogue.load(Bundles(folder=root.parent))
    assert dict(catalogue.bundles) == {}
    (refused,) = catalogue.refused
    return refused.reason


@pytest.mark.parametrize("case", OF_METADATA)
def test_what_its_metadata_rule_out_is_refused_in_words(case: str, bundle: Path) -> None:
    change, words = OF_METADATA[case]
    edited(bundle, "metadata.json", change)
    reason = refusal(bundle)
    assert reason.startswith("Model Zoo bundle 'head_ct_structures' cannot be served: ")
    assert words in reason


@pytest.mark.parametrize("case", OF_CONFIGURATION)
def test_what_its_configuration_rules_out_is_refused_in_words(case: str, bundle: Path) -> None:
    change, words = OF_CONFIGURATION[case]
    edited(bundle, "inference.json", change)
    assert words in refusal(bundle)


def test_missing_weights_come_with_the_way_to_get_them(bundle: Path) -> None:
    (bundle / "models/model.pt").unlink()
    assert refusal(bundle).endswith("models/model.pt (or models/model.ts) is missing; put the weights there")
    (bundle / "large_files.yml").write_text("large_files: []")
    assert "python -m monai.bundle download_large_files --bundle_path" in refusal(bundle)


@pytest.mark.parametrize(("name", "text"), [("metadata.json", "{"), ("metadata.json", "[]"), ("inference.json", "{")])
def test_a_broken_file_is_named(name: str, text: str, bundle: Path) -> None:
    (bundle / "configs" / name).write_text(text)
    assert name in refusal(bundle)


def test_check_lists_what_is_served_and_why_the_other_is_not(bundle: Path) -> None:
    other = zoo.write_segmentation(bundle.parent, "brats")
    edited(other, "metadata.json", OF_METADATA["brats_mri_segmentation"][0])
    results = {each.what: each for each in check_bundles(Settings(bundles=Bundles(folder=bundle.parent)))}
    assert results["bundle head_ct_structures"].state is State.OK
    assert results["bundle head_ct_structures"].detail.endswith("research only")
    assert results["bundle brats"].state is State.ERROR
    assert "4 input channels" in results["bundle brats"].detail


def test_a_contract_of_ours_goes_before_the_metadata(bundle: Path) -> None:
    assert is_model_zoo(bundle)
    (bundle / "configs/service.yaml").write_text("title: x")
    assert not is_model_zoo(bundle)


def test_verify_builds_it_and_tries_it(bundle: Path) -> None:
    results = contract.verify(bundle)
    assert [(each.check, each.passed) for each in results] == [
        ("declared", True),
        ("configuration", True),
        ("building", True),
        ("trial", True),
    ]
    assert results[-1].words == "96 x 96 x 96 in, 3 x 96 x 96 x 96 out"


def test_verify_names_the_part_that_cannot_be_built(bundle: Path) -> None:
    edited(bundle, "inference.json", put("network_def", "channels", value=[4]))
    failed = [each for each in contract.verify(bundle) if not each.passed]
    assert [each.check for each in failed] == ["building", "trial"]
    assert "'network_def' cannot be built" in failed[0].words


@pytest.mark.parametrize(
    ("told", "regions"),
    [
        ("A pre-trained model for volumetric (3D) segmentation of the spleen from CT image", ("abdomen",)),
        ("whole body CT segmentation, spleen, lung, brain", ()),
        ("Decathlon prostate segmentation", ("pelvis",)),
        ("lung and liver", ("chest", "abdomen")),
        ("thing", ()),
        ("headline", ()),
    ],
)
def test_words_of_the_metadata_name_parts_of_the_body(told: str, regions: tuple[str, ...]) -> None:
    assert regions_of(told) == regions


@pytest.mark.parametrize(
    ("headers", "modality", "slices", "taken"),
    [
        ({"StudyDescription": "CT Schaedel nativ"}, "CT", 8, True),
        ({"BodyPartExamined": "HEAD"}, "CT", 8, True),
        ({"BodyPartExamined": "ABDOMEN"}, "CT", 8, False),
        ({}, "CT", 8, False),
        ({"BodyPartExamined": "HEAD"}, "MR", 8, False),
        ({"BodyPartExamined": "HEAD"}, "CT", 7, False),
        ({"BodyPartExamined": "HEAD", "ImageType": ("ORIGINAL", "PRIMARY", "LOCALIZER")}, "CT", 8, False),
    ],
)
def test_a_series_must_be_of_the_modality_and_name_the_part(
    headers: dict[str, Any], modality: str, slices: int, taken: bool, bundle: Path
) -> None:
    instances = tuple(Instance(Path(f"{n}.dcm"), f"1.2.{n}", "1.2", "1.2", "0") for n in range(slices))
    series = Series("1.2.3", 0, modality, instances, {"Modality": modality, **headers})
    router = Router.load(Catalogue.load(Bundles(folder=bundle.parent)).services, ())
    assert bool(router.decide(Study("1.2", "0", (series,))).assignments) is taken


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda part: st.lists(part) | st.dictionaries(st.text(), part),
    )
)
def test_metadata_of_any_shape_are_refused_in_words_or_read(
    tmp_path_factory: pytest.TempPathFactory, value: Any
) -> None:
    root = tmp_path_factory.mktemp("odd") / "bundle"
    meta = zoo.metadata("t", "CT", [96] * 3, zoo.outlines())
    for keys in (IMAGE, PRED, (*IMAGE, "spatial_shape"), (*PRED, "channel_def"), ("required_packages_version",)):
        content = json.loads(json.dumps(meta))
        put(*keys, value=value)(content)
        (root / "configs").mkdir(parents=True, exist_ok=True)
        (root / "configs/metadata.json").write_text(json.dumps(content))
        (root / "configs/inference.json").write_text("{}")
        try:
            service_of(read_declared(root))
            read_configuration(root, read_declared(root))
        except ConfigurationError as error:
            assert "cannot be served" in str(error)


@given(st.text(string.ascii_letters, min_size=12))
def test_no_module_of_a_random_name_is_installed(name: str) -> None:
    assert not is_installed(f"zz{name}.part", Path("/nowhere"))


def test_names_of_monai_are_known_without_importing_it() -> None:
    assert {"LoadImaged", "SaveImageD", "UNet", "DenseNet121", "Compose", "SlidingWindowInferer"} <= known_to_monai()
    assert "AddChanneld" not in known_to_monai()
