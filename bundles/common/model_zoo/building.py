"""A Model Zoo bundle, built: its own network, preprocessing, inferer and postprocessing, with our reader before them.

Building evaluates what stands behind `$` in its configuration, and may import its `scripts`: a bundle is code, and is
trusted like our own. TorchScript is code too; a state dict is loaded with `weights_only=True`.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd, LoadImaged

from bundles.common.model_zoo.configuration import TORCHSCRIPT, Configuration
from bundles.common.model_zoo.declared import Declared
from bundles.common.strict import ConfigurationError

Item = dict[str, Any]
IMAGE, PRED = "image", "pred"
INSIDE = ("model", "state_dict", "net", "network")
"""Under which key a checkpoint holds the weights, where it is more than a state dict."""
LONGEST_SHOWN = 300
"""Of an error in words."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a bundle computes with.

    Attributes:
        module: In evaluation mode, on its device.
        preprocessing: {"image": [paths]} → item with "image" (channel, …), a `MetaTensor`.
        inferer: (inputs (1, channel, …), network) → the output, a plain tensor (1, channel, …).
        postprocessing: Item with "pred" (channel, …) → item with "pred" on the grid of the source image.
    """

    module: torch.nn.Module
    preprocessing: Callable[[Item], Item]
    inferer: Callable[..., torch.Tensor]
    postprocessing: Callable[[Item], Item]


def build(root: Path, declared: Declared, configuration: Configuration, device: torch.device) -> Parts:
    """Build a bundle.

    Raises:
        ConfigurationError: A part cannot be built, or the weights do not fit; the sentence names the part.
    """
    parser = ConfigParser(deepcopy(dict(configuration.content)))
    parser["bundle_root"] = str(root)
    parser["device"] = device
    module = _network(root, parser, configuration, device)
    preprocessing = _part(root, parser, "preprocessing")
    _check_keys(root, preprocessing)
    postprocessing = _part(root, parser, "postprocessing") if "postprocessing" in parser else None
    inferer = _part(root, parser, "inferer")

    def infer(inputs: torch.Tensor, network: torch.nn.Module) -> torch.Tensor:
        # A plain tensor: sliding windows would otherwise drag the image's history through every window.
        plain = inputs.as_tensor() if isinstance(inputs, MetaTensor) else inputs
        return _only(inferer(plain, network))

    def after(item: Item) -> Item:
        image, pred = item[IMAGE], item[PRED]
        item = {**item, PRED: MetaTensor(pred.float(), meta=dict(image.meta))}
        item = item if postprocessing is None else postprocessing(item)
        if declared.task == "segmentation" and not configuration.inverts:
            item = _back(item, image, preprocessing)
        return item

    return Parts(module, preprocessing, infer, after)


@contextmanager
def own_scripts(root: Path) -> Iterator[None]:
    """Let a configuration import `scripts` of its own folder, and no other bundle see them.

    The modules leave `sys.modules` afterwards; what was built keeps them alive.
    """
    inside = str(root.resolve())
    sys.path.insert(0, inside)
    try:
        yield
    finally:
        sys.path.remove(inside)
        for name in [name for name in sys.modules if name.partition(".")[0] == "scripts"]:
            del sys.modules[name]


def _part(root: Path, parser: ConfigParser, name: str) -> Any:
    try:  # a bundle is foreign code: whatever it raises means that it cannot be served
        return parser.get_parsed_content(name)
    except Exception as error:
        raise _refused(root, f"'{name}' cannot be built: {in_short(error)}") from error


def _network(root: Path, parser: ConfigParser, configuration: Configuration, device: torch.device) -> torch.nn.Module:
    path = root / configuration.weights
    try:
        if configuration.weights == TORCHSCRIPT:
            module = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
            module = _part(root, parser, "network_def")
            module.load_state_dict(_state_dict(state))
    except ConfigurationError:
        raise
    except Exception as error:
        raise _refused(root, f"{configuration.weights} cannot be loaded: {in_short(error)}") from error
    module.to(device).eval()
    for parameter in module.parameters():  # TorchScript has no `requires_grad_` for all at once
        parameter.requires_grad_(requires_grad=False)
    built: torch.nn.Module = module
    return built


def _state_dict(state: Any) -> Mapping[str, Any]:
    """The weights of a checkpoint as MONAI's `CheckpointSaver` or others write it."""
    for key in INSIDE:
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            inside: Mapping[str, Any] = state[key]
            return inside
    whole: Mapping[str, Any] = state
    return whole


def _check_keys(root: Path, preprocessing: Any) -> None:
    loaders = [each for each in _flat(preprocessing) if isinstance(each, LoadImaged)]
    keys = {key for loader in loaders for key in loader.keys}
    if keys != {IMAGE}:
        named = ", ".join(sorted(str(key) for key in keys)) or "nothing"
        raise _refused(root, f"its preprocessing loads {named}; the service has an '{IMAGE}' alone")


def _flat(transform: Any) -> Iterator[Any]:
    if isinstance(transform, Compose):
        for each in transform.transforms:
            yield from _flat(each)
    else:
        yield transform


def _only(output: Any) -> torch.Tensor:
    """The tensor of an output that may stand alone in a list, or in a mapping under "pred"."""
    if isinstance(output, Mapping) and PRED in output:
        output = output[PRED]
    if isinstance(output, list | tuple) and len(output) == 1:
        output = output[0]
    if not isinstance(output, torch.Tensor):
        raise TypeError(f"the network gave a {type(output).__name__}, expected one tensor")
    return output.as_tensor() if isinstance(output, MetaTensor) else output


def _back(item: Item, image: MetaTensor, preprocessing: Any) -> Item:
    """Undo what the preprocessing did to the grid, where the bundle does not itself: it saves on its own grid."""
    if not image.applied_operations:
        return item
    pred = item[PRED]
    if not isinstance(pred, MetaTensor):
        pred = MetaTensor(torch.as_tensor(pred), affine=image.affine)
    labels = bool(torch.equal(pred, pred.round()))
    undo = Invertd(keys=PRED, transform=preprocessing, orig_keys=IMAGE, nearest_interp=labels, to_tensor=True)
    done: Item = undo({**item, PRED: pred, IMAGE: image})
    return done


def lies_on(pred: Any, shape: tuple[int, ...], affine: Any) -> bool:
    """Whether an output lies on a grid: size (columns, rows, slices), and index to RAS mm, to a thousandth of a mm.

    Args:
        pred: (channel, columns, rows, slices); what carries no affine lies nowhere.
        shape: Of the grid.
        affine: 4 x 4.
    """
    if not isinstance(pred, MetaTensor) or tuple(pred.shape[1:]) != shape:
        return False
    return bool(np.allclose(np.asarray(pred.affine, dtype=np.float64), np.asarray(affine), rtol=0, atol=1e-3))


def _refused(root: Path, reason: str) -> ConfigurationError:
    return ConfigurationError(f"Model Zoo bundle '{root.name}' cannot be served: {reason}")


def in_short(error: BaseException) -> str:
    """An error on one line; torch tells what does not fit from the second line on."""
    told = " ".join(str(error).split())
    return f"{type(error).__name__}: {told[:LONGEST_SHOWN]}{'…' if len(told) > LONGEST_SHOWN else ''}"
