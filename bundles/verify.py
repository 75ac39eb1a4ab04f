"""The contract that every bundle passes: `python -m bundles.verify [NAME ...]`.

One function a check. A check raises `Problem` in words, or returns what it saw.
"""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table

from bundles.common.contract import load_service
from bundles.common.manifest import WEIGHTS, load_manifest, metrics_table, sha256_of, shown_metrics
from bundles.common.model_zoo import checks as model_zoo
from bundles.common.model_zoo.declared import is_model_zoo
from bundles.common.strict import ConfigurationError
from bundles.common.views import load_view_contract
from bundles.opening import Problem, importable, optional_yaml, quiet, read_metadata, unbuilt

HERE = Path(__file__).resolve().parent
LARGEST_COMMITTED_BYTES = 10_000_000
CARD = Path("docs/README.md")
EXCLUSIONS = Path("configs/verify.yaml")

REQUIRED_FILES = (
    "LICENSE",
    "configs/metadata.json",
    "configs/service.yaml",
    "configs/train.yaml",
    "configs/evaluate.yaml",
    "configs/inference.yaml",
    "docs/README.md",
    "models/manifest.json",
)
PRETRAINING = "pretraining"
# Weights, service and manifest are of bundles that are served; a bundle for pretraining makes encoders elsewhere.
REQUIRED_FOR_PRETRAINING = (
    "LICENSE",
    "configs/metadata.json",
    "configs/train.yaml",
    "configs/multi_gpu_train.yaml",
    "configs/evaluate.yaml",
    "configs/inference.yaml",
    "configs/verify.yaml",
    "docs/README.md",
)
VIEW = "view"
# It says what a picture shows to routing alone: no findings, so no contract of a detector.
REQUIRED_FOR_VIEWS = tuple("configs/view.yaml" if name == "configs/service.yaml" else name for name in REQUIRED_FILES)
REQUIRED_METADATA = (
    "schema",
    "version",
    "changelog",
    "monai_version",
    "pytorch_version",
    "numpy_version",
    "required_packages_version",
    "task",
    "description",
    "authors",
    "copyright",
    "network_data_format",
)
TENSOR_KEYS = ("type", "format", "num_channels", "spatial_shape", "dtype", "value_range")
TRAIN_KEYS = (
    "bundle_root",
    "device",
    "dataset_dir",
    "train::trainer",
    "train::trainer::max_epochs",
    "train::dataset",
    "train::inferer",
)
INFERENCE_KEYS = ("bundle_root", "device", "dataset_dir", "dataset", "evaluator", "network_def", "inferer")
SERVICE_KEYS = ("network_def", "preprocessing", "inferer", "postprocessing")


@dataclass(frozen=True, slots=True)
class Result:
    """Outcome of one check: what was seen, or the problem."""

    check: str
    passed: bool
    words: str


def check_files(bundle: Path) -> str:
    """Every required file is there and is not empty."""
    required = {PRETRAINING: REQUIRED_FOR_PRETRAINING, VIEW: REQUIRED_FOR_VIEWS}.get(_kind(bundle), REQUIRED_FILES)
    missing = [name for name in required if not (bundle / name).is_file() or not (bundle / name).stat().st_size]
    if missing:
        raise Problem(f"missing or empty: {', '.join(missing)}")
    return f"{len(required)} files"


def check_metadata(bundle: Path) -> str:
    """`metadata.json` has the schema's required keys, for every tensor too."""
    metadata = read_metadata(bundle)
    missing = [key for key in REQUIRED_METADATA if not metadata.get(key) and key != "required_packages_version"]
    if "required_packages_version" not in metadata:
        missing.append("required_packages_version")
    formats = metadata.get("network_data_format") or {}
    for side in ("inputs", "outputs"):
        tensors = formats.get(side) or {}
        if not tensors:
            missing.append(f"network_data_format.{side}")
        for name, tensor in tensors.items():
            missing += [f"network_data_format.{side}.{name}.{key}" for key in TENSOR_KEYS if key not in tensor]
    if missing:
        raise Problem(f"configs/metadata.json lacks {', '.join(missing)}")
    return f"{len(REQUIRED_METADATA)} keys"


def check_version(bundle: Path) -> str:
    """The version stands in the changelog."""
    metadata = read_metadata(bundle)
    version, changelog = metadata.get("version"), metadata.get("changelog") or {}
    if version not in changelog:
        raise Problem(f"configs/metadata.json: version {version} is not in its changelog; write what it changes")
    return f"version {version}"


def check_train_properties(bundle: Path) -> str:
    """MONAI's properties of a training bundle, by its own check."""
    return _check_properties(bundle, "train", TRAIN_KEYS)


def check_inference_properties(bundle: Path) -> str:
    """MONAI's properties of an inference bundle, and what the service builds."""
    served = () if _kind(bundle) == PRETRAINING else SERVICE_KEYS
    return _check_properties(bundle, "inference", (*INFERENCE_KEYS, *served))


