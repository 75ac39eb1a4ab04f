"""Every check of the contract fails on a bundle that is broken in its respect, and passes on ours."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from bundles import verify as contract
from bundles.common.strict import ConfigurationError

NAME = "head_ct_hemorrhage"


@pytest.fixture
def bundle(root: Path, tmp_path: Path) -> Path:
    """A copy of the bundle, to be broken."""
    skip = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(root / "bundles" / NAME, tmp_path / NAME, ignore=skip))


def edit_json(path: Path, change: Callable[[dict], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def edit_yaml(path: Path, change: Callable[[dict], object]) -> None:
    content = yaml.safe_load(path.read_text())
    change(content)
    path.write_text(yaml.safe_dump(content))


def test_our_bundle_passes_every_check(root: Path) -> None:
    results = contract.verify(root / "bundles" / NAME)
    assert [result for result in results if not result.passed] == []
    assert len(results) == len(contract.CHECKS)


@pytest.mark.parametrize("name", contract.REQUIRED_FILES)
def test_a_missing_file_is_named(bundle: Path, name: str) -> None:
    (bundle / name).unlink()
    with pytest.raises(contract.Problem, match=name):
        contract.check_files(bundle)


def test_an_empty_licence_is_missing(bundle: Path) -> None:
    (bundle / "LICENSE").write_text("")
    with pytest.raises(contract.Problem, match="LICENSE"):
        contract.check_files(bundle)


@pytest.mark.parametrize("key", contract.REQUIRED_METADATA)
def test_a_missing_metadata_key_is_named(bundle: Path, key: str) -> None:
    edit_json(bundle / "configs/metadata.json", lambda metadata: metadata.pop(key))
    with pytest.raises(contract.Problem, match=key):
        contract.check_metadata(bundle)


def test_every_tensor_is_described(bundle: Path) -> None:
    path = bundle / "configs/metadata.json"
    edit_json(path, lambda metadata: metadata["network_data_format"]["inputs"]["image"].pop("value_range"))
    with pytest.raises(contract.Problem, match=r"inputs\.image\.value_range"):
        contract.check_metadata(bundle)


def test_metadata_that_is_no_json_is_refused(bundle: Path) -> None:
    (bundle / "configs/metadata.json").write_text("{")
    with pytest.raises(contract.Problem, match="not JSON"):
        contract.check_metadata(bundle)


def test_a_version_without_its_line_in_the_changelog_is_refused(bundle: Path) -> None:
    edit_json(bundle / "configs/metadata.json", lambda metadata: metadata.update(version="9.9.9"))
    with pytest.raises(contract.Problem, match=r"9\.9\.9"):
        contract.check_version(bundle)


def test_a_training_without_inferer_is_refused(bundle: Path) -> None:
    edit_yaml(bundle / "configs/train.yaml", lambda config: config["train"].pop("inferer"))
    with pytest.raises(contract.Problem, match="inferer"):
        contract.check_train_properties(bundle)


@pytest.mark.parametrize("key", ["evaluator", "network_def", "postprocessing", "dataset_dir"])
def test_an_inference_without_a_key_is_refused(bundle: Path, key: str) -> None:
    edit_yaml(bundle / "configs/inference.yaml", lambda config: config.pop(key))
    with pytest.raises(contract.Problem, match=key):
        contract.check_inference_properties(bundle)


def test_a_network_that_gives_something_else_fails(bundle: Path) -> None:
    path = bundle / "configs/metadata.json"
    edit_json(path, lambda metadata: metadata["network_data_format"]["outputs"]["pred"].update(num_channels=3))
    with pytest.raises(ValueError, match="output channel number"):
        contract.check_network(bundle)


def test_an_exclusion_needs_and_shows_its_reason(bundle: Path) -> None:
    (bundle / "configs/verify.yaml").write_text("exclude: its outputs are lists of boxes\n")
    assert contract.check_network(bundle) == "excluded: its outputs are lists of boxes"


def test_other_weights_than_the_manifests_are_refused(bundle: Path) -> None:
    with (bundle / "models/model.pt").open("ab") as file:
        file.write(b"x")
    with pytest.raises(contract.Problem, match="sha256"):
        contract.check_weights(bundle)


def test_weights_that_are_no_state_dict_are_refused(bundle: Path) -> None:
    torch.save([torch.zeros(1)], bundle / "models/model.pt")
    digest = contract.sha256_of(bundle / "models/model.pt")
    edit_json(bundle / "models/manifest.json", lambda manifest: manifest.update(sha256=digest))
    with pytest.raises(contract.Problem, match="state dict"):
        contract.check_weights(bundle)


def test_large_weights_must_be_listed(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "LARGEST_COMMITTED_BYTES", 1000)
    with pytest.raises(contract.Problem, match="large_files"):
        contract.check_weights(bundle)


def test_weights_of_another_network_do_not_fit(bundle: Path) -> None:
    torch.save({"weight": torch.zeros(1)}, bundle / "models/model.pt")
    result = contract._run(contract.check_weights_fit, bundle)
    assert not result.passed
    assert "RuntimeError" in result.words


def test_a_figure_that_differs_in_the_last_digit_is_found(bundle: Path) -> None:
    path = bundle / "models/manifest.json"
    edit_json(path, lambda manifest: manifest["metrics"]["hemorrhage"].update(value=0.123))
    with pytest.raises(contract.Problem, match="differs"):
        contract.check_figures(bundle)


def test_phantom_weights_must_be_research(bundle: Path) -> None:
    edit_yaml(bundle / "configs/service.yaml", lambda service: service.update(status="cleared"))
    with pytest.raises(contract.Problem, match="research"):
        contract.check_phantom_marks(bundle)


def test_phantom_weights_must_say_so_on_the_card(bundle: Path) -> None:
    card = bundle / "docs/README.md"
    card.write_text(card.read_text().replace("hantom", "atient"))
    with pytest.raises(contract.Problem, match="README"):
        contract.check_phantom_marks(bundle)


def test_an_unknown_key_of_the_service_contract_is_refused(bundle: Path) -> None:
    edit_yaml(bundle / "configs/service.yaml", lambda service: service.update(priorty=1))
    with pytest.raises(ConfigurationError, match="priority"):
        contract.check_service(bundle)


@pytest.mark.parametrize("name", ["ssl_2d", "ssl_3d"])
def test_the_bundles_for_pretraining_pass_their_own_checks(root: Path, name: str) -> None:
    results = contract.verify(root / "bundles" / name)
    assert [result for result in results if not result.passed] == []
    assert [result.check for result in results][-2:] == ["nothing to serve", "presets"]


@pytest.fixture
def ssl_bundle(root: Path, tmp_path: Path) -> Path:
    """A copy of a bundle for pretraining, to be broken; one preset is enough."""
    copy = Path(shutil.copytree(root / "bundles" / "ssl_2d", tmp_path / "ssl_2d"))
    edit_yaml(copy / "configs/verify.yaml", lambda settings: settings.update(presets=["thesis_moco"]))
    return copy


def test_a_bundle_for_pretraining_with_a_service_contract_is_refused(ssl_bundle: Path) -> None:
    (ssl_bundle / "configs/service.yaml").write_text("title: x\n")
    with pytest.raises(contract.Problem, match=r"for pretraining .* yet it has configs/service\.yaml"):
        contract.check_nothing_to_serve(ssl_bundle)


def test_a_preset_that_is_named_but_missing_is_told(ssl_bundle: Path) -> None:
    (ssl_bundle / "configs/thesis_moco.yaml").unlink()
    with pytest.raises(contract.Problem, match="presets: thesis_moco, which configs/ does not hold"):
        contract.check_presets(ssl_bundle)


def test_a_preset_with_an_impossible_value_fails(ssl_bundle: Path) -> None:
    edit_yaml(ssl_bundle / "configs/thesis_moco.yaml", lambda preset: preset.update(temperature=0))
    results = {result.check: result for result in contract.verify(ssl_bundle)}
    assert not results["presets"].passed


def test_a_preset_whose_parameters_get_no_gradient_fails(ssl_bundle: Path) -> None:
    unused = {"_target_": "pretraining.objectives.simclr.SimCLR", "encoder": "$@spare", "features": 512}
    spare = "$(lambda net: (net.add_module('spare', torch.nn.Linear(2, 2)), net)[1])(@encoder)"
    change = {"spare": spare, "objective": unused}
    edit_yaml(ssl_bundle / "configs/thesis_moco.yaml", lambda preset: preset.update(change))
    with pytest.raises(contract.Problem, match=r"no gradient reaches encoder\.spare\.weight \(2 tensors\)"):
        contract.check_presets(ssl_bundle)


@pytest.fixture
def view_bundle(root: Path, tmp_path: Path) -> Path:
    """A copy of the bundle that tells views apart, to be broken."""
    skip = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(root / "bundles" / "radiograph_view", tmp_path / "radiograph_view", ignore=skip))


def test_our_view_bundle_passes_every_check_of_its_kind(root: Path) -> None:
    results = contract.verify(root / "bundles" / "radiograph_view")
    assert [result for result in results if not result.passed] == []
    assert len(results) == len(contract.CHECKS_FOR_VIEWS)


def test_a_view_bundle_lacks_its_own_contract_and_not_that_of_a_detector(view_bundle: Path) -> None:
    (view_bundle / "configs/view.yaml").unlink()
    with pytest.raises(contract.Problem, match=r"missing or empty: configs/view\.yaml$"):
        contract.check_files(view_bundle)


def test_views_that_the_network_does_not_give_are_named(view_bundle: Path) -> None:
    edit_yaml(view_bundle / "configs/view.yaml", lambda content: content["views"].reverse())
    with pytest.raises(contract.Problem, match=r"configs/view\.yaml names other, wrist"):
        contract.check_views(view_bundle)


def test_a_view_bundle_is_no_detector(view_bundle: Path) -> None:
    (view_bundle / "configs/service.yaml").write_text("title: x")
    with pytest.raises(contract.Problem, match="take one away"):
        contract.check_views(view_bundle)
