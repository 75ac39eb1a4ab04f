"""Encoder only: a plain state dict and its manifest, out of a network or a training checkpoint."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bundles.common.encoder_weights import EncoderManifest, manifest_path, read_plain, read_state
from bundles.common.manifest import sha256_of
from bundles.common.strict import ConfigurationError, nearest
from pretraining.backbones import dimensions_of, features_of, make_encoder

LIBRARIES = ("torch", "monai", "numpy")
ENCODER = "encoder."


@dataclass(frozen=True, slots=True)
class Training:
    """How an encoder was trained; what its manifest says beyond the network itself.

    Attributes:
        objective: "SimCLR", "MoCo v2", "SwAV", …; "random" for weights that were not trained.
        backbone: Name that `make_encoder` takes.
        image_size: Of the largest crop, (rows, columns) or (depth, rows, columns).
        value_range: Which stored values became 0 and 1, in words.
        data: The training images by name; "phantom: …" where no patient was involved.
        epochs, steps: Trained.
        data_sha256: Of the index of the images, if there is one.
        normalisation: What else was done to the values; "none" for nothing.
        commit: Of the code when the training was started; "" asks git for the present one.
        notes: Anything else a user must know.
    """

    objective: str
    backbone: str
    image_size: tuple[int, ...]
    value_range: str
    data: str
    epochs: int
    steps: int
    data_sha256: str | None = None
    normalisation: str = "none"
    commit: str = ""
    notes: str = ""


def export_encoder(encoder: nn.Module, path: Path, training: Training) -> EncoderManifest:
    """Write `NAME.pt` (a plain state dict on the CPU) and `NAME.json` (its manifest); both appear whole or not at all.

    Args:
        encoder: The network that `make_encoder(training.backbone)` builds.
        path: Ends with `.pt`.
        training: How it came about.

    Raises:
        ConfigurationError: The encoder is not of that backbone, the size has other axes, a weight is not finite, or
            the path does not end with `.pt`.
    """
    if path.suffix != ".pt":
        raise ConfigurationError(f"{path}: encoder weights are called NAME.pt, their manifest is NAME.json")
    state = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in encoder.state_dict().items()}
    bare = _empty(training.backbone)
    _check(path, state, bare, training)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    try:
        with partial.open("wb") as file:
            torch.save(state, file)
            _to_disk(file)
        manifest = _manifest(partial, bare, training)
        partial_manifest = manifest_path(path).with_name(manifest_path(path).name + ".part")
        with partial_manifest.open("w", encoding="utf-8") as text:
            text.write(json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n")
            _to_disk(text)
        # The manifest goes first: a kill between the two leaves a pair that loading refuses, never a wrong origin.
        partial_manifest.replace(manifest_path(path))
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return manifest


def encoder_of_checkpoint(path: Path, part: str, backbone: str, prefix: str = ENCODER) -> nn.Module:
    """The encoder inside a training checkpoint.

    Args:
        path: Loads with `weights_only=True`.
        part: Where the objective's state dict lies in it: "objective", or "state.objective" for one in another; ""
            for a checkpoint that is itself the state dict.
        backbone: Name that `make_encoder` takes.
        prefix: Of the encoder's tensors; "" takes all.

    Raises:
        ConfigurationError: There is no such part, or its tensors are not those of the backbone.
    """
    state = read_state(path) if not part else _part(path, part)
    # DistributedDataParallel puts "module." in front of every name.
    named = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    found = {name.removeprefix(prefix): tensor for name, tensor in named.items() if name.startswith(prefix)}
    if not found:
        raise ConfigurationError(f"{path}: no tensor starts with '{prefix}'; there are {', '.join(list(named)[:5])}, …")
    try:
        encoder = make_encoder(backbone)
        encoder.load_state_dict(found)
    except (ValueError, RuntimeError) as error:
        raise ConfigurationError(f"{path}: the encoder is no {backbone}: {str(error)[:500]}") from error
    return encoder


def library_versions() -> dict[str, str]:
    """Versions of the libraries that decide what weights mean."""
    return {name: importlib.metadata.version(name) for name in LIBRARIES}


def present_commit() -> str:
    """Commit of the code that runs, with "+changes" if files differ from it; "unknown" outside a repository."""
    here = Path(__file__).resolve().parent
    try:
        commit = _git(here, "rev-parse", "HEAD")
        changed = _git(here, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit}+changes" if changed else commit


def training_of(values: Mapping[str, Any], where: str) -> Training:
    """`Training` from a mapping, such as the `run.json` that a training leaves beside its checkpoints.

    Raises:
        ConfigurationError: A key is missing or unknown.
    """
    known = list(Training.__dataclass_fields__)
    for key in values:
        if key not in known:
            raise ConfigurationError(f"{where}: unknown key '{key}'{nearest(key, known)}")
    try:
        return Training(**{**values, "image_size": tuple(values.get("image_size", ()))})
    except TypeError as error:
        missing = [key for key in known[:7] if key not in values]
        raise ConfigurationError(f"{where}: lacks {', '.join(missing)}") from error


def _manifest(weights: Path, bare: nn.Module, training: Training) -> EncoderManifest:
    facts = asdict(training) | {"commit": training.commit or present_commit()}
    return EncoderManifest(
        sha256=sha256_of(weights),
        dimensions=dimensions_of(bare),
        features=features_of(bare),
        created=dt.datetime.now(tz=dt.UTC).date().isoformat(),
        libraries=library_versions(),
        **facts,
    )


def _empty(backbone: str) -> nn.Module:
    with torch.device("meta"):
        try:
            return make_encoder(backbone)
        except ValueError as error:
            raise ConfigurationError(str(error)) from error


def _check(path: Path, state: Mapping[str, Tensor], bare: nn.Module, training: Training) -> None:
    expected = {name: tensor.shape for name, tensor in bare.state_dict().items()}
    if {name: tensor.shape for name, tensor in state.items()} != expected:
        raise ConfigurationError(f"{path}: the encoder is no {training.backbone}; name the backbone it was made with")
    if len(training.image_size) != dimensions_of(bare):
        raise ConfigurationError(
            f"{path}: image_size {training.image_size} does not fit {training.backbone}, which has "
            f"{dimensions_of(bare)} axes"
        )
    broken = [name for name, tensor in state.items() if not bool(torch.isfinite(tensor).all())]
    if broken:
        raise ConfigurationError(
            f"{path}: {broken[0]} holds NaN or infinity ({len(broken)} tensors do); take an earlier checkpoint"
        )


def _part(path: Path, part: str) -> dict[str, Tensor]:
    inside = read_plain(path)
    for key in part.split("."):
        if not isinstance(inside, Mapping) or key not in inside:
            known = [str(name) for name in inside] if isinstance(inside, Mapping) else []
            raise ConfigurationError(f"{path}: no part '{part}'{nearest(key, known)}")
        inside = inside[key]
    if not isinstance(inside, Mapping):
        raise ConfigurationError(f"{path}: '{part}' is no state dict but {type(inside).__name__}")
    return {str(name): tensor for name, tensor in inside.items() if isinstance(tensor, Tensor)}


def _to_disk(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())


def _git(folder: Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()