def check_network(bundle: Path) -> str:
    """MONAI's `verify_net_in_out`, or an exclusion with its reason in `configs/verify.yaml`.

    That file may name another network id with one output tensor: `network_id`; or `exclude: reason`.
    """
    from monai.bundle.scripts import verify_net_in_out

    settings = optional_yaml(bundle / EXCLUSIONS)
    if reason := settings.get("exclude"):
        return f"excluded: {reason}"
    net_id = str(settings.get("network_id", "network_def"))
    with quiet(), importable(bundle):
        verify_net_in_out(
            net_id=net_id,
            meta_file=str(bundle / "configs/metadata.json"),
            config_file=str(bundle / "configs/inference.yaml"),
            device="cpu",
            bundle_root=str(bundle),
        )
    return f"'{net_id}' gives what metadata.json says"


def check_weights(bundle: Path) -> str:
    """The weights are those of the manifest, are small enough to be committed, and load with `weights_only=True`."""
    path, manifest = bundle / WEIGHTS, load_manifest(bundle)
    if not path.is_file():
        raise Problem(f"{WEIGHTS} is missing")
    if (found := sha256_of(path)) != manifest.sha256:
        raise Problem(f"{WEIGHTS} has sha256 {found[:12]}…, the manifest says {manifest.sha256[:12]}…")
    size = path.stat().st_size
    if size > LARGEST_COMMITTED_BYTES and not (bundle / "large_files.yml").is_file():
        raise Problem(f"{WEIGHTS} has {size / 1e6:.0f} MB; above 10 MB list it in large_files.yml")
    state = torch.load(path, map_location="cpu", weights_only=True)
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise Problem(f"{WEIGHTS} is no plain state dict")
    return f"sha256 {manifest.sha256[:12]}…, {size / 1e6:.1f} MB, {len(state)} tensors"


def check_weights_fit(bundle: Path) -> str:
    """The weights fit `network_def` of the inference configuration, strictly."""
    from monai.bundle import ConfigParser

    with quiet(), importable(bundle):
        parser = ConfigParser()
        parser.read_config(str(bundle / "configs/inference.yaml"))
        parser["bundle_root"] = str(bundle)
        network = parser.get_parsed_content("network_def")
        network.load_state_dict(torch.load(bundle / WEIGHTS, map_location="cpu", weights_only=True))
    return f"{sum(parameter.numel() for parameter in network.parameters()):,} parameters"


def check_figures(bundle: Path) -> str:
    """The model card shows the manifest's figures, all of them, to the last digit."""
    manifest = load_manifest(bundle)
    shown = shown_metrics((bundle / CARD).read_text(encoding="utf-8"))
    if shown != metrics_table(manifest):
        raise Problem(
            f"the table in {CARD} differs from models/manifest.json; write it with the bundle's scripts/release.py"
        )
    return f"{len(manifest.metrics)} figures"


def check_phantom_marks(bundle: Path) -> str:
    """Weights trained on phantoms say so on the card and in the metadata, and are not called cleared."""
    manifest = load_manifest(bundle)
    if not manifest.training_data.lower().startswith("phantom"):
        return "not trained on phantoms"
    texts = {
        str(CARD): (bundle / CARD).read_text(encoding="utf-8"),
        "configs/metadata.json": json.dumps(read_metadata(bundle)),
    }
    silent = [name for name, text in texts.items() if "phantom" not in text.lower()]
    if silent:
        raise Problem(f"trained on phantoms, but {', '.join(silent)} does not say so")
    if _kind(bundle) != VIEW and load_service(bundle).status != "research":
        raise Problem("trained on phantoms, so the status in configs/service.yaml must be 'research'")
    return "phantom, research only"


def check_service(bundle: Path) -> str:
    """`configs/service.yaml` is valid."""
    service = load_service(bundle)
    return f"{len(service.findings)} findings, status {service.status}"


def check_views(bundle: Path) -> str:
    """`configs/view.yaml` is valid, names as many views as the network gives, and there are no findings to serve."""
    contract, metadata = load_view_contract(bundle), read_metadata(bundle)
    if (bundle / "configs/service.yaml").exists():
        raise Problem("tells views apart by configs/metadata.json, yet it has configs/service.yaml; take one away")
    named = tuple(metadata["network_data_format"]["outputs"]["pred"]["channel_def"].values())
    if named != contract.views:
        raise Problem(f"configs/view.yaml names {', '.join(contract.views)}, configs/metadata.json {', '.join(named)}")
    return f"{len(contract.views)} views, unclear below {contract.least_certainty}"


def check_nothing_to_serve(bundle: Path) -> str:
    """A bundle for pretraining carries neither weights nor a contract with the service, so that nobody serves it."""
    found = [name for name in ("configs/service.yaml", "models/model.pt") if (bundle / name).exists()]
    if found:
        raise Problem(f"for pretraining by configs/metadata.json, yet it has {', '.join(found)}; take one of them away")
    return "no weights of its own, not served"


