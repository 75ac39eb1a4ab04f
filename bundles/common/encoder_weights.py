"""Encoder weights of pretraining: a plain state dict `NAME.pt` and its manifest `NAME.json`, and how to load them."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import structlog
import torch
from pydantic import Field, ValidationError
from torch import Tensor, nn

from bundles.common.manifest import sha256_of
from bundles.common.strict import ConfigurationError, Strict

SHOWN = 5
log = structlog.get_logger()


class EncoderManifest(Strict):
    """Where encoder weights come from and what images they expect.

    Attributes:
        sha256: Of the weights' file.
        objective: What was trained: "SimCLR", "MoCo v2", "SwAV"; "random" for weights that were not trained.
        backbone: Name that `pretraining.backbones.make_encoder` takes.
        dimensions: Spatial axes of an image, 2 or 3.
        features: Length of the encoder's output.
        image_size: Of the largest crop in training, (rows, columns) or (depth, rows, columns).
        value_range: Which stored values became 0 and 1, in words.
        normalisation: What else was done to the values, in words; "none" for nothing.
        data: The training images by name; starts with "phantom" where no patient was involved.
        data_sha256: Of the index of the training images; None where there is none.
        epochs: Trained.
        steps: Optimiser steps trained.
        commit: Of the repository when the training was started.
        created: Date of the export, ISO 8601.
        libraries: Versions by name.
        notes: Anything else a user must know.
    """

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    objective: str = Field(min_length=1)
    backbone: str = Field(min_length=1)
    dimensions: int = Field(ge=2, le=3)
    features: int = Field(ge=1)
    image_size: tuple[int, ...] = Field(min_length=2, max_length=3)
    value_range: str = Field(min_length=1)
    normalisation: str = Field(min_length=1)
    data: str = Field(min_length=1)
    data_sha256: str | None = Field(pattern="^[0-9a-f]{64}$")
    epochs: int = Field(ge=0)
    steps: int = Field(ge=0)
    commit: str = Field(min_length=1)
    created: str
    libraries: dict[str, str]
    notes: str = ""


@dataclass(frozen=True, slots=True)
class LoadReport:
    """Which tensors of a file went into a network. Names are those of the network, with its prefix.

    Attributes:
        path: The file.
        manifest: Its manifest; None where none lies beside it, so that its origin is unknown.
        matched: Loaded.
        missing: In the network (below the prefix) but not in the file; they keep their values.
        unexpected: In the file but not in the network; ignored.
        other_shape: In both, with the shapes of (file, network); not loaded.
    """

    path: Path
    manifest: EncoderManifest | None
    matched: tuple[str, ...]
    missing: tuple[str, ...] = ()
    unexpected: tuple[str, ...] = ()
    other_shape: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Every tensor of the network was filled and none of the file was left over."""
        return not (self.missing or self.unexpected or self.other_shape)

    def summary(self) -> str:
        """What happened, for people: counts, then the first names of each kind."""
        parts = [f"{self.path}: {len(self.matched)} tensors loaded"]
        parts += [f"{len(names)} {kind}: {_some(names)}" for kind, names in self._left_out() if names]
        if self.manifest is None:
            parts.append("no manifest beside the file, so its origin is unknown")
        return "; ".join(parts)

    def require_complete(self) -> "LoadReport":
        """This report, for a network that takes the whole encoder.

        Raises:
            ConfigurationError: Something was missing, left over or of another shape.
        """
        if not self.complete:
            raise ConfigurationError(
                f"{self.summary()}. The file holds another network than the one to fill"
                f"{self._made_with()}; take weights of the same backbone"
            )
        return self

    def _made_with(self) -> str:
        return f" (it was made with backbone {self.manifest.backbone})" if self.manifest else ""

    def _left_out(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        shapes = tuple(
            f"{name} is {file} in the file and {network} in the network"
            for name, (file, network) in self.other_shape.items()
        )
        return (
            ("missing in the file", self.missing),
            ("unknown to the network", self.unexpected),
            ("of other shape", shapes),
        )


def load_encoder(network: nn.Module, path: Path | str, *, prefix: str = "") -> LoadReport:
    """Fill a network, or a part of one, with encoder weights; tensors that do not fit are left alone and named.

    Args:
        network: The encoder itself, or a detector that contains it.
        path: A state dict that loads with `weights_only=True`. `NAME.json` beside `NAME.pt` is its manifest.
        prefix: Where the encoder lies in `network`: "backbone.body." if its stem is `backbone.body.conv1.weight`.

    Raises:
        ConfigurationError: The file is missing, holds no state dict, differs from its manifest, or no tensor matches.
    """
    path = Path(path)
    manifest = _checked_manifest(path)
    state = {prefix + name: tensor for name, tensor in read_state(path).items()}
    own = {name: tensor for name, tensor in network.state_dict().items() if name.startswith(prefix)}
    matched = tuple(name for name in own if name in state and state[name].shape == own[name].shape)
    report = LoadReport(
        path=path,
        manifest=manifest,
        matched=matched,
        missing=tuple(name for name in own if name not in state),
        unexpected=tuple(name for name in state if name not in own),
        other_shape={
            name: (tuple(state[name].shape), tuple(tensor.shape))
            for name, tensor in own.items()
            if name in state and state[name].shape != tensor.shape
        },
    )
    if not matched:
        raise ConfigurationError(f"{report.summary()}. {_nothing_matches(own, state, prefix)}")
    network.load_state_dict({name: state[name] for name in matched}, strict=False)
    log.info(
        "encoder_loaded",
        file=str(path),
        matched=len(matched),
        missing=len(report.missing),
        unexpected=len(report.unexpected),
        other_shape=len(report.other_shape),
        manifest=manifest is not None,
    )
    return report


def read_plain(path: Path) -> Any:
    """What a file of `torch.save` holds, read with `weights_only=True` onto the CPU.

    Raises:
        ConfigurationError: The file is missing, is damaged, or holds more than tensors and plain values.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror or error}") from error
    except (RuntimeError, EOFError, UnpicklingError, KeyError, ValueError) as error:
        reason = next(iter(str(error).splitlines()), repr(error))
        raise ConfigurationError(f"{path}: torch.load(weights_only=True) cannot read it: {reason}") from error


def read_state(path: Path) -> dict[str, Tensor]:
    """Tensors by name.

    Raises:
        ConfigurationError: The file is missing, is damaged, or holds something else than tensors by name.
    """
    state = read_plain(path)
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ConfigurationError(
            f"{path}: expected tensors by name (a plain state dict); a training checkpoint must first be exported: "
            "python -m pretraining export"
        )
    return {str(name): tensor for name, tensor in state.items()}


def manifest_path(weights: Path) -> Path:
    """Where the manifest of a file of encoder weights lies: `encoder.pt` → `encoder.json`."""
    return weights.with_suffix(".json")


def read_encoder_manifest(weights: Path) -> EncoderManifest:
    """The manifest beside a file of encoder weights.

    Raises:
        ConfigurationError: It is missing, is no JSON, or lacks something.
    """
    path = manifest_path(weights)
    try:
        return EncoderManifest.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    except (ValueError, ValidationError) as error:
        raise ConfigurationError(f"{path}: {error}") from error


def _checked_manifest(path: Path) -> EncoderManifest | None:
    if not path.is_file():
        raise ConfigurationError(f"{path}: no such file; write encoder weights with python -m pretraining export")
    if not manifest_path(path).is_file():
        log.warning("encoder_without_manifest", file=str(path))
        return None
    manifest = read_encoder_manifest(path)
    found = sha256_of(path)
    if found != manifest.sha256:
        raise ConfigurationError(
            f"{path}: sha256 {found} differs from {manifest.sha256} in {manifest_path(path)}; "
            "the file was changed or damaged: copy both files again"
        )
    return manifest


def _nothing_matches(own: dict[str, Tensor], state: dict[str, Tensor], prefix: str) -> str:
    if not own:
        return f"No tensor of the network starts with '{prefix}': name the part that holds the encoder"
    return f"No tensor fits: the network has {_some(tuple(own))}, the file {_some(tuple(state))} (with the prefix)"


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more if names else "nothing"
