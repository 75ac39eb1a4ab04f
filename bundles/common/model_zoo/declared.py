"""What a Model Zoo bundle says of itself in `configs/metadata.json`, typed; and why it cannot be served.

The schema is MONAI's (`meta_schema_*.json`): `network_data_format` describes each input and output tensor.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from bundles.common.strict import ConfigurationError

METADATA = Path("configs/metadata.json")
CONTRACT = Path("configs/service.yaml")
INFERENCE = tuple(Path(f"configs/inference{suffix}") for suffix in (".json", ".yaml", ".yml"))

MODALITIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **dict.fromkeys(("ct", "computed tomography"), ("CT",)),
        **dict.fromkeys(("mr", "mri", "magnetic resonance"), ("MR",)),
        **dict.fromkeys(("cr", "dx", "xr", "x-ray", "xray", "cxr", "radiograph"), ("CR", "DX")),
    }
)
VOLUMES = frozenset({"CT", "MR"})
BACKGROUND = frozenset({"background", "bg", "none", "everything else", "other"})
CLASSES = frozenset({"classes", "classification", "labels", "label", "probabilities"})
MOST_LABELS = 255
"""A mask has one byte a voxel."""

Task = Literal["segmentation", "classification"]


@dataclass(frozen=True, slots=True)
class Label:
    """One thing that an output tells apart.

    Attributes:
        number: Its channel in the output of the network; the value of its voxels in a map of labels.
        name: The bundle's own words: "spleen".
    """

    number: int
    name: str


@dataclass(frozen=True, slots=True)
class Declared:
    """A bundle that can be served from its metadata.

    Attributes:
        name: Of its folder.
        title: For people.
        version: Of the bundle.
        task: What its output is.
        modalities: Values of (0008,0060) that it reads.
        dimensions: 3 for volumes, 2 for single images.
        patch: Size of one input as the metadata give it; open sides are text ("16*n").
        channels: Of its output.
        labels: What it tells apart, without the background, by number.
        background: Whether channel 0 is background.
        told: All words of the metadata that may name a part of the body.
        training_data: What its metadata say of it.
    """

    name: str
    title: str
    version: str
    task: Task
    modalities: tuple[str, ...]
    dimensions: int
    patch: tuple[int | str, ...]
    channels: int
    labels: tuple[Label, ...]
    background: bool
    told: str
    training_data: str


def is_model_zoo(root: Path) -> bool:
    """Whether a folder is laid out as the Model Zoo's bundles are, and has no contract with our service."""
    has_configs = (root / METADATA).is_file() and any((root / path).is_file() for path in INFERENCE)
    return has_configs and not (root / CONTRACT).exists()


def read_declared(root: Path) -> Declared:
    """Read what a bundle says of itself.

    Raises:
        ConfigurationError: It lacks something, or is of a kind that cannot be served; the sentence says which.
    """
    metadata = _metadata(root / METADATA)
    formats = _mapping(metadata.get("network_data_format"), "network_data_format", root)
    image = _the_input(_mapping(formats.get("inputs"), "network_data_format.inputs", root), root)
    pred = _the_output(_mapping(formats.get("outputs"), "network_data_format.outputs", root), root)
    patch = _patch(image, root)
    task = _task(pred, root)
    labels = _labels(pred, root)
    background = labels[0].number == 0 and labels[0].name.casefold() in BACKGROUND
    found = labels[1:] if background and task == "segmentation" else labels
    if not found:
        raise _refused(root, "its output tells nothing but background")
    declared = Declared(
        name=root.name,
        title=_text(metadata, "name") or _text(metadata, "task") or root.name.replace("_", " "),
        version=_text(metadata, "version"),
        task=task,
        modalities=_modalities(image, root),
        dimensions=len(patch),
        patch=patch,
        channels=_whole(pred.get("num_channels"), len(labels)),
        labels=found,
        background=background,
        told=_told(root, metadata, found),
        training_data=_text(metadata, "data_source") or "not told by the bundle",
    )
    _check(declared, root)
    return declared


def _check(declared: Declared, root: Path) -> None:
    if not declared.version:
        raise _refused(root, f"'version' is missing in {METADATA}")
    of_volumes = set(declared.modalities) <= VOLUMES
    if of_volumes != (declared.dimensions == 3):
        kind = "volumes (3 spatial dimensions)" if of_volumes else "radiographs (2 spatial dimensions)"
        raise _refused(
            root, f"it reads {declared.dimensions}-D images of {'/'.join(declared.modalities)}; only {kind} are read"
        )
    if declared.task == "segmentation" and declared.dimensions == 2:
        raise _refused(root, "it outlines structures in single images; segmentations are made of volumes only")
    if len(declared.labels) > MOST_LABELS:
        raise _refused(root, f"it tells {len(declared.labels)} structures apart, at most {MOST_LABELS} can be kept")
    named = len(declared.labels) + (declared.background and declared.task == "segmentation")
    if declared.channels > named:  # one channel may hold a map of several labels
        raise _refused(root, f"its output has {declared.channels} channels, and 'channel_def' names {named} of them")