def check_presets(bundle: Path) -> str:
    """Every preset over `train.yaml` builds its network, views and objective, shrunk by `configs/verify.yaml`.

    Each makes one forward and one backward pass on random pixels; every trained parameter must get a gradient.
    """
    settings = optional_yaml(bundle / EXCLUSIONS)
    presets = settings.get("presets") or []
    missing = [name for name in presets if not (bundle / f"configs/{name}.yaml").is_file()]
    if missing or not presets:
        raise Problem(f"{EXCLUSIONS} names presets: {', '.join(missing) or 'none'}, which configs/ does not hold")
    losses = []
    for preset in (None, *presets):
        files = ["train.yaml"] if preset is None else ["train.yaml", f"{preset}.yaml"]
        loss = _one_pass(bundle, files, settings.get("shrunk") or {})
        losses.append(f"{preset or 'train.yaml alone'} {loss:.2f}")
    return f"loss of one small step: {', '.join(losses)}"


def _one_pass(bundle: Path, files: list[str], shrunk: dict[str, Any]) -> float:
    from monai.bundle import ConfigParser

    with quiet(), importable(bundle), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        parser = ConfigParser()
        parser.read_config([str(bundle / "configs" / name) for name in files])
        for key, value in {**shrunk, "bundle_root": str(bundle)}.items():
            if key in parser:
                parser[key] = value
        views, objective = parser.get_parsed_content("views"), parser.get_parsed_content("objective")
        batch = int(parser["batch_size"])
        crops = [torch.rand(batch, 1, *spec.size) for spec in views.specs for _ in range(spec.count)]
        loss = objective(crops).loss
        loss.backward()
    silent = [name for name, value in objective.named_parameters() if value.requires_grad and value.grad is None]
    if silent:
        raise Problem(f"{files[-1]}: no gradient reaches {silent[0]} ({len(silent)} tensors)")
    return float(loss.detach())


def _kind(bundle: Path) -> str:
    """`"kind"` in the metadata; a bundle without legible metadata fails its own check of them."""
    try:
        return str(read_metadata(bundle).get("kind", ""))
    except Problem:
        return ""


CHECKS: tuple[Callable[[Path], str], ...] = (
    check_files,
    check_metadata,
    check_version,
    check_train_properties,
    check_inference_properties,
    check_network,
    check_weights,
    check_weights_fit,
    check_figures,
    check_phantom_marks,
    check_service,
)
CHECKS_FOR_PRETRAINING: tuple[Callable[[Path], str], ...] = (
    check_files,
    check_metadata,
    check_version,
    check_train_properties,
    check_inference_properties,
    check_network,
    check_nothing_to_serve,
    check_presets,
)
CHECKS_FOR_VIEWS = (*(check for check in CHECKS if check is not check_service), check_views)


def verify(bundle: Path) -> tuple[Result, ...]:
    """Run every check on one bundle folder; a check that cannot even run has failed.

    A bundle without a contract with the service is asked only whether it can be served as the Model Zoo wrote it.
    """
    if is_model_zoo(bundle) and _kind(bundle) not in {PRETRAINING, VIEW}:
        return tuple(_run(check, bundle) for check in model_zoo.CHECKS)
    checks = {PRETRAINING: CHECKS_FOR_PRETRAINING, VIEW: CHECKS_FOR_VIEWS}.get(_kind(bundle), CHECKS)
    return tuple(_run(check, bundle) for check in checks)


def _run(check: Callable[[Path], str], bundle: Path) -> Result:
    name = check.__name__.removeprefix("check_").replace("_", " ")
    try:
        with quiet():
            return Result(name, passed=True, words=check(bundle))
    except (Problem, ConfigurationError) as error:
        return Result(name, passed=False, words=str(error))
    except Exception as error:  # noqa: BLE001 - a bundle is foreign code; whatever breaks is its problem, in words
        return Result(name, passed=False, words=f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}")


def _check_properties(bundle: Path, kind: str, keys: tuple[str, ...]) -> str:
    with quiet(), importable(bundle):
        workflow = unbuilt(bundle, kind)
        wrong = list(workflow.check_properties() or [])
        wrong += [key for key in keys if key not in workflow.parser and key not in wrong]
    if wrong:
        raise Problem(f"configs/{kind}.yaml lacks {', '.join(wrong)}")
    return f"configs/{kind}.yaml has MONAI's properties and {len(keys)} keys"


def main(
    names: Annotated[list[str] | None, typer.Argument(help="Bundle names; all when left out")] = None,
    folder: Annotated[Path, typer.Option(help="Where the bundle folders lie")] = HERE,
) -> None:
    """Check bundles against the contract; exits 1 when any check fails."""
    chosen = names or sorted(path.parent.parent.name for path in folder.glob("*/configs/metadata.json"))
    console, failed = Console(), False
    for name in chosen:
        if not (folder / name).is_dir():
            known = ", ".join(sorted(path.parent.parent.name for path in folder.glob("*/configs/metadata.json")))
            console.print(f"no bundle '{name}' in {folder}; there are: {known}")
            raise typer.Exit(1)
        table = Table("check", "", "what was seen", title=name)
        for result in verify(folder / name):
            table.add_row(result.check, "[green]ok[/]" if result.passed else "[red]FAILED[/]", result.words)
            failed = failed or not result.passed
        console.print(table)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    typer.run(main)
