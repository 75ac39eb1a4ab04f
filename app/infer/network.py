"""One bundle, built: its network with weights, and its own preprocessing, inferer and postprocessing."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser

import bundles
from app.errors import Failed
from app.infer.catalogue import WEIGHTS, Bundle, ViewBundle
from app.infer.model_zoo import ModelZoo
from bundles.common.model_zoo import building
from bundles.common.strict import ConfigurationError

Item = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Network:
    """What inference needs of a bundle, ready to run.

    Attributes:
        module: In evaluation mode, on its device.
        preprocessing: {"image": [paths]} → item with "image" (channel, …).
        inferer: (inputs (batch, channel, …), network) → outputs.
        postprocessing: Item with "pred" → item with the outputs that the contract names.
        device: Where `module` lies.
    """

    module: torch.nn.Module
    preprocessing: Callable[[Item], Item]
    inferer: Callable[..., Any]
    postprocessing: Callable[[Item], Item]
    device: torch.device


def build(bundle: Bundle | ViewBundle, device: torch.device) -> Network:
    """Build a bundle's network from `configs/inference.*` and load its weights (`weights_only=True`).

    Raises:
        Failed: The configuration lacks an id, cannot be instantiated, or the weights do not fit the network.
    """
    if isinstance(bundle, Bundle) and bundle.model_zoo is not None:
        return _of_model_zoo(bundle.root, bundle.model_zoo, device)
    with _importable(bundle.root):
        parser = _parse(bundle.root)
        parser["bundle_root"] = str(bundle.root)
        parser["device"] = device
        parts = {name: _instantiate(parser, name, bundle) for name in ("network_def", "preprocessing", "inferer")}
        postprocessing = _instantiate(parser, "postprocessing", bundle)
    module = parts["network_def"]
    try:
        state = torch.load(bundle.root / WEIGHTS, map_location="cpu", weights_only=True)
        module.load_state_dict(state)
    except (RuntimeError, TypeError, KeyError, OSError) as error:
        raise Failed(
            f"bundle '{bundle.name}': {WEIGHTS} does not fit its network: {building.in_short(error)}"
        ) from error
    module.to(device).eval().requires_grad_(requires_grad=False)
    return Network(module, parts["preprocessing"], parts["inferer"], postprocessing, device)


def _of_model_zoo(root: Path, found: ModelZoo, device: torch.device) -> Network:
    try:
        with _importable(root):
            parts = building.build(root, found.declared, found.configuration, device)
    except ConfigurationError as error:
        raise Failed(str(error)) from error
    return Network(parts.module, parts.preprocessing, parts.inferer, parts.postprocessing, device)


def bytes_of(module: torch.nn.Module) -> int:
    """Memory that the parameters and buffers of a network hold."""
    held = (*module.parameters(), *module.buffers())
    return sum(each.numel() * each.element_size() for each in held)


def first_of_batch(value: Any) -> Any:
    """Take the only item of a batch of one out of a network's output: a tensor, or a mapping or sequence of them."""
    if isinstance(value, torch.Tensor):
        return value[0].cpu()
    if isinstance(value, Mapping):
        return {key: first_of_batch(each) for key, each in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(first_of_batch(each) for each in value)
    return value


def _parse(root: Path) -> ConfigParser:
    for suffix in (".yaml", ".yml", ".json"):
        path = root / "configs" / f"inference{suffix}"
        if path.is_file():
            parser = ConfigParser()
            parser.read_config(str(path))
            return parser
    raise Failed(f"bundle '{root.name}': configs/inference.yaml (or .json) is missing")


def _instantiate(parser: ConfigParser, name: str, bundle: Bundle | ViewBundle) -> Any:
    if name not in parser:
        raise Failed(f"bundle '{bundle.name}': configs/inference.* has no '{name}'")
    try:  # a bundle is foreign code: whatever it raises means that it cannot be served
        return parser.get_parsed_content(name)
    except Exception as error:
        raise Failed(f"bundle '{bundle.name}': '{name}' cannot be built: {building.in_short(error)}") from error


@contextmanager
def _importable(root: Path) -> Iterator[None]:
    """Let a bundle's configuration find its code, without letting two bundles share a `scripts` package.

    Our own bundles name `bundles.<name>.scripts`, wherever their folder lies; Model Zoo bundles name `scripts`
    relative to their root.
    """
    folder = str(root.parent.resolve())
    if folder not in bundles.__path__:
        bundles.__path__.append(folder)
    with building.own_scripts(root):
        yield