def _the_input(inputs: Mapping[str, Any], root: Path) -> Mapping[str, Any]:
    if set(inputs) != {"image"}:
        others = ", ".join(sorted(set(inputs) - {"image"})) or "no 'image'"
        raise _refused(root, f"its network wants one input 'image', and its metadata name {others}")
    image = _mapping(inputs["image"], "network_data_format.inputs.image", root)
    channels = image.get("num_channels", 1)
    if channels != 1:
        named = _mapping(image.get("channel_def") or {}, "channel_def", root).values()
        words = f" ({', '.join(str(name) for name in named)})" if len(named) > 1 else ""
        raise _refused(
            root, f"it wants {channels} input channels{words}; the service gives it one grey series or image at a time"
        )
    return image


def _the_output(outputs: Mapping[str, Any], root: Path) -> Mapping[str, Any]:
    if set(outputs) != {"pred"}:
        raise _refused(root, f"expected one output 'pred', its metadata name {', '.join(sorted(outputs)) or 'none'}")
    return _mapping(outputs["pred"], "network_data_format.outputs.pred", root)


def _task(pred: Mapping[str, Any], root: Path) -> Task:
    """By format and shape: zoo bundles write "labels" for maps of labels as well as for classes."""
    kind, form = str(pred.get("type", "")).casefold(), str(pred.get("format", "")).casefold()
    words = {kind, form}
    if words & {"object", "dict", "box", "boxes", "detection", "bounding box"}:
        raise _refused(root, "it detects objects, and its metadata do not tell in what form it gives boxes and scores")
    if form in CLASSES and len(_shape(pred)) < 3:
        return "classification"
    if form == "segmentation" or (form in {"labels", "label"} and kind == "image"):
        return "segmentation"
    raise _refused(
        root, f"its output is of type '{kind}' and format '{form}', expected a segmentation or classes to be told apart"
    )


def _labels(pred: Mapping[str, Any], root: Path) -> tuple[Label, ...]:
    defined = pred.get("channel_def")
    if not isinstance(defined, Mapping) or not defined:
        raise _refused(root, "'channel_def' of its output is missing in the metadata: nothing tells what it means")
    try:
        labels = sorted((int(number), " ".join(str(name).split())) for number, name in defined.items())
    except ValueError as error:
        raise _refused(root, "'channel_def' of its output has keys that are no whole numbers") from error
    if labels[0][0] < 0 or any(not name for _, name in labels) or len({number for number, _ in labels}) < len(labels):
        raise _refused(root, "'channel_def' of its output has a negative or repeated number, or a name without letters")
    return tuple(Label(number, name) for number, name in labels)


def _modalities(image: Mapping[str, Any], root: Path) -> tuple[str, ...]:
    told = str(image.get("modality") or "").strip()
    if not told:
        raise _refused(root, "'modality' of its input is missing in the metadata: nothing tells what it reads")
    if told.casefold() not in MODALITIES:
        raise _refused(root, f"it reads images of modality '{told}'; the service reads CT, MR and radiographs (CR, DX)")
    return MODALITIES[told.casefold()]


def _patch(image: Mapping[str, Any], root: Path) -> tuple[int | str, ...]:
    shape = _shape(image)
    if len(shape) not in {2, 3}:
        raise _refused(root, "'spatial_shape' of its input in the metadata has neither two nor three sizes")
    return shape


def _shape(tensor: Mapping[str, Any]) -> tuple[int | str, ...]:
    shape = tensor.get("spatial_shape")
    return tuple(side if isinstance(side, int) else str(side) for side in shape) if isinstance(shape, list) else ()


def _told(root: Path, metadata: Mapping[str, Any], labels: tuple[Label, ...]) -> str:
    told = [root.name, *(_text(metadata, key) for key in ("name", "task", "description"))]
    return " ".join([*told, *(label.name for label in labels)]).replace("_", " ")


def _whole(value: object, otherwise: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else otherwise


def _text(metadata: Mapping[str, Any], key: str) -> str:
    value = metadata.get(key)
    return " ".join(value.split()) if isinstance(value, str) else ""


def _mapping(value: object, what: str, root: Path) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _refused(root, f"'{what}' is missing in {METADATA}, or no mapping")
    return value


def _metadata(path: Path) -> Mapping[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(raw, dict):
        raise ConfigurationError(f"{path}: expected a JSON object, got {type(raw).__name__}")
    return raw


def _refused(root: Path, reason: str) -> ConfigurationError:
    return ConfigurationError(f"Model Zoo bundle '{root.name}' cannot be served: {reason}")
